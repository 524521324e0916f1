"""The feed over Arrow IPC files."""

import hashlib
from datetime import date, datetime

import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_ipc import plugin
from ml4t_backtest_feed_ipc.feed import IPCDataFeed, IPCFeedConfig
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, day) for day in (2, 3)]
BARS = pl.DataFrame({"symbol": ["A", "B"] * 2, "timestamp": sorted(DAYS * 2), "close": [1.0, 2.0, 3.0, 4.0]})


def opened(folder, **settings):
    """Open a feed of files in a folder."""
    config = Engine.configure(IPCFeedConfig, settings, where="feed", owner="feed-ipc")
    feed = IPCDataFeed(config, make_setup("prices", folder))
    feed.open(Window())
    return feed


def rows(feed):
    """Drain a feed."""
    return pl.concat(feed.batches())


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"ipc": "ml4t_backtest_feed_ipc.feed:IPCDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-ipc" == plugin.MANIFEST.name


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_files_and_streams_hold_the_same_rows(tmp_path, compression):
    """Whatever their ending says, and compressed or not."""
    BARS.write_ipc(tmp_path / "file.feather", compression=compression)
    BARS.write_ipc_stream(tmp_path / "stream.arrow", compression=compression)
    for name in ("file.feather", "stream.arrow"):
        assert BARS.equals(rows(opened(tmp_path, path=name)))


def test_files_and_streams_may_be_mixed(tmp_path):
    """A folder stands for both."""
    BARS.head(2).write_ipc(tmp_path / "1.arrow")
    BARS.tail(2).write_ipc_stream(tmp_path / "2.arrows")
    (tmp_path / "readme.txt").write_text("")
    assert BARS.equals(rows(opened(tmp_path, path=str(tmp_path))))


def test_the_symbol_may_be_the_name_of_the_file_or_of_a_folder(tmp_path):
    """One file per symbol."""
    for symbol in "AB":
        part = BARS.filter(symbol=symbol).drop("symbol")
        part.write_ipc(tmp_path / f"{symbol}.arrow")
        (tmp_path / "hive" / f"symbol={symbol}").mkdir(parents=True)
        part.write_ipc(tmp_path / "hive" / f"symbol={symbol}" / "0.arrow")
    assert BARS.equals(rows(opened(tmp_path, path="*.arrow", symbol_from="filename")))
    assert BARS.equals(rows(opened(tmp_path, path="hive")))


@pytest.mark.parametrize("batch_rows", [1, 3])
def test_batches_do_not_change_the_rows(tmp_path, batch_rows):
    """Nor how many there are."""
    BARS.write_ipc(tmp_path / "prices.arrow")
    feed = opened(tmp_path, path="prices.arrow", batch_rows=batch_rows)
    batches = list(feed.batches())
    assert batch_rows >= max(map(len, batches))
    assert BARS.equals(pl.concat(batches))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "prices.arrow: cannot be read: "),
        (b"symbol,timestamp,close\n", "prices.arrow: cannot be read: "),
        (b"\xff\xff\xff\xff\x10\x00", "prices.arrow: cannot be read as an Arrow stream: "),
    ],
)
def test_a_file_that_is_no_arrow_is_refused(tmp_path, content, expected):
    """By name."""
    (tmp_path / "prices.arrow").write_bytes(content)
    with pytest.raises(DataError) as caught:
        opened(tmp_path, path="prices.arrow")
    assert str(caught.value).startswith(expected)


def test_a_fault_is_named_by_file_and_row(tmp_path):
    """Rows are counted within each file."""
    BARS.head(2).write_ipc(tmp_path / "1.arrow")
    BARS.tail(2).with_columns(close=pl.Series([1.0, -1.0])).write_ipc(tmp_path / "2.arrow")
    with pytest.raises(DataError, match=r"^2.arrow row 1 \(B, 2024-01-03\): close is not above zero; "):
        opened(tmp_path, path="*.arrow")


def test_the_digest_is_that_of_the_bytes(tmp_path):
    """The SHA-256 that any tool prints."""
    BARS.write_ipc(tmp_path / "prices.arrow")
    expected = hashlib.sha256((tmp_path / "prices.arrow").read_bytes()).hexdigest()
    assert expected == opened(tmp_path, path="prices.arrow").digest()


def test_files_of_other_symbols_are_not_read(tmp_path):
    """Where the name of a file is its symbol; whatever letters it has."""
    for symbol in ("A", "B%20 [1]"):
        BARS.filter(symbol="A").drop("symbol").write_ipc(tmp_path / f"{symbol}.arrow")
    (tmp_path / "C.arrow").write_bytes(b"no Arrow")
    feed = opened(tmp_path, path=str(tmp_path), symbol_from="filename", symbols=["A", "B%20 [1]"])
    assert ["A", "B%20 [1]"] * 2 == rows(feed).sort("timestamp", "symbol")["symbol"].to_list()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_files_with_and_without_a_zone_are_not_read_as_one(tmp_path, order):
    """Wall-clock times of one file would be taken for UTC, hours before they were known."""
    for name, zone in (("naive", None), ("zoned", "UTC")):
        stamps = pl.Series([datetime(2024, 1, 2, 15)]).dt.replace_time_zone(zone)
        frame = pl.DataFrame({"symbol": [name], "timestamp": stamps, "close": [1.0]})
        frame.write_ipc(tmp_path / f"{name}.arrow")
    paths = [("naive.arrow", "zoned.arrow")[place] for place in order]
    with pytest.raises(DataError, match=r"timestamp has a zone in zoned.arrow and none in naive.arrow"):
        opened(tmp_path, path=paths, bar="1h", stamp="open", timezone="America/New_York", sort=True)
