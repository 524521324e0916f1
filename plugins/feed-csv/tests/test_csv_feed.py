"""The feed over CSV files."""

import gzip
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_csv import plugin
from ml4t_backtest_feed_csv.feed import CSVDataFeed
from ml4t_backtest_feed_csv.reading import CSVFeedConfig
from ml4t_backtest_testkit import make_setup

DAILY = """\
timestamp,symbol,open,close,volume
2024-01-02,A,10,10.5,100
2024-01-03,A,10.25,,200
2024-01-02,000001,20,20.5,100
2024-01-03,000001,20.25,21,0
"""
MOMENT = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def opened(folder, text, name="prices.csv", **settings):
    """Open a feed of one file with a text."""
    (folder / name).write_text(text)
    settings.setdefault("path", name)
    config = Engine.configure(CSVFeedConfig, settings, where="feed", owner="feed-csv")
    feed = CSVDataFeed(config, make_setup("prices", folder))
    feed.open(Window())
    return feed


def rows(feed):
    """Drain a feed."""
    return pl.concat(feed.batches())


def refused(folder, text, **settings):
    """Return what is said of a file that cannot be used."""
    with pytest.raises(DataError) as caught:
        opened(folder, text, **settings)
    return list(caught.value.problems)


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"csv": "ml4t_backtest_feed_csv.feed:CSVDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-csv" == plugin.MANIFEST.name


def test_daily_bars_are_read_with_their_types(tmp_path):
    """Symbols stay text, empty fields are unknown, dates are session labels."""
    feed = opened(tmp_path, DAILY, prices="raw")
    expected = pl.DataFrame(
        {
            "symbol": ["A", "000001", "A", "000001"],
            "timestamp": [date(2024, 1, 2)] * 2 + [date(2024, 1, 3)] * 2,
            "open": [10.0, 20.0, 10.25, 20.25],
            "close": [10.5, 20.5, None, 21.0],
            "volume": [100, 100, 200, 0],
        }
    )
    assert expected.equals(rows(feed))
    assert ("prices.csv: 1 of 4 rows have no close: a symbol cannot fill there",) == feed.notes()
    assert ("bar", "label", "raw") == (feed.spec.kind, feed.spec.rule.convention, feed.spec.prices)


@pytest.mark.parametrize(
    "spelling",
    [
        "2024-01-02T14:30:00Z",
        "2024-01-02 14:30:00+00:00",
        "2024-01-02T09:30:00-05:00",
        "2024-01-02T14:30Z",
        "2024-01-02 14:30:00.000000Z",
        "1704205800",
        "1704205800000",
        "1704205800000000",
        "1704205800000000000",
    ],
)
def test_stamps_are_read_as_they_are_usually_spelt(tmp_path, spelling):
    """ISO 8601 with a zone, and epochs."""
    feed = opened(tmp_path, f"timestamp,symbol,close\n{spelling},A,1\n", bar="1m", stamp="close")
    assert [MOMENT] == rows(feed)["timestamp"].dt.convert_time_zone("UTC").to_list()


@pytest.mark.parametrize(
    ("spelling", "date_format"),
    [
        ("9999-12-31T00:00:00Z", None),
        ("2262-04-12 00:00", None),
        ("9999999999", None),
        ("9999999999999", None),
        ("31.12.2600 10:00", "%d.%m.%Y %H:%M"),
    ],
)
def test_no_stamp_wraps_around_to_another_year(tmp_path, spelling, date_format):
    """Int64 nanoseconds end in 2262; a stamp beyond that is named with its row."""
    text = f"timestamp,symbol,close\n{spelling},A,1\n"
    (problem,) = refused(tmp_path, text, bar="1m", stamp="close", timezone="UTC", date_format=date_format)
    assert f"prices.csv row 0: timestamp is '{spelling}'; every row needs one between 1678 and 2261" == problem


@pytest.mark.parametrize("spelling", ["-1704189600", "999999999999", "20240102 100000"])
def test_text_that_is_no_stamp_is_not_called_out_of_range(tmp_path, spelling):
    """Its first letters may look like a year all the same."""
    (problem,) = refused(tmp_path, f"timestamp,symbol,close\n{spelling},A,1\n", bar="1m", stamp="close")
    assert f"prices.csv row 0: timestamp is '{spelling}', which is no stamp; " in problem


