"""Offer the run directory as the reporter ``parquet``."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="reporter-parquet", summary="write the run directory: Parquet files and a manifest")


@hookimpl
def ml4t_register_reporters() -> Mapping[str, str]:
    """Register the reporter."""
    return {"parquet": "ml4t_backtest_reporter_parquet.reporter:ParquetReporter"}
