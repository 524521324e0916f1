"""backtesting.py's own published test: two means cross on GOOG, each crossing turns the whole position.

backtesting.py sizes an order at the open at which it fills. An order here has its size when it is sent, so
the open is a source of its own, a bar that ends with the opening print, and the run decides, sizes and fills
on it in the named mode ``same-close``. Figures whose definitions are backtesting.py's own (annualised by
calendar days, Kelly, SQN, exposure) are not compared; what follows from fills and equity alone is.
"""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

FAST, SLOW = 10, 30
CASE = "backtestingpy.bp01_smacross_goog"


class CrossAndReverse(Strategy):
    """When two means of closes cross, turn the position at the next open with all there is."""

    def __init__(self, bars):
        self.bars = bars
        self.seen = 0
        self.above = None
        self.side = 0

    def on_start(self, context):
        context.subscribe("days", "close", history=SLOW)

    def on_event(self, event, context):
        if event.feed == "days":
            self.decide(context)
        elif self.seen == self.bars - 1:  # the last open: backtesting.py closes what is left
            context.order("GOOG", -context.position("GOOG").quantity)
        elif self.side:
            self.turn(float(event.close), context)

    def decide(self, context):
        self.seen += 1
        closes = context.history("close", SLOW, feed="days")[:, 0]
        fast, slow = closes[-FAST:].mean(), closes.mean()
        if np.isnan(slow):
            return
        before, self.above = self.above, fast > slow
        if before is not None and before != self.above:
            self.side = 1 if self.above else -1

    def turn(self, price, context):
        # All of a new trade is paid with cash: equity at this open, in whole shares.
        side, self.side = self.side, 0
        quantity = side * int(context.portfolio.equity / price)
        context.order("GOOG", quantity - context.position("GOOG").quantity)


@pytest.fixture(scope="module")
def result(shared):
    rows = shared.data("us_equity_daily_goog_backtestingpy")
    days = rows.select("symbol", "timestamp", "open", "high", "low", "close")
    opening = (
        pl.col("timestamp").dt.replace_time_zone(None).dt.offset_by("9h30m").dt.replace_time_zone("America/New_York")
    )
    opens = rows.select("symbol", opening, close="open")
    return Engine(
        feed=[
            {"use": "frame", "name": "opens", "frame": opens, "bar": "1m", "stamp": "close"},
            {"use": "frame", "name": "days", "frame": days},
        ],
        calendar="XNYS",
        strategy=CrossAndReverse(rows.height),
        broker={"fill": {"use": "same-close"}},
        capital=10_000,
    ).run()


def test_every_trade_is_that_of_the_published_run(shared, result):
    """66 trades: sizes, days and prices of entry and exit, profits."""
    expected = shared.golden("backtestingpy/bp01_smacross_goog_trades.parquet").sort("EntryTime")
    trades = result.trades.sort("entry_time")

    assert expected["Size"].to_list() == (trades["quantity"] * (1 - 2.0 * (trades["side"] == "short"))).to_list()
    for theirs, ours in (("EntryTime", "entry_time"), ("ExitTime", "exit_time")):
        assert expected[theirs].dt.date().to_list() == trades[ours].dt.date().to_list()
    for theirs, ours in (("EntryPrice", "entry_price"), ("ExitPrice", "exit_price"), ("PnL", "pnl")):
        np.testing.assert_allclose(trades[ours], expected[theirs], rtol=1e-8)


def test_equity_is_that_of_the_published_run(shared, result):
    """Day by day, and what follows from it."""
    published = shared.case(CASE)["expected"]
    expected = shared.golden("backtestingpy/bp01_smacross_goog_equity.parquet")
    days = expected.select(session=pl.col("timestamp").dt.date(), theirs="Equity")
    days = days.join(result.equity, on="session", how="left", maintain_order="left")

    np.testing.assert_allclose(days["equity"], days["theirs"], rtol=1e-8)
    assert published["Equity Final [$]"] == pytest.approx(result.equity["equity"][-1], rel=1e-8)
    assert published["Equity Peak [$]"] == pytest.approx(result.equity["equity"].max(), rel=1e-8)
    assert published["Return [%]"] == pytest.approx(100 * result.metrics["total_return"], rel=1e-8)
    assert published["Max. Drawdown [%]"] == pytest.approx(100 * result.metrics["max_drawdown"], rel=1e-8)


def test_figures_of_trades_are_the_published_ones(shared, result):
    """Number, share of winners, the best and the worst, and what winners made for each unit that losers lost."""
    published = shared.case(CASE)["expected"]
    side = 1 - 2.0 * (result.trades["side"] == "short")
    returns = side * (result.trades["exit_price"] / result.trades["entry_price"] - 1)

    assert published["# Trades"] == result.trades.height
    assert published["Win Rate [%]"] == pytest.approx(100 * result.metrics["win_rate"], rel=1e-8)
    assert published["Best Trade [%]"] == pytest.approx(100 * returns.max(), rel=1e-8)
    assert published["Worst Trade [%]"] == pytest.approx(100 * returns.min(), rel=1e-8)
    factor = returns.filter(returns > 0).sum() / -returns.filter(returns < 0).sum()
    assert published["Profit Factor"] == pytest.approx(factor, rel=1e-8)
