"""Many runs in one process, as a search over parameters makes them."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(20)]
PRICES = pl.DataFrame(
    {
        "symbol": ["A"] * 20,
        "timestamp": DAYS,
        "open": [100.0] * 20,
        "high": [101.0] * 20,
        "low": [99.0] * 20,
        "close": [100.5] * 20,
        "volume": [1e6] * 20,
    }
)
MAPPINGS = Path("/proc/self/maps")


class Turn(Strategy):
    """Half of the equity in A on one day, a tenth on the next."""

    def on_slice(self, market, context):
        context.order_target_percent("A", 0.5 if context.position("A").quantity < 300 else 0.1)


def run(bps):
    broker = {
        "slippage": {"use": "bps", "bps": bps},
        "commission": {"use": "per-share", "rate": 0.005},
        "impact": {"use": "square-root", "volatility_bps": 100.0},
    }
    account = {"check": "both"}
    engine = Engine(prices=PRICES, strategy=Turn(), capital=1e5, broker=broker, account=account, reporter=[])
    return len(engine.run().fills)


def pieces():
    return len(MAPPINGS.read_text().splitlines())


@pytest.mark.skipif(not MAPPINGS.exists(), reason="the memory of a process is seen on Linux only")
def test_a_run_leaves_no_compiled_code_behind():
    """Of which a process may have so many pieces only: after some ten thousand runs it died."""
    assert [19, 19] == [run(bps) for bps in (1.0, 2.0)]
    before = pieces()
    for turn in range(25):
        run(float(turn))
    added = pieces() - before
    assert added < 25
