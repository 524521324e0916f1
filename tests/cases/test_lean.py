"""LEAN's regression algorithms, whose figures their own tests state; fills from a replica that gives them.

What a market order meets within the day differs: LEAN fills it at the ask's close of the bar on which it was
decided, here that is the named mode ``same-close`` over bars of the ask. Figures that rest on LEAN's own
definitions (compounding, Sharpe ratio, alpha, beta against its benchmark, drawdowns within the
day) are not compared.
"""

from datetime import date
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

BARS = ("open", "high", "low", "close")
INTERACTIVE_BROKERS = {"use": "per-share", "rate": 0.005, "minimum": 1.0, "maximum": 0.005}
BUFFER = 0.0025


def adjusted(shared, rows, columns):
    """Return rows of SPY with prices times the price and split factor of the first dated row that is not before."""
    factors = shared.data("adjustment_factors").filter(pl.col("symbol") == "SPY").sort("last_date")
    factors = factors.select(
        last_date=pl.col("last_date").cast(pl.Date), factor=pl.col("price_factor") * pl.col("split_factor")
    )
    rows = (
        rows.filter(pl.col("symbol") == "SPY")
        .with_columns(day=pl.col("timestamp").cast(pl.Date))
        .sort("day", "timestamp")
    )
    rows = rows.join_asof(factors, left_on="day", right_on="last_date", strategy="forward")
    return rows.select(
        "symbol", "timestamp", **{name: pl.col(each) * pl.col("factor") for name, each in columns.items()}
    )


def daily(shared, first, last):
    rows = shared.data("us_equity_daily_lean").filter(pl.col("timestamp").cast(pl.Date).is_between(first, last))
    return adjusted(shared, rows, {name: name for name in BARS})


def minutes(shared, file, columns, last=date(2013, 10, 11)):
    """Return the minutes of the regular sessions."""
    local = pl.col("timestamp").dt.convert_time_zone("America/New_York")
    minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
    rows = shared.data(file).filter(minute.is_between(570, 959), local.dt.date() <= last)
    return adjusted(shared, rows, columns)


def trades_of(shared, **bounds):
    return minutes(shared, "us_equity_minute_trades_lean", {name: name for name in BARS}, **bounds)


def asks_of(shared, **bounds):
    return minutes(shared, "us_equity_minute_quotes_lean", {name: f"ask_{name}" for name in BARS}, **bounds)


def run(strategy, feeds, **broker):
    """Run over feeds, the first met first by orders and the last setting the marks."""
    return Engine(
        feed=[{"use": "frame", "prices": "total", **feed} for feed in feeds],
        calendar="XNYS",
        capital=100_000,
        strategy=strategy,
        broker={"commission": INTERACTIVE_BROKERS, **broker},
    ).run()


def minute_feeds(shared, **bounds):
    stamps = {"bar": "1m", "stamp": "open"}
    return [
        {"name": "asks", "frame": asks_of(shared, **bounds), **stamps},
        {"name": "trades", "frame": trades_of(shared, **bounds), **stamps},
    ]


def shares_for(fraction, equity, held, price):
    """Return the whole shares to reach a fraction of equity less the buffer, the fee included."""
    wanted = int(equity * (1 - BUFFER) * fraction / price)
    while wanted * price + max(1.0, 0.005 * (wanted - held)) > equity * (1 - BUFFER) * fraction:
        wanted -= 1
    return wanted - held


def cents(value, rounding=ROUND_HALF_EVEN):
    return f"{Decimal(repr(float(value))).quantize(Decimal('0.01'), rounding)}"


def compare(shared, result, name):
    """Compare fills, then fees, equity and net profit."""
    case = shared.case(f"lean.{name}")
    expected, statistics = case["expected"]["fills"], case["expected"]["statistics"]

    assert [float(quantity) for _, quantity, _, _ in expected] == result.fills["quantity"].to_list()
    prices = [float(price) for _, _, price, _ in expected]
    np.testing.assert_allclose(result.fills["price"], prices, rtol=0, atol=case["tolerance"]["fill_price"])
    np.testing.assert_allclose(result.fills["commission"], [float(fee) for *_, fee in expected], rtol=0, atol=1e-9)
    assert statistics["Total Orders"] == str(result.orders["order_id"].n_unique())
    assert statistics["Total Fees"] == f"${cents(result.fills['commission'].sum(), ROUND_HALF_UP)}"
    assert statistics["End Equity"] == cents(result.equity["equity"][-1])
    return statistics


class AllAtTheFirstSlice(Strategy):
    """Put everything into SPY when its first bar is known, and hold it."""

    def __init__(self):
        self.done = False

    def on_slice(self, market, context):
        if not self.done:
            self.done = True
            context.order("SPY", shares_for(1.0, context.portfolio.equity, 0, context.price("SPY")))


