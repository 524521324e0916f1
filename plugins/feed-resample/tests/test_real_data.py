"""Real five-minute and one-minute bars, resampled as polars does it."""

import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("ML4T_BACKTEST_SHARED", ROOT.parent / "shared"))
FILES = {"crypto_5m_binance_btc_pairs.parquet": "5m", "crypto_perp_1m_btc.parquet": "1m"}


@pytest.mark.parametrize("batch_rows", [0, 5000])
@pytest.mark.parametrize("every", ["15m", "4h", "1d"])
@pytest.mark.parametrize("file", FILES)
def test_coins_are_resampled_as_polars_does(resampled, file, every, batch_rows):
    """Prices to the bit, volumes to rounding; gaps of the data are gaps of the bars."""
    path = SHARED / "data" / file
    if not path.is_file():
        pytest.skip(f"needs {file}; set ML4T_BACKTEST_SHARED")
    frame = pl.read_parquet(path).sort("timestamp", "symbol")
    length = timedelta(minutes=int(FILES[file][:-1]))
    bars = resampled(frame, every=every, bar=FILES[file], stamp="open", batch_rows=batch_rows)
    expected = (
        frame.group_by_dynamic("timestamp", every=every, group_by="symbol")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .with_columns(end=pl.col("timestamp").dt.offset_by(every))
        .filter(pl.col("end") <= frame["timestamp"].max() + length)
        .sort("end", "symbol")
    )
    bars = bars.sort("event_time", "symbol").with_columns(pl.col("bar_start", "event_time").dt.cast_time_unit("us"))
    renamed = expected.rename({"timestamp": "bar_start", "end": "event_time"})
    exact = ["symbol", "bar_start", "event_time", "open", "high", "low", "close"]
    assert renamed.select(exact).rows() == bars.select(exact).rows()
    assert renamed["volume"].to_list() == pytest.approx(bars["volume"].to_list())
    assert len(bars) > 10
