"""The workloads w1s and w1w: 250 symbols, 5,040 sessions, every fill compared."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

pytestmark = [pytest.mark.peers, pytest.mark.slow]
KEYS = ("time", "symbol")


@pytest.fixture(scope="module")
def workloads():
    """The module that defines the workloads."""
    path = Path(__file__).parents[1] / "performance" / "workloads.py"
    spec = importlib.util.spec_from_file_location("peers_workloads", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bars(workloads):
    """Bars and scores, a row per session and symbol."""
    return workloads.daily(np.random.default_rng(42), workloads.sessions(5040), 250)


@pytest.fixture
def compared(workloads, bars, run_peer, native):
    """Run a workload on both sides; return their fills, ours, and the largest gap of equity."""

    def compared(peer, workload, strategy, **broker):
        settings = {"cash": workloads.CAPITAL, "targets": "shares" if workload == "w1s" else "weights"}
        wanted = workloads.targets(bars, workload)
        prices = bars.select(pl.col("timestamp").cast(pl.Datetime("us")), "symbol", *workloads.FIELDS)
        theirs = run_peer(peer, {"name": workload, "settings": settings}, prices, wanted)
        engine = Engine(
            prices=prices,
            strategy=strategy(wanted),
            calendar="XNYS",
            capital=workloads.CAPITAL,
            broker={"profile": peer, **broker},
        )
        result = engine.run()
        names = dict(enumerate(result.fills["symbol"].cast(pl.String)))
        ours = native.fills(result, dict.fromkeys(result.fills["order_id"].unique().to_list(), "")).drop("ref")
        assert len(names) == len(ours)
        return theirs.fills.drop("ref"), ours, native.largest_gap(theirs.equity, result)

    return compared


@pytest.mark.parametrize("peer", ["backtrader", "vectorbt"])
def test_w1s_fills_are_the_same(peer, workloads, compared, native):
    """428,132 fills of whole shares, at the next open."""
    theirs, ours, gap = compared(peer, "w1s", workloads.BySlice, fill={"use": "next-open"})
    assert 428_132 == len(theirs)
    assert native.differing_fills(theirs, ours, KEYS).is_empty()
    assert gap < 1e-3


def test_w1w_fills_are_those_of_backtrader(workloads, compared, native):
    """Weights sized at the decision's close, orders cut to whole shares."""
    theirs, ours, gap = compared("backtrader", "w1w", lambda wanted: workloads.BySlice(wanted, weights=True))
    assert native.differing_fills(theirs, ours, KEYS).is_empty()
    assert gap < 1e-3


def sizes_at_the_fill(open_, wanted, cash):
    """Return what vectorbt orders: fractions, sized by equity and price at the open of the fill itself."""
    held = np.zeros(open_.shape[1])
    out = np.zeros(open_.shape)
    for day in range(1, len(open_)):
        equity = cash + held @ open_[day]
        order = wanted[day - 1] * equity / open_[day] - held
        out[day - 1] = order
        cash -= order @ open_[day]
        held += order
    return out


class GivenSizes(Strategy):
    """Order each day what was worked out beforehand."""

    def __init__(self, quantities):
        self.quantities = iter(quantities)

    def on_slice(self, market, context):
        context.order_quantities(next(self.quantities))


def test_w1w_fills_are_those_of_vectorbt(workloads, bars, compared, native):
    """Prices, equity and fractions; the sizes are given, because nobody can know them before the open of the fill."""
    open_ = workloads.wide(bars, "open")
    given = lambda wanted: GivenSizes(sizes_at_the_fill(open_, wanted, workloads.CAPITAL))  # noqa: E731
    theirs, ours, gap = compared("vectorbt", "w1w", given, fill={"use": "next-open"})
    assert 308_926 == len(theirs)
    assert native.differing_fills(theirs, ours, KEYS, amounts=1e-6).is_empty()
    assert gap < 0.01
