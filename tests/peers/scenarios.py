"""What both sides run: bars, settings of both, and actions by bar.

An action says: after bar ``bar`` do this. Levels are computed from the bars up to that one. Every action is a JSON
object with ``bar``, ``do`` (order, bracket, oco, cancel), ``ref``, ``symbol``, ``quantity``, and for orders ``kind``:
market, close (market on close), limit, stop, stop-limit, trailing-stop, trailing-stop-limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

Action = dict[str, Any]
FIELDS = ("open", "high", "low", "close", "volume")
CASH = 1e9  # no engine's check of cash or margin binds
LARGE = ("AMZN", "BAC", "GE", "IBM", "MSFT", "NVDA")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: Unique for its engine.
        peer: The other engine.
        bars: Name of a panel below.
        actions: From the panel to what is done.
        settings: Of the other engine; its runner knows the keys.
        broker: Of ours, as in a run file; the profile is the engine's unless named.
    """

    name: str
    peer: str
    bars: str
    actions: Callable[[Panel], list[Action]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    broker: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, panel: Panel) -> dict[str, Any]:
        """Return what the runner reads."""
        return {"name": self.name, "settings": {"cash": CASH, **self.settings}, "actions": self.actions(panel)}


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


# --- the list -----------------------------------------------------------------------------------------------

EVERY_KIND = ("market", "close", "limit", "stop", "stop-limit", "trailing-stop")
PERCENT = {"kind": "percent", "rate": 0.001}
PER_SHARE = {"kind": "per-share", "rate": 0.005}
OURS = {
    "percent": {"use": "percent", "rate": 0.001},
    "per-share": {"use": "per-share", "rate": 0.005},
}


def _backtrader(name: str, actions, bars: str = "large", settings=(), **broker: Any) -> Scenario:
    return Scenario(name=name, peer="backtrader", bars=bars, actions=actions, settings=dict(settings), broker=broker)


BACKTRADER = (
    *(_backtrader(kind, singles(kind, seed=seed)) for seed, kind in enumerate(EVERY_KIND, 10)),
    _backtrader("every kind, 19 years", singles(*EVERY_KIND, seed=1, chance=0.04, cancels=0.2), bars="old"),
    _backtrader("every kind, cancels", singles(*EVERY_KIND, seed=2, chance=0.1, cancels=0.3)),
    _backtrader("good until a day", singles("limit", "stop", "stop-limit", "trailing-stop", seed=8, expiring=True)),
    _backtrader("trailing stop-limit", singles("trailing-stop-limit", seed=3)),
    _backtrader("bracket, market entry", brackets(seed=4)),
    _backtrader("bracket, any entry", brackets(seed=5, entries=("market", "limit", "stop")), bars="old"),
    _backtrader("bracket, trailing stop", brackets(seed=6, trailing=True)),
    _backtrader("one cancels other", one_cancels_other(seed=7)),
    _backtrader(
        "percent commission",
        singles("market", "limit", "stop", seed=20),
        settings={"commission": PERCENT},
        commission=OURS["percent"],
    ),
    _backtrader(
        "per-share commission",
        singles("market", "limit", "stop", seed=21),
        settings={"commission": PER_SHARE},
        commission=OURS["per-share"],
    ),
    *(
        _backtrader(
            f"slippage, slip_open={opens}",
            singles(*EVERY_KIND, seed=22, chance=0.1),
            settings={"slip_perc": 0.002, "slip_open": opens, "commission": PERCENT},
            commission=OURS["percent"],
            slippage={"use": "bps", "bps": 20.0},
            fill={"slippage_on": "opens-and-stops" if opens else "stops"},
        )
        for opens in (True, False)
    ),
    _backtrader(
        "volume filler",
        singles("market", "limit", seed=23, most=3_000_000),
        bars="old",
        settings={"bar_percent": 5.0},
        fill={"volume_limit": 0.05},
    ),
    _backtrader(
        "volume filler, stops",
        singles("stop", "stop-limit", "trailing-stop", seed=24, most=3_000_000),
        bars="old",
        settings={"bar_percent": 5.0},
        fill={"volume_limit": 0.05},
    ),
    _backtrader(
        "all together",
        together(
            singles(*EVERY_KIND, seed=30, chance=0.1, cancels=0.2),
            brackets(seed=31, entries=("market", "limit", "stop")),
            one_cancels_other(seed=32),
        ),
        settings={"slip_perc": 0.001, "slip_open": False, "commission": PERCENT},
        commission=OURS["percent"],
        slippage={"use": "bps", "bps": 10.0},
    ),
)

STYLES = ("market", "limit", "stop", "stop-limit")


def _zipline(name: str, actions, bars: str = "thousandths", settings=(), **broker: Any) -> Scenario:
    given = as_ticks(actions)
    return Scenario(name=name, peer="zipline", bars=bars, actions=given, settings=dict(settings), broker=broker)


ZIPLINE = (
    _zipline("defaults", singles(*STYLES, seed=40, cancels=0.2)),
    _zipline("remainders", singles(*STYLES, seed=41, most=8_000_000, cancels=0.1)),
    _zipline("crowded bars", singles(*STYLES, seed=42, chance=0.6, most=2_000_000, cancels=0.2)),
    _zipline("one symbol", singles(*STYLES, seed=43, chance=0.2, most=1_000_000), bars="goog"),
    _zipline(
        "minimum per trade",
        singles("market", "limit", seed=44, most=5_000_000),
        settings={"per_share": 0.001, "min_trade_cost": 900.0},
        commission={"use": "per-share", "rate": 0.001, "minimum": 900.0},
    ),
    _zipline(
        "volume share",
        singles("market", seed=45, most=3_000_000),
        settings={"volume_share": {"volume_limit": 0.025, "price_impact": 0.1}},
        fill={"volume_limit": 0.025},
        slippage={"use": "volume-share", "volume_limit": 0.025, "price_impact": 0.1},
    ),
)


def _backtesting(name: str, actions, bars: str = "goog", settings=(), **broker: Any) -> Scenario:
    rules = {"profile": None, "fill": {"use": "next-open"}}
    return Scenario(
        name=name, peer="backtesting", bars=bars, actions=actions, settings=dict(settings), broker=rules | broker
    )


FIXED_AND_PERCENT = (2.0, 0.001)
BACKTESTING = (
    _backtesting("market", singles("market", seed=50)),
    _backtesting("limit", singles("limit", seed=51)),
    _backtesting("stop", singles("stop", seed=52)),
    _backtesting("bracket, market entry", brackets(seed=53, chance=0.5, gap=40)),
    _backtesting("bracket, stop entry", drop_ambiguous(brackets(seed=54, chance=0.5, gap=40, entries=("stop",)))),
    _backtesting(
        "bracket, limit entry",
        brackets(seed=55, chance=0.5, gap=40, entries=("limit",)),
        fill={"use": "next-open", "children": "next-bar"},
    ),
    _backtesting(
        "trade on close",
        singles("market", "limit", seed=56),
        settings={"trade_on_close": True},
        fill={"use": "same-close"},
    ),
    _backtesting(
        "percent commission",
        singles("market", "limit", "stop", seed=57),
        settings={"commission": 0.001},
        commission=OURS["percent"],
    ),
)

SCENARIOS = (*BACKTRADER, *ZIPLINE, *BACKTESTING)