@pytest.mark.parametrize("spelling", ["2024-01-02T09:30:00", "2024-01-02 09:30", "2024-01-02 09:30:00.000"])
def test_naive_stamps_need_a_zone(tmp_path, spelling):
    """The message holds the line to add; with it they are read."""
    text = f"timestamp,symbol,close\n{spelling},A,1\n"
    (problem,) = refused(tmp_path, text, bar="1m", stamp="close")
    assert 'timezone = "America/New_York"' in problem
    feed = opened(tmp_path, text, bar="1m", stamp="close", timezone="America/New_York")
    assert ("America/New_York", [datetime(2024, 1, 2, 9, 30)]) == (
        feed.spec.rule.timezone,
        rows(feed)["timestamp"].to_list(),
    )


@pytest.mark.parametrize(
    ("spelling", "date_format"),
    [
        ("02.01.2024 09:30:00.250", "%d.%m.%Y %H:%M:%S.%f"),
        ("02.01.2024 09:30:00.25", "%d.%m.%Y %H:%M:%S%.f"),
        ("20240102 093000250000", "%Y%m%d %H%M%S%f"),
    ],
)
def test_fractions_of_a_second_are_those_of_strftime(tmp_path, spelling, date_format):
    """``%f`` is microseconds, after a point or without."""
    text = f"timestamp,symbol,close\n{spelling},A,1\n"
    feed = opened(tmp_path, text, bar="1m", stamp="close", timezone="UTC", date_format=date_format)
    assert [datetime(2024, 1, 2, 9, 30, 0, 250_000)] == rows(feed)["timestamp"].to_list()


@pytest.mark.parametrize(
    ("spelling", "date_format"), [("02.01.2024", "%d.%m.%Y"), ("20240102", None), ("Jan 2 2024", "%b %d %Y")]
)
def test_dates_are_read_by_their_format(tmp_path, spelling, date_format):
    """A format without a time of day gives session labels."""
    settings = {} if date_format is None else {"date_format": date_format}
    feed = opened(tmp_path, f"date,ticker,close\n{spelling},A,1\n", **settings)
    assert [date(2024, 1, 2)] == rows(feed)["timestamp"].to_list()


def test_the_dialect_is_a_matter_of_settings(tmp_path):
    """Semicolons, decimal commas, lines before the header, words for unknown."""
    text = "made by\nsomebody\nDate;Symbol;Close;Volume\n02.01.2024;NA;1,5;-\n03.01.2024;NA; 2,25 ;7\n"
    feed = opened(
        tmp_path, text, separator=";", decimal_comma=True, skip_rows=2, date_format="%d.%m.%Y", null_values=["-"]
    )
    (first, second) = rows(feed).rows(named=True)
    assert ("NA", 1.5, None) == (first["symbol"], first["close"], first["volume"])
    assert (2.25, 7.0) == (second["close"], second["volume"])


def test_words_for_unknown_stand_for_unknown_in_values_only(tmp_path):
    """NA is the ticker of a bank."""
    feed = opened(tmp_path, "timestamp,symbol,close\n2024-01-02,NA,NA\n2024-01-03,NA,1.5\n")
    assert (["NA", "NA"], [None, 1.5]) == (rows(feed)["symbol"].to_list(), rows(feed)["close"].to_list())


def test_a_value_that_is_no_number_is_refused_by_row(tmp_path):
    """Rows count from 0, below the header."""
    expected = (
        "prices.csv row 1 (A, 2024-01-03): close is 'abc', which is no number; "
        "correct it, or map another column to close"
    )
    assert [expected] == refused(tmp_path, "timestamp,symbol,close\n2024-01-02,A,1.0\n2024-01-03,A,abc\n")


def test_a_stamp_that_cannot_be_read_is_refused_by_row(tmp_path):
    """With the setting that says the form."""
    expected = (
        "prices.csv row 1: timestamp is '13/01/2024', which is no stamp of the form of the first one "
        "('2024-01-02'); correct it, or say the form, as in date_format = \"%d.%m.%Y\""
    )
    assert [expected] == refused(tmp_path, "timestamp,symbol,close\n2024-01-02,A,1.0\n13/01/2024,A,2\n")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("symbol,close\nA,1\n", "no column timestamp; it has symbol, close"),
        ("timestamp,symbol,close\n2024-01-03,A,1\n2024-01-02,A,1\n", "row 1 (A, 2024-01-02): the stamps of this"),
        ("timestamp,symbol,close\n2024-01-02,A,1\n2024-01-02,A,1\n", "row 1 (A, 2024-01-02): this symbol and stamp"),
        ("timestamp,symbol,close\n2024-01-02,A,-1\n", "row 0 (A, 2024-01-02): close is not above zero"),
        ("timestamp,symbol,close\n", "no rows"),
        ("", "cannot be read as CSV"),
        ("timestamp,symbol,close\n2024-01-02,A,1,2,3\n", "prices.csv row 0: 5 values for 3 columns; take out what"),
        ('timestamp,symbol,close\n2024-01-02,"A,B",1\n2024-01-03,A,B,1\n', "prices.csv row 1: 4 values for 3 columns"),
    ],
)
def test_bad_files_are_refused_with_one_clear_sentence(tmp_path, text, fault):
    """As every other feed does."""
    (problem,) = refused(tmp_path, text)
    assert problem.startswith("prices.csv")
    assert fault in problem


