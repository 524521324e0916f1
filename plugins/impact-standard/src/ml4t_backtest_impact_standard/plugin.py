"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="impact-standard", summary="linear, square-root and Almgren-Chriss market impact")


@hookimpl
def ml4t_register_impact_models() -> Mapping[str, str]:
    """Offer the market impact models."""
    return {
        "linear": "ml4t_backtest_impact_standard.models:LinearImpact",
        "square-root": "ml4t_backtest_impact_standard.models:SquareRootImpact",
        "almgren-chriss": "ml4t_backtest_impact_standard.models:AlmgrenChrissImpact",
    }
