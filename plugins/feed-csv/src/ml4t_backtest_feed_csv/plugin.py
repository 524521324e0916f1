"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-csv", summary="read bars, quotes and trades from CSV files")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``csv``."""
    return {"csv": "ml4t_backtest_feed_csv.feed:CSVDataFeed"}