def test_files_may_be_compressed_and_named_by_symbol(tmp_path):
    """The ending is no part of the symbol."""
    text = b"Date,Close\n2024-01-02,1.5\n"
    (tmp_path / "SPY.csv.gz").write_bytes(gzip.compress(text))
    with pa.output_stream(tmp_path / "BRK.B.csv.zst", compression="zstd") as stream:
        stream.write(text)
    feed = opened(tmp_path, "", path=["SPY.csv.gz", "BRK.B.csv.zst"], symbol_from="filename")
    assert ["SPY", "BRK.B"] == rows(feed)["symbol"].to_list()


def test_a_fault_in_the_second_file_is_named_by_file_and_row(tmp_path):
    """Rows are counted within each file."""
    (tmp_path / "1.csv").write_text("timestamp,symbol,close\n2024-01-02,A,1\n")
    (tmp_path / "2.csv").write_text("timestamp,symbol,close\n2024-01-03,A,1\n2024-01-04,A,0\n")
    (problem,) = refused(tmp_path, "", path=["1.csv", "2.csv"])
    assert problem.startswith("2.csv row 1 (A, 2024-01-04): close is not above zero; ")


def test_columns_nobody_asked_for_are_not_read(tmp_path):
    """A column of words is in nobody's way."""
    feed = opened(tmp_path, "timestamp,symbol,close,comment\n2024-01-02,A,1,hello\n")
    assert ["symbol", "timestamp", "close"] == rows(feed).columns


def test_files_without_a_header_are_given_names(tmp_path):
    """Every column, also those that no run needs."""
    text = "000001;1;1704153600;x;1,5\n000001;2;1704240000;y;-\n"
    settings = {"separator": ";", "decimal_comma": True, "null_values": ["-"]}
    feed = opened(tmp_path, text, header=["symbol", "volume", "timestamp", "note", "close"], **settings)
    expected = {"symbol": ["000001"] * 2, "close": [1.5, None], "volume": [1.0, 2.0]}
    assert expected == rows(feed).select("symbol", "close", pl.col("volume").cast(pl.Float64)).to_dict(as_series=False)
    (problem,) = refused(tmp_path, text, header=["symbol", "timestamp", "close"], **settings)
    assert "prices.csv: its lines have 5 values and header names 3; name every column" == problem
    (problem,) = refused(tmp_path, text, header=["symbol", "timestamp", "close"], separator="|")
    assert 'its lines have 1 values and header names 3; state separator, as in separator = ";"' in problem


def test_a_date_and_a_time_of_day_make_a_stamp(tmp_path):
    """As terminals export it; columns of other names are mapped as ever."""
    text = "<DATE>\t<TIME>\t<BID>\t<ASK>\n2024.01.02\t14:30:00.250\t1.0\t1.1\n"
    feed = opened(
        tmp_path,
        text,
        separator="\t",
        symbol="EURUSD",
        stamp_from=["<DATE>", "<TIME>"],
        date_format="%Y.%m.%d %H:%M:%S%.f",
        timezone="UTC",
        columns={"bid": "<BID>", "ask": "<ASK>", "event_time": "timestamp"},
        latency="0s",
    )
    assert [datetime(2024, 1, 2, 14, 30, 0, 250_000)] == rows(feed)["event_time"].to_list()
    iso = text.replace("2024.01.02", "2024-01-02").replace("<BID>", "close")
    plain = {"separator": "\t", "symbol": "EURUSD", "bar": "1m", "stamp": "close", "timezone": "UTC"}
    feed = opened(tmp_path, iso, stamp_from=["<DATE>", "<TIME>"], **plain)
    assert [datetime(2024, 1, 2, 14, 30, 0, 250_000)] == rows(feed)["timestamp"].to_list()
    (problem,) = refused(tmp_path, text, stamp_from=["<DAY>"], **plain)
    assert problem.startswith("prices.csv: no column <DAY>, which stamp_from asks for; it has <DATE>, ")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_text_may_be_encoded_otherwise(tmp_path, encoding):
    """As spreadsheets write it."""
    text = "timestamp,symbol,Schlusskurs\n2024-01-02,MÜV2,1.5\n"
    (tmp_path / "other.csv").write_bytes(text.encode(encoding))
    feed = opened(tmp_path, "", path="other.csv", encoding=encoding, columns={"close": "Schlusskurs"})
    assert ["MÜV2"] == rows(feed)["symbol"].to_list()


