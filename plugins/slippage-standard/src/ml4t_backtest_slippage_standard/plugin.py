"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="slippage-standard", summary="none, basis points, fixed, half-spread, volume-share")


@hookimpl
def ml4t_register_slippage_models() -> Mapping[str, str]:
    """Offer the slippage models."""
    return {
        "none": "ml4t_backtest_slippage_standard.models:NoSlippage",
        "bps": "ml4t_backtest_slippage_standard.models:BasisPointSlippage",
        "fixed": "ml4t_backtest_slippage_standard.models:FixedSlippage",
        "spread": "ml4t_backtest_slippage_standard.models:SpreadSlippage",
        "volume-share": "ml4t_backtest_slippage_standard.models:VolumeShareSlippage",
    }
