"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="data-synthetic", summary="make seeded synthetic markets, with planted defects")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Offer the feed ``synthetic``."""
    return {"synthetic": "ml4t_backtest_data_synthetic.sources:SyntheticDataFeed"}


@hookimpl
def ml4t_register_signal_sources() -> Mapping[str, str]:
    """Offer the signal source ``synthetic``."""
    return {"synthetic": "ml4t_backtest_data_synthetic.sources:SyntheticSignalSource"}


@hookimpl
def ml4t_register_tables() -> Mapping[str, str]:
    """Offer the table ``synthetic``: the corporate actions of a market."""
    return {"synthetic": "ml4t_backtest_data_synthetic.sources:SyntheticActions"}