@pytest.mark.parametrize("encoding", ["klingon", "ascii"])
def test_text_that_is_not_so_encoded_is_refused(tmp_path, encoding):
    """With its name."""
    (problem,) = refused(tmp_path, "timestamp,symbol,close\n2024-01-02,MÜV2,1.5\n", encoding=encoding)
    assert problem.startswith("prices.csv: cannot be read as CSV: ")


@pytest.mark.parametrize(
    "settings",
    [{"separator": ";;"}, {"separator": ""}, {"skip_rows": -1}, {"skip_rows": 9}, {"header": ["a", "a", "x"]}],
)
def test_a_dialect_that_cannot_be_is_refused(tmp_path, settings):
    """As one sentence with the file, like all that is wrong with an input."""
    (problem,) = refused(tmp_path, "timestamp,symbol,close\n2024-01-02,A,1.5\n", **settings)
    assert problem.startswith("prices.csv: ")


@pytest.mark.parametrize(("late", "expected"), [("2.5", 2.5), ("NA", None), ("", None)])
def test_a_late_value_of_another_type_is_read_as_an_early_one(tmp_path, late, expected):
    """Prices in whole units for thousands of rows, then half a one."""
    days = pl.date_range(date(2000, 1, 1), date(2009, 1, 1), eager=True)
    lines = [f"{day},A,{number + 1}" for number, day in enumerate(days)]
    text = "\n".join(["timestamp,symbol,close", *lines, f"2010-01-01,A,{late}", ""])
    gathered = rows(opened(tmp_path, text))["close"]
    assert ([1.0, 2.0], expected) == (gathered.head(2).to_list(), gathered[-1])


def test_the_name_of_a_file_may_have_any_letters(tmp_path):
    """Brackets and asterisks in it are letters, not patterns."""
    for name in ("B%20 [1]", "A*", "A?"):
        (tmp_path / f"{name}.csv").write_text("Date,Close\n2024-01-02,1.5\n")
    feed = opened(tmp_path, "", path=["B%20 [1].csv", "A*.csv"], symbol_from="filename", name="A?.txt")
    assert ["B%20 [1]", "A*"] == rows(feed)["symbol"].to_list()


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_the_line_that_names_another_separator_is_shown(tmp_path, separator):
    """And works."""
    text = "timestamp,symbol,close\n2024-01-02,A,1.5\n".replace(",", separator)
    (problem,) = refused(tmp_path, text, separator="#")
    shown = separator.replace("\t", "\\t")
    assert f"prices.csv: its line of names has no '#'; it has {shown!r}; add separator = \"{shown}\"" == problem
    assert [1.5] == rows(opened(tmp_path, text, separator=separator))["close"].to_list()


def test_spaces_and_blank_lines_are_nothing(tmp_path):
    """Around a value, and at the end of a file."""
    feed = opened(tmp_path, "timestamp, symbol, close\n 2024-01-02, A, 1.5 \n2024-01-03,A ,2.5\n\n\n")
    assert (["A", "A"], [1.5, 2.5]) == (rows(feed)["symbol"].to_list(), rows(feed)["close"].to_list())
    (problem,) = refused(tmp_path, "timestamp,symbol,close\n\n\n")
    assert "prices.csv: no rows; correct the input or what is asked of it" == problem


def test_a_column_that_is_there_twice_is_not_guessed(tmp_path):
    """One that nobody needs may be."""
    (problem,) = refused(tmp_path, "timestamp,symbol,close,close\n2024-01-02,A,1.5,2\n")
    assert "prices.csv: two columns are called close; rename one of them, or name all with header" == problem
    assert 1 == rows(opened(tmp_path, "timestamp,symbol,close,x,x\n2024-01-02,A,1.5,2,3\n")).height


def test_files_that_differ_in_the_type_of_stamps_are_refused(tmp_path):
    """One with a zone and one without are not read as one."""
    (tmp_path / "1.csv").write_text("timestamp,symbol,close\n2024-01-02 09:30:00,A,1\n")
    (tmp_path / "2.csv").write_text("timestamp,symbol,close\n2024-01-03 09:30:00Z,A,1\n")
    settings = {"path": ["1.csv", "2.csv"], "bar": "1m", "stamp": "close", "timezone": "UTC"}
    (problem,) = refused(tmp_path, "", **settings)
    assert problem.startswith("1.csv, 2.csv: the files differ in their columns: ")
