"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_commission_standard.models import (
    NoCommission,
    PercentCommission,
    PerContractCommission,
    PerShareCommission,
    PerTradeCommission,
)
from ml4t_backtest_commission_standard.tiered import Tier, TieredCommission
from ml4t_backtest_testkit import CostConformance, PluginConformance

FEES = (Tier(maker=0.001, taker=0.002), Tier(start=1e6, maker=0.0, taker=0.0015))
REBATES = (Tier(maker=-0.0001, taker=0.0005),)


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
            (PerShareCommission, {"minimum": 1.0, "maximum": 0.01}),
            (PerContractCommission, {"rate": 0.85, "fee": 1.5, "minimum": 3.0}),
            (PercentCommission, {"rate": 0.001}),
            (PercentCommission, {"rate": 0.001, "minimum": 20.0}),
            (PerTradeCommission, {"amount": 2.5}),
            (TieredCommission, {"by": "value", "tiers": FEES}),
            (TieredCommission, {"by": "units", "tiers": FEES}),
        ],
        ids=[
            "none",
            "per-share",
            "per-share, at most",
            "per-contract",
            "percent",
            "percent, at least",
            "per-trade",
            "tiered by value",
            "tiered by units",
        ],
    )
    def model(self, request):
        cls, settings = request.param
        return cls(cls.Config(**settings), Setup(name="commission"))


class TestModelsThatPayRebates(CostConformance):
    kind = "commission"
    pays_rebates = True

    @pytest.fixture
    def model(self):
        return TieredCommission(TieredCommission.Config(by="value", tiers=REBATES), Setup(name="commission"))
