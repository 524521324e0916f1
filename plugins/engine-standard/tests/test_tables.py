"""Tables beside the market data: found by their settings, dated, checked."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest

from ml4t.backtest.core.sessions import SessionTable, to_ns
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import TableSource
from ml4t_backtest_engine_standard.assembly.tables import Tables

WHERE = "account.0.borrow"


class Rows(TableSource):
    """A frame as it is."""

    def __init__(self, frame):
        self.frame = frame

    def read(self):
        return self.frame

    def digest(self):
        return "0" * 64


@pytest.fixture
def sessions(kit):
    """Two sessions with a night between them."""
    calendar = kit.Calendar(
        ("2024-01-02", "2024-01-02T14:30+00:00", "2024-01-02T21:00+00:00"),
        ("2024-01-03", "2024-01-03T14:30+00:00", "2024-01-03T21:00+00:00"),
    )
    return SessionTable(calendar.rows, timezone="America/New_York", name="HAND")


def dated(sessions, **columns):
    """Date the rows of a table."""
    return Tables(lambda *_: None).dated_rows(Rows(pl.DataFrame(columns)), WHERE, sessions)


def at(*arguments, zone=UTC):
    """Return a moment as UTC ns."""
    return to_ns(datetime(*arguments, tzinfo=zone))


def test_a_date_is_known_at_its_close_and_a_day_without_session_at_its_end(sessions):
    """Rows are in the order in which they are known, then by symbol."""
    days = [date(2024, 1, 6), date(2024, 1, 3), date(2024, 1, 3), date(2024, 1, 2)]
    frame = dated(sessions, symbol=["A", "B", "A", "A"], date=days, rate=[4, 3, 2, 1])
    assert {"known_at": pl.Int64, "symbol": pl.String, "rate": pl.Float64} == dict(frame.schema)
    ends = [at(2024, 1, 2, 21), at(2024, 1, 3, 21), at(2024, 1, 3, 21), at(2024, 1, 7, 5)]
    assert ends == frame["known_at"].to_list()
    assert [1.0, 2.0, 3.0, 4.0] == frame["rate"].to_list()


@pytest.mark.parametrize("column", ["symbol", "currency"])
def test_rows_of_currencies_may_say_so(sessions, column):
    """A table that has both is one of symbols."""
    rows = Rows(pl.DataFrame({column: ["USD"], "date": [date(2024, 1, 3)], "debit": [0.05]}))
    tables = Tables(lambda *_: None)
    assert ["USD"] == tables.dated_rows(rows, WHERE, sessions, "currency")["symbol"].to_list()
    both = Rows(pl.DataFrame({"symbol": ["USD"], "currency": ["EUR"], "date": [date(2024, 1, 3)], "debit": [0.05]}))
    assert ["USD"] == tables.dated_rows(both, WHERE, sessions, "currency")["symbol"].to_list()
    with pytest.raises(DataError, match="no column 'currency'"):
        tables.dated_rows(Rows(pl.DataFrame({"date": [date(2024, 1, 3)]})), WHERE, sessions, "currency")


def test_naive_midnights_are_dates(sessions):
    """As pandas writes them."""
    frame = dated(sessions, symbol=["A"], timestamp=[datetime(2024, 1, 3)], rate=[0.1])
    assert [at(2024, 1, 3, 21)] == frame["known_at"].to_list()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_moment_with_a_zone_is_itself(sessions, unit):
    """Also midnight, which is no date then."""
    zone = timezone(timedelta(hours=2))
    stamps = pl.Series(
        [datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 3, 8, tzinfo=zone)], dtype=pl.Datetime(unit, "UTC")
    )
    frame = dated(sessions, symbol=["A", "A"], known_at=stamps, rate=[0.1, 0.2])
    assert [at(2024, 1, 3), at(2024, 1, 3, 6)] == frame["known_at"].to_list()


def test_figures_that_are_missing_are_nan_and_text_is_left_out(sessions):
    """Who needs a figure says so."""
    frame = dated(sessions, symbol=["A"], date=[date(2024, 1, 3)], rate=[None], note=["x"], available=[5])
    assert ["known_at", "symbol", "available"] == frame.columns
    frame = dated(sessions, symbol=["A", "B"], date=[date(2024, 1, 3)] * 2, rate=[None, 1.0])
    assert frame["rate"].is_nan().to_list() == [True, False]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (
            {"symbol": ["A"]},
            "account.0.borrow: no column 'known_at'; it has symbol; name it, as in columns = { known_at",
        ),
        ({"date": [date(2024, 1, 3)]}, "account.0.borrow: no column 'symbol'; it has date; name it"),
        (
            {"symbol": [None, "A"], "date": [date(2024, 1, 3)] * 2},
            "account.0.borrow row 0: has no symbol; give each row one",
        ),
        (
            {"symbol": ["A", "B"], "date": [date(2024, 1, 3), None]},
            "account.0.borrow row 1: has no date; give each row one",
        ),
        ({"symbol": ["A"], "date": [None]}, "account.0.borrow row 0: has no date"),
        (
            {"symbol": ["A"] * 7, "timestamp": [datetime(2024, 1, 3, 9)] * 7},
            "account.0.borrow rows 0, 1, 2, 3, 4 and 2 more: has no zone in timestamp (2024-01-03 09:00:00); give",
        ),
        (
            {"symbol": ["A"], "known_at": ["soon"]},
            "account.0.borrow row 0: known_at is none (soon); give dates, or moments",
        ),
        (
            {"symbol": ["A"], "date": [date(2024, 1, 3)], "rate": [float("inf")]},
            "account.0.borrow row 0: rate is infinite; correct it",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_rows(sessions, columns, problem):
    """Which setting, which rows, what to do."""
    with pytest.raises(DataError) as caught:
        dated(sessions, **columns)
    assert caught.value.problems[0].startswith(problem)


def test_a_setting_is_a_table_a_frame_or_an_instance():
    """Frames are short for the table frame, and are called after their setting."""
    built, frame, instance = [], pl.DataFrame({"symbol": ["A"]}), Rows(None)
    tables = Tables(lambda *arguments: built.append(arguments))
    for value in (frame, {"frame": frame}, {"use": "csv", "path": "x"}, {"use": instance}, instance, "parquet", Rows):
        tables.find(value, WHERE)
    assert {("table", WHERE)} == {(kind, where) for kind, _, where in built}
    assert [
        {"use": "frame", "frame": frame, "name": "account"},
        {"use": "frame", "frame": frame, "name": "account"},
        {"use": "csv", "path": "x", "name": "account"},
        {"use": instance},
        instance,
        "parquet",
        Rows,
    ] == [value for _, value, _ in built]


def test_digests_are_noted_by_their_setting(sessions):
    """For the manifest, and for snapshots, which fit one input only."""
    tables = Tables(lambda *_: None)
    tables.read(Rows(pl.DataFrame()), "actions.0")
    assert {"actions.0": "0" * 64} == tables.digests
