"""The distribution keeps the rules of the testkit."""

from itertools import count

import pytest

from ml4t_backtest_table_standard.frame import FrameTable
from ml4t_backtest_table_standard.parquet import ParquetTable
from ml4t_backtest_table_standard.text import CSVTable
from ml4t_backtest_testkit import PluginConformance, TableConformance, make_setup


class TestPlugin(PluginConformance):
    @pytest.fixture
    def plugin(self):
        return "table-standard"


class TestParquetTable(TableConformance):
    @pytest.fixture
    def make_table(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.parquet"
            rows.write_parquet(path)
            return ParquetTable(ParquetTable.Config(path=str(path), **settings), make_setup("parquet"))

        return make


class TestCSVTable(TableConformance):
    @pytest.fixture
    def make_table(self, tmp_path):
        made = count()

        def make(rows, **settings):
            path = tmp_path / f"{next(made)}.csv"
            rows.write_csv(path)
            return CSVTable(CSVTable.Config(path=str(path), **settings), make_setup("csv"))

        return make


class TestFrameTable(TableConformance):
    @pytest.fixture
    def make_table(self):
        def make(rows, **settings):
            return FrameTable(FrameTable.Config(frame=rows, **settings), make_setup("frame"))

        return make
