"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t_backtest_testkit import PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-resample"
