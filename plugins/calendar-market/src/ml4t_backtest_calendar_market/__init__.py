"""Exchange calendars."""

from ml4t_backtest_calendar_market.calendar import MarketCalendar

__all__ = ["MarketCalendar"]
