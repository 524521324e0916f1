"""Exchange calendars."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml4t_backtest_calendar_market.calendar import MarketCalendar

__all__ = ["MarketCalendar"]


def __getattr__(name: str) -> object:
    if name != "MarketCalendar":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # At first use only: what asks the plugin module what it offers shall not load numpy for that.
    from ml4t_backtest_calendar_market.calendar import MarketCalendar

    return MarketCalendar
