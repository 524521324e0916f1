"""Every defect that can be planted is found by the data gate, and none in a market without."""

from datetime import date

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t_backtest_data_synthetic import DEFECTS, generate
from ml4t_backtest_data_synthetic.config import SIGNAL_DEFECTS

INTRADAY = ("outside-session", "open-stamped", "gaps")
SHAPES = {"1d": {"sessions": 300, "bar": "1d"}, "5m": {"sessions": 30, "bar": "5m"}}


class Idle(Strategy):
    """Does nothing."""

    def on_slice(self, market, context):
        """Do nothing."""


def checked(bar, defects=(), kind="bar", **settings):
    """Return what the gate finds in a feed, a score and the actions of a market."""
    market = {"symbols": 6, "calendar": "XNYS", "first": date(2023, 1, 3), "seed": 5, **SHAPES[bar], **settings}
    market["defects"] = tuple(defects)
    engine = Engine(
        feed=[{"use": "synthetic", "kind": kind, **market}],
        signal=[{"use": "synthetic", **market, "bar": bar}],
        actions=[{"use": "synthetic", **market}],
        strategy=Idle(),
        capital={"USD": 1_000.0},
        calendar="XNYS",
        open=False,
    )
    return engine.check()


@pytest.mark.parametrize("kind", ["bar", "quote"])
@pytest.mark.parametrize("bar", SHAPES)
@pytest.mark.parametrize("actions", [{}, {"splits": 1.0, "dividends": 2.0}])
def test_nothing_is_found_in_a_clean_market(bar, kind, actions):
    """Of daily bars, minutes and quotes, with splits that the actions explain."""
    if kind == "quote":
        actions = {}  # quotes have no basis of prices
    assert [] == checked(bar, kind=kind, **actions)["rule"].to_list()


@pytest.mark.parametrize("rule", DEFECTS)
def test_what_is_planted_is_found(rule):
    """By its own rule; further rules may see the same rows."""
    bar = "5m" if rule in INTRADAY else "1d"
    found = checked(bar, [rule], kind="quote" if rule == "crossed-quote" else "bar")
    assert rule in found["rule"].to_list(), found.select("rule", "what")


def test_places_lead_to_the_rows():
    """The row, its symbol and its value are there where the table says."""
    market = generate(symbols=5, sessions=200, defects=("zero-volume", "duplicate-rows", "high-below-low"), seed=2)
    for place in market.defects.to_dicts():
        row = market.bars.row(place["row"], named=True)
        assert (place["symbol"], place["stamp"]) == (row["symbol"], str(row["timestamp"]))
    by_rule = market.defects.partition_by("rule", as_dict=True)
    assert 3 == len(by_rule["zero-volume",]) == len(by_rule["duplicate-rows",]) == len(by_rule["high-below-low",])
    zero = market.bars.filter(volume=0.0)
    assert zero.equals(market.bars[sorted(by_rule["zero-volume",]["row"])])
    assert 6 == market.bars.select("symbol", "timestamp").is_duplicated().sum()
    assert set(SIGNAL_DEFECTS).isdisjoint(market.defects["rule"])
    assert isinstance(market.defects, pl.DataFrame)
