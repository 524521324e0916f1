"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(
    api=1, name="commission-standard", summary="per share, contract or trade, per cent of value, tiered"
)


@hookimpl
def ml4t_register_commission_models() -> Mapping[str, str]:
    """Offer the commission models."""
    return {
        "none": "ml4t_backtest_commission_standard.models:NoCommission",
        "per-share": "ml4t_backtest_commission_standard.models:PerShareCommission",
        "percent": "ml4t_backtest_commission_standard.models:PercentCommission",
        "per-trade": "ml4t_backtest_commission_standard.models:PerTradeCommission",
        "per-contract": "ml4t_backtest_commission_standard.models:PerContractCommission",
        "tiered": "ml4t_backtest_commission_standard.tiered:TieredCommission",
    }
