"""The feed over Parquet files."""

import hashlib
from datetime import UTC, date, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_parquet import plugin
from ml4t_backtest_feed_parquet.feed import ParquetDataFeed, ParquetFeedConfig
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, day) for day in (2, 3, 4)]


def bars(*symbols):
    """Return three daily bars of each symbol, symbol after symbol, and a column that no run needs."""
    rows = [(symbol, day, 10.0 + number) for symbol in symbols for number, day in enumerate(DAYS)]
    frame = pl.DataFrame(rows, schema=["symbol", "timestamp", "close"], orient="row")
    return frame.with_columns(sector=pl.lit("x"))


def opened(folder, window=None, **settings):
    """Open a feed of files in a folder."""
    config = Engine.configure(ParquetFeedConfig, settings, where="feed", owner="feed-parquet")
    feed = ParquetDataFeed(config, make_setup("prices", folder))
    feed.open(window or Window())
    return feed


def rows(feed):
    """Drain a feed."""
    return pl.concat(feed.batches())


@pytest.fixture
def folder(tmp_path):
    """A folder with one file of two symbols and one file per symbol of three others."""
    bars("A", "B").write_parquet(tmp_path / "prices.parquet")
    for symbol in ("C", "D", "BRK.B"):
        bars(symbol).drop("symbol").write_parquet(tmp_path / f"{symbol}.parquet")
    (tmp_path / "parts").mkdir()
    bars("A").write_parquet(tmp_path / "parts" / "1.parquet")
    bars("B").write_parquet(tmp_path / "parts" / "2.parquet")
    return tmp_path


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"parquet": "ml4t_backtest_feed_parquet.feed:ParquetDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-parquet" == plugin.MANIFEST.name


def test_a_file_of_daily_closes_is_a_feed_of_bars(folder):
    """Three columns are enough."""
    feed = opened(folder, path="prices.parquet", prices="total")
    spec = feed.spec
    assert ("prices", "bar", ("close",), "total", True) == (spec.name, spec.kind, spec.fields, spec.prices, spec.drives)
    assert ("label", "prices.parquet") == (spec.rule.convention, spec.origin)
    assert bars("A", "B").drop("sector").sort("timestamp", "symbol").equals(rows(feed))


def test_files_of_a_glob_or_a_list_are_read_together(folder):
    """Globs go by name; a list goes in its order."""
    whole = rows(opened(folder, path="prices.parquet"))
    assert whole.equals(rows(opened(folder, path="parts/*.parquet")))
    assert whole.equals(rows(opened(folder, path=["parts/1.parquet", "parts/2.parquet"])))


def test_the_symbol_may_be_the_name_of_the_file(folder):
    """A dot in a symbol is kept."""
    feed = opened(folder, path=["C.parquet", "BRK.B.parquet"], symbol_from="filename")
    assert ["C", "BRK.B"] * 3 == rows(feed)["symbol"].to_list()


def test_one_file_of_one_symbol_needs_its_name(folder):
    """Or the settings name it."""
    assert ["SPY"] * 3 == rows(opened(folder, path="C.parquet", symbol="SPY"))["symbol"].to_list()
    with pytest.raises(DataError, match=r'symbol = "ITS NAME"\n.*each file is of one symbol.*symbol_from = "filename"'):
        opened(folder, path="C.parquet")


