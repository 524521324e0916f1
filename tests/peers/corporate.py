"""Raw prices with splits, dividends and a symbol that ends, and what to order on them.

Beside ``actions`` a scenario has ``corporate``: rows of symbol, kind (split, dividend, delisting), ex_date, ratio,
amount and pay_date. The data names no pay dates: each is some sessions after its ex date. Quantities are multiples
of 8 and levels of 28 cents, so that every split leaves whole shares and whole cents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peer_orders import FIELDS, Action, Panel, singles

__all__ = ["SCENARIOS", "CorporateScenario", "corporate_rows", "read_panel"]

CASH = 1e8
LOT = 8
LEVEL = 28  # cents
PAID_AFTER = (0, 1, 7, 20)  # sessions, by turns


@dataclass(frozen=True)
class Window:
    """Sessions and symbols of a comparison; ``last`` ends symbols before the others."""

    first: date
    end: date
    symbols: tuple[str, ...]
    last: dict[str, date] = field(default_factory=dict)


WINDOWS = {
    # AAPL and IWM split 2:1; Washington Mutual ends.
    "until 2009": Window(
        date(2004, 6, 1), date(2009, 3, 31), ("AAPL", "IBM", "IWM", "SPY", "WM"), {"WM": date(2008, 9, 26)}
    ),
    # AAPL splits 7:1 and 4:1; USO one for eight.
    "from 2014": Window(date(2014, 1, 2), date(2021, 3, 31), ("AAPL", "IBM", "IWM", "SPY", "USO")),
}


@dataclass(frozen=True, kw_only=True)
class CorporateScenario:
    """One comparison.

    Attributes:
        name: Unique.
        window: A key of ``WINDOWS``.
        actions: From the panel to what is done.
    """

    name: str
    window: str
    actions: Callable[[Panel], list[Action]]

    def as_json(self, panel: Panel, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the runner reads."""
        told = {"name": self.name, "settings": {"cash": CASH}, "actions": self.actions(panel)}
        return {**told, "corporate": rows}


def read_panel(name: str, folder: Path) -> Panel:
    """Return raw bars of a window as zipline stores them; closes are NaN after a symbol has ended."""
    window = WINDOWS[name]
    day = pl.col("timestamp").dt.date()
    rows = pl.read_parquet(folder / "us_equity_daily_lean.parquet")
    rows = rows.filter(day.is_between(window.first, window.end), pl.col("symbol").is_in(window.symbols))
    for symbol, last in window.last.items():
        rows = rows.filter((pl.col("symbol") != symbol) | (day <= last))
    frame = rows.select(
        pl.col("timestamp").dt.replace_time_zone(None),
        "symbol",
        *((pl.col(price) * 1000).round() * 0.001 for price in FIELDS[:4]),
        pl.col("volume").cast(pl.Float64),
    ).sort("symbol", "timestamp")
    wide = frame.pivot(on="symbol", index="timestamp", values="close", sort_columns=True).sort("timestamp")
    return Panel(frame, tuple(wide.columns[1:]), wide.drop("timestamp").cast(pl.Float64).fill_null(np.nan).to_numpy())


def corporate_rows(name: str, panel: Panel, folder: Path) -> list[dict[str, Any]]:
    """Return the splits, dividends and ends of a window, in the order of their ex dates."""
    window, days = WINDOWS[name], panel.frame["timestamp"].dt.date().unique().sort().to_list()
    table = pl.read_parquet(folder / "corporate_actions.parquet").sort("ex_date", "symbol")
    table = table.filter(pl.col("ex_date").is_in(days[1:]), pl.col("symbol").is_in(window.symbols))
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(table.iter_rows(named=True)):
        if row["symbol"] in window.last:  # of the company that had the ticker later
            continue
        made = {name: row[name] for name in ("symbol", "kind", "ratio", "amount")}
        if row["kind"] == "dividend":
            paid = days.index(row["ex_date"]) + PAID_AFTER[place % len(PAID_AFTER)]
            made["pay_date"] = days[min(paid, len(days) - 1)].isoformat()
        rows.append(made | {"ex_date": row["ex_date"].isoformat()})
    for symbol, last in window.last.items():
        ends = min(day for day in days if day > last)
        rows.append({"symbol": symbol, "kind": "delisting", "ex_date": ends.isoformat()})
    return sorted(rows, key=lambda row: row["ex_date"])


