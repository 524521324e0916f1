"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-frame", summary="bars, quotes and trades from frames in memory")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``frame``."""
    return {"frame": "ml4t_backtest_feed_frame.feed:FrameDataFeed"}