def test_a_subset_of_symbols_and_days_is_read(folder):
    """What a run does not need is not read."""
    noon = int(datetime(2024, 1, 3, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
    feed = opened(folder, Window(first=noon), path="parts/*.parquet", symbols=["B"])
    assert [("B", DAYS[1], 11.0), ("B", DAYS[2], 12.0)] == rows(feed).rows()


@pytest.mark.parametrize("batch_rows", [1, 4, 100])
@pytest.mark.parametrize("path", ["prices.parquet", "parts/*.parquet"])
def test_batches_hold_the_same_rows_whatever_their_size(folder, batch_rows, path):
    """A batch may end anywhere."""
    whole = rows(opened(folder, path=path))
    assert whole.equals(rows(opened(folder, path=path, batch_rows=batch_rows)))
    ordered = folder / "ordered.parquet"
    whole.write_parquet(ordered)
    batches = list(opened(folder, path="ordered.parquet", batch_rows=batch_rows).batches())
    assert whole.equals(pl.concat(batches))
    assert batch_rows >= max(map(len, batches))


def test_batches_may_be_asked_for_again(folder):
    """A resumed run reads from the beginning."""
    for batch_rows in (0, 2):
        feed = opened(folder, path="prices.parquet", batch_rows=batch_rows)
        assert rows(feed).equals(rows(feed))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nothing_like_it.parquet", "nothing_like_it.parquet: no such file in {folder}; correct path"),
        ("price.parquet", 'price.parquet: no such file in {folder}; did you mean "prices.parquet"'),
        (
            "{folder}/nothing_like_it.parquet",
            "{folder}/nothing_like_it.parquet: no such file in {folder}; correct path",
        ),
        ("/nowhere/price.parquet", "/nowhere/price.parquet: no such file in /nowhere; correct path"),
        ("none/*.parquet", "none/*.parquet: no such file in {folder}; correct path"),
        (
            "empty",
            "empty: this folder has no file that ends in .parquet; correct path, or name its files",
        ),
        ([], "path names no file; name one, or a glob"),
    ],
)
def test_a_file_that_is_not_there_is_refused(folder, path, expected):
    """With what was looked for, and where."""
    (folder / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        opened(folder, path=path.format(folder=folder) if path else path)
    assert [expected.format(folder=folder)] == list(caught.value.problems)


def test_a_file_that_is_no_parquet_is_refused(folder):
    """By name."""
    (folder / "prices.parquet").write_text("symbol,timestamp,close\n")
    with pytest.raises(DataError, match=r"^prices.parquet: cannot be read: "):
        opened(folder, path="prices.parquet")


def test_a_fault_in_the_second_file_is_named_by_file_and_row(folder):
    """Rows are counted within each file."""
    bars("B").with_columns(close=pl.Series([1.0, -2.0, 3.0])).write_parquet(folder / "parts" / "2.parquet")
    with pytest.raises(DataError, match=r"^2.parquet row 1 \(B, 2024-01-03\): close is not above zero; "):
        opened(folder, path="parts/*.parquet")
    with pytest.raises(DataError, match=r"^2.parquet row 1 \(B, 2024-01-03\): close is not above zero; "):
        opened(folder, path="parts/*.parquet", symbols=["B"])


def test_a_row_in_two_files_is_named_in_both(folder):
    """Overlapping files are a common mistake."""
    bars("A")[2:].write_parquet(folder / "parts" / "3.parquet")
    expected = r"^3.parquet row 0 \(A, 2024-01-04\): this symbol and stamp were given before, in 1.parquet row 2; "
    with pytest.raises(DataError, match=expected):
        opened(folder, path="parts/*.parquet")


def test_files_with_different_columns_are_refused(folder):
    """Not read as half."""
    bars("B").rename({"close": "price"}).write_parquet(folder / "parts" / "2.parquet")
    with pytest.raises(DataError, match=r"^parts/\*.parquet: cannot be read: "):
        opened(folder, path="parts/*.parquet")


def test_the_digest_is_that_of_the_bytes_read(folder):
    """Those of the needed columns, compressed as they are in the file; the footer and other columns do not count."""
    bars("B", "A").with_columns(note=pl.lit("x")).write_parquet(folder / "prices.parquet")
    group = pq.read_metadata(folder / "prices.parquet").row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    data, expected, size = (folder / "prices.parquet").read_bytes(), hashlib.sha256(), 0
    for column in columns:
        if column.path_in_schema not in ("sector", "note"):
            start = column.dictionary_page_offset or column.data_page_offset
            expected.update(data[start : start + column.total_compressed_size])
            size += column.total_compressed_size
    feed = opened(folder, path="prices.parquet")
    assert expected.hexdigest() == feed.digest()
    assert {"rows": 6, "bytes_read": size, "bytes_total": len(data)} == feed.read()
    first, second = opened(folder, path="parts/*.parquet").digest(), opened(folder, path="parts/1.parquet").digest()
    assert first != second


def test_symbols_may_be_categories(folder):
    """Categorical and Enum columns are symbols too."""
    for dtype in (pl.Categorical, pl.Enum(["B", "A"])):
        bars("B", "A").with_columns(pl.col("symbol").cast(dtype)).write_parquet(folder / "prices.parquet")
        feed = opened(folder, path="prices.parquet", symbols=["A", "Z"])
        assert ["A"] * 3 == rows(feed)["symbol"].cast(pl.String).to_list()


def test_a_closed_feed_has_let_go_of_its_rows(folder):
    """Closing is the end."""
    feed = opened(folder, path="prices.parquet")
    feed.close()
    with pytest.raises(AssertionError, match="open the source first"):
        feed.batches()


@pytest.fixture
def partitioned(tmp_path):
    """One file per symbol and month in folders ``key=value``, and what they hold."""
    frame = pl.DataFrame(
        {
            "symbol": ["000001", "A", "000001", "A"],
            "timestamp": [date(2024, 1, 2)] * 2 + [date(2024, 2, 1)] * 2,
            "close": [1.0, 2.0, 3.0, 4.0],
        }
    )
    for (symbol, day), part in frame.group_by("symbol", "timestamp"):
        place = tmp_path / "prices" / f"symbol={symbol}" / f"month={day.month}"
        place.mkdir(parents=True)
        part.drop("symbol").write_parquet(place / "0.parquet")
    return tmp_path, frame


@pytest.mark.parametrize("path", ["prices", "prices/", "prices/symbol=*/**/*.parquet"])
def test_folders_named_key_value_are_columns(partitioned, path):
    """A symbol that looks like a number keeps its zeros."""
    folder, frame = partitioned
    assert frame.equals(rows(opened(folder, path=path)).sort("timestamp", "symbol"))


def test_folders_of_other_symbols_are_not_read(partitioned):
    """A file that could not be read is not looked at."""
    folder, _ = partitioned
    (folder / "prices/symbol=A/month=2/0.parquet").write_bytes(b"PAR1")
    assert [1.0, 3.0] == rows(opened(folder, path="prices", symbols=["000001"]))["close"].to_list()


def test_folders_may_be_taken_as_plain_ones(partitioned):
    """Then the symbol has to come from elsewhere."""
    folder, _ = partitioned
    with pytest.raises(DataError, match="no column symbol"):
        opened(folder, path="prices", hive=False)


@pytest.mark.parametrize(
    "change",
    [
        {"volume": pl.lit(1)},
        {"close": pl.col("close").cast(pl.Float32)},
        {"close": pl.col("close").cast(pl.Int32)},
        {"symbol": pl.col("symbol").cast(pl.Categorical)},
    ],
)
def test_further_files_may_differ_where_nothing_is_lost(tmp_path, change):
    """One file per year, whose writer wrote other types or columns in some of them."""
    bars("A").write_parquet(tmp_path / "1.parquet")
    later = bars("A").with_columns(pl.col("timestamp").dt.offset_by("1mo"))
    later.with_columns(**change).write_parquet(tmp_path / "2.parquet")
    expected = pl.concat([bars("A"), later]).drop("sector")
    assert expected.equals(rows(opened(tmp_path, path=str(tmp_path))))


@pytest.mark.parametrize("units", [("us", "ns"), ("ns", "us"), ("ms", "us"), ("us", "ms"), ("ms", "ns")])
@pytest.mark.parametrize("symbol_from", ["column", "filename"])
def test_stamps_of_further_files_may_have_other_units_and_zones(tmp_path, units, symbol_from):
    """The finest unit holds them all; zones only say how an instant is written."""
    for unit, name, zone in zip(units, "AB", ("UTC", "Asia/Tokyo"), strict=True):
        stamps = pl.col("timestamp").cast(pl.Datetime(unit)).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        bars(name).with_columns(stamps).write_parquet(tmp_path / f"{name}.parquet")
    feed = opened(tmp_path, path=str(tmp_path), symbol_from=symbol_from, bar="1h", stamp="open")
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS]
    assert midnights == rows(feed).filter(symbol="B")["timestamp"].to_list()
    assert midnights == rows(feed).filter(symbol="A")["timestamp"].to_list()


