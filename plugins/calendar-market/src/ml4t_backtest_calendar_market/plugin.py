"""Register the calendars of exchanges."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="calendar-market", summary="sessions of exchanges, from pandas-market-calendars")


@hookimpl
def ml4t_register_calendars() -> Mapping[str, str]:
    """Offer ``market``."""
    return {"market": "ml4t_backtest_calendar_market.calendar:MarketCalendar"}
