"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_feed_ipc.feed import IPCDataFeed
from ml4t_backtest_testkit import FeedConformance, PluginConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "feed-ipc"


class TestIPCDataFeed(FeedConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.arrow"
            rows.write_ipc(path)
            return IPCDataFeed(IPCDataFeed.Config(path=str(path), **settings), make_setup("ipc"))

        return make


class TestStreams(TestIPCDataFeed):
    """The same rules for streams."""

    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.arrows"
            rows.write_ipc_stream(path)
            return IPCDataFeed(IPCDataFeed.Config(path=str(path), **settings), make_setup("ipc"))

        return make
