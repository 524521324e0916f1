"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_signal_parquet.source import ParquetSignalSource
from ml4t_backtest_testkit import PluginConformance, SignalConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "signal-parquet"


class TestParquetSignalSource(SignalConformance):
    @pytest.fixture
    def make_source(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.parquet"
            rows.write_parquet(path)
            return ParquetSignalSource(ParquetSignalSource.Config(path=str(path), **settings), make_setup("parquet"))

        return make
