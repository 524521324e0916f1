"""One ticker, two companies: told apart by entity keys and listing dates, without an action.

WM is real; what the files do not hold (AAA, FB, VXX) is run over made-up prices under the real names.
"""

import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

FAILED, BEGAN = date(2008, 9, 26), date(2009, 8, 5)
DAY = pl.col("timestamp").dt.date()


class Script(Strategy):
    """Send market orders on sessions; note every position and past close of the ticker at the last bar."""

    def __init__(self, ticker, orders):
        self.ticker, self.orders, self.sent, self.seen = ticker, orders, {}, {}

    def on_start(self, context):
        context.subscribe("prices", "close", history=5)

    def on_slice(self, market, context):
        day = context.session.date
        for quantity in self.orders.get(day, ()):
            self.sent[day] = context.order(self.ticker, quantity)
        if self.ticker in context.symbols:
            closes = context.history("close", 5, symbol=self.ticker)
            self.seen[day] = closes[~np.isnan(closes)].tolist()


def run(prices, strategy, ticker, last, first, **account):
    """Run over raw prices of a ticker that passes from one company to another."""
    return Engine(
        feed={"use": "frame", "name": "prices", "frame": prices, "prices": "raw"},
        instruments=[
            {"symbol": ticker, "entity": "the first", "listed_to": last},
            {"symbol": ticker, "entity": "the second", "listed_from": first},
        ],
        strategy=strategy,
        calendar="XNYS",
        capital=1_000_000,
        account=[account],
    ).run()


def held(result):
    """Return quantities at the end by name."""
    return dict(zip(result.state.symbols.names, result.state.positions["quantity"].tolist(), strict=True))


def made_up():
    """Return three weeks of prices near 5, no bar for three, and one near 500."""
    days = [date(2022, 1, 3) + timedelta(days=number) for number in range(49)]
    days = [day for day in days if day.weekday() < 5 and day not in (date(2022, 1, 17), date(2022, 2, 21))]
    first, second = [day for day in days if day < date(2022, 1, 22)], [day for day in days if day > date(2022, 2, 11)]
    rows = [(day, 5.0 + place) for place, day in enumerate(first)]
    rows += [(day, 500.0 + place) for place, day in enumerate(second)]
    return first, second, rows


def frame_of(ticker, rows):
    """Return bars of one price each."""
    days, prices = zip(*rows, strict=True)
    return pl.DataFrame({"symbol": ticker, "timestamp": days, "volume": 1e6}).with_columns(
        pl.Series(name, prices) for name in ("open", "high", "low", "close")
    )


@pytest.mark.parametrize("ticker", ["AAA", "FB", "VXX"])
def test_the_second_company_has_neither_past_nor_position_of_the_first(ticker):
    """Two columns, two histories; what was held of the first stays at its last price, and is not the second's."""
    first, second, rows = made_up()
    other = [(day, 50.0) for day in sorted({*first, *second})]  # trades all the time, so that the first falls silent
    strategy = Script(ticker, {first[0]: [10.0], second[0]: [3.0]})
    prices = pl.concat([frame_of(ticker, rows), frame_of("SPY", other)]).sort("timestamp", "symbol")

    result = run(prices, strategy, ticker, first[-1], second[0], on_silence="hold")

    assert {f"{ticker} (the first)": 10.0, ticker: 3.0, "SPY": 0.0} == held(result)
    assert [500.0] == strategy.seen[second[0]]
    assert [500.0, 501.0] == strategy.seen[second[1]]
    old = result.positions.filter(pl.col("symbol") != ticker, pl.col("session") > first[-1])
    assert [rows[len(first) - 1][1]] == old["mark"].unique().to_list()
    bought = dict(result.fills.select("symbol", "price").iter_rows())
    assert {f"{ticker} (the first)": rows[1][1], ticker: rows[len(first) + 1][1]} == bought


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


@pytest.mark.parametrize(("policy", "left"), [("hold", 160.0), ("last", 160.0), ("zero", 0.0)])
def test_washington_mutual_is_never_marked_at_the_price_of_waste_management(data, policy, left):
    """160 or nothing is left of 1,000 shares; at 28.58, which their ticker has since, they would be worth 28,580."""
    rows = pl.read_parquet(data / "us_equity_daily_lean.parquet")
    rows = rows.filter(DAY.is_between(date(2008, 9, 15), date(2009, 8, 14)), pl.col("symbol").is_in(["SPY", "WM"]))
    late = date(2008, 10, 20)
    strategy = Script("WM", {date(2008, 9, 22): [1000.0], late: [1.0], date(2009, 8, 6): [10.0]})

    result = run(rows, strategy, "WM", FAILED, BEGAN, on_silence=policy)

    bought = rows.filter(symbol="WM").filter(date(2009, 8, 7) == DAY)["open"][0]
    last = rows.filter(symbol="WM")["close"][-1]
    assert {"WM (the first)": 1000.0 if policy == "hold" else 0.0, "WM": 10.0, "SPY": 0.0} == held(result)
    assert ("refused", "not-listed") == (strategy.sent[late].status, strategy.sent[late].reason)
    expected = 1_000_000 - 3000.0 + left + 10 * (last - bought)
    assert expected == pytest.approx(result.equity["equity"][-1], abs=1e-6)
    between = result.equity.filter(pl.col("session") > date(2008, 10, 6))["equity"]
    assert expected == pytest.approx(between.min(), abs=30.0)
    assert expected == pytest.approx(between.max(), abs=30.0)
