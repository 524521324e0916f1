"""Bars of volume, dollars and rows, and what holds of all bars: no later row changes them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import DataError, RunFileError
from ml4t.backtest.interfaces import Window

BARS = {"bar": "1m", "stamp": "open"}
KINDS = [{"every": "1h"}, {"every": "1h", "calendar": "XNYS"}, {"volume": 4000.0}, {"dollar": 3e5}, {"ticks": 13}]


def plain_bars(frame, weight, size):
    """Bars of each symbol, row after row in plain Python: (symbol, start, end, open, high, low, close, volume)."""
    bars, parts = [], {}
    for row in frame.iter_rows(named=True):
        part = parts.setdefault(row["symbol"], [])
        part.append(row)
        total = 0.0
        for each in part:
            total += weight(each)
        if total >= size:
            prices = [part[0]["open"], max(each["high"] for each in part), min(each["low"] for each in part)]
            end = row["timestamp"] + timedelta(minutes=1)
            volume = sum(each["volume"] for each in part)
            bars.append((row["symbol"], part[0]["timestamp"], end, *prices, row["close"], volume))
            parts[row["symbol"]] = []
    return sorted(bars, key=lambda bar: (bar[2], bar[0])), sum(map(bool, parts.values()))


@pytest.mark.parametrize("batch_rows", [0, 7, 100])
@pytest.mark.parametrize(
    ("measure", "size", "weight"),
    [
        ("volume", 4000.0, lambda row: row["volume"]),
        ("dollar", 3e5, lambda row: row["volume"] * row["close"]),
        ("ticks", 13, lambda row: 1.0),
    ],
)
def test_bars_end_with_the_row_that_brings_the_sum(opened, minutes, batch_rows, measure, size, weight):
    """As plain Python makes them, whatever the batches; the incomplete ones are counted."""
    frame = minutes(count=700, symbols=("A", "B", "C"))
    feed = opened(frame, batch_rows=batch_rows, **{measure: size}, **BARS)
    bars = pl.concat(feed.batches()).sort("event_time", "symbol")
    expected, incomplete = plain_bars(frame, weight, size)
    times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in ("bar_start", "event_time")]
    assert expected == bars.select("symbol", *times, "open", "high", "low", "close", "volume").rows()
    assert bars["event_time"].to_list() == bars["known_at"].to_list()
    assert f"bars: {incomplete} bars were not complete when the data ended, and are left out" in feed.notes()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_rows_to_come_never_change_a_released_bar(opened, minutes, kind):
    """At 100 random cuts the bars of the past are those of the whole; rows after a cut may hold anything."""
    frame = minutes(datetime(2024, 7, 2, 12, tzinfo=UTC), count=600, symbols=("A", "B", "C"), seed=11)
    settings = {"batch_rows": 600} | BARS | kind
    whole = pl.concat(opened(frame, **settings).batches()).rows()
    rng = np.random.default_rng(17)
    released = 0
    for cut in rng.choice(frame["timestamp"].unique().sort().to_list()[30:], 100):
        past = frame.filter(pl.col("timestamp") <= cut)
        poisoned = pl.concat(
            [past, frame.filter(pl.col("timestamp") > cut).with_columns(pl.col("open", "high", "low", "close") * 7.0)]
        )
        known = [row for row in whole if row[3] <= cut + timedelta(minutes=1)]
        short = [row for batch in opened(past, **settings).batches() for row in batch.rows()]
        assert short == known[: len(short)]
        assert len(known) - len(short) <= (0 if "every" not in kind else 3)
        spoiled = pl.concat(opened(poisoned, **settings).batches()).rows()
        assert known == [row for row in spoiled if row[3] <= cut + timedelta(minutes=1)]
        released += len(short)
    assert released > 100


def test_bars_come_as_soon_as_they_are_complete_and_memory_is_bounded(opened, minutes):
    """The first bar is out before a second batch is read; open rows alone are kept."""
    frame = minutes(count=5000, symbols=("A",), kept=1.0)
    feed = opened(frame, ticks=10, batch_rows=500, **BARS)
    sizes = [len(batch) for batch in feed.batches()]
    assert [50] * 10 == sizes


def test_a_window_begins_with_a_whole_session(opened, minutes):
    """The first bar of a day is not made of half of it."""
    frame = minutes(datetime(2024, 7, 1, 20, tzinfo=UTC), count=2880, symbols=("A",), kept=1.0)
    moment = int(datetime(2024, 7, 2, 12, tzinfo=UTC).timestamp()) * 10**9
    feed = opened(frame, every="1d", calendar="CMES", window=Window(first=moment), **BARS)
    starts = pl.concat(feed.batches())["bar_start"].to_list()
    assert datetime(2024, 7, 1, 22, tzinfo=UTC) == starts[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "feed 'bars' is given no length of its bars; give one of every"),
        ({"every": "5m", "ticks": 3}, "is given every and ticks; give one of"),
        ({"every": "2d"}, "every is 2d; give more than nothing, and of time at most 1d"),
        ({"volume": 0.0}, "volume is 0.0; give more than nothing"),
        ({"every": "soon"}, "feed 'bars': every \"soon\" is no duration"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(opened, minutes, settings, message):
    """When the feed is made."""
    with pytest.raises(RunFileError, match=message):
        opened(minutes(count=3), **settings, **BARS)


def test_volume_needs_volume(opened, minutes):
    """A feed without it is refused by name."""
    with pytest.raises(DataError, match="<rows>: no column volume, which bars of dollar count; map it, or use every"):
        opened(minutes(count=3).drop("volume"), dollar=10.0, **BARS)


def test_what_the_feed_says_of_itself(opened, minutes):
    """Name, kind and basis; the digest is that of the rows read."""
    frame = minutes(count=10)
    feed = opened(frame, ticks=3, drives=False, **BARS)
    assert ("bars", "bar", "raw", False) == (feed.spec.name, feed.spec.kind, feed.spec.prices, feed.spec.drives)
    assert feed.digest() == opened(frame, every="5m", **BARS).digest() != opened(frame[1:], ticks=3, **BARS).digest()
    first, again = (pl.concat(feed.batches()).rows() for _ in range(2))
    assert first == again
    feed.close()
