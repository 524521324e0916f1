"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_slippage_standard.models import (
    BasisPointSlippage,
    FixedSlippage,
    NoSlippage,
    SpreadSlippage,
    VolumeShareSlippage,
)
from ml4t_backtest_testkit import CostConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "slippage-standard"


class TestSlippageModels(CostConformance):
    kind = "slippage"

    @pytest.fixture(
        params=[
            (NoSlippage, {}),
            (BasisPointSlippage, {}),
            (FixedSlippage, {"amount": 0.02}),
            (SpreadSlippage, {"spread": 0.001}),
            (SpreadSlippage, {"bps": 10.0}),
            (SpreadSlippage, {"amount": 0.02}),
            (VolumeShareSlippage, {}),
        ],
        ids=["none", "bps", "fixed", "spread", "spread in bps", "spread as amount", "volume-share"],
    )
    def model(self, request):
        cls, settings = request.param
        return cls(cls.Config(**settings), Setup(name="slippage"))
