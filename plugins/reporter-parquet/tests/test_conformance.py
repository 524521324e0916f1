"""The distribution keeps the rules of the testkit."""

import pytest

from ml4t.backtest.interfaces import Setup
from ml4t_backtest_reporter_parquet.reporter import ParquetReporter
from ml4t_backtest_testkit import PluginConformance, ReporterConformance


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "reporter-parquet"


class TestParquetReporter(ReporterConformance):
    @pytest.fixture
    def make_reporter(self):
        return lambda: ParquetReporter(ParquetReporter.Config(), Setup(name="parquet"))
