"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_impact_standard.models import AlmgrenChrissImpact, LinearImpact, SquareRootImpact
from ml4t_backtest_testkit import CostConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "impact-standard"


class TestImpactModels(CostConformance):
    kind = "impact"

    @pytest.fixture(
        params=[
            (LinearImpact, {"coefficient": 0.1}),
            (SquareRootImpact, {"volatility_bps": 150.0}),
            (AlmgrenChrissImpact, {"eta": 2.5e-6, "gamma": 2.5e-7, "epsilon": 0.0625}),
        ],
        ids=["linear", "square-root", "almgren-chriss"],
    )
    def model(self, request):
        cls, settings = request.param
        return cls(cls.Config(**settings), Setup(name="impact"))
