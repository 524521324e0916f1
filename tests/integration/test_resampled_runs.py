"""Runs on bars that are made while they go on."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError

OPEN = datetime(2024, 7, 2, 13, 30, tzinfo=UTC)


def minutes():
    rng = np.random.default_rng(2)
    stamps = [
        OPEN + timedelta(days=day, minutes=minute) for day in (0, 1, 3) for minute in range(390 if day != 1 else 210)
    ]
    prices = np.round(100 + rng.normal(0, 0.1, len(stamps)).cumsum(), 2)
    return pl.DataFrame({"timestamp": stamps, "symbol": ["SPY"] * len(stamps), "open": prices, "close": prices + 0.01})


def settings(**feed):
    of = {"use": "frame", "frame": minutes(), "bar": "1m", "stamp": "open", "calendar": "XNYS", "prices": "raw"}
    return {"feed": [{"use": "resample", "of": of} | feed], "capital": 1e6, "clock": {"calendar": "XNYS"}}


class Buy(Strategy):
    """Buy one at each bar and note when and what was seen."""

    def __init__(self):
        self.seen = []

    def on_slice(self, market, context):
        self.seen.append((context.now, market.close[0]))
        context.order("SPY", 1.0)


def test_an_order_at_the_end_of_an_hour_takes_the_open_of_the_next_one():
    """Half days and holidays included: after 13:00 on the third comes 09:30 on the fifth."""
    buy = Buy()
    fills = Engine(strategy=buy, **settings(every="1h")).run().fills
    hours = [(0, hour) for hour in range(7)] + [(1, hour) for hour in range(4)] + [(3, hour) for hour in range(7)]
    begins = [OPEN + timedelta(days=day, hours=hour) for day, hour in hours]
    assert begins[1:] == fills["timestamp"].to_list()
    prices = {row["timestamp"]: row["open"] for row in minutes().iter_rows(named=True)}
    assert [prices[begin] for begin in begins[1:]] == fills["price"].to_list()
    closes = dict.fromkeys([0, 3], timedelta(hours=6.5)) | {1: timedelta(hours=3.5)}
    ends = [
        min(OPEN + timedelta(days=day, hours=hour + 1), OPEN + timedelta(days=day) + closes[day]) for day, hour in hours
    ]
    assert ends == [now for now, _ in buy.seen]


def test_resampled_bars_are_the_bars_of_a_file_made_before():
    """The same fills and equity as with hours prepared in a frame with their own lengths."""
    end = pl.col("timestamp").max() + timedelta(minutes=1)
    hours = (
        minutes()
        .with_columns(hour=(pl.col("timestamp").dt.epoch("s") - 1800) // 3600)
        .group_by("hour", maintain_order=True)
    )
    frame = hours.agg(
        pl.col("symbol").first(), end.alias("event_time"), pl.col("timestamp").min().alias("bar_start"),
        pl.col("open").first(), pl.col("close").last(),
    ).drop("hour")  # fmt: skip
    made = {"use": "frame", "frame": frame, "prices": "raw"}
    one = Engine(strategy=Buy(), **settings(every="1h")).run()
    other = Engine(strategy=Buy(), **settings() | {"feed": [made]}).run()
    assert one.fills.rows() == other.fills.rows()
    assert one.equity.rows() == other.equity.rows()


def test_minutes_and_hours_of_one_file_go_together():
    """The inner feed's rows are no feed of the run, but a second feed may be."""
    given = settings(every="1h", name="hours", drives=False)
    given["feed"].append(given["feed"][0]["of"] | {"name": "minutes"})

    class Both(Strategy):
        def __init__(self):
            self.seen = []

        def on_start(self, context):
            context.subscribe("hours", ["close"], history=2)

        def on_slice(self, market, context):
            self.seen.append((context.now, float(context.history("close", 1, feed="hours")[-1, 0])))

    both = Both()
    Engine(strategy=both, **given).run()
    first = both.seen[0][0]
    assert first == OPEN + timedelta(minutes=1)
    closes = {row["timestamp"] + timedelta(minutes=1): row["close"] for row in minutes().iter_rows(named=True)}
    known = np.nan
    for now, close in both.seen:
        into = now - OPEN.replace(day=now.day)
        if into % timedelta(hours=1) == timedelta(0) or into == timedelta(hours=3.5 if now.day == 3 else 6.5):
            known = closes[now]
        assert np.array_equal(known, close, equal_nan=True)
    assert len(both.seen) == len(closes)


def test_what_is_wrong_with_the_inner_feed_is_said_with_its_place():
    """With the other faults of the run file, before the run."""
    for of, message in (
        ({"use": "parket", "path": "x"}, r"feed 'resample': of: .*parquet"),
        ({"path": "x"}, 'has no key "use": name the feed component to use'),
        ({"use": "parquet", "path": "x", "barr": "1m"}, "barr.*did you mean"),
    ):
        with pytest.raises(InputError, match=message):
            Engine(strategy=Buy(), **settings(of=of, every="1h")).run()
