"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t_backtest_feed_frame.feed import FrameDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-frame"


class TestFrameDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            return FrameDataFeed(FrameDataFeed.Config(frame=rows, **settings), make_setup("prices"))

        return make
