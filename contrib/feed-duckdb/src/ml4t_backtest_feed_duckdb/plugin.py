"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-duckdb", summary="read bars, quotes and trades from DuckDB databases")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``duckdb``."""
    return {"duckdb": "ml4t_backtest_feed_duckdb.feed:DuckDBDataFeed"}