# --- orders -------------------------------------------------------------------------------------------------


def _order(bar: int, symbol: str, quantity: int, ref: str) -> Action:
    return {"bar": bar, "do": "order", "ref": ref, "symbol": symbol, "quantity": quantity, "kind": "market"}


def hold(side: int) -> Callable[[Panel], list[Action]]:
    """Return actions: 800 of each symbol on the second bar, kept until the end."""

    def actions(panel: Panel) -> list[Action]:
        return [_order(1, symbol, side * 100 * LOT, f"{n}") for n, symbol in enumerate(panel.symbols)]

    return actions


def rebalance(weights: tuple[float, ...], every: int) -> Callable[[Panel], list[Action]]:
    """Return actions: every so many bars bring each symbol to its weight of cash and positions."""

    def actions(panel: Panel) -> list[Action]:
        wanted = dict(zip(panel.symbols, weights, strict=True))
        common = {"do": "weights", "lot": LOT}
        made = []
        for bar in range(1, len(panel) - 1, every):
            there = {name: wanted[name] for column, name in enumerate(panel.symbols) if panel.close[bar, column] > 0}
            made.append({"bar": bar, "ref": f"{bar}", "weights": there, **common})
        return made

    return actions


def across(*kinds: str, seed: int, chance: float) -> Callable[[Panel], list[Action]]:
    """Return actions: random orders with levels that every split leaves on whole cents, many of them far away."""

    def actions(panel: Panel) -> list[Action]:
        rng = np.random.default_rng(seed)
        made = singles(*kinds, seed=seed, chance=chance, most=100, cancels=0.1)(panel)
        ended: set[str] = set()
        kept = []
        for action in made:
            if action["do"] == "order" and not panel.close[action["bar"], panel.symbols.index(action["symbol"])] > 0:
                ended.add(action["ref"])
            if action["ref"] in ended:
                continue
            away = 1.0 + rng.choice([0.0, 0.05, 0.15]) * np.sign(action.get("quantity", 0))
            for name, sign in (("limit_price", -1), ("stop_price", 1)):
                if name in action:
                    level = action[name] * away**sign
                    action[name] = 0.01 * (LEVEL * max(1, round(level * 100 / LEVEL)))
            if "quantity" in action:
                action["quantity"] *= LOT
            kept.append(action)
        return kept

    return actions


def _in_both(name: str, actions: Callable[[Panel], list[Action]]) -> list[CorporateScenario]:
    return [CorporateScenario(name=f"{name}, {window}", window=window, actions=actions) for window in WINDOWS]


SCENARIOS = (
    *_in_both("held", hold(1)),
    *_in_both("sold short", hold(-1)),
    *_in_both("rebalanced", rebalance((0.3, -0.2, 0.25, 0.4, 0.1), 21)),
    *_in_both("every kind", across("market", "limit", "stop", "stop-limit", seed=60, chance=0.03)),
    *_in_both("limits and stops", across("limit", "stop", seed=61, chance=0.05)),
)


def as_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the rows as a run of ours takes them."""
    days = dict.fromkeys(("ex_date", "pay_date"), pl.Date)
    figures = dict.fromkeys(("ratio", "amount"), pl.Float64)
    schema = {"symbol": pl.String, "kind": pl.String, **days, **figures}
    made = [{**row, **{name: _day(row.get(name)) for name in days}} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in made], schema=schema)


def _day(text: str | None) -> date | None:
    return datetime.fromisoformat(text).date() if text else None
