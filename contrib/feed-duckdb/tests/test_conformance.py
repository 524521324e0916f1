"""The distribution keeps the rules of the testkit."""

from itertools import count

import duckdb
import pytest

from ml4t_backtest_feed_duckdb.feed import DuckDBDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-duckdb"


class TestDuckDBDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.duckdb"
            with duckdb.connect(str(path)) as connection:
                connection.sql("CREATE TABLE prices AS SELECT * FROM rows")
            config = DuckDBDataFeed.Config(path=str(path), table="prices", **settings)
            return DuckDBDataFeed(config, make_setup("duckdb"))

        return make
