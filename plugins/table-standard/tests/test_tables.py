"""Tables of files and frames."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t_backtest_table_standard.frame import FrameTable
from ml4t_backtest_table_standard.parquet import ParquetTable
from ml4t_backtest_table_standard.text import CSVTable
from ml4t_backtest_testkit import make_setup

ROWS = pl.DataFrame(
    {
        "symbol": ["A", "NA"],
        "kind": ["split", "dividend"],
        "ex_date": [date(2024, 1, 3), date(2024, 1, 4)],
        "known_at": [datetime(2024, 1, 2, 21, tzinfo=UTC), None],
        "ratio": [2.0, None],
        "amount": [None, 0.25],
    },
    schema_overrides={"known_at": pl.Datetime("ns", "UTC")},
)


def made(cls, folder, **settings):
    """Make a table from settings, as a run does."""
    config = Engine.configure(cls.Config, settings, where="actions.0", owner="table-standard")
    return cls(config, make_setup("actions", folder))


@pytest.fixture
def table(tmp_path, request):
    """The rows, offered in one of three ways."""

    def make(**settings):
        if request.param == "parquet":
            ROWS.write_parquet(tmp_path / "rows.parquet")
            return made(ParquetTable, tmp_path, path="rows.parquet", **settings)
        if request.param == "csv":
            ROWS.write_csv(tmp_path / "rows.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
            return made(CSVTable, tmp_path, path="rows.csv", **settings)
        return made(FrameTable, tmp_path, frame=ROWS, **settings)

    return make


@pytest.mark.parametrize("table", ["parquet", "csv", "frame"], indirect=True)
class TestEveryTable:
    """What holds of all of them."""

    def test_its_rows_are_those_of_the_input(self, table):
        """With stamps as stamps, numbers as numbers and symbols as text."""
        assert_frame_equal(ROWS, table().read())

    def test_names_are_mapped_and_the_rest_stays(self, table):
        """A column of the input has the name that the run uses, and no other."""
        frame = table(columns={"value": "amount", "pay_date": "ex_date"}).read()
        assert {"symbol", "kind", "known_at", "ratio", "value", "pay_date"} == set(frame.columns)
        assert [None, 0.25] == frame["value"].to_list()

    def test_a_column_that_is_not_there_is_refused_with_the_nearest(self, table):
        """All of them in one error."""
        with pytest.raises(DataError) as caught:
            table(columns={"value": "amout", "kind": "what"}).read()
        first, second = caught.value.problems
        assert "no column 'amout', which columns.value asks for; did you mean 'amount'" in first
        assert "no column 'what', which columns.kind asks for; it has symbol, kind" in second

    def test_the_digest_is_that_of_the_input(self, table):
        """Asked twice, the same one; 64 hexadecimal digits."""
        first = table()
        assert first.digest() == table().digest()
        assert 64 == len(first.digest())


def test_several_files_are_one_table(tmp_path):
    """In the order of their names, columns that one of them lacks are null."""
    for name, rows in (("b", ROWS.drop("ratio").tail(1)), ("a", ROWS.head(1))):
        rows.write_parquet(tmp_path / f"{name}.parquet")
        rows.write_csv(tmp_path / f"{name}.csv")
    for cls, path in ((ParquetTable, "*.parquet"), (CSVTable, "*.csv")):
        frame = made(cls, tmp_path, path=path).read()
        assert (["A", "NA"], [2.0, None]) == (frame["symbol"].to_list(), frame["ratio"].to_list())


def test_other_rows_have_another_digest(tmp_path):
    """Of a frame and of files alike."""
    assert made(FrameTable, tmp_path, frame=ROWS).digest() != made(FrameTable, tmp_path, frame=ROWS.head(1)).digest()
    digests = set()
    for rows in (ROWS, ROWS.head(1)):
        rows.write_csv(tmp_path / "rows.csv")
        digests.add(made(CSVTable, tmp_path, path="rows.csv").digest())
    assert 2 == len(digests)


def test_pandas_and_arrow_frames_are_copied(tmp_path):
    """A stamp in the index is a column, and changing the frame later changes nothing."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"symbol": ["A"], "ratio": [2.0]}, index=pandas.DatetimeIndex(["2024-01-03"], name="date"))
    table = made(FrameTable, tmp_path, frame=frame)
    frame["ratio"] = 3.0
    assert [2.0] == table.read()["ratio"].to_list()
    assert [datetime(2024, 1, 3)] == table.read()["date"].to_list()
    assert_frame_equal(ROWS, made(FrameTable, tmp_path, frame=ROWS.to_arrow()).read())
    with pytest.raises(DataError, match=r"^<actions>: was list, expected "):
        made(FrameTable, tmp_path, frame=[1])


@pytest.mark.parametrize(
    ("text", "stamps"),
    [
        ("20240103", [date(2024, 1, 3)]),
        ("2024-01-03 14:30", [datetime(2024, 1, 3, 14, 30)]),
        ("2024-01-03 14:30:00.5", [datetime(2024, 1, 3, 14, 30, 0, 500_000)]),
        ("2024-01-03T14:30:00+02:00", [datetime(2024, 1, 3, 12, 30, tzinfo=UTC)]),
    ],
)
def test_stamps_are_read_in_their_usual_forms(tmp_path, text, stamps):
    """Dates with and without hyphens, moments with and without a zone."""
    (tmp_path / "rows.csv").write_text(f"symbol,known_at\nA, {text}\n")
    assert stamps == made(CSVTable, tmp_path, path="rows.csv").read()["known_at"].to_list()


