"""Rows that are checked while they flow, in order or sorted through files."""

import threading
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_parquet.feed import ParquetDataFeed, ParquetFeedConfig
from ml4t_backtest_testkit import make_setup

START = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
MINUTES = {"bar": "1m", "stamp": "close", "prices": "raw"}


def minutes(count=400, symbols=5):
    """Return minute bars in time order, then symbol order."""
    random = np.random.default_rng(5)
    stamps = [START + timedelta(minutes=number) for number in range(count)]
    close = 100.0 + random.normal(0, 0.1, (count, symbols)).cumsum(0)
    return pl.DataFrame(
        {
            "symbol": [f"S{number}" for number in range(symbols)] * count,
            "timestamp": [stamp for stamp in stamps for _ in range(symbols)],
            "open": close.ravel(),
            "high": close.ravel() + 1.0,
            "low": close.ravel() - 1.0,
            "close": close.ravel(),
            "volume": random.integers(1, 100, count * symbols).astype(float),
        }
    )


class Trade(Strategy):
    """Turn one position round every tenth minute."""

    def on_slice(self, market, context):
        """Order by the minute."""
        minute = market.timestamp // 60_000_000_000
        if minute % 2 == 0:
            context.order_target(f"S{minute % 5}", 10.0 if minute // 20 % 2 else -10.0)


def opened(folder, window=None, **settings):
    """Open a feed of files in a folder."""
    settings = {"path": "bars.parquet", "stream": True, **MINUTES, **settings}
    config = Engine.configure(ParquetFeedConfig, settings, where="feed", owner="feed-parquet")
    feed = ParquetDataFeed(config, make_setup("prices", folder))
    feed.open(window or Window())
    return feed


def drained(feed):
    """Return all rows, symbols as text, and end the feed."""
    rows = pl.concat(list(feed.batches())).with_columns(pl.col("symbol").cast(pl.String))
    feed.close()
    return rows


def threads():
    """Return the names of the threads that a feed may have begun."""
    return [thread.name for thread in threading.enumerate() if thread.name in ("prefetch", "digest")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a file of small row groups; temporary files are made in a folder of their own."""
    minutes().write_parquet(tmp_path / "bars.parquet", row_group_size=100)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def test_streamed_rows_are_those_of_the_file(folder):
    """Whatever the size of batches; without threads that outlive the feed."""
    expected = drained(opened(folder, stream=False))
    for batch_rows in (0, 1, 7, 100, 10_000):
        assert expected.equals(drained(opened(folder, batch_rows=batch_rows)))
    assert [] == threads()


def test_no_batch_ends_within_an_instant(folder):
    """So that its rows need not wait for the next batch."""
    feed = opened(folder, batch_rows=12)
    assert feed.spec.whole
    ends = [(batch["timestamp"][0], batch["timestamp"][-1], len(batch)) for batch in feed.batches()]
    feed.close()
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert {10} == {size for _, _, size in ends}


@pytest.mark.parametrize("form", ["one file per symbol", "shuffled", "groups that overlap"])
def test_rows_out_of_order_are_sorted_through_files(folder, form):
    """Into the order of time, then symbol; a note says so, and no temporary file stays."""
    frame, settings = minutes(), {}
    if form == "one file per symbol":
        for name, part in frame.partition_by("symbol", as_dict=True).items():
            part.write_parquet(folder / f"part-{name[0]}.parquet")
        settings = {"path": "part-*.parquet"}
    elif form == "shuffled":
        frame.sample(fraction=1.0, shuffle=True, seed=3).write_parquet(folder / "bars.parquet", row_group_size=300)
        settings = {"sort": True}
    else:
        frame.sort("symbol", "timestamp").write_parquet(folder / "bars.parquet", row_group_size=300)
    feed = opened(folder, **settings)
    assert any("sorted through temporary files" in note for note in feed.notes())
    assert frame.equals(drained(feed).select(frame.columns))
    assert [] == threads() == list((folder / "temporary").iterdir())


def test_many_buckets_give_the_same_rows(folder, monkeypatch):
    """However little is held in memory."""
    monkeypatch.setattr("ml4t_backtest_gate_standard.spill._BUCKET", 90)
    monkeypatch.setattr("ml4t_backtest_gate_standard.spill._HELD", 250)
    monkeypatch.setattr("ml4t_backtest_gate_standard.streamed.PIECE", 110)
    frame = minutes()
    frame.sort("symbol", "timestamp").write_parquet(folder / "bars.parquet", row_group_size=150)
    assert frame.equals(drained(opened(folder)).select(frame.columns))


def test_a_fault_ends_the_stream_with_its_row(folder):
    """The message is that of a check before the run."""
    frame = (
        minutes().with_row_index().with_columns(close=pl.when(pl.col("index") == 1503).then(-1.0).otherwise("close"))
    )
    frame.drop("index").write_parquet(folder / "bars.parquet", row_group_size=100)
    said = []
    for stream in (True, False):
        with pytest.raises(DataError, match=r"bars.parquet row 1503 \(S3, .*close is not above zero") as told:
            drained(opened(folder, stream=stream))
        said.append(str(told.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("stamp", [None, -62_135_596_800_000_000, 253_402_214_400_000_000, -(2**62)])
def test_a_stamp_without_a_place_in_time_ends_the_sorting_with_its_row(folder, stamp, sort):
    """Missing, or further off than instants, or than Python's years, go."""
    frame = minutes().sort("symbol", "timestamp")
    stamps = frame["timestamp"].cast(pl.Int64).to_list()
    stamps[1200] = stamp  # the first of S3, beyond the rows that settle what stamps mean
    frame = frame.with_columns(timestamp=pl.Series(stamps, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")))
    frame.write_parquet(folder / "bars.parquet", row_group_size=100)
    with pytest.raises(DataError, match=r"bars.parquet row 1200 \(S3, .* every row needs one between 1678 and 2261"):
        drained(opened(folder, sort=sort))
    assert [] == threads() == list((folder / "temporary").iterdir())


@pytest.mark.parametrize("order", [("timestamp", "symbol"), ("symbol", "timestamp")])
def test_a_file_that_is_cut_short_while_it_is_read_ends_the_run(folder, order):
    """What of it is still decoded is not taken for all there is."""
    minutes(4000).sort(order).write_parquet(folder / "bars.parquet", row_group_size=500)
    feed = opened(folder)
    size = (folder / "bars.parquet").stat().st_size
    with (folder / "bars.parquet").open("r+b") as file:
        file.truncate(size // 2)
    with pytest.raises(DataError, match=r"bars\.parquet: (was changed while the run went on|cannot be read)"):
        drained(feed)
    feed.close()
    assert [] == threads()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", ["removed", "changed"])
def test_there_is_no_digest_of_a_file_that_is_another_now(folder, what, stream):
    """It would be that of rows that were not read."""
    feed = opened(folder, stream=stream)
    rows = sum(len(batch) for batch in feed.batches())
    if what == "removed":
        (folder / "bars.parquet").unlink()
    else:
        minutes(401).write_parquet(folder / "bars.parquet")
    with pytest.raises(DataError, match=f"bars.parquet: was {what} while the run went on; run again"):
        feed.digest()
    feed.close()
    assert 2000 == rows


@pytest.mark.parametrize("order", [("timestamp", "symbol"), ("symbol", "timestamp")])
@pytest.mark.parametrize("stream", [True, False])
def test_a_bar_that_ends_before_it_begins_ends_the_stream(folder, order, stream):
    """Sources with bars of their own length, in time order and sorted through files."""
    frame = minutes().sort(order).rename({"timestamp": "event_time"}).with_row_index()
    begin = pl.col("event_time") - timedelta(minutes=1)
    frame = frame.with_columns(bar_start=pl.when(pl.col("index") == 1503).then("event_time").otherwise(begin))
    frame.drop("index").write_parquet(folder / "bars.parquet", row_group_size=100)
    with pytest.raises(DataError, match=r"bars.parquet row 1503 \(S3, .*bar_start is .*, not before event_time"):
        drained(opened(folder, stream=stream, bar=None, stamp=None))


@pytest.mark.parametrize("row_group_size", [150, 5000])
def test_a_symbol_that_goes_back_is_refused_by_row(folder, row_group_size):
    """Unless the settings say that rows are to be sorted."""
    frame = minutes().sort("symbol", "timestamp")
    swapped = pl.concat([frame[:700], frame[701:703], frame[700:701], frame[703:]])
    swapped.write_parquet(folder / "bars.parquet", row_group_size=row_group_size)
    with pytest.raises(DataError, match=r"row 702 \(S1, .*go back; sort the rows, or add `sort = true`"):
        drained(opened(folder))
    assert minutes().equals(drained(opened(folder, sort=True)).select(frame.columns))
    assert [] == threads() == list((folder / "temporary").iterdir())


def test_rows_given_twice_are_refused_by_row(folder):
    """In order, and sorted through files."""
    frame = minutes()
    pl.concat([frame[:1200], frame[1199:]]).write_parquet(folder / "bars.parquet", row_group_size=100)
    with pytest.raises(DataError, match=r"row 1200 .*given before, in bars.parquet row 1199"):
        drained(opened(folder))
    with pytest.raises(DataError, match=r"row 1200 .*given before, in bars.parquet row 1199"):
        drained(opened(folder, sort=True))


def test_a_feed_that_is_closed_early_leaves_nothing(folder):
    """Neither threads nor files."""
    feed = opened(folder, sort=True, batch_rows=10)
    batches = feed.batches()
    next(batches)
    feed.close()
    assert [] == threads() == list((folder / "temporary").iterdir())


def test_what_is_missing_is_counted_once_rows_are_through(folder):
    """Notes are complete at the end."""
    minutes().with_columns(volume=pl.when(pl.int_range(pl.len()) > 10).then("volume")).write_parquet(
        folder / "bars.parquet"
    )
    feed = opened(folder, symbols=["S1", "S9"])
    for _ in feed.batches():
        pass
    assert ["bars.parquet: 2 of 400 rows have no volume: unknown there", "bars.parquet: no rows of S9"] == [
        note for note in feed.notes() if "rows" in note
    ]
    feed.close()


def test_labels_are_settled_by_the_first_rows(folder):
    """A later stamp within the day contradicts them."""
    days = pl.DataFrame({"timestamp": [datetime(2020, 1, 1) + timedelta(days=day) for day in range(2000)]})
    frame = days.with_columns(symbol=pl.lit("A"), close=1.0)
    frame.write_parquet(folder / "bars.parquet", row_group_size=500)
    settings = {"bar": None, "stamp": None}
    assert date(2020, 1, 1) == drained(opened(folder, **settings))["timestamp"][0]
    odd = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 1500)
        .then(pl.col("timestamp").dt.offset_by("1h"))
        .otherwise("timestamp")
        .alias("timestamp")
    )
    odd.write_parquet(folder / "bars.parquet", row_group_size=500)
    with pytest.raises(DataError, match=r"2024-02-09 01:00:00\): .*taken for session labels"):
        drained(opened(folder, **settings))


def test_only_needed_row_groups_are_read(folder):
    """By day and by symbol; the digest is that of these."""
    frame = minutes(count=8000, symbols=5).sort("symbol", "timestamp")
    frame.write_parquet(folder / "bars.parquet", row_group_size=500)
    whole = opened(folder)
    first = int(datetime(2024, 1, 5, tzinfo=UTC).timestamp()) * 10**9
    part = opened(folder, Window(first=first, last=first + 3600 * 10**9), symbols=["S3"])
    assert (40_000, 2000) == (whole.read()["rows"], part.read()["rows"])
    assert 0.06 * whole.read()["bytes_read"] > part.read()["bytes_read"]
    assert whole.digest() != part.digest()
    assert {"S3"} == set(drained(part)["symbol"])
    whole.close()


def test_runs_come_out_alike(folder):
    """Streamed or not, in order or not, with small or large batches."""
    shuffled = minutes().sample(fraction=1.0, shuffle=True, seed=9)
    shuffled.write_parquet(folder / "shuffled.parquet", row_group_size=300)
    forms = [{"stream": False}, {"stream": True}, {"stream": True, "batch_rows": 11}]
    forms += [{"stream": True, "sort": True, "path": str(folder / "shuffled.parquet")}]
    found = set()
    for form in forms:
        feed = {"use": "parquet", "path": str(folder / "bars.parquet"), **MINUTES, **form}
        result = Engine(feed=feed, strategy=Trade(), capital=100_000.0).run()
        found.add((result.decision_hash, result.result_hash, result.state.fills.count))
    assert 1 == len(found)
    assert found.pop()[2] > 100
    assert [] == threads()


def test_the_manifest_says_how_much_was_read(folder):
    """Rows, bytes read and bytes there, and what was found while rows flowed."""
    minutes().with_columns(volume=pl.when(pl.int_range(pl.len()) != 7).then("volume")).write_parquet(
        folder / "bars.parquet", row_group_size=400
    )
    feed = {"use": "parquet", "path": str(folder / "bars.parquet"), "stream": True, **MINUTES}
    manifest = Engine(feed=feed, strategy=Trade(), capital=100_000.0).run().manifest
    read = next(iter(manifest["read"].values()))
    assert (2000, (folder / "bars.parquet").stat().st_size) == (read["rows"], read["bytes_total"])
    assert 0 < read["bytes_read"] < read["bytes_total"]
    assert [("missing-value", 1)] == [(found["rule"], found["count"]) for found in manifest["findings"]]