@pytest.mark.parametrize("zoned", [0, 1])
def test_files_with_and_without_a_zone_are_not_read_as_one(tmp_path, zoned):
    """Wall-clock times of one file would be taken for UTC, hours before they were known."""
    for number in range(2):
        stamps = pl.col("timestamp").cast(pl.Datetime("us", "UTC" if number == zoned else None))
        bars("AB"[number]).with_columns(stamps, other=stamps).write_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(DataError, match=f"timestamp has a zone in {zoned}.parquet and none in {1 - zoned}.parquet"):
        opened(tmp_path, path=str(tmp_path), bar="1h", stamp="open", timezone="America/New_York")


def test_files_that_hold_something_else_are_refused(tmp_path):
    """With the column that differs."""
    bars("A").write_parquet(tmp_path / "1.parquet")
    bars("A").with_columns(close=pl.lit("x")).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(DataError, match="cannot be read: data type mismatch for column close"):
        opened(tmp_path, path=["1.parquet", "2.parquet"])


def test_files_of_other_symbols_are_not_read(tmp_path):
    """Where the name of a file is its symbol; whatever letters it has."""
    for symbol in ("A", "B%20 [1]"):
        bars("A").drop("symbol").write_parquet(tmp_path / f"{symbol}.parquet")
    (tmp_path / "C.parquet").write_bytes(b"no Parquet")
    feed = opened(tmp_path, path=str(tmp_path), symbol_from="filename", symbols=["A", "B%20 [1]"])
    assert ["A", "B%20 [1]"] * 3 == rows(feed).sort("timestamp", "symbol")["symbol"].to_list()
    with pytest.raises(DataError, match="no rows for these symbols"):
        opened(tmp_path, path=["A.parquet"], symbol_from="filename", symbols=["X"])


def test_folders_of_other_days_are_not_read(tmp_path):
    """A file that could not be read is not looked at."""
    for day, part in bars("A", "B").group_by("timestamp"):
        place = tmp_path / "prices" / f"timestamp={day[0]}"
        place.mkdir(parents=True)
        part.drop("timestamp").write_parquet(place / "0.parquet")
    (tmp_path / "prices" / f"timestamp={DAYS[2]}" / "0.parquet").write_bytes(b"PAR1")
    last = int(datetime(2024, 1, 3, 21, tzinfo=UTC).timestamp()) * 10**9
    feed = opened(tmp_path, Window(last=last), path="prices")
    assert DAYS[:2] == rows(feed)["timestamp"].unique().sort().to_list()
