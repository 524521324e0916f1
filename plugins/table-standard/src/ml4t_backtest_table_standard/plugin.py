"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="table-standard", summary="read tables: Parquet and CSV files, frames in memory")


@hookimpl
def ml4t_register_tables() -> Mapping[str, str]:
    """Offer the tables ``parquet``, ``csv`` and ``frame``."""
    return {
        "parquet": "ml4t_backtest_table_standard.parquet:ParquetTable",
        "csv": "ml4t_backtest_table_standard.text:CSVTable",
        "frame": "ml4t_backtest_table_standard.frame:FrameTable",
    }
