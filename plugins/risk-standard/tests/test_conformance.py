"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_risk_standard.max_position import MaxPosition
from ml4t_backtest_testkit import PluginConformance, RiskConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "risk-standard"


class TestMaxPosition(RiskConformance):
    @pytest.fixture(
        params=[
            {"units": 700.0},
            {"units": 700.0, "action": "refuse"},
            {"value": 20_000.0},
            {"fraction": 0.2},
        ],
        ids=["units", "refuse", "value", "fraction"],
    )
    def make_risk(self, request):
        return lambda: MaxPosition(MaxPosition.Config(**request.param), Setup(name="max-position"))
