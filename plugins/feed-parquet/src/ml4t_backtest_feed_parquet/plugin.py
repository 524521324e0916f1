"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-parquet", summary="read bars, quotes and trades from Parquet files")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``parquet``."""
    return {"parquet": "ml4t_backtest_feed_parquet.feed:ParquetDataFeed"}
