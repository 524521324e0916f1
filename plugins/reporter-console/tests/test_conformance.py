"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_reporter_console.reporter import ConsoleReporter
from ml4t_backtest_testkit import PluginConformance, ReporterConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "reporter-console"


class TestConsoleReporter(ReporterConformance):
    @pytest.fixture
    def make_reporter(self):
        return lambda: ConsoleReporter(ConsoleReporter.Config(), Setup(name="console"))
