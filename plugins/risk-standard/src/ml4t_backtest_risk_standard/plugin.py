"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="risk-standard", summary="a limit on the position in each symbol")


@hookimpl
def ml4t_register_risk_managers() -> Mapping[str, str]:
    """Offer the risk managers."""
    return {"max-position": "ml4t_backtest_risk_standard.max_position:MaxPosition"}
