"""Stamps: what they mean, and the line to add where nobody said."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK, SESSION_DTYPE, AlwaysOpen, SessionTable
from ml4t.backtest.core.stamps import StampRule, derive, parse_duration, resolve_stamps, to_utc
from ml4t.backtest.errors import DataError, RunFileError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000_000
NAIVE, AWARE = pl.Datetime("us"), pl.Datetime("us", "UTC")


def ns(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def resolve(kind="bar", dtype=AWARE, all_midnight=False, **others):
    return resolve_stamps(origin="prices.parquet", kind=kind, dtype=dtype, all_midnight=all_midnight, **others)


def frame(*stamps, **columns) -> pl.DataFrame:
    return pl.DataFrame({"timestamp": stamps, **columns})


@pytest.fixture
def new_york() -> SessionTable:
    """A half day before a holiday, then Friday."""
    rows = [
        (
            date(2024, 7, 3).toordinal() - EPOCH_ORDINAL,
            ns("2024-07-03T13:30"),
            ns("2024-07-03T17:00"),
            NO_BREAK,
            NO_BREAK,
        ),
        (
            date(2024, 7, 5).toordinal() - EPOCH_ORDINAL,
            ns("2024-07-05T13:30"),
            ns("2024-07-05T20:00"),
            NO_BREAK,
            NO_BREAK,
        ),
    ]
    return SessionTable(np.array(rows, SESSION_DTYPE), timezone="America/New_York", name="XNYS")


@pytest.fixture
def always() -> SessionTable:
    return SessionTable(AlwaysOpen().sessions(date(2024, 1, 1), date(2024, 12, 31)), timezone="UTC", name="24/7")


def lists(derived):
    return [column.tolist() for column in derived]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 250_000_000),
        ("5m", 300 * 10**9),
        ("1h", HOUR),
        ("400d", 400 * 24 * HOUR),
        ("2w", 14 * 24 * HOUR),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text, expected):
    """m is minutes; there are no months, which have no length."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-1d", "1mo", "1h30m", "99999999w"])
def test_anything_else_is_no_duration(text):
    """The message shows the form."""
    with pytest.raises(RunFileError, match='write a whole number and a unit, as "250ms", "5m"'):
        parse_duration(text)


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


def test_a_column_of_another_type_is_refused():
    """Numbers and strings have no unit, zone or order of fields."""
    with pytest.raises(DataError, match="stamps are Int64; give dates, or datetimes"):
        resolve(dtype=pl.Int64())


def test_a_daily_bar_is_known_at_its_sessions_close(new_york):
    """Half days included; it starts at the open."""
    got = derive(resolve(dtype=pl.Date()), frame(date(2024, 7, 3), date(2024, 7, 5)), new_york)
    opens, closes = (
        [ns("2024-07-03T13:30"), ns("2024-07-05T13:30")],
        [ns("2024-07-03T17:00"), ns("2024-07-05T20:00")],
    )
    assert [opens, closes, closes] == lists(got)


def test_a_label_that_is_no_session_waits_for_the_end_of_its_local_day(new_york):
    """A price dated on a holiday is not known before midnight in New York."""
    got = derive(resolve(dtype=pl.Date()), frame(date(2024, 7, 4)), new_york)
    assert [[ns("2024-07-04T04:00")], [ns("2024-07-05T04:00")], [ns("2024-07-05T04:00")]] == lists(got)


def test_without_a_calendar_a_label_is_known_at_the_end_of_its_utc_day(always):
    """24/7 is the conservative reading."""
    got = derive(resolve(dtype=pl.Date()), frame(date(2024, 7, 4)), always)
    assert [[ns("2024-07-04T00:00")], [ns("2024-07-05T00:00")], [ns("2024-07-05T00:00")]] == lists(got)


