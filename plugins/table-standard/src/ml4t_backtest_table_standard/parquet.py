"""The table over Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Setup, TableSource
from ml4t_backtest_table_standard.columns import TableConfig, rename_columns

__all__ = ["ParquetTable", "ParquetTableConfig"]


@dataclass(frozen=True, kw_only=True)
class ParquetTableConfig(TableConfig):
    """What a Parquet table reads.

    Attributes:
        path: A file, a folder, a glob such as ``actions/*.parquet``, a URL, or a list of these; relative to the
            run file.
    """

    path: str | tuple[str, ...]


class ParquetTable(TableSource):
    """The rows of Parquet files, in the order of the files."""

    Config = ParquetTableConfig

    def __init__(self, config: ParquetTableConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate

    def read(self) -> pl.DataFrame:
        """Return all rows.

        Raises:
            DataError: A file is missing or no Parquet file, or lacks a column that is mapped.
        """
        frames: list[pl.DataFrame] = []
        for file in self._gate.find_files(self._config.path, self._setup, (".parquet",)):
            name = Path(file).name
            try:
                frame = pl.read_parquet(file, glob=False)
            except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise DataError(f"{name}: cannot be read as Parquet: {error}") from error
            frames.append(rename_columns(frame, self._config.columns, name))
        try:
            return pl.concat(frames, how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            path = self._config.path
            origin = path if isinstance(path, str) else ", ".join(path)
            fault = str(error).partition("\n")[0]
            raise DataError(f"{origin}: the files differ in their columns: {fault}; write them alike") from error

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns."""
        files = self._gate.find_files(self._config.path, self._setup, (".parquet",))
        return self._gate.digest_files(files) or self._gate.digest_frame(self.read())
