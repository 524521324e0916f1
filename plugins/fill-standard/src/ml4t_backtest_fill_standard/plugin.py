"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(
    api=1, name="fill-standard", summary="rules of fills: at the next open, close or vwap, or the same close"
)


@hookimpl
def ml4t_register_fill_models() -> Mapping[str, str]:
    """Offer the fill models."""
    return {
        "next-open": "ml4t_backtest_fill_standard.models:NextOpen",
        "next-close": "ml4t_backtest_fill_standard.models:NextClose",
        "next-vwap": "ml4t_backtest_fill_standard.models:NextVwap",
        "same-close": "ml4t_backtest_fill_standard.models:SameClose",
    }
