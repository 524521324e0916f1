"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-resample", summary="make longer bars of the rows of another feed")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``resample``."""
    return {"resample": "ml4t_backtest_feed_resample.feed:ResampleDataFeed"}
