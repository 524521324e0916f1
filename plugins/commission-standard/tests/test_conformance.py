"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_commission_standard.models import (
    NoCommission,
    PercentCommission,
    PerShareCommission,
    PerTradeCommission,
)
from ml4t_backtest_testkit import CostConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "commission-standard"


class TestCommissionModels(CostConformance):
    kind = "commission"

    @pytest.fixture(
        params=[
            (NoCommission, {}),
            (PerShareCommission, {"minimum": 1.0}),
            (PercentCommission, {"rate": 0.001}),
            (PerTradeCommission, {"amount": 2.5}),
        ],
        ids=["none", "per-share", "percent", "per-trade"],
    )
    def model(self, request):
        cls, settings = request.param
        return cls(cls.Config(**settings), Setup(name="commission"))
