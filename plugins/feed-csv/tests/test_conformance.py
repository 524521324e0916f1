"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_feed_csv.feed import CSVDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-csv"


class TestCSVDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.csv"
            rows.write_csv(path)
            return CSVDataFeed(CSVDataFeed.Config(path=str(path), **settings), make_setup("csv"))

        return make
