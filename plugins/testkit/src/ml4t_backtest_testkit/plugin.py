"""Register the scenarios."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="testkit", summary="conformance tests, fixtures and scenarios for plugins")


@hookimpl
def ml4t_register_scenarios() -> Mapping[str, str]:
    """Offer the small markets whose results are known."""
    package = "ml4t_backtest_testkit"
    return {
        "events": f"{package}.scenarios:events",
        "market_orders_test": f"{package}.scenarios:market_orders_test",
        "split_dividend_test": f"{package}.actions_scenario:split_dividend_test",
    }
