"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="broker-simulation", summary="match orders against released market data")


@hookimpl
def ml4t_register_brokers() -> Mapping[str, str]:
    """Offer the simulated broker."""
    return {"simulation": "ml4t_backtest_broker_simulation.broker:SimulationBroker"}
