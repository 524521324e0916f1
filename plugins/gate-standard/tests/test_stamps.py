"""What the stamps of a source mean, and the line to add where nobody said."""

import polars as pl
import pytest

from ml4t.backtest.core.stamps import StampRule
from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.stamps import resolve_stamps

HOUR = 3_600_000_000_000
NAIVE, AWARE = pl.Datetime("us"), pl.Datetime("us", "UTC")


def resolve(kind="bar", dtype=AWARE, all_midnight=False, **others):
    return resolve_stamps(origin="prices.parquet", kind=kind, dtype=dtype, all_midnight=all_midnight, **others)


@pytest.mark.parametrize("kind", ["bar", "quote", "trade", "signal", "table"])
@pytest.mark.parametrize(
    ("dtype", "all_midnight"),
    [(pl.Date(), True), (NAIVE, True), (pl.Datetime("ns", "America/New_York"), True)],
)
def test_dates_and_midnights_are_labels_and_need_no_line(kind, dtype, all_midnight):
    """Labels have no zone and need none; a bar of one is a session long."""
    rule = resolve(kind, dtype, all_midnight)
    period = 24 * HOUR if kind == "bar" else None
    assert StampRule(convention="label", period_ns=period, origin="prices.parquet") == rule


def test_intraday_bars_without_bar_and_stamp_get_both_lines():
    """The run stops and prints the lines to add."""
    with pytest.raises(DataError) as caught:
        resolve()
    assert "prices.parquet: it is not said when its rows are known; add to this bar source\n" in str(caught.value)
    assert '\n    bar = "5m"' in str(caught.value)
    assert '\n    stamp = "open"' in str(caught.value)
    assert "timezone" not in str(caught.value)


def test_intraday_bars_without_stamp_get_that_line_alone():
    """What was said is not asked again."""
    with pytest.raises(DataError) as caught:
        resolve(bar="1m")
    assert '\n    stamp = "open"' in str(caught.value)
    assert "bar =" not in str(caught.value)


def test_naive_intraday_stamps_need_a_zone():
    """A local time without its zone is no instant."""
    with pytest.raises(DataError, match=r'\n    timezone = "America/New_York"'):
        resolve(dtype=NAIVE, bar="1m", stamp="close")
    assert "Asia/Tokyo" == resolve(dtype=NAIVE, bar="1m", stamp="close", timezone="Asia/Tokyo").timezone


def test_zoned_stamps_keep_their_own_zone():
    """``timezone`` is for naive stamps only."""
    assert resolve(bar="1m", stamp="close", timezone="Asia/Tokyo").timezone is None


def test_an_unknown_zone_is_refused():
    """By name, with an example."""
    with pytest.raises(DataError, match=r'prices\.parquet: "New York" is no time zone'):
        resolve(dtype=NAIVE, bar="1m", stamp="open", timezone="New York")


@pytest.mark.parametrize("others", [{"stamp": "close"}, {"stamp": "open"}, {"bar": "1h"}, {"bar": "1w"}])
def test_dates_are_never_taken_as_an_end_of_a_bar(others):
    """A date declared as a closing stamp would be known before its session has opened."""
    with pytest.raises(DataError, match='take out `stamp` and write\n    bar = "1d"'):
        resolve(dtype=pl.Date(), **others)


def test_midnights_of_intraday_bars_are_instants():
    """A file with one bar at midnight whose length is an hour says enough."""
    assert "open" == resolve(all_midnight=True, bar="1h", stamp="open").convention


@pytest.mark.parametrize("kind", ["quote", "trade", "signal", "table"])
def test_a_bare_timestamp_is_never_taken_as_known(kind):
    """What is no bar needs known_at, or event_time and latency, or labels."""
    with pytest.raises(DataError) as caught:
        resolve(kind)
    assert '\n    columns = { event_time = "timestamp" }' in str(caught.value)
    assert '\n    latency = "0s"' in str(caught.value)


@pytest.mark.parametrize("kind", ["quote", "trade", "signal", "table"])
def test_event_time_needs_a_latency(kind):
    """When it happened is not when it was known."""
    with pytest.raises(DataError, match='\n    latency = "0s"'):
        resolve(kind, has_event_time=True)
    rule = resolve(kind, has_event_time=True, latency="250ms")
    assert ("event_time", 250_000_000) == (rule.convention, rule.latency_ns)


def test_known_at_says_it_all():
    """It wins over event_time and over labels."""
    assert "known_at" == resolve("signal", has_known_at=True, has_event_time=True).convention
    assert "known_at" == resolve("signal", pl.Date(), True, has_known_at=True).convention


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [(pl.Int64(), "from_epoch"), (pl.String(), "str.to_date"), (pl.Float64(), "such as 2024-03-01")],
)
def test_a_column_of_another_type_is_refused_with_what_makes_stamps_of_it(dtype, remedy):
    """Numbers and strings have no unit, zone or order of fields."""
    with pytest.raises(DataError, match=f"stamps are {dtype}; give dates, or datetimes, .*{remedy}"):
        resolve(dtype=dtype)
