"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t_backtest_signal_frame.source import FrameSignalSource
from ml4t_backtest_testkit import PluginConformance, SignalConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "signal-frame"


class TestFrameSignalSource(SignalConformance):
    @pytest.fixture
    def make_source(self):
        def make(rows, **settings):
            return FrameSignalSource(FrameSignalSource.Config(frame=rows, **settings), make_setup("prices"))

        return make
