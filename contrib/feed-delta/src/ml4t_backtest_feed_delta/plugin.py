"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-delta", summary="read bars, quotes and trades from Delta Lake tables")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``delta``."""
    return {"delta": "ml4t_backtest_feed_delta.feed:DeltaDataFeed"}
