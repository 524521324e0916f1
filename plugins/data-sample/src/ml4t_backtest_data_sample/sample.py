"""Where the prices are, and the prices."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["prices", "prices_path"]


def prices_path() -> Path:
    """Return the path of the Parquet file with the prices.

    Returns:
        An existing file inside the installed package; read it, do not write to it.
    """
    return Path(str(resources.files("ml4t_backtest_data_sample") / "prices.parquet"))


def prices() -> pl.DataFrame:
    """Read the prices.

    Returns:
        166,260 rows, sorted by timestamp, then symbol: ``symbol`` (String), ``timestamp`` (Date, the label of
        the session in New York), ``close`` (Float64, US dollars, fully adjusted for splits and dividends; a
        close is known at the end of its session).
    """
    import polars as pl

    return pl.read_parquet(prices_path())
