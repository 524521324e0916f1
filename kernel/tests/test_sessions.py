"""Session tables: what days and instants mean to a market."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ml4t.backtest.core.sessions import (
    EPOCH_ORDINAL,
    NO_BREAK,
    SESSION_DTYPE,
    AlwaysOpen,
    SessionTable,
)
from ml4t.backtest.errors import DataError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL


def days(*texts: str) -> np.ndarray:
    return np.array([day(text) for text in texts])


def instants(*texts: str) -> np.ndarray:
    return np.array([ns(text) for text in texts])


def table(rows, timezone="America/New_York", name="XNYS") -> SessionTable:
    return SessionTable(np.array(rows, SESSION_DTYPE), timezone=timezone, name=name)


@pytest.fixture
def new_york() -> SessionTable:
    """Wednesday, a half day before a holiday, then Friday."""
    return table(
        [
            (day("2024-07-02"), ns("2024-07-02T13:30"), ns("2024-07-02T20:00"), NO_BREAK, NO_BREAK),
            (day("2024-07-03"), ns("2024-07-03T13:30"), ns("2024-07-03T17:00"), NO_BREAK, NO_BREAK),
            (day("2024-07-05"), ns("2024-07-05T13:30"), ns("2024-07-05T20:00"), NO_BREAK, NO_BREAK),
        ]
    )


def test_a_label_finds_its_row_and_a_holiday_none(new_york):
    """-1 stands for no session, also before and after the table."""
    labels = days("2024-07-05", "2024-07-04", "2024-07-02", "2024-07-01", "2025-01-02")
    assert [2, -1, 0, -1, -1] == new_york.index_of_label(labels).tolist()


def test_a_label_closes_with_its_session_half_days_included(new_york):
    """The third of July ends at 13:00 in New York."""
    labels = days("2024-07-02", "2024-07-03")
    assert instants("2024-07-02T20:00", "2024-07-03T17:00").tolist() == new_york.label_close(labels).tolist()
    assert instants("2024-07-02T13:30", "2024-07-03T13:30").tolist() == new_york.label_open(labels).tolist()


def test_a_label_that_is_no_session_lasts_for_its_local_day(new_york):
    """Its start and its end are local midnights."""
    labels = days("2024-07-04")
    assert instants("2024-07-04T04:00").tolist() == new_york.label_open(labels).tolist()
    assert instants("2024-07-05T04:00").tolist() == new_york.label_close(labels).tolist()


@pytest.mark.parametrize(
    ("timezone", "label", "start", "end"),
    [
        ("America/New_York", "2024-03-10", "2024-03-10T05:00", "2024-03-11T04:00"),
        ("America/New_York", "2024-11-03", "2024-11-03T04:00", "2024-11-04T05:00"),
        ("Europe/London", "2024-03-31", "2024-03-31T00:00", "2024-03-31T23:00"),
        ("Asia/Hong_Kong", "2024-03-31", "2024-03-30T16:00", "2024-03-31T16:00"),
        # Clocks skipped midnight: the day began at 01:00 summer time.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", "2018-11-05T02:00"),
        # Clocks went back at midnight: the day before had 25 hours.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", "2018-02-18T03:00"),
    ],
)
def test_local_days_follow_changes_of_the_clocks(timezone, label, start, end):
    """A day has 23, 24 or 25 hours."""
    empty = table([], timezone=timezone)
    assert [ns(start)] == empty.label_open(days(label)).tolist()
    assert [ns(end)] == empty.label_close(days(label)).tolist()


def test_an_empty_table_has_no_sessions():
    """A window of holidays is no error."""
    empty = table([])
    assert 0 == len(empty)
    assert [-1] == empty.index_of_label(days("2024-07-03")).tolist()


def test_without_a_calendar_each_utc_day_is_a_session():
    """The end of a day is the start of the next."""
    rows = AlwaysOpen().sessions(date(2023, 12, 31), date(2024, 1, 1))
    assert days("2023-12-31", "2024-01-01").tolist() == rows["label"].tolist()
    assert instants("2023-12-31T00:00", "2024-01-01T00:00").tolist() == rows["open"].tolist()
    assert instants("2024-01-01T00:00", "2024-01-02T00:00").tolist() == rows["close"].tolist()


def test_overlapping_sessions_are_refused_by_name_and_date():
    """A calendar that contradicts itself stops the run."""
    first = (day("2024-07-02"), ns("2024-07-02T13:30"), ns("2024-07-03T14:00"), NO_BREAK, NO_BREAK)
    second = (day("2024-07-03"), ns("2024-07-03T13:30"), ns("2024-07-03T20:00"), NO_BREAK, NO_BREAK)
    with pytest.raises(DataError, match="calendar odd: session 2024-07-03 overlaps"):
        table([first, second], name="odd")


def test_the_table_is_read_only(new_york):
    """Whoever is handed the calendar cannot move time."""
    with pytest.raises(ValueError, match="read-only"):
        new_york.data["close"][0] = 0
