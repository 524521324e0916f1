"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_feed_delta.feed import DeltaDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-delta"


class TestDeltaDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / str(next(made))
            rows.write_delta(path)
            return DeltaDataFeed(DeltaDataFeed.Config(path=str(path), **settings), make_setup("delta"))

        return make