def test_the_way_a_file_is_written_can_be_said(tmp_path):
    """Another separator, another form of dates, another word for nothing."""
    (tmp_path / "rows.csv").write_text("symbol;ex_date;ratio;note\n007;03.01.2024;2;x\nB;04.01.2024;none;y\n")
    settings = {"separator": ";", "date_format": "%d.%m.%Y", "null_values": ["none"]}
    frame = made(CSVTable, tmp_path, path="rows.csv", **settings).read()
    expected = [("007", date(2024, 1, 3), 2.0, "x"), ("B", date(2024, 1, 4), None, "y")]
    assert expected == frame.select("symbol", "ex_date", "ratio", "note").rows()


def test_a_form_with_a_time_of_day_reads_moments(tmp_path):
    """Dates made of them would name sessions, whose closes may be hours before; ISO dates beside them are dates."""
    text = "symbol,known_at,event_time\nA,03.01.2024 22:30:00.5,2023-12-31\n"
    (tmp_path / "rows.csv").write_text(text)
    frame = made(CSVTable, tmp_path, path="rows.csv", date_format="%d.%m.%Y %H:%M:%S.%f").read()
    assert [(datetime(2024, 1, 3, 22, 30, 0, 500_000), date(2023, 12, 31))] == frame.drop("symbol").rows()
    (tmp_path / "rows.csv").write_text("symbol,known_at\nA,03.01.2024 22:30 -0500\n")
    frame = made(CSVTable, tmp_path, path="rows.csv", date_format="%d.%m.%Y %H:%M %z").read()
    assert [datetime(2024, 1, 4, 3, 30, tzinfo=UTC)] == frame["known_at"].to_list()


def test_a_stamp_that_is_none_is_refused_with_its_row(tmp_path):
    """And with the forms that can be read."""
    (tmp_path / "rows.csv").write_text("symbol,ex_date\nA,2024-01-03\nB,soon\n")
    with pytest.raises(DataError, match=r"^rows.csv row 1: ex_date is 'soon', which is no such stamp; write "):
        made(CSVTable, tmp_path, path="rows.csv").read()


def test_text_among_numbers_stays_text(tmp_path):
    """Who asks for the column says what is wrong with it."""
    (tmp_path / "rows.csv").write_text("symbol,ratio\nA,2\nB,two\n")
    assert ["2", "two"] == made(CSVTable, tmp_path, path="rows.csv").read()["ratio"].to_list()


@pytest.mark.parametrize(("cls", "name"), [(ParquetTable, "rows.parquet"), (CSVTable, "rows.csv")])
def test_what_is_no_such_file_is_refused_by_name(tmp_path, cls, name):
    """Missing, or of another format."""
    with pytest.raises(DataError, match=rf"^{name}: no such file in "):
        made(cls, tmp_path, path=name).read()
    (tmp_path / name).write_bytes(b"\xff\xfe\x00" if cls is ParquetTable else b"")
    with pytest.raises(DataError, match=rf"^{name}: cannot be read as "):
        made(cls, tmp_path, path=name).read()


def test_parquet_files_that_do_not_go_together_are_refused(tmp_path):
    """Text in one, numbers in a list in the other."""
    pl.DataFrame({"ratio": [[1.0]]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"ratio": ["x"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"\*.parquet: the files differ in their columns: .*; write them alike"):
        made(ParquetTable, tmp_path, path="*.parquet").read()


def test_values_of_a_csv_are_what_all_of_them_spell(tmp_path):
    """Numbers, booleans, ISO dates, else text; where intervals begin and end is a stamp in its usual forms."""
    rows = "symbol,member,sector,rank,report,from,mixed\nA,True,x,1,2024-02-29,20240103,true\nB,false,y,,,20240104,1\n"
    (tmp_path / "rows.csv").write_text(rows)
    frame = made(CSVTable, tmp_path, path="rows.csv").read()
    assert frame.select("member", "rank", "report", "from", "mixed", "sector").rows() == [
        (True, 1.0, date(2024, 2, 29), date(2024, 1, 3), "true", "x"),
        (False, None, None, date(2024, 1, 4), "1", "y"),
    ]


@pytest.mark.parametrize("name", ["symbol", "asset", "ticker", "Ticker", " SYMBOL "])
def test_whoever_a_row_is_about_is_text(tmp_path, name):
    """Codes of digits keep their zeros."""
    (tmp_path / "rows.csv").write_text(f"{name},date,rating\n000001,2024-01-02,1\n600000,2024-01-02,2\n")
    assert ["000001", "600000"] == made(CSVTable, tmp_path, path="rows.csv").read()[name].to_list()


@pytest.mark.parametrize("name", ["date", "datetime", "timestamp"])
def test_whatever_passes_for_a_stamp_is_one(tmp_path, name):
    """A moment, not its text."""
    (tmp_path / "rows.csv").write_text(f"symbol,{name},rating\nA,2024-01-02T21:00:00Z,1\n")
    assert [datetime(2024, 1, 2, 21, tzinfo=UTC)] == made(CSVTable, tmp_path, path="rows.csv").read()[name].to_list()


def test_no_moment_wraps_around_to_another_year(tmp_path):
    """Int64 nanoseconds end in 2262; microseconds hold what databases write for no end."""
    (tmp_path / "rows.csv").write_text("symbol,to\nA,2024-01-02T21:00:00Z\nB,9999-12-31T23:59:59Z\n")
    expected = [datetime(2024, 1, 2, 21, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    assert expected == made(CSVTable, tmp_path, path="rows.csv").read()["to"].to_list()
