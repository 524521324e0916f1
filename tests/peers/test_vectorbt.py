"""Prices and fees are those of vectorbt 1.2.0; w1s and w1w are in test_workloads."""

import numpy as np
import pytest

from ml4t.backtest import Engine, Strategy

pytestmark = pytest.mark.peers


class Targets(Strategy):
    """Hold the wanted number of shares."""

    def __init__(self, wanted):
        self.wanted = iter(wanted)

    def on_slice(self, market, context):
        context.order_target_quantities(next(self.wanted))


@pytest.mark.parametrize("costs", [{}, {"slippage": 0.002}, {"fees": 0.001}, {"slippage": 0.0005, "fees": 0.002}])
def test_slippage_and_fees_are_those_of_vectorbt(costs, data, scenarios, run_peer, native):
    """Six stocks over five years, random targets, long and short."""
    panel = scenarios.panel("large", data)
    rng = np.random.default_rng(60)
    wanted = np.where(rng.random(panel.close.shape) < 0.3, rng.integers(-100, 100, panel.close.shape), np.nan)
    settings = {"cash": scenarios.CASH, "targets": "shares", **costs}
    theirs = run_peer("vectorbt", {"name": "costs", "settings": settings}, panel.frame, wanted)
    broker = {"profile": "vectorbt", "fill": {"use": "next-open"}}
    if "slippage" in costs:
        broker["slippage"] = {"use": "bps", "bps": costs["slippage"] * 1e4}
    if "fees" in costs:
        broker["commission"] = {"use": "percent", "rate": costs["fees"]}
    engine = Engine(
        prices=panel.frame, strategy=Targets(wanted), calendar="XNYS", capital=scenarios.CASH, broker=broker
    )
    result = engine.run()
    ours = native.fills(result, dict.fromkeys(result.fills["order_id"].to_list(), "")).drop("ref")
    assert len(theirs.fills) > 2000
    assert native.differing_fills(theirs.fills.drop("ref"), ours, ("time", "symbol")).is_empty()
    assert native.largest_gap(theirs.equity, result) < 1e-3
