"""Real contracts of one future as a series."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

ENDS = {
    "ES201312": date(2013, 12, 20),
    "ES201403": date(2014, 3, 21),
    "ES201406": date(2014, 6, 20),
    "ES201409": date(2014, 9, 19),
    "ES201412": date(2014, 12, 19),
}


@pytest.fixture(scope="module")
def contracts():
    """Daily bars of the contracts of autumn 2013, which overlap."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    frame = pl.read_parquet(shared / "data" / "future_daily_es_cme.parquet").filter(pl.col("symbol").is_in([*ENDS]))
    return frame.select("symbol", pl.col("timestamp").dt.date(), "open", "close", "volume")


class Rolling(Strategy):
    """Hold two of the present contract; note it and the whole series at every close."""

    def __init__(self):
        self.contracts, self.window, self.rolls = [], np.zeros(0), []

    def on_slice(self, market, context):
        contract = context.contract("ES")
        if not self.contracts:
            context.order(contract, 2)
        if context.roll("ES"):
            self.rolls.append(len(self.contracts))
        self.contracts.append(contract)
        self.window = context.continuous("ES", "close", len(self.contracts))


@pytest.mark.parametrize(("roll", "days"), [("volume", 0), ("calendar", 5)])
def test_the_december_contract_is_rolled_into_march(contracts, roll, days):
    """Bars up to the roll are of December, shifted by the last bar that both contracts have."""
    rules = [
        {"symbol": name, "asset_class": "future", "root": "ES", "expires": end, "multiplier": 50.0}
        for name, end in ENDS.items()
    ]
    strategy = Rolling()
    series = [{"root": "ES", "roll": roll, "days": days}]
    result = Engine(prices=contracts, capital=1e6, strategy=strategy, instruments=rules, continuous=series).run()
    changes = [pair for pair in zip(strategy.contracts, strategy.contracts[1:], strict=False) if len({*pair}) > 1]
    assert changes == [("ES201312", "ES201403")]
    assert len(strategy.rolls) == 1
    days_of = contracts["timestamp"].unique().sort().to_list()
    old, new = (dict(contracts.filter(symbol=name).select("timestamp", "close").rows()) for name in changes[0])
    rolled = days_of[strategy.contracts.index("ES201403")]
    common = max(day for day in old.keys() & new.keys() if day <= rolled)
    expected = [close + new[common] - old[common] for day, close in sorted(old.items()) if day <= rolled]
    expected += [close for day, close in sorted(new.items()) if day > rolled]
    np.testing.assert_allclose(strategy.window[np.isfinite(strategy.window)], expected, rtol=1e-12)
    assert len(expected) > 60
    assert result.fills["symbol"].to_list() == ["ES201312", "ES201312", "ES201403"]
    assert result.fills["quantity"].to_list() == [2.0, -2.0, 2.0]