def test_a_signal_label_is_known_at_the_close_plus_latency(new_york):
    """So no order of that label takes that session's open."""
    rule = resolve("signal", pl.Date(), latency="1h")
    _, event_time, known_at = derive(rule, frame(date(2024, 7, 3)), new_york)
    assert ([ns("2024-07-03T17:00")], [ns("2024-07-03T18:00")]) == (event_time.tolist(), known_at.tolist())


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_midnights_label_the_date_that_they_show(new_york, zone, unit):
    """In their own zone, not in UTC: midnight in Tokyo is still the day before in London."""
    stamps = pl.Series("timestamp", [datetime(2024, 7, 3)], dtype=pl.Datetime(unit)).dt.replace_time_zone(zone)
    rule = resolve(dtype=stamps.dtype, all_midnight=True)
    assert [ns("2024-07-03T17:00")] == derive(rule, stamps.to_frame(), new_york)[2].tolist()


def test_an_open_stamped_bar_is_known_at_its_end(new_york):
    """A bar is not known at its stamp."""
    rule = resolve(bar="5m", stamp="open")
    got = derive(rule, frame(datetime(2024, 7, 3, 13, 30, tzinfo=UTC)), new_york)
    assert [[ns("2024-07-03T13:30")], [ns("2024-07-03T13:35")], [ns("2024-07-03T13:35")]] == lists(got)


def test_an_open_stamped_bar_lasts_its_period_also_over_the_close(new_york):
    """An hour that begins half an hour before a close may hold trades after hours, so it is known at its end."""
    got = derive(resolve(bar="1h", stamp="open"), frame(datetime(2024, 7, 3, 16, 30, tzinfo=UTC)), new_york)
    assert [[ns("2024-07-03T16:30")], [ns("2024-07-03T17:30")], [ns("2024-07-03T17:30")]] == lists(got)


def test_a_close_stamped_bar_starts_a_period_before(new_york):
    """A clock hour that ends at 10:00 began at 09:00, whenever the market opened."""
    stamps = frame(datetime(2024, 7, 5, 14, tzinfo=UTC), datetime(2024, 7, 5, 15, tzinfo=UTC))
    start, event_time, known_at = derive(resolve(bar="1h", stamp="close"), stamps, new_york)
    assert [ns("2024-07-05T13:00"), ns("2024-07-05T14:00")] == start.tolist()
    assert [ns("2024-07-05T14:00"), ns("2024-07-05T15:00")] == event_time.tolist() == known_at.tolist()


def test_a_bar_with_known_at_is_never_known_before_its_end(new_york):
    """A late bar says so; an impossible claim does not help it."""
    stamps = [date(2024, 7, 3)] * 2
    known = [datetime(2024, 7, 3, 12, tzinfo=UTC), datetime(2024, 7, 3, 21, tzinfo=UTC)]
    got = derive(resolve(dtype=pl.Date()), frame(*stamps, known_at=known), new_york)
    assert [ns("2024-07-03T17:00"), ns("2024-07-03T21:00")] == got[2].tolist()


def test_known_at_and_event_time_are_read_from_their_columns(new_york):
    """Where there is no event_time, it is known_at."""
    rows = pl.DataFrame({"known_at": [datetime(2024, 7, 3, 9, tzinfo=UTC)]})
    rule = resolve("signal", has_known_at=True)
    assert [[ns("2024-07-03T09:00")]] * 3 == lists(derive(rule, rows, new_york))
    rows = rows.with_columns(event_time=pl.lit(datetime(2024, 7, 2, tzinfo=UTC)))
    assert [[ns("2024-07-02T00:00")]] * 2 + [[ns("2024-07-03T09:00")]] == lists(derive(rule, rows, new_york))


def test_event_time_plus_latency_is_known_at(new_york):
    """The trader sees a tick after its latency."""
    rows = pl.DataFrame({"event_time": [datetime(2024, 7, 3, 15, tzinfo=UTC)]})
    got = derive(resolve("trade", has_event_time=True, latency="250ms"), rows, new_york)
    assert [[ns("2024-07-03T15:00")]] * 2 + [[ns("2024-07-03T15:00") + 250_000_000]] == lists(got)


