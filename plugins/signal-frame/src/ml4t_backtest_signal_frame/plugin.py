"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="signal-frame", summary="signals and predictions from frames in memory")


@hookimpl
def ml4t_register_signal_sources() -> Mapping[str, str]:
    """Offer the signal source ``frame``."""
    return {"frame": "ml4t_backtest_signal_frame.source:FrameSignalSource"}
