"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_data_sample.feed import SampleDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "data-sample"


class TestSampleDataFeed(FeedConformance):
    reads_rows = False

    @pytest.fixture
    def make_source(self):
        return lambda rows: SampleDataFeed(SampleDataFeed.Config(), Setup(name="sample"))
