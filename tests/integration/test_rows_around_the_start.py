"""A run that begins later has, from its start on, the rows of one that begins earlier."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
START = datetime(2024, 3, 4, tzinfo=UTC)
HOURS = [BEGIN + timedelta(hours=number) for number in range(24 * 6)]
BARS = pl.DataFrame({"timestamp": HOURS, "symbol": "A", "open": 10.0, "close": [10.0 + hour for hour in range(144)]})
# Every tenth bar is known two days late.
LATE = [hour + timedelta(hours=49 if number % 10 == 5 else 1) for number, hour in enumerate(HOURS)]
NAIVE = [moment.replace(tzinfo=None) for moment in LATE]


class Noting(Strategy):
    """Note each bar: when it ended, when it was known, its close."""

    def __init__(self):
        self.seen = []

    def on_event(self, event, context):
        self.seen.append((event.event_time, event.timestamp, event.close))


def seen(feed, **settings):
    strategy = Noting()
    Engine(feed=[{"name": "prices", "bar": "1h", "stamp": "open", **feed}], strategy=strategy, **settings).run()
    return strategy.seen


def assert_same_from_the_start(feed):
    start = int(START.timestamp()) * 10**9
    expected = [row for row in seen(feed) if row[1] > start]
    assert expected == seen(feed, start=START)
    return expected, start


@pytest.mark.parametrize("stream", [True, False])
def test_bars_that_ended_before_the_start_and_are_known_after_it_are_released(tmp_path, stream):
    """Whatever the row groups of their files."""
    BARS.with_columns(known_at=pl.Series(LATE)).write_parquet(tmp_path / "prices.parquet", row_group_size=12)
    feed = {"use": "parquet", "path": str(tmp_path / "prices.parquet"), "stream": stream}
    expected, start = assert_same_from_the_start(feed)
    assert 5 == sum(ended <= start for ended, _, _ in expected)


def test_late_bars_may_be_known_at_naive_stamps():
    """In the zone that the source states."""
    frame = BARS.with_columns(pl.col("timestamp").dt.replace_time_zone(None), known_at=pl.Series(NAIVE))
    expected, start = assert_same_from_the_start({"use": "frame", "frame": frame, "timezone": "UTC"})
    assert 5 == sum(ended <= start for ended, _, _ in expected)


@pytest.mark.parametrize("delay", [{"grace": "90m"}, {"latency": "90m"}, {"grace": "1h", "latency": "30m"}])
def test_bars_that_are_delivered_after_the_start_only_for_their_delay_are_released(delay):
    """That of 22:00 to 23:00 comes at half past midnight."""
    expected, start = assert_same_from_the_start({"use": "frame", "frame": BARS, **delay})
    assert [start - 3600 * 10**9, start] == [ended for ended, _, _ in expected if ended <= start]
