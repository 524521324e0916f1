"""Say what this distribution offers."""

from __future__ import annotations

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="portfolio-standard", summary="positions, cash, profit and loss, round trips, metrics")


@hookimpl
def ml4t_register_portfolios() -> Mapping[str, str]:
    """Offer the portfolio."""
    return {"standard": "ml4t_backtest_portfolio_standard.portfolio:PortfolioAccounting"}
