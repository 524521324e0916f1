"""nautilus_trader's acceptance tests: two means of quarter hours cross on USD/JPY quotes.

nautilus_trader fills a market order at the quote on which it was decided. A quote fills an order here only
where it is newer than the order, so quotes arrive a millisecond after the quarter hour that they end.

Not compared: the balance in USD. Profits in JPY are converted at each fill, and rollover interest is paid in
the first case; several currencies and interest are still to come. Profits are compared in JPY, which
nautilus_trader rounds to whole ones.
"""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

ARRIVES = timedelta(milliseconds=1)
FEE = {"use": "percent", "rate": 0.00002}
SIZE = 1_000_000
FAST, SLOW = 10, 20
QUARTER = 15 * 60_000


def quotes_of(minutes):
    """Return four quotes a minute, open, high, low and close, 100 ms apart, the last at the minute's stamp."""
    sides = [
        minutes.select("timestamp", bid=f"bid_{name}", ask=f"ask_{name}").with_columns(
            pl.col("timestamp") - timedelta(milliseconds=100 * (3 - place))
        )
        for place, name in enumerate(("open", "high", "low", "close"))
    ]
    return pl.concat(sides).sort("timestamp", maintain_order=True)


def quarters_of(quotes):
    """Return the bid's quarter hours: last price, and whether nothing moved; empty ones repeat the last price."""
    bars = quotes.group_by_dynamic("timestamp", every="15m", closed="right", label="right").agg(
        pl.col("bid").last(), moved=pl.col("bid").max() > pl.col("bid").min()
    )
    edges = pl.DataFrame(
        {
            "timestamp": pl.datetime_range(
                *bars.select(a=pl.first("timestamp"), b=pl.last("timestamp")).row(0), "15m", eager=True
            )
        }
    )
    return edges.join(bars, on="timestamp", how="left").with_columns(
        pl.col("bid").forward_fill(), moved=pl.col("moved").fill_null(value=False).cast(pl.Float64)
    )


class AveragesCross(Strategy):
    """Hold a million on the side of the faster exponential average; turn by closing, then opening."""

    def __init__(self, last):
        self.last = last
        self.fast = self.slow = None
        self.seen = 0

    def on_signal(self, batch, context):
        close, moved = (float(context.signal(name)[0]) for name in ("bid", "moved"))
        self.fast = close if self.fast is None else self.fast + 2 / (FAST + 1) * (close - self.fast)
        self.slow = close if self.slow is None else self.slow + 2 / (SLOW + 1) * (close - self.slow)
        self.seen += 1
        held = context.position("USDJPY").quantity
        if context.now == self.last:
            context.order("USDJPY", -held)
        elif self.seen >= SLOW and moved:
            side = SIZE if self.fast >= self.slow else -SIZE
            if held and held != side:
                context.order("USDJPY", -held)
            if held != side:
                context.order("USDJPY", side)


@pytest.fixture(scope="module")
def result(shared):
    quotes = quotes_of(shared.data("fx_minute_quotes_usdjpy_fxcm"))
    quarters = quarters_of(quotes)
    assert [115_044, 2_689] == [quotes.height, quarters.height]
    return Engine(
        feed={
            "use": "frame",
            "name": "quotes",
            "kind": "quote",
            "symbol": "USDJPY",
            "frame": quotes.with_columns(pl.col("timestamp") + ARRIVES),
            "latency": "0s",
            "columns": {"event_time": "timestamp"},
        },
        signal={
            "use": "frame",
            "name": "quarters",
            "symbol": "USDJPY",
            "frame": quarters,
            "latency": "0s",
            "columns": {"event_time": "timestamp"},
        },
        strategy=AveragesCross(quarters["timestamp"][-1]),
        broker={"commission": FEE},
        capital={"JPY": 90_000_000},
    ).run()


@pytest.mark.parametrize("name", ["nt01_ema_cross_usdjpy_rollover", "nt02_ema_cross_usdjpy"])
def test_fills_are_those_of_the_acceptance_test(shared, result, name):
    """178 fills: instants, sides and prices to the last digit, commissions to the yen. Rollover changes none."""
    expected = shared.golden(f"nautilus/{name}_fills.parquet")
    published = shared.case(f"nautilus.{name}")["expected"]
    side = expected["order_side"].replace_strict({"BUY": 1.0, "SELL": -1.0})

    assert published["fills"] == result.fills.height == result.orders["order_id"].n_unique()
    instants = expected["ts_event"].str.to_datetime(time_zone="UTC", time_unit="ns")
    assert (instants == result.fills["timestamp"] - ARRIVES).all()
    assert (side * expected["last_qty"].cast(pl.Float64)).to_list() == result.fills["quantity"].to_list()
    assert expected["last_px"].cast(pl.Float64).to_list() == result.fills["price"].to_list()
    fees = expected["commission"].str.strip_suffix(" JPY").cast(pl.Float64)
    assert fees.to_list() == result.fills["commission"].round().to_list()


def test_profits_in_yen_are_those_of_the_acceptance_test(shared, result):
    """89 positions: sides, prices, and profits after commission to the yen of each of the two roundings."""
    expected = shared.golden("nautilus/nt02_ema_cross_usdjpy_positions.parquet")
    trades = result.trades.sort("exit_time")

    assert expected.height == trades.height
    assert expected["entry"].replace_strict({"BUY": "long", "SELL": "short"}).to_list() == trades["side"].to_list()
    assert expected["avg_px_open"].cast(pl.Float64).to_list() == trades["entry_price"].to_list()
    assert expected["avg_px_close"].cast(pl.Float64).to_list() == trades["exit_price"].to_list()
    profits = expected["realized_pnl"].str.strip_suffix(" JPY").cast(pl.Float64)
    np.testing.assert_allclose(trades["pnl"] - trades["commission"], profits, rtol=0, atol=1.5)


class BuyThenSell(Strategy):
    """Buy at the second quote, sell at the fourth."""

    def on_signal(self, batch, context):
        context.order("AUDUSD", float(context.signal("size")[0]))


def test_one_round_trip_leaves_the_published_balance(shared):
    """Five quotes: bought at 0.70000, sold at 0.70020, 1.40 of commission each: 1,000,017.20."""
    expected = shared.case("nautilus.parity_smoke")["expected"]
    prices = [0.70000, 0.70000, 0.70010, 0.70020, 0.70020]
    stamps = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 1, 0, 4), "1m", time_zone="UTC", eager=True
    )
    quotes = pl.DataFrame({"event_time": stamps + ARRIVES, "bid": prices, "ask": prices})
    orders = pl.DataFrame({"event_time": stamps.gather([1, 3]), "size": [100_000.0, -100_000.0]})
    common = {"use": "frame", "symbol": "AUDUSD", "latency": "0s"}
    result = Engine(
        feed={"name": "quotes", "frame": quotes, **common},
        signal={"name": "orders", "frame": orders, **common},
        strategy=BuyThenSell(),
        broker={"commission": FEE},
        capital=1_000_000,
    ).run()

    assert [0.70000, 0.70020] == result.fills["price"].to_list()
    assert [expected["orders"], expected["positions_closed"]] == [result.fills.height, result.trades.height]
    assert expected["balance_total"] == f"{result.equity['cash'][-1]:.2f} USD"
