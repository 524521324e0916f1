"""The distribution keeps the rules of the testkit."""

from datetime import date

import pytest

from ml4t_backtest_data_synthetic.sources import SyntheticDataFeed, SyntheticSignalSource
from ml4t_backtest_testkit import FeedConformance, PluginConformance, SignalConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "data-synthetic"


class TestDailyBars(FeedConformance):
    reads_rows = False

    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            config = SyntheticDataFeed.Config(sessions=60, splits=5.0, renames=5.0, late=0.5, missing=0.1, **settings)
            return SyntheticDataFeed(config, make_setup("synthetic"))

        return make


class TestMinuteBars(FeedConformance):
    reads_rows = False

    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            config = SyntheticDataFeed.Config(sessions=3, bar="30m", first=date(2024, 1, 1), missing=0.1, **settings)
            return SyntheticDataFeed(config, make_setup("synthetic"))

        return make


class TestQuotes(TestMinuteBars):
    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            config = SyntheticDataFeed.Config(sessions=3, bar="30m", kind="quote", latency="1s", **settings)
            return SyntheticDataFeed(config, make_setup("synthetic"))

        return make


class TestScores(SignalConformance):
    reads_rows = False

    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            return SyntheticSignalSource(SyntheticSignalSource.Config(sessions=60, **settings), make_setup("synthetic"))

        return make
