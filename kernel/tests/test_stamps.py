"""Stamps: from what they mean to when each row began, happened and could be known."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK, SESSION_DTYPE, AlwaysOpen, SessionTable
from ml4t.backtest.core.stamps import StampRule, derive, parse_duration, to_utc
from ml4t.backtest.errors import DataError, RunFileError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000_000


def ns(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def rule_of(convention, bar=None, latency="0s", **others):
    period = None if bar is None else parse_duration(bar)
    latency_ns = parse_duration(latency)
    return StampRule(convention=convention, period_ns=period, latency_ns=latency_ns, origin="prices.parquet", **others)


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


def test_a_daily_bar_is_known_at_its_sessions_close(new_york):
    """Half days included; it starts at the open."""
    got = derive(rule_of("label"), frame(date(2024, 7, 3), date(2024, 7, 5)), new_york)
    opens, closes = (
        [ns("2024-07-03T13:30"), ns("2024-07-05T13:30")],
        [ns("2024-07-03T17:00"), ns("2024-07-05T20:00")],
    )
    assert [opens, closes, closes] == lists(got)


def test_a_label_that_is_no_session_waits_for_the_end_of_its_local_day(new_york):
    """A price dated on a holiday is not known before midnight in New York."""
    got = derive(rule_of("label"), frame(date(2024, 7, 4)), new_york)
    assert [[ns("2024-07-04T04:00")], [ns("2024-07-05T04:00")], [ns("2024-07-05T04:00")]] == lists(got)


def test_without_a_calendar_a_label_is_known_at_the_end_of_its_utc_day(always):
    """24/7 is the conservative reading."""
    got = derive(rule_of("label"), frame(date(2024, 7, 4)), always)
    assert [[ns("2024-07-04T00:00")], [ns("2024-07-05T00:00")], [ns("2024-07-05T00:00")]] == lists(got)


def test_a_signal_label_is_known_at_the_close_plus_latency(new_york):
    """So no order of that label takes that session's open."""
    rule = rule_of("label", latency="1h")
    _, event_time, known_at = derive(rule, frame(date(2024, 7, 3)), new_york)
    assert ([ns("2024-07-03T17:00")], [ns("2024-07-03T18:00")]) == (event_time.tolist(), known_at.tolist())


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_midnights_label_the_date_that_they_show(new_york, zone, unit):
    """In their own zone, not in UTC: midnight in Tokyo is still the day before in London."""
    stamps = pl.Series("timestamp", [datetime(2024, 7, 3)], dtype=pl.Datetime(unit)).dt.replace_time_zone(zone)
    rule = rule_of("label")
    assert [ns("2024-07-03T17:00")] == derive(rule, stamps.to_frame(), new_york)[2].tolist()


def test_an_open_stamped_bar_is_known_at_its_end(new_york):
    """A bar is not known at its stamp."""
    rule = rule_of("open", bar="5m")
    got = derive(rule, frame(datetime(2024, 7, 3, 13, 30, tzinfo=UTC)), new_york)
    assert [[ns("2024-07-03T13:30")], [ns("2024-07-03T13:35")], [ns("2024-07-03T13:35")]] == lists(got)


def test_an_open_stamped_bar_lasts_its_period_also_over_the_close(new_york):
    """An hour that begins half an hour before a close may hold trades after hours, so it is known at its end."""
    got = derive(rule_of("open", bar="1h"), frame(datetime(2024, 7, 3, 16, 30, tzinfo=UTC)), new_york)
    assert [[ns("2024-07-03T16:30")], [ns("2024-07-03T17:30")], [ns("2024-07-03T17:30")]] == lists(got)


def test_a_close_stamped_bar_starts_a_period_before(new_york):
    """A clock hour that ends at 10:00 began at 09:00, whenever the market opened."""
    stamps = frame(datetime(2024, 7, 5, 14, tzinfo=UTC), datetime(2024, 7, 5, 15, tzinfo=UTC))
    start, event_time, known_at = derive(rule_of("close", bar="1h"), stamps, new_york)
    assert [ns("2024-07-05T13:00"), ns("2024-07-05T14:00")] == start.tolist()
    assert [ns("2024-07-05T14:00"), ns("2024-07-05T15:00")] == event_time.tolist() == known_at.tolist()