def test_daily_bars_fill_at_the_next_open(shared):
    """BasicTemplateDailyAlgorithm: 697 shares at the open of 9 October, 104,486.22 on the 17th."""
    feed = {"name": "prices", "frame": daily(shared, date(2013, 10, 8), date(2013, 10, 17))}
    result = run(AllAtTheFirstSlice(), [feed])

    statistics = compare(shared, result, "BasicTemplateDailyAlgorithm")
    local = result.fills["timestamp"].dt.convert_time_zone("America/New_York")
    assert "2013-10-09 09:30" == local[0].strftime("%Y-%m-%d %H:%M")
    profit = result.equity["equity"][-1] / 100_000 - 1
    assert statistics["Net Profit"] == f"{profit:.3%}"
    assert statistics["Drawdown"] == f"{round(-result.metrics['max_drawdown'], 3):.3%}"  # LEAN rounds the fraction


def test_minutes_fill_at_the_close_of_the_ask(shared):
    """BasicTemplateAlgorithm: 688 shares at the ask of 09:31, where the first minute is known."""
    result = run(AllAtTheFirstSlice(), minute_feeds(shared), fill={"use": "same-close"})

    statistics = compare(shared, result, "BasicTemplateAlgorithm")
    local = result.fills["timestamp"].dt.convert_time_zone("America/New_York")
    assert "2013-10-07 09:31" == local[0].strftime("%Y-%m-%d %H:%M")
    profit = result.equity["equity"][-1] / 100_000 - 1
    assert statistics["Net Profit"] == f"{profit:.3%}"


class FourTargets(Strategy):
    """Ask for 10, 20, 30 and 100 % one after the other, each when the one before has filled."""

    def __init__(self):
        self.left = [0.1, 0.2, 0.3, 1.0]

    def on_slice(self, market, context):
        if len(self.left) == 4:
            self.price = context.price("SPY")
            self.next(context)

    def on_fill(self, fill, context):
        if self.left:
            self.next(context)

    def next(self, context):
        held = context.position("SPY").quantity
        context.order("SPY", shares_for(self.left.pop(0), context.portfolio.equity, held, self.price))


def test_four_targets_in_one_instant_are_sized_one_after_the_other(shared):
    """SetHoldingsRegressionAlgorithm: each fill is paid before the next size is worked out."""
    result = run(FourTargets(), minute_feeds(shared, last=date(2013, 10, 8)), fill={"use": "same-close"})

    compare(shared, result, "SetHoldingsRegressionAlgorithm")
    assert 1 == result.fills["timestamp"].n_unique()


class SixLimits(Strategy):
    """Buy 10 at limits far above and far below the market, with each time in force."""

    def __init__(self):
        self.orders = {}

    def on_slice(self, market, context):
        if not self.orders:
            for name, settings, limits in (
                ("GTC", {}, (100.0, 160.0)),
                ("DAY", {}, (140.0, 180.0)),
                ("GTD", {"expires_at": date(2013, 10, 10)}, (100.0, 160.0)),
            ):
                for limit in limits:
                    order = context.order("SPY", 10, limit_price=limit, time_in_force=name, **settings)
                    self.orders[name, limit] = order


def test_time_in_force_decides_which_limits_stay(shared):
    """TimeInForceAlgorithm: three fill at the next open, one ends with its day, one on its date, one stays."""
    strategy = SixLimits()
    feed = {"name": "trades", "frame": trades_of(shared), "bar": "1m", "stamp": "open"}
    result = run(strategy, [feed], profile="lean")

    compare(shared, result, "TimeInForceAlgorithm")
    expected = {
        ("GTC", 100.0): ("cancelled", "end-of-run"),
        ("GTC", 160.0): ("filled", "limit-better"),
        ("DAY", 140.0): ("expired", "day-over"),
        ("DAY", 180.0): ("filled", "limit-better"),
        ("GTD", 100.0): ("expired", "date-reached"),
        ("GTD", 160.0): ("filled", "limit-better"),
    }
    assert expected == {key: (order.status, order.reason) for key, order in strategy.orders.items()}
    local = result.fills["timestamp"].dt.convert_time_zone("America/New_York")
    assert ["2013-10-07 09:31"] == local.dt.strftime("%Y-%m-%d %H:%M").unique().to_list()
    ends = result.orders.filter(pl.col("status") == "expired")["timestamp"].dt.convert_time_zone("America/New_York")
    assert [(7, 16), (10, 16)] == sorted(zip(ends.dt.day(), ends.dt.hour(), strict=True))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_sizes_include_the_fee(fraction):
    """The shares and their fee cost no more than the fraction less the buffer; one share more would."""
    count = shares_for(fraction, 100_000, 0, 144.77308)

    budget = 100_000 * (1 - BUFFER) * fraction
    assert count * 144.77308 + max(1.0, 0.005 * count) <= budget
    assert (count + 1) * 144.77308 + max(1.0, 0.005 * (count + 1)) > budget
