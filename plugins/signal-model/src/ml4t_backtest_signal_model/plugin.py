"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="signal-model", summary="signals from a model that is asked during the run")


@hookimpl
def ml4t_register_signal_sources() -> Mapping[str, str]:
    """Offer the signal source ``model``."""
    return {"model": "ml4t_backtest_signal_model.source:ModelSignalSource"}