def test_a_bar_with_known_at_is_never_known_before_its_end(new_york):
    """A late bar says so, and is waited for; an impossible claim does not help it."""
    stamps = [date(2024, 7, 3)] * 2
    known = [datetime(2024, 7, 3, 12, tzinfo=UTC), datetime(2024, 7, 3, 21, tzinfo=UTC)]
    early, late = (
        derive(rule_of("label", grace_ns=grace), frame(*stamps, known_at=known), new_york)[2].tolist()
        for grace in (0, 4 * 3600 * 10**9)
    )
    assert [ns("2024-07-03T17:00"), ns("2024-07-05T20:00")] == early
    assert [ns("2024-07-03T21:00"), ns("2024-07-03T21:00")] == late


def test_a_bar_known_after_its_slice_joins_the_next_one_at_which_it_is_known(always):
    """Ends of five minutes, delivered 250 ms later, and 2 s after that."""
    begins = datetime(2024, 7, 3, 14, 30, tzinfo=UTC)
    seconds = [0.0, 300.0, 302.25, 302.26, 602.25, 602.251, 3600.0]
    known = [begins + timedelta(seconds=second) for second in seconds]
    rule = rule_of("open", bar="5m", latency="250ms", grace_ns=2 * 10**9)
    got = derive(rule, frame(*[begins] * len(known), known_at=known), always)[2]
    slices = (got - ns("2024-07-03T14:30")) / 10**9
    assert [302.25, 302.25, 302.25, 602.25, 602.25, 902.25, 3602.25] == slices.tolist()


def test_a_restated_bar_known_beyond_all_sessions_is_known_then(new_york):
    """No session is left whose close it could wait for."""
    known = [datetime(2060, 1, 1, tzinfo=UTC)]
    assert [ns("2060-01-01T00:00")] == derive(rule_of("label"), frame(date(2024, 7, 3), known_at=known), new_york)[
        2
    ].tolist()


def test_bars_may_bring_their_own_length(new_york):
    """Bars of volume: each begins and ends when it says, and is known at its end or later."""
    begin = [datetime(2024, 7, 3, 14, minute, tzinfo=UTC) for minute in (30, 31)]
    end = [datetime(2024, 7, 3, 14, minute, tzinfo=UTC) for minute in (31, 47)]
    rows = pl.DataFrame({"symbol": ["A", "A"], "bar_start": begin, "event_time": end})
    rule = rule_of("event_time", latency="1s")
    start, event_time, known_at = derive(rule, rows, new_york)
    assert [ns("2024-07-03T14:30"), ns("2024-07-03T14:31")] == start.tolist()
    assert [ns("2024-07-03T14:31"), ns("2024-07-03T14:47")] == event_time.tolist()
    assert (event_time + 10**9).tolist() == known_at.tolist()
    late = rows.with_columns(known_at=pl.col("event_time") + pl.duration(minutes=1))
    assert (event_time + 60 * 10**9).tolist() == derive(rule, late, new_york)[2].tolist()
    stated = derive(rule_of("known_at"), late, new_york)
    assert [start.tolist(), event_time.tolist()] == [stated[0].tolist(), stated[1].tolist()]


def test_known_at_and_event_time_are_read_from_their_columns(new_york):
    """Where there is no event_time, it is known_at."""
    rows = pl.DataFrame({"known_at": [datetime(2024, 7, 3, 9, tzinfo=UTC)]})
    rule = rule_of("known_at")
    assert [[ns("2024-07-03T09:00")]] * 3 == lists(derive(rule, rows, new_york))
    rows = rows.with_columns(event_time=pl.lit(datetime(2024, 7, 2, tzinfo=UTC)))
    assert [[ns("2024-07-02T00:00")]] * 2 + [[ns("2024-07-03T09:00")]] == lists(derive(rule, rows, new_york))


def test_event_time_plus_latency_is_known_at(new_york):
    """The trader sees a tick after its latency."""
    rows = pl.DataFrame({"event_time": [datetime(2024, 7, 3, 15, tzinfo=UTC)]})
    got = derive(rule_of("event_time", latency="250ms"), rows, new_york)
    assert [[ns("2024-07-03T15:00")]] * 2 + [[ns("2024-07-03T15:00") + 250_000_000]] == lists(got)


