"""The testkit and its plain components keep the rules that they state for others."""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import AlwaysOpen
from ml4t.backtest.interfaces import Calendar, Reporter, RiskManager
from ml4t.backtest.state import REASONS
from ml4t_backtest_testkit import (
    BrokerConformance,
    CalendarConformance,
    CostConformance,
    FeedConformance,
    FillModelConformance,
    PluginConformance,
    PortfolioConformance,
    ReporterConformance,
    RiskConformance,
    SignalConformance,
    StrategyConformance,
)
from ml4t_backtest_testkit.engines import RandomTrader
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.reference import PlainCommission, PlainFill, PlainPortfolio, RowsFeed, RowsSignal
from ml4t_backtest_testkit.scenarios import FollowScore


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "testkit"


class TestRowsFeed(FeedConformance):
    @pytest.fixture
    def make_source(self):
        return lambda rows: RowsFeed(rows.sort("timestamp", "symbol") if "symbol" in rows.columns else rows)


class TestRowsSignal(SignalConformance):
    @pytest.fixture
    def make_source(self):
        return lambda rows: RowsSignal(rows.sort("timestamp", "symbol") if "symbol" in rows.columns else rows)


class TestPlainBroker(BrokerConformance):
    @pytest.fixture
    def make_broker(self):
        return PlainBroker


class TestPlainPortfolio(PortfolioConformance):
    @pytest.fixture
    def make_portfolio(self):
        return PlainPortfolio


class TestPlainFill(FillModelConformance):
    @pytest.fixture(params=["next-open", "next-close"])
    def model(self, request):
        return PlainFill(request.param)


class TestPlainCommission(CostConformance):
    kind = "commission"

    @pytest.fixture
    def model(self):
        return PlainCommission()


class TestRandomTrader(StrategyConformance):
    @pytest.fixture
    def make_strategy(self):
        return lambda prices: RandomTrader()


class TestFollowScore(StrategyConformance):
    @pytest.fixture
    def make_strategy(self):
        return lambda prices: FollowScore()

    @pytest.fixture
    def make_signals(self):
        return lambda prices: prices.select("symbol", "timestamp", score=pl.col("close") / pl.col("open") - 1.0)


class Silent(Reporter):
    """Writes nothing."""


class TestSilentReporter(ReporterConformance):
    @pytest.fixture
    def make_reporter(self):
        return Silent


class AtMost(RiskManager):
    """Refuses sales, and cuts other orders to 100."""

    def check(self, requests, state):
        orders = requests["action"] == 0
        requests["reason"][orders & (requests["quantity"] < 0.0)] = REASONS.index("refused-by-risk")
        requests["quantity"] = np.clip(requests["quantity"], -np.inf, 100.0)


class TestRiskManager(RiskConformance):
    @pytest.fixture
    def make_risk(self):
        return AtMost


class EveryDay(AlwaysOpen, Calendar):
    """Each UTC day is a session."""

    name = "24/7"
    timezone = "UTC"


class TestCalendar(CalendarConformance):
    @pytest.fixture
    def calendar(self):
        return EveryDay()
