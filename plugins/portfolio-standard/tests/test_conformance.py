"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting
from ml4t_backtest_testkit import PluginConformance, PortfolioConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "portfolio-standard"


class TestPortfolioAccounting(PortfolioConformance):
    @pytest.fixture
    def make_portfolio(self):
        return lambda: PortfolioAccounting(PortfolioAccounting.Config(), Setup(name="standard"))
