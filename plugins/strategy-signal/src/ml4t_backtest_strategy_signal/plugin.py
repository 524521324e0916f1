"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="strategy-signal", summary="trade on a signal by a declared rule")


@hookimpl
def ml4t_register_strategies() -> Mapping[str, str]:
    """Offer the strategies ``signal`` and ``weights``."""
    package = "ml4t_backtest_strategy_signal"
    return {"signal": f"{package}.strategy:SignalStrategy", "weights": f"{package}.strategy:WeightStrategy"}
