"""Bars, and random actions on them, for scenarios.

Levels are computed from the bars up to that of the action. An action is a JSON object with ``bar``, ``do`` (order,
bracket, oco, cancel), ``ref``, ``symbol``, ``quantity``, and for orders ``kind``: market, close (market on close),
limit, stop, stop-limit, trailing-stop, trailing-stop-limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

Action = dict[str, Any]
FIELDS = ("open", "high", "low", "close", "volume")
LARGE = ("AMZN", "BAC", "GE", "IBM", "MSFT", "NVDA")


@dataclass(frozen=True)
class Panel:
    """Bars of some symbols over the same sessions.

    Attributes:
        frame: timestamp, symbol, open, high, low, close, volume; sorted by symbol and time.
        symbols: In the order of their names.
        close: float64 (sessions, symbols).
    """

    frame: pl.DataFrame
    symbols: tuple[str, ...]
    close: np.ndarray

    def __len__(self) -> int:
        return len(self.close)


# --- bars ---------------------------------------------------------------------------------------------------


def panel(name: str, folder: Path) -> Panel:
    """Return real daily bars by name: ``large`` (6 stocks, 5 years), ``old`` (2 stocks, 19 years), ``goog``.

    ``thousandths`` is ``large`` as zipline stores it.
    """
    if name == "goog":
        frame = pl.read_parquet(folder / "us_equity_daily_goog_backtestingpy.parquet")
    elif name == "old":
        frame = pl.read_parquet(folder / "us_equity_daily_yahoo_backtrader.parquet")
    else:
        frame = pl.read_parquet(folder / "sp500_daily_2013_2018.parquet").filter(pl.col("symbol").is_in(LARGE))
    frame = frame.select(pl.col("timestamp").dt.replace_time_zone(None), "symbol", *FIELDS)
    if name == "thousandths":
        frame = frame.with_columns((pl.col(price) * 1000).round() * 0.001 for price in FIELDS[:4])
    frame = frame.with_columns(pl.col("volume").cast(pl.Float64)).drop_nulls()
    symbols = tuple(sorted(frame["symbol"].unique()))
    frame = frame.filter(pl.len().over("timestamp") == len(symbols)).sort("symbol", "timestamp")
    return Panel(frame, symbols, frame["close"].to_numpy().reshape(len(symbols), -1).T)


# --- random orders ------------------------------------------------------------------------------------------


def levels(rng: np.random.Generator, close: float, kind: str, side: int) -> Action:
    """Return the prices of an order of a kind, some of them on the wrong side of the market."""

    def near(low: float, high: float) -> float:
        return round(close * (1 + side * rng.uniform(low, high)), 2)

    if kind == "limit":
        return {"limit_price": near(-0.04, 0.01)}
    if kind == "stop":
        return {"stop_price": near(-0.01, 0.04)}
    if kind == "stop-limit":
        stop = near(-0.01, 0.03)
        return {"stop_price": stop, "limit_price": round(stop * (1 + side * rng.uniform(-0.015, 0.01)), 2)}
    if kind.startswith("trailing-stop"):
        trail = rng.uniform(0.01, 0.05)
        offset = {"limit_offset": round(close * side * rng.uniform(-0.01, 0.01), 2)} if kind.endswith("limit") else {}
        if rng.integers(2):
            return {"trail_amount": round(close * trail, 2), **offset}
        return {"trail_percent": round(trail, 3), **offset}
    return {}


def singles(
    *kinds: str, seed: int, chance: float = 0.05, most: int = 200, cancels: float = 0.0, expiring: bool = False
):
    """Return actions: orders of these kinds at random bars, some of them cancelled later, or good until a day."""

    def actions(panel: Panel) -> list[Action]:
        rng = np.random.default_rng(seed)
        out: list[Action] = []
        days = panel.frame["timestamp"].unique().sort()
        for bar in range(1, len(panel) - 1):
            for column, symbol in enumerate(panel.symbols):
                if rng.random() >= chance:
                    continue
                side = 1 if rng.integers(2) else -1
                kind = kinds[rng.integers(len(kinds))]
                order = {"bar": bar, "do": "order", "ref": f"{len(out)}", "symbol": symbol, "kind": kind}
                order["quantity"] = side * int(rng.integers(1, most + 1))
                order |= levels(rng, float(panel.close[bar, column]), kind, side)
                if expiring:
                    order["valid"] = days[min(bar + int(rng.integers(1, 6)), len(days) - 1)].date().isoformat()
                out.append(order)
                if rng.random() < cancels and bar + 1 < len(panel) - 1:
                    later = min(bar + int(rng.integers(1, 20)), len(panel) - 2)
                    out.append({"bar": later, "do": "cancel", "ref": order["ref"]})
        return sorted(out, key=lambda action: action["bar"])

    return actions


def brackets(*, seed: int, chance: float = 0.03, trailing: bool = False, entries: tuple[str, ...] = ("market",), gap=0):
    """Return actions: brackets with these entries; with ``gap`` only one at a time, bars after the one before."""

    def actions(panel: Panel) -> list[Action]:
        rng = np.random.default_rng(seed)
        out: list[Action] = []
        free = 1
        for bar in range(1, len(panel) - 1):
            for column, symbol in enumerate(panel.symbols):
                if rng.random() >= chance or bar < free:
                    continue
                free = bar + gap
                side = 1 if rng.integers(2) else -1
                close = float(panel.close[bar, column])
                made = {"bar": bar, "do": "bracket", "ref": f"{len(out)}", "symbol": symbol}
                made["quantity"] = side * int(rng.integers(1, 200))
                entry, middle = entries[rng.integers(len(entries))], close
                if entry != "market":
                    away = side * rng.uniform(0.0, 0.02) * (-1 if entry == "limit" else 1)
                    made[f"entry_{entry}"] = middle = round(close * (1 + away), 2)
                if trailing:
                    made |= levels(rng, close, "trailing-stop", -side)
                else:
                    made["stop_price"] = round(middle * (1 - side * rng.uniform(0.01, 0.05)), 2)
                made["target_price"] = round(middle * (1 + side * rng.uniform(0.01, 0.06)), 2)
                out.append(made)
        return out

    return actions


def one_cancels_other(*, seed: int, chance: float = 0.03):
    """Return actions: a limit order and a stop, and at times a third, of one size; one cancels the others."""

    def actions(panel: Panel) -> list[Action]:
        rng = np.random.default_rng(seed)
        out: list[Action] = []
        for bar in range(1, len(panel) - 1):
            for column, symbol in enumerate(panel.symbols):
                if rng.random() >= chance:
                    continue
                side = 1 if rng.integers(2) else -1
                quantity, close, ref = side * int(rng.integers(1, 200)), float(panel.close[bar, column]), f"{len(out)}"
                kinds = ["limit", "stop", "stop-limit"][: 2 + int(rng.integers(2))]
                legs = [
                    {"ref": f"{ref}.{n}", "kind": kind, "quantity": quantity, **levels(rng, close, kind, side)}
                    for n, kind in enumerate(kinds)
                ]
                out.append({"bar": bar, "do": "oco", "ref": ref, "symbol": symbol, "legs": legs})
        return out

    return actions


def together(*parts: Callable[[Panel], list[Action]]):
    """Return the actions of several generators, their refs kept apart."""

    def actions(panel: Panel) -> list[Action]:
        out = []
        for letter, part in zip("abcdefgh", parts, strict=False):
            for action in part(panel):
                action["ref"] = letter + action["ref"]
                for leg in action.get("legs", ()):
                    leg["ref"] = letter + leg["ref"]
                out.append(action)
        return sorted(out, key=lambda action: action["bar"])

    return actions


def larger(part: Callable[[Panel], list[Action]], times: int):
    """Return the actions with quantities that a volume filler cuts."""

    def actions(panel: Panel) -> list[Action]:
        out = part(panel)
        for action in out:
            for order in action.get("legs", (action,)):
                order["quantity"] *= times
        return out

    return actions


def as_ticks(part: Callable[[Panel], list[Action]]):
    """Return the actions with levels as zipline makes them: whole cents times 0.01, perhaps not the nearest float."""

    def actions(panel: Panel) -> list[Action]:
        out = part(panel)
        for action in out:
            for name in {"limit_price", "stop_price"} & set(action):
                action[name] = 0.01 * round(action[name] * 100)
        return out

    return actions


def drop_ambiguous(part: Callable[[Panel], list[Action]]):
    """Return brackets with stop entries without those whose entry bar touches the protective stop, too."""

    def actions(panel: Panel) -> list[Action]:
        bars = panel.frame.select("high", "low").to_numpy()
        out = []
        for action in part(panel):
            buys = action["quantity"] > 0
            later = bars[action["bar"] + 1 :]
            reached = later[:, 0] >= action["entry_stop"] if buys else later[:, 1] <= action["entry_stop"]
            high, low = later[int(np.argmax(reached))]
            if not reached.any() or (low > action["stop_price"] if buys else high < action["stop_price"]):
                out.append(action)
        return out

    return actions
