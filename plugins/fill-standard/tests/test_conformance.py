"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_fill_standard.models import NextClose, NextOpen, NextVwap, SameClose
from ml4t_backtest_testkit import FillModelConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "fill-standard"


class TestFillModels(FillModelConformance):
    @pytest.fixture(params=[NextOpen, NextClose, NextVwap, SameClose])
    def model(self, request):
        return request.param(request.param.Config(), Setup(name="fill"))
