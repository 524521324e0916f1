"""Feeds and signal sources over real market data."""

import os
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_csv.feed import CSVDataFeed
from ml4t_backtest_feed_frame.feed import FrameDataFeed
from ml4t_backtest_feed_parquet.feed import ParquetDataFeed
from ml4t_backtest_signal_parquet.source import ParquetSignalSource
from ml4t_backtest_testkit import make_setup

OHLCV = ("open", "high", "low", "close", "volume")
MINUTE = {"bar": "1m", "stamp": "open"}
TICKS = {"columns": {"event_time": "timestamp"}, "latency": "0s"}


@pytest.fixture(scope="session")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def opened(cls, folder, **settings):
    """Open a source with the settings of a run file."""
    config = Engine.configure(cls.Config, settings, where="source", owner=cls.__name__)
    source = cls(config, make_setup("source", folder))
    source.open(Window())
    return source


def drained(source):
    """Return all rows of a source, having seen that they are in time order."""
    rows = pl.concat(source.batches())
    stamps = rows[next(name for name in ("known_at", "event_time", "timestamp") if name in rows.columns)]
    assert stamps.is_sorted()
    return rows


@pytest.mark.parametrize(
    ("name", "settings", "count", "fields", "notes"),
    [
        (
            "sp500_daily_2013_2018",
            {"prices": "split"},
            308_053,
            OHLCV,
            (
                "sp500_daily_2013_2018.parquet: 7 of 308,053 rows have no open: a symbol cannot fill there",
                "sp500_daily_2013_2018.parquet: 4 of 308,053 rows have no high: unknown there",
                "sp500_daily_2013_2018.parquet: 4 of 308,053 rows have no low: unknown there",
                "sp500_daily_2013_2018.parquet: 3 of 308,053 rows have open outside low and high",
                "sp500_daily_2013_2018.parquet: 4 of 308,053 rows have close outside low and high",
            ),
        ),
        ("us_equity_daily_lean", {"prices": "raw"}, 40_964, OHLCV, ()),
        ("us_equity_daily_wiki", {"prices": "raw"}, 2_016, OHLCV, ()),
        (
            "us20_adjclose_1990_2022_skfolio",
            {"prices": "total", "columns": {"close": "adj_close"}},
            166_260,
            ("close",),
            (),
        ),
        ("etf_daily_yahoo_2007_2013", {"prices": "total", "columns": {"close": "adj_close"}}, 10_528, OHLCV, None),
        ("us_equity_minute_trades_lean", {"prices": "raw", **MINUTE}, 6_694, OHLCV, ()),
        ("us_equity_hour_lean", {"prices": "raw", "bar": "1h", "stamp": "open"}, 40_831, OHLCV, ()),
        ("crypto_perp_1m_btc", {"prices": "raw", **MINUTE}, 45_031, OHLCV, ()),
        ("crypto_5m_binance_btc_pairs", {"prices": "raw", "bar": "5m", "stamp": "open"}, 28_751, OHLCV, ()),
        ("us_equity_ticks_trades_lean", TICKS, 57_674, ("price", "size"), ()),
        ("us_equity_ticks_quotes_lean", TICKS, 109_067, ("bid", "bid_size", "ask", "ask_size"), None),
        ("fx_ticks_usdjpy_truefx", TICKS, 1_000, ("bid", "ask"), ()),
        ("l2_btcusdt_usdm_20240808_trades", TICKS, 3_888, ("price", "size"), ()),
    ],
)
def test_real_files_are_feeds(data, name, settings, count, fields, notes):
    """Daily and intraday bars, trades and quotes, close-only files: sorted by symbol or not, none needs a key."""
    feed = opened(ParquetDataFeed, data, path=f"{name}.parquet", **settings)
    assert (count, fields) == (drained(feed).height, feed.spec.fields)
    if notes is not None:
        assert notes == feed.notes()


def test_one_sided_quotes_are_counted(data):
    """Each venue updates one side at a time; the other one is unknown in that row."""
    feed = opened(ParquetDataFeed, data, path="us_equity_ticks_quotes_lean.parquet", **TICKS)
    assert ("quote", "event_time") == (feed.spec.kind, feed.spec.rule.convention)
    rows = drained(feed)
    for side in ("bid", "ask"):
        missing = rows[side].null_count()
        assert (
            f"{feed.spec.origin}: {missing:,} of 109,067 rows have no {side}: a symbol cannot fill there"
            in feed.notes()
        )


