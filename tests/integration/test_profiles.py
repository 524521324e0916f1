"""Profiles: settings of other engines, behind what the run names itself."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import RunFileError

DAYS = [date(2021, 3, day) for day in (1, 2, 3, 4, 5)]
BARS = pl.DataFrame(
    {
        "timestamp": DAYS,
        "symbol": ["AA"] * 5,
        "open": [100.0, 101.0, 102.0, 103.0, 104.0],
        "high": [102.0, 103.0, 104.0, 105.0, 106.0],
        "low": [99.0, 100.0, 101.0, 102.0, 103.0],
        "close": [101.0, 102.0, 103.0, 104.0, 105.0],
        "volume": [1000.0, 1000.0, 1000.0, 1000.0, 1000.0],
    }
)


class Once(Strategy):
    """Order at the first close."""

    def __init__(self, quantity, **terms):
        self.quantity, self.terms, self.done = quantity, terms, False

    def on_slice(self, market, context):
        if not self.done:
            context.order("AA", self.quantity, **self.terms)
        self.done = True


def fills(strategy, **broker):
    """Return (quantity, price, commission) of each fill."""
    result = Engine(prices=BARS, strategy=strategy, calendar="XNYS", capital=1e6, broker=broker).run()
    rows = result.fills.select("quantity", pl.col("price").round(9), "commission").iter_rows()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("", [(150.0, 101.0, 0.0)]),
        ("backtrader", [(150.0, 101.0, 0.0)]),
        ("lean", [(150.0, 101.0, 0.0)]),
        ("vectorbt", [(150.0, 101.0, 0.0)]),  # the close of the decision, here as high as the next open
        ("zipline", [(100.0, 102.051, 0.1), (50.0, 103.0515, 0.05)]),
        ("realistic", [(100.0, 101.0505, 1.0), (50.0, 102.051, 0.0)]),
    ],
)
def test_a_market_order_fills_as_the_profile_says(profile, expected):
    """150 against a volume of 1,000 a bar."""
    assert expected == [(q, p, pytest.approx(c)) for q, p, c in fills(Once(150.0), **({"profile": profile}))]


def test_vectorbt_fills_at_the_close_of_the_decision():
    """And the result says so."""
    engine = Engine(prices=BARS, strategy=Once(1.0), calendar="XNYS", capital=1e6, broker={"profile": "vectorbt"})
    result = engine.run()
    assert ["same-close"] == result.fills["reason"].to_list()


def test_lean_fills_a_limit_that_the_market_trades_through():
    """The low of the second day touches 100, which is not enough."""
    limit = {"limit_price": 100.0}
    assert [] == fills(Once(1.0, **limit), profile="lean")
    assert [(1.0, 100.0, 0.0)] == fills(Once(1.0, **limit), profile="backtrader")


def test_what_the_run_names_takes_the_place_of_the_profile_s():
    """A table without ``use`` is added to the profile's model, one with it replaces it, a model of its own too."""
    assert [(150.0, 102.051, 0.15)] == fills(Once(150.0), profile="zipline", fill={"volume_limit": 0.5})
    assert [(150.0, 101.0505, 0.15)] == fills(Once(150.0), profile="zipline", fill={"use": "next-open"})
    own = {"slippage": {"use": "bps", "bps": 0.0}, "commission": {"use": "per-share", "rate": 0.0}}
    assert [(100.0, 102.0, 0.0), (50.0, 103.0, 0.0)] == fills(Once(150.0), profile="zipline", **own)


def test_an_unknown_profile_is_refused():
    """With those that are known."""
    with pytest.raises(RunFileError, match="profile of broker simulation was 'zypline'; known are zipline, backtrader"):
        fills(Once(1.0), profile="zypline")


def test_a_part_of_no_volume_is_nothing_and_the_run_says_so():
    """Bars without volumes never fill an order of a profile that has a volume cap."""
    settings = {"calendar": "XNYS", "broker": {"profile": "realistic"}}
    result = Engine(prices=BARS.drop("volume"), strategy=Once(1.0), **settings).run()
    told = (
        "no column volume, so that nothing fills on these rows: fill.volume_limit is 0.1, set it to 0 or map the column"
    )
    assert [told] == [note.split(": ", 1)[1] for note in result.notes if "volume" in note]
    assert 0 == result.fills.height

    quotes = pl.DataFrame(
        {"event_time": [datetime(2021, 3, 1, 15, tzinfo=UTC)], "symbol": ["AA"], "bid": [9.0], "ask": [10.0]}
    )
    feed = {"use": "frame", "name": "prices", "frame": quotes}
    for limit, notes in [(0.1, 1), (0.0, 0)]:
        broker = {"fill": {"use": "next-open", "volume_limit": limit}}
        result = Engine(feed={**feed, "latency": "0s"}, strategy=Once(1.0), broker=broker).run()
        assert notes == sum("no column ask_size or bid_size" in note for note in result.notes)
    assert not [note for note in Engine(prices=BARS, strategy=Once(1.0), **settings).run().notes if "volume" in note]
