"""The feed over Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window

__all__ = ["ParquetDataFeed", "ParquetFeedConfig"]


@dataclass(frozen=True, kw_only=True)
class ParquetFeedConfig(FeedConfig):
    """What a Parquet feed reads, beside the settings of every feed that reads columns.

    Attributes:
        path: A file, a glob such as ``prices/*.parquet``, or a list of these; relative to the run file.
        symbol_from: ``column``, or ``filename``: the name of each file, without its ending, is its symbol.
    """

    path: str | tuple[str, ...]
    symbol_from: Literal["column", "filename"] = "column"


class ParquetDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of Parquet files; only columns, symbols and days that a run needs are read."""

    Config = ParquetFeedConfig

    def __init__(self, config: ParquetFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._files: list[Path] = []

    def open(self, window: Window) -> None:
        """Find the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        files = self._files = self._gate.find_files(self._config.path, self._setup)
        place = self._gate.place_in(
            files, lambda file: pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
        )
        self.rows = self._gate.open_rows(
            self._scan(), self._config, window, name=self._setup.name, origin=self._origin, place=place
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes."""
        return self._gate.digest_files(self._files)

    def _scan(self) -> pl.LazyFrame:
        if self._config.symbol_from == "column":
            return pl.scan_parquet(self._files, glob=False)
        parts = [pl.scan_parquet(file, glob=False).with_columns(symbol=pl.lit(file.stem)) for file in self._files]
        return pl.concat(parts, how="vertical_relaxed")

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)