def test_minute_quotes_are_bars_of_a_mapped_side(data):
    """Which side is traded on is for the user to say."""
    columns = {name: f"bid_{name}" for name in OHLCV[:4]}
    feed = opened(
        ParquetDataFeed, data, path="us_equity_minute_quotes_lean.parquet", prices="raw", columns=columns, **MINUTE
    )
    assert (7_955, OHLCV[:4]) == (drained(feed).height, feed.spec.fields)


def test_intraday_bars_without_stamp_are_refused_with_the_line_to_add(data):
    """A bar start taken for its end would show an hour of future."""
    with pytest.raises(DataError) as caught:
        opened(ParquetDataFeed, data, path="us_equity_hour_lean.parquet", bar="1h")
    assert 'stamp = "open"   # or "close": which end of its bar a stamp is' in str(caught.value)


def test_ticks_without_a_word_on_when_they_were_known_are_refused(data):
    """Nothing is taken as known at a bare timestamp."""
    with pytest.raises(DataError, match="latency = "):
        opened(ParquetDataFeed, data, path="us_equity_ticks_trades_lean.parquet")


def test_prints_of_one_millisecond_keep_their_order(data):
    """Dozens of prints share a stamp."""
    rows = drained(opened(ParquetDataFeed, data, path="us_equity_ticks_trades_lean.parquet", **TICKS))
    source = pl.read_parquet(data / "us_equity_ticks_trades_lean.parquet")
    assert source["event_time" if "event_time" in source.columns else "timestamp"].n_unique() < source.height
    assert source["price"].equals(rows["price"])


def test_parquet_csv_and_frame_give_the_same_rows(data, tmp_path):
    """Where the rows come from makes no difference."""
    for name, settings in (("us_equity_daily_lean", {}), ("us_equity_minute_trades_lean", MINUTE)):
        frame = pl.read_parquet(data / f"{name}.parquet")
        frame.write_csv(tmp_path / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        if not settings:
            frame.with_columns(pl.col("timestamp").dt.date()).write_csv(tmp_path / f"{name}.csv")
        parquet = opened(ParquetDataFeed, data, path=f"{name}.parquet", **settings)
        text = opened(CSVDataFeed, tmp_path, path=f"{name}.csv", **settings)
        memory = opened(FrameDataFeed, data, frame=frame, **settings)
        rows = drained(parquet)
        same = pl.Schema({**rows.schema})
        assert rows.equals(drained(text).cast(dict(same)))
        assert rows.equals(drained(memory))
        assert parquet.spec.rule.convention == text.spec.rule.convention == memory.spec.rule.convention


@pytest.mark.parametrize("batch_rows", [1_000, 50_000])
def test_real_files_stream_in_batches(data, batch_rows, tmp_path):
    """A file in time order is read piece by piece; the rows are the same."""
    whole = drained(opened(ParquetDataFeed, data, path="sp500_daily_2013_2018.parquet"))
    whole.write_parquet(tmp_path / "by_time.parquet", row_group_size=10_000)
    feed = opened(ParquetDataFeed, tmp_path, path="by_time.parquet", batch_rows=batch_rows)
    batches = list(feed.batches())
    assert batch_rows >= max(map(len, batches))
    assert whole.equals(pl.concat(batches))


def test_any_column_can_be_a_signal(data):
    """A volatility index, null on holidays, and the columns of a price file."""
    vix = opened(ParquetSignalSource, data, path="index_daily_vix_arch.parquet")
    assert (("vix",), "label") == (vix.spec.fields, vix.spec.rule.convention)
    missing = drained(vix)["vix"].null_count()
    assert (f"index_daily_vix_arch.parquet: {missing} of 1,305 rows have no vix: unknown there",) == vix.notes()
    wiki = opened(ParquetSignalSource, data, path="us_equity_daily_wiki.parquet", values=["ex_dividend", "split_ratio"])
    assert (2_016, ("ex_dividend", "split_ratio")) == (drained(wiki).height, wiki.spec.fields)
