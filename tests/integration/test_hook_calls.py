"""Hooks are for assembly: their number does not depend on the length of the data."""

from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.plugins import PluginHost


class Counting(Strategy):
    """Count the rows that are delivered."""

    def __init__(self):
        self.rows = 0

    def on_event(self, event, context):
        self.rows += 1


def run(symbols, sessions):
    """Return names of the hooks that a run calls, and how many rows its strategy got."""
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(sessions)]
    prices = pl.DataFrame({"timestamp": days}).join(
        pl.DataFrame({"symbol": [f"S{number:04}" for number in range(symbols)]}), how="cross"
    )
    prices = prices.with_columns(
        [pl.lit(10.0).alias(column) for column in ("open", "high", "low", "close")], volume=pl.lit(1.0)
    )
    host, called = PluginHost(), []
    host.manager.add_hookcall_monitoring(
        lambda hook, impls, arguments: called.append(hook), lambda outcome, hook, impls, arguments: None
    )
    strategy = Counting()
    Engine(prices=prices, bar="1d", strategy=strategy, host=host).run()
    return called, strategy.rows


@pytest.mark.parametrize(("symbols", "sessions"), [(100, 10), (1_000, 100)])
def test_a_longer_run_calls_no_more_hooks(symbols, sessions):
    """Ten rows and a hundred thousand call the same hooks as often."""
    short, rows = run(1, 10)
    longer, more_rows = run(symbols, sessions)

    assert (10, symbols * sessions) == (rows, more_rows)
    assert short == longer
