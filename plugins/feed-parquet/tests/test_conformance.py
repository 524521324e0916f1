"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_feed_parquet.feed import ParquetDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup, random_market


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-parquet"


class TestParquetDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.parquet"
            rows.write_parquet(path)
            return ParquetDataFeed(ParquetDataFeed.Config(path=str(path), **settings), make_setup("parquet"))

        return make


class TestMinuteBars(TestParquetDataFeed):
    """The same rules for bars within the day."""

    @pytest.fixture
    def rows(self):
        return random_market(seed=7, symbols=2, bars=50, minutes=5, missing=0.1)

    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.parquet"
            rows.write_parquet(path)
            config = ParquetDataFeed.Config(path=str(path), bar="5m", stamp="close", **settings)
            return ParquetDataFeed(config, make_setup("parquet"))

        return make
