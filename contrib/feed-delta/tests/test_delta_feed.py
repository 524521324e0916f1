"""The feed over Delta Lake tables."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from deltalake import DeltaTable

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_delta import plugin
from ml4t_backtest_feed_delta.feed import DeltaDataFeed, DeltaFeedConfig
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, day) for day in (2, 3)]
BARS = pl.DataFrame({"symbol": ["A", "B"] * 2, "timestamp": sorted(DAYS * 2), "close": [1.0, 2.0, 3.0, 4.0]})


@pytest.fixture
def folder(tmp_path):
    """A table of two versions: of one day, then of two."""
    BARS.head(2).write_delta(tmp_path / "prices")
    BARS.tail(2).write_delta(tmp_path / "prices", mode="append")
    return tmp_path


def opened(folder, window=None, **settings):
    """Open a feed of a table in a folder."""
    config = Engine.configure(DeltaFeedConfig, {"path": "prices", **settings}, where="feed", owner="feed-delta")
    feed = DeltaDataFeed(config, make_setup("prices", folder))
    feed.open(window or Window())
    return feed


def rows(feed):
    """Drain a feed, in an order of symbols."""
    return pl.concat(feed.batches()).sort("timestamp", "symbol")


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"delta": "ml4t_backtest_feed_delta.feed:DeltaDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-delta" == plugin.MANIFEST.name


def test_the_newest_version_is_read_and_noted(folder):
    """Files may be in any order; the rows are sorted."""
    feed = opened(folder, prices="raw")
    assert BARS.equals(rows(feed))
    assert ("prices: version 1 of the table",) == feed.notes()


def test_a_version_stays_what_it_was(folder):
    """By number, whatever was appended or overwritten since."""
    BARS.head(1).write_delta(folder / "prices", mode="overwrite")
    for version, expected in ((0, BARS.head(2)), (1, BARS), (2, BARS.head(1))):
        assert expected.equals(rows(opened(folder, version=version)))


def test_a_time_stands_for_the_version_that_was_there(folder):
    """To the millisecond of the table's log."""
    first = min(entry["timestamp"] for entry in DeltaTable(folder / "prices").history())
    moment = datetime.fromtimestamp(first / 1000, UTC).isoformat()
    feed = opened(folder, as_of=moment)
    assert "prices: version 0 of the table" in feed.notes()
    assert BARS.head(2).equals(rows(feed))


def test_partitions_are_columns(tmp_path):
    """With the types that the table gives them."""
    BARS.write_delta(tmp_path / "prices", delta_write_options={"partition_by": ["symbol"]})
    assert BARS.equals(rows(opened(tmp_path)).select(BARS.columns))
    assert BARS.filter(symbol="B").equals(rows(opened(tmp_path, symbols=["B"])))


def test_days_outside_the_window_are_left_out(folder):
    """Both ends are inclusive."""
    second = int(datetime(2024, 1, 3, tzinfo=UTC).timestamp()) * 10**9
    assert [3.0, 4.0] == rows(opened(folder, Window(first=second)))["close"].to_list()
    assert [1.0, 2.0] == rows(opened(folder, Window(last=second - 1)))["close"].to_list()


def test_the_digest_is_that_of_the_columns_read(folder):
    """Not of files, of which a compaction makes others."""
    before = opened(folder).digest()
    DeltaTable(folder / "prices").optimize.compact()
    assert before == opened(folder).digest()
    assert before != opened(folder, version=0).digest()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"path": "nowhere"}, "nowhere: cannot be read as a Delta Lake table: "),
        ({"version": 9}, "prices: cannot be read as a Delta Lake table: "),
        ({"as_of": "yesterday"}, "prices: cannot be read as a Delta Lake table: "),
        ({"as_of": "2000-01-01T00:00:00Z"}, "prices: as_of 2000-01-01T00:00:00Z is before its first version, of 20"),
        ({"version": 0, "as_of": "2030-01-01T00:00:00Z"}, "prices: version and as_of both say what is read; "),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(folder, settings, expected):
    """With what was asked for."""
    with pytest.raises(DataError) as caught:
        opened(folder, **settings)
    (problem,) = caught.value.problems
    assert problem.startswith(expected)


def test_a_fault_is_named_by_symbol_and_stamp(tmp_path):
    """A row of a table has no number."""
    BARS.with_columns(close=-pl.col("close")).head(1).write_delta(tmp_path / "prices")
    with pytest.raises(DataError, match=r"^prices \(A, 2024-01-02\): close is not above zero; "):
        opened(tmp_path)
