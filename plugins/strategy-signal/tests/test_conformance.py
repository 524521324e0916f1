"""The distribution keeps the rules of the testkit."""

import polars as pl
import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_strategy_signal.strategy import SignalStrategy, WeightStrategy
from ml4t_backtest_testkit import PluginConformance, StrategyConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "strategy-signal"


class TestSignalStrategy(StrategyConformance):
    @pytest.fixture(params=["every-slice", "weekly", "signal"])
    def make_strategy(self, request):
        config = SignalStrategy.Config(long=2, short=1, rebalance=request.param)
        return lambda prices: SignalStrategy(config, Setup(name="signal"))

    @pytest.fixture
    def make_signals(self):
        return lambda prices: prices.select("symbol", "timestamp", score=pl.col("close") / pl.col("open") - 1.0)


class TestWeightStrategy(StrategyConformance):
    @pytest.fixture
    def make_strategy(self):
        return lambda prices: WeightStrategy(WeightStrategy.Config(source="signals"), Setup(name="weights"))

    @pytest.fixture
    def make_signals(self):
        change = pl.col("close") / pl.col("open") - 1.0
        return lambda prices: prices.select("symbol", "timestamp", weight=change.sign() * 0.2)
