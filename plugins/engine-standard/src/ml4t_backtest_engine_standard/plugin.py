"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="engine-standard", summary="run backtests, instant by instant")


@hookimpl
def ml4t_register_engines() -> Mapping[str, str]:
    """Offer the engine behind ``ml4t.backtest.Engine``."""
    return {"standard": "ml4t_backtest_engine_standard.engine:Engine"}
