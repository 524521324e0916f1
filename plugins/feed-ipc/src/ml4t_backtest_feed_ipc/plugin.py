"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="feed-ipc", summary="read bars, quotes and trades from Arrow IPC files")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``ipc``."""
    return {"ipc": "ml4t_backtest_feed_ipc.feed:IPCDataFeed"}
