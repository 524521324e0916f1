"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="gate-standard", summary="check the rows of every source")


@hookimpl
def ml4t_register_gates() -> Mapping[str, str]:
    """Offer the gate that sources are given."""
    return {"standard": "ml4t_backtest_gate_standard.gate:StandardGate"}
