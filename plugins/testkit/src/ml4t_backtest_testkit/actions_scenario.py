"""The scenario ``split_dividend_test``: corporate actions on positions and working orders, long and short."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ml4t.backtest.interfaces import Strategy
from ml4t_backtest_testkit.scenarios import fixed_draws

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.context import Context, Market

__all__ = ["HoldThroughActions", "actions_of_scenario", "prices_of_scenario", "split_dividend_test"]

_GOLDEN = Path(__file__).with_name("golden") / "split_dividend_test.txt"
_FIRST, _DAYS = date(2024, 1, 1), 40
_STARTS = {"AAA": 12_000, "BBB": 1_500, "CCC": 4_000}
# symbol, kind, day, figure, day of payment
_ACTIONS = (
    ("BBB", "dividend", 6, 0.25, None),
    ("AAA", "split", 10, 2.0, None),
    ("CCC", "split", 14, 1.5, None),
    ("AAA", "dividend", 16, 0.4, 20),
    ("BBB", "split", 22, 0.2, None),
    ("CCC", "stock-dividend", 28, 0.1, None),
)


class HoldThroughActions(Strategy):
    """Holds two symbols long and one short while shares are split and dividends paid, with orders at work."""

    def __init__(self) -> None:
        self.day = -1

    def on_slice(self, market: Market, context: Context) -> None:
        """Ask for what the day brings."""
        self.day += 1
        if self.day == 2:
            context.order("AAA", 100.0)
            context.order("BBB", -60.0)
            context.order("CCC", 75.0)
        elif self.day == 7:
            context.order("AAA", -40.0, limit_price=128.0)
            context.order("AAA", 10.0, limit_price=106.9)
        elif self.day == 12:
            context.order("CCC", -30.0, stop_price=38.0)
        elif self.day == 33:
            context.order_target("AAA", 0.0)
            context.order_target("BBB", 0.0)


def split_dividend_test(*, seed: int) -> Mapping[str, object]:
    """Return splits either way, a stock dividend and cash dividends over three symbols, without costs.

    The market is fixed, whatever the seed: the expected output is part of this distribution. Every day is a
    session. Fractions of shares are paid in cash; a limit and a stop order work across a split.

    Args:
        seed: Seed of the run; nothing in it is random.
    """
    return {
        "name": "split_dividend_test",
        "golden": _GOLDEN,
        "feed": [{"use": "frame", "name": "prices", "frame": prices_of_scenario(), "bar": "1d", "prices": "raw"}],
        "actions": actions_of_scenario(),
        "strategy": HoldThroughActions(),
        "broker": {"use": "simulation", "fill": {"use": "next-open"}},
        "portfolio": {"use": "standard"},
        "capital": {"USD": 100_000.0},
        "seed": seed,
    }


def actions_of_scenario() -> pl.DataFrame:
    """Return the corporate actions, known on the day before they take effect."""
    rows = [
        {
            "symbol": symbol,
            "kind": kind,
            "ex_date": _FIRST + timedelta(days=day),
            "known_at": _FIRST + timedelta(days=day - 1),
            "pay_date": None if paid is None else _FIRST + timedelta(days=paid),
            "amount" if kind == "dividend" else "ratio": figure,
        }
        for symbol, kind, day, figure, paid in _ACTIONS
    ]
    return pl.DataFrame(rows, schema_overrides={"ratio": pl.Float64, "amount": pl.Float64}, infer_schema_length=None)


def prices_of_scenario() -> pl.DataFrame:
    """Return raw daily bars: a walk in cents, divided by what splits there were."""
    draws, worth, rows = fixed_draws(20_240_102), dict(_STARTS), []
    shares = dict.fromkeys(_STARTS, 1.0)
    for day in range(_DAYS):
        for symbol, kind, ex_day, figure, _ in _ACTIONS:
            if ex_day == day and kind != "dividend":
                shares[symbol] *= figure if kind == "split" else 1.0 + figure
        for symbol in _STARTS:
            spread = _STARTS[symbol] // 100
            opening = worth[symbol] + next(draws) % (2 * spread + 1) - spread
            close = opening + next(draws) % (4 * spread + 1) - 2 * spread
            high, low = max(opening, close) + next(draws) % spread, min(opening, close) - next(draws) % spread
            worth[symbol] = close
            prices = (round(cents / 100 / shares[symbol], 4) for cents in (opening, high, low, close))
            rows.append((symbol, _FIRST + timedelta(days=day), *prices, 10_000.0))
    columns = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, schema=columns, orient="row")
