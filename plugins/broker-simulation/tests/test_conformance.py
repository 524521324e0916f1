"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_broker_simulation.broker import SimulationBroker
from ml4t_backtest_testkit import BrokerConformance, PluginConformance, random_market
from ml4t_backtest_testkit.reference import PlainCommission, PlainFill


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "broker-simulation"


class TestSimulationBroker(BrokerConformance):
    @pytest.fixture
    def make_broker(self):
        return lambda: SimulationBroker(SimulationBroker.Config(), Setup(name="simulation"))


class TestNextClose(TestSimulationBroker):
    """The same rules where orders take the next close."""

    @pytest.fixture
    def models(self):
        return {"fill": PlainFill("next-close"), "commission": PlainCommission()}

    @pytest.fixture
    def prices(self):
        return random_market(seed=22, symbols=4, bars=80, missing=0.15)
