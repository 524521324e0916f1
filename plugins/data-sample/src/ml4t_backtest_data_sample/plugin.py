"""Offer the sample prices as the feed ``sample``."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="data-sample", summary="real daily prices of twenty US shares, 1990 to 2022")


@hookimpl
def ml4t_register_feeds() -> Mapping[str, str]:
    """Register the feed."""
    return {"sample": "ml4t_backtest_data_sample.feed:SampleDataFeed"}
