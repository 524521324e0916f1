"""Say what this distribution offers."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="signal-parquet", summary="read signals and predictions from Parquet files")


@hookimpl
def ml4t_register_signal_sources() -> Mapping[str, str]:
    """Offer the signal source ``parquet``."""
    return {"parquet": "ml4t_backtest_signal_parquet.source:ParquetSignalSource"}
