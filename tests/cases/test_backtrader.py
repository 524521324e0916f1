"""backtrader's own published test: a crossing of the close and its mean of 15 days on an index, size 1.

The futures-like run settles profits daily. backtrader takes the 1,000 of margin a contract out of cash; here they
stay in it and are required (`initial_margin`), so its cash is compared with ours less that.
"""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

PERIOD = 15


class CloseCrossesMean(Strategy):
    """Buy one unit when the close crosses its mean upwards, sell it when it crosses downwards."""

    def __init__(self):
        self.side = 0.0

    def on_start(self, context):
        context.subscribe("prices", "close", history=PERIOD)

    def on_slice(self, market, context):
        closes = context.history("close", PERIOD)[:, 0]
        difference = closes[-1] - closes.mean()
        if np.isnan(difference) or difference == 0.0:
            return
        crossed = np.sign(difference) * (self.side * difference < 0.0)
        self.side = difference
        held = context.position("SX5E").quantity
        if crossed > 0.0 and held == 0.0:
            context.order("SX5E", 1)
        elif crossed < 0.0 and held > 0.0:
            context.order("SX5E", -1)


def run(shared, **settings):
    return Engine(
        prices=shared.data("index_daily_sx5e_2006").select("symbol", "timestamp", "open", "high", "low", "close"),
        strategy=CloseCrossesMean(),
        capital={"EUR": 10_000},
        **settings,
    ).run()


def compare(shared, result, name):
    """Compare fills, then equity, then the figures of a case with its run."""
    expected = shared.case(f"backtrader.{name}")["expected"]
    fills = shared.golden(f"backtrader/{name}_fills.parquet")
    equity = shared.golden(f"backtrader/{name}_equity.parquet")

    assert fills["timestamp"].dt.date().to_list() == result.fills["timestamp"].dt.date().to_list()
    assert fills["size"].to_list() == result.fills["quantity"].to_list()
    np.testing.assert_allclose(result.fills["price"], fills["price"], rtol=0, atol=1e-9)
    assert fills["commission"].to_list() == result.fills["commission"].to_list()

    ends = result.orders.group_by("order_id").agg(pl.col("status").last())["status"].cast(pl.String)
    assert [expected["orders"], {"filled"}] == [len(ends), set(ends)]
    days = equity.select(session=pl.col("timestamp").dt.date(), theirs="equity", their_cash="cash")
    days = days.join(result.equity, on="session", how="left", maintain_order="left")
    np.testing.assert_allclose(days["equity"], days["theirs"], rtol=0, atol=1e-6)
    assert expected["final_equity"] == pytest.approx(result.equity["equity"][-1], abs=1e-6)
    assert expected["min_equity"] == pytest.approx(result.equity["equity"].min(), abs=1e-6)
    assert expected["max_equity"] == pytest.approx(result.equity["equity"].max(), abs=1e-6)
    assert expected["total_commission"] == result.fills["commission"].sum()
    return days


def test_one_share_without_commission(shared):
    """12 buys and 11 sells at the published prices; 10,284.10 in all, 6,164.16 of it cash."""
    result = run(shared)

    days = compare(shared, result, "bt01_sma15_sx5e_2006_stock")
    np.testing.assert_allclose(days["cash"], days["their_cash"], rtol=0, atol=1e-6)
    assert shared.case("backtrader.bt01_sma15_sx5e_2006_stock")["expected"]["final_cash"] == pytest.approx(
        days["cash"][-1], abs=1e-6
    )


def test_one_contract_of_ten_with_a_fixed_commission(shared):
    """The same orders with 10 a point, 2 a contract and 1,000 of margin: 12,795.00, 11,795.00 of it cash."""
    contract = {"symbol": "SX5E", "asset_class": "future", "multiplier": 10, "initial_per_unit": 1_000.0}
    result = run(shared, instruments=[contract], broker={"commission": {"use": "per-share", "rate": 2.0}})

    days = compare(shared, result, "bt01_sma15_sx5e_2006_future")
    np.testing.assert_allclose(days["cash"], days["equity"], rtol=0, atol=1e-9)  # settled at every close
    np.testing.assert_allclose(days["cash"] - days["initial_margin"], days["their_cash"], rtol=0, atol=1e-6)
    published = shared.case("backtrader.bt01_sma15_sx5e_2006_future")["expected"]["final_cash"]
    assert published == pytest.approx(days["cash"][-1] - days["initial_margin"][-1], abs=1e-6)