@pytest.mark.parametrize("column", [pl.Series([date(2024, 7, 3)]), pl.Series([datetime(2024, 7, 3)])])
def test_a_known_at_that_is_a_date_is_a_label(new_york, column):
    """A filing dated 3 July is not known at midnight before that session."""
    rule = rule_of("known_at", midnights=column.dtype != pl.Date)
    assert [ns("2024-07-03T17:00")] == derive(rule, column.alias("known_at").to_frame(), new_york)[2].tolist()


@pytest.mark.parametrize(
    ("local", "utc"), [("2024-01-02T09:30", "2024-01-02T14:30"), ("2024-07-03T09:30", "2024-07-03T13:30")]
)
def test_naive_stamps_are_read_in_their_zone(always, local, utc):
    """09:30 in New York is 14:30 UTC in winter and 13:30 in summer."""
    rule = rule_of("open", bar="1m", timezone="America/New_York")
    assert [ns(utc)] == derive(rule, frame(datetime.fromisoformat(local)), always)[0].tolist()


@pytest.mark.parametrize("local", [datetime(2024, 11, 3, 1, 30), datetime(2024, 3, 10, 2, 30)])
def test_a_local_time_that_happened_twice_or_never_is_refused_by_row(always, local):
    """Guessing an hour would move a price in time."""
    rule = rule_of("open", bar="1m", timezone="America/New_York")
    with pytest.raises(DataError, match=rf"prices.parquet row 101: {local} happened twice or never"):
        derive(rule, frame(datetime(2024, 1, 2, 9, 30), local), always, first_row=100)


@pytest.mark.parametrize("stamps", [[date(2024, 7, 3), None], [date(2024, 7, 3), date(9999, 12, 31)]])
def test_a_null_or_distant_label_is_refused_by_row(always, stamps):
    """Int64 nanoseconds end in 2262; nothing wraps around."""
    with pytest.raises(DataError, match=r"prices\.parquet row 1: timestamp is (None|9999-12-31); every row needs one"):
        derive(rule_of("label"), frame(*stamps), always)


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("stamp", [None, datetime(9999, 12, 31, 1)])
def test_a_null_or_distant_instant_is_refused_by_row(always, stamp, zone):
    """Also in microseconds, which reach further than nanoseconds."""
    stamps = pl.Series("timestamp", [datetime(2024, 7, 3, 1), stamp], pl.Datetime("us")).dt.replace_time_zone(zone)
    rule = rule_of("open", bar="1m", timezone="UTC")
    with pytest.raises(DataError, match=r"prices\.parquet row 1: timestamp is"):
        derive(rule, stamps.to_frame(), always)


@pytest.mark.parametrize(
    ("dtype", "far"), [(pl.Date, 2**31 - 1), (pl.Datetime("ms"), -(2**60)), (pl.Datetime("us"), 2**62)]
)
def test_a_stamp_beyond_the_years_of_python_is_shown_as_its_number(always, dtype, far):
    """Files can hold such stamps, dates of Python cannot."""
    stamps = pl.Series("timestamp", [19_000, far]).cast(dtype)
    with pytest.raises(DataError, match=f"prices.parquet row 1: timestamp is {far}; every row needs one between"):
        to_utc(
            stamps if dtype == pl.Date else stamps.dt.replace_time_zone("UTC"),
            always,
            timezone=None,
            origin="prices.parquet",
        )


def test_a_naive_column_without_a_zone_is_refused_by_name(always):
    """A second time column may be naive though the first is not."""
    with pytest.raises(DataError, match=r"column known_at has no zone; add to this source\n    timezone ="):
        to_utc(pl.Series("known_at", [datetime(2024, 7, 3)]), always, timezone=None, origin="prices.parquet")


def test_a_batch_may_end_anywhere(new_york):
    """Deriving row by row gives what deriving all at once gives."""
    zone = ZoneInfo("America/New_York")
    stamps = [datetime(2024, 7, day, hour, tzinfo=zone) for day in (3, 4, 5) for hour in range(4, 20)]
    rule = rule_of("open", bar="1h")
    whole = frame(*stamps)
    parts = [derive(rule, whole[row : row + 1], new_york) for row in range(len(whole))]
    assert lists(derive(rule, whole, new_york)) == [
        np.concatenate(column).tolist() for column in zip(*parts, strict=True)
    ]


def test_an_empty_batch_is_fine(new_york):
    """A source may have nothing to say."""
    assert [[], [], []] == lists(derive(rule_of("label"), frame(date(2024, 7, 3))[:0], new_york))