@pytest.mark.parametrize("column", [pl.Series([date(2024, 7, 3)]), pl.Series([datetime(2024, 7, 3)])])
def test_a_known_at_that_is_a_date_is_a_label(new_york, column):
    """A filing dated 3 July is not known at midnight before that session."""
    rule = resolve("table", column.dtype, True, has_known_at=True)
    assert [ns("2024-07-03T17:00")] == derive(rule, column.alias("known_at").to_frame(), new_york)[2].tolist()


@pytest.mark.parametrize(
    ("local", "utc"), [("2024-01-02T09:30", "2024-01-02T14:30"), ("2024-07-03T09:30", "2024-07-03T13:30")]
)
def test_naive_stamps_are_read_in_their_zone(always, local, utc):
    """09:30 in New York is 14:30 UTC in winter and 13:30 in summer."""
    rule = resolve(dtype=NAIVE, bar="1m", stamp="open", timezone="America/New_York")
    assert [ns(utc)] == derive(rule, frame(datetime.fromisoformat(local)), always)[0].tolist()


@pytest.mark.parametrize("local", [datetime(2024, 11, 3, 1, 30), datetime(2024, 3, 10, 2, 30)])
def test_a_local_time_that_happened_twice_or_never_is_refused_by_row(always, local):
    """Guessing an hour would move a price in time."""
    rule = resolve(dtype=NAIVE, bar="1m", stamp="open", timezone="America/New_York")
    with pytest.raises(DataError, match=rf"prices.parquet row 101: {local} happened twice or never"):
        derive(rule, frame(datetime(2024, 1, 2, 9, 30), local), always, first_row=100)


@pytest.mark.parametrize("stamps", [[date(2024, 7, 3), None], [date(2024, 7, 3), date(9999, 12, 31)]])
def test_a_null_or_distant_label_is_refused_by_row(always, stamps):
    """Int64 nanoseconds end in 2262; nothing wraps around."""
    with pytest.raises(DataError, match=r"prices\.parquet row 1: timestamp is (None|9999-12-31); every row needs one"):
        derive(resolve(dtype=pl.Date()), frame(*stamps), always)


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("stamp", [None, datetime(9999, 12, 31, 1)])
def test_a_null_or_distant_instant_is_refused_by_row(always, stamp, zone):
    """Also in microseconds, which reach further than nanoseconds."""
    stamps = pl.Series("timestamp", [datetime(2024, 7, 3, 1), stamp], NAIVE).dt.replace_time_zone(zone)
    rule = resolve(dtype=stamps.dtype, bar="1m", stamp="open", timezone="UTC")
    with pytest.raises(DataError, match=r"prices\.parquet row 1: timestamp is"):
        derive(rule, stamps.to_frame(), always)


def test_a_naive_column_without_a_zone_is_refused_by_name(always):
    """A second time column may be naive though the first is not."""
    with pytest.raises(DataError, match=r"column known_at has no zone; add to this source\n    timezone ="):
        to_utc(pl.Series("known_at", [datetime(2024, 7, 3)]), always, timezone=None, origin="prices.parquet")


def test_a_batch_may_end_anywhere(new_york):
    """Deriving row by row gives what deriving all at once gives."""
    zone = ZoneInfo("America/New_York")
    stamps = [datetime(2024, 7, day, hour, tzinfo=zone) for day in (3, 4, 5) for hour in range(4, 20)]
    rule = resolve(bar="1h", stamp="open")
    whole = frame(*stamps)
    parts = [derive(rule, whole[row : row + 1], new_york) for row in range(len(whole))]
    assert lists(derive(rule, whole, new_york)) == [
        np.concatenate(column).tolist() for column in zip(*parts, strict=True)
    ]


def test_an_empty_batch_is_fine(new_york):
    """A source may have nothing to say."""
    assert [[], [], []] == lists(derive(resolve(dtype=pl.Date()), frame(date(2024, 7, 3))[:0], new_york))
