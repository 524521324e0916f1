"""Looking back: bars of one feed, filled, framed, limited to what was declared."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import LookAheadError, RunError

GAP = {"A": [10, 11, None, None, 14, 15], "B": [20, None, 22, 23, 24, None], "C": [None, None, 32, None, None, None]}


def days(closes):
    """Daily bars from 1 January 2024, None for no bar."""
    rows = [
        (date(2024, 1, 1 + place), symbol, float(price), float(price), float(price) * 100)
        for place in range(len(next(iter(closes.values()))))
        for symbol, prices in closes.items()
        if (price := prices[place]) is not None
    ]
    return pl.DataFrame(rows, schema=["timestamp", "symbol", "open", "close", "volume"], orient="row")


class Asking(Strategy):
    """Declare, then note what a function of the context returns after each day."""

    def __init__(self, ask, declare):
        self.ask, self.declare, self.told = ask, declare, {}

    def on_start(self, context):
        self.declare(context)

    def on_slice(self, market, context):
        self.told[(context.now - timedelta(hours=1)).day] = self.ask(context)


@pytest.fixture
def ask(kit):
    """Run a question over daily bars with gaps and return its answers by day."""

    def ask(question, *sources, depth=6, declare=None):
        strategy = Asking(question, declare or (lambda context: context.subscribe("prices", history=depth)))
        kit.run(strategy, *(sources or [kit.Source(days(GAP))]))
        return strategy.told

    return ask


def same(expected, got):
    np.testing.assert_array_equal(np.array(expected, float), got)


def test_missing_bars_are_nan(ask):
    told = ask(lambda context: context.history("close", 4))
    same([[np.nan, 22, 32], [np.nan, 23, np.nan], [14, 24, np.nan], [15, np.nan, np.nan]], told[6])


@pytest.mark.parametrize("fill", [1, "1d", timedelta(days=1), "36h"])
def test_a_missing_bar_takes_the_last_value_that_is_young_enough(ask, fill):
    """A gap of two days is filled on its first, whether the age is said in bars or as a duration."""
    told = ask(lambda context: context.history("close", 4, fill=fill))
    same([[11, 22, 32], [np.nan, 23, 32], [14, 24, np.nan], [15, 24, np.nan]], told[6])


def test_filling_looks_further_back_than_the_bars_asked_for(ask):
    """As far as was declared: the last bar of C lies four days back."""
    told = ask(lambda context: (context.history("close", 1, fill="9d"), context.history("close", 1, fill=3)))
    for got in told[6]:
        same([[15, 24, 32]], got)
    narrow = ask(lambda context: context.history("close", 1, fill="9d"), depth=3)
    same([[15, 24, np.nan]], narrow[6])


def test_a_fill_of_nothing_fills_nothing(ask):
    told = ask(lambda context: np.array_equal(context.history("close", 4, fill=0), context.history("close", 4), True))
    assert all(told.values())


def test_before_the_first_value_there_is_nothing_to_fill_with(ask):
    told = ask(lambda context: context.history("close", 6, fill="99d", symbol="C") if "C" in context.symbols else None)
    same([np.nan, np.nan, 32, 32, 32, 32], told[6])


def test_filled_history_is_read_only_and_stays_as_it_was(ask):
    kept = []
    ask(
        lambda context: kept.append((context.history("close", 2, fill=2), context.history("close", 2, fill=2).tolist()))
    )
    for array, then in kept:
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, then)


@pytest.mark.parametrize(
    ("fill", "message"), [("3 days", "fill was '3 days': write a duration"), (-1, "fill was -1: give a number of bars")]
)
def test_a_fill_that_is_no_age_is_refused(ask, fill, message):
    with pytest.raises(LookAheadError, match=message):
        ask(lambda context: context.history("close", 2, fill=fill))


def test_a_frame_has_the_ends_of_bars_and_a_column_per_symbol(ask):
    """And as many rows as there are bars."""
    told = ask(lambda context: context.history_frame("close", 3))
    assert told[1].columns == ["timestamp", "A", "B"]
    assert told[1].rows() == [(datetime(2024, 1, 2, tzinfo=UTC), 10.0, 20.0)]
    assert told[6]["timestamp"].to_list() == [datetime(2024, 1, day, tzinfo=UTC) for day in (5, 6, 7)]
    assert told[6].schema["timestamp"] == pl.Datetime("ns", "UTC")
    same([[np.nan, 23, np.nan], [14, 24, np.nan], [15, np.nan, np.nan]], told[6].drop("timestamp").to_numpy())
    filled = ask(lambda context: context.history_frame("close", 2, fill=1))
    same([15, 24, np.nan], filled[6].drop("timestamp").to_numpy()[-1])


@pytest.mark.parametrize("fill", [None, 0, "0s"])
def test_no_bars_are_an_empty_answer(ask, fill):
    """As where a number of bars is computed."""
    for question in (
        lambda context: len(context.history_frame("close", 0, fill=fill)),
        lambda context: len(context.history("close", 0, fill=fill)),
    ):
        assert {0} == set(ask(question).values())


def test_what_lies_further_back_than_declared_is_refused(ask):
    """The message has the line to add."""
    for question in (
        lambda context: context.history("close", 7),
        lambda context: context.history("close", 7, fill=1),
        lambda context: context.history_frame("close", 7),
    ):
        with pytest.raises(LookAheadError, match=r"call context.subscribe\('prices', history=7\) in on_start"):
            ask(question)


def test_fields_that_were_left_out_cannot_be_read(ask):
    """Several calls add up; without fields all are meant; windows have what was declared."""

    def question(context):
        for call in (lambda: context.history("volume", 2), lambda: context.window("prices", "volume")):
            with pytest.raises(
                LookAheadError, match=r"call context.subscribe\('prices', \('open', 'close', 'volume'\)\)"
            ):
                call()
        with pytest.raises(LookAheadError, match="has no field 'vol'"):
            context.history("vol", 2)
        return context.window("prices").columns[3:]

    def declare(context):
        context.subscribe("prices", "open", history=3)
        context.subscribe("prices", ("close",))

    assert ask(question, declare=declare)[2] == ["open", "close"]
    whole = ask(lambda context: context.history("volume", 1).tolist(), declare=lambda c: c.subscribe("prices"))
    assert whole[1] == [[1000.0, 2000.0]]


def test_an_adjustment_that_does_not_exist_is_refused(ask):
    with pytest.raises(RunError, match="adjust of 'prices' was 'splits'"):
        ask(lambda context: context.history("close", 2, adjust="splits"))


def test_history_is_adjusted_as_the_call_says(kit):
    """Raw, though splits are the default of raw prices."""
    split = pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [date(2024, 1, 3)], "ratio": [2.0]})
    split = split.with_columns(known_at=pl.lit(datetime(2024, 1, 1, tzinfo=UTC)))
    ways = ("raw", "split", None)
    question = lambda context: [context.history("close", 3, adjust=way)[:, 0].tolist() for way in ways]  # noqa: E731
    strategy = Asking(question, lambda context: context.subscribe("prices", history=3))
    kit.run(strategy, kit.Source(days({"A": [20, 20, 10, 10]})), actions=split)
    assert strategy.told[3] == [[20, 20, 10], [10, 10, 10], [10, 10, 10]]


def test_each_feed_counts_its_own_bars(kit, ask):
    """Two minutes of one feed are the last two minutes, however many days another feed has released."""
    minutes = pl.DataFrame(
        {
            "timestamp": [datetime(2024, 1, day, 15, minute, tzinfo=UTC) for day in (1, 2, 3) for minute in (1, 2, 3)],
            "symbol": ["A"] * 9,
            "open": [1.0] * 9,
            "close": [float(place) for place in range(9)],
        }
    )
    sources = kit.Source(days({"A": [10, 11, 12]})), kit.Source(minutes, name="minutes", bar="1m", stamp="close")

    def declare(context):
        context.subscribe("prices", history=2)
        context.subscribe("minutes", history=4)

    def question(context):
        return [
            context.history("close", bars, feed=feed)[:, 0].tolist() for feed, bars in (("prices", 2), ("minutes", 4))
        ]

    told = ask(question, *sources, declare=declare)
    same([11, 12], told[3][0])
    same([5, 6, 7, 8], told[3][1])
