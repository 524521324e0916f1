"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_calendar_market.calendar import MarketCalendar
from ml4t_backtest_testkit import CalendarConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "calendar-market"


class TestMarketCalendar(CalendarConformance):
    @pytest.fixture(params=["XNYS", "XHKG", "CME_Equity"])
    def calendar(self, request, tmp_path, monkeypatch):
        monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path))
        return MarketCalendar(MarketCalendar.Config(name=request.param), Setup(name="market"))
