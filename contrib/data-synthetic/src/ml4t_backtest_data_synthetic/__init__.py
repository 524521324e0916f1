"""Seeded synthetic markets: prices, volumes, quotes, corporate actions and scores, with planted defects on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml4t_backtest_data_synthetic.config import DEFECTS, SyntheticConfig
    from ml4t_backtest_data_synthetic.generating import SyntheticMarket, generate

__all__ = ["DEFECTS", "SyntheticConfig", "SyntheticMarket", "generate"]


def __getattr__(name: str) -> Any:
    # What lists plugins imports this package, and needs neither numpy nor polars for that.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ml4t_backtest_data_synthetic import config, generating

    return getattr(config if name in config.__all__ else generating, name)
