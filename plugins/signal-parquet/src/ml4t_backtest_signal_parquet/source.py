"""The signal source over Parquet files."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ml4t.backtest.interfaces import CheckedSource, Setup, SignalConfig, SignalSource, Window
from ml4t.backtest.interfaces.gate import Location

__all__ = ["ParquetSignalConfig", "ParquetSignalSource"]


@dataclass(frozen=True, kw_only=True)
class ParquetSignalConfig(SignalConfig):
    """What a Parquet signal source reads, beside the settings of every signal source that reads columns.

    Attributes:
        path: A file, a folder, a glob such as ``predictions/*.parquet``, a URL, or a list of these; relative to the
            run file.
    """

    path: str | tuple[str, ...]


class ParquetSignalSource(CheckedSource, SignalSource):
    """Predictions and other values of Parquet files; only what a run needs is read."""

    Config = ParquetSignalConfig

    def __init__(self, config: ParquetSignalConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._files: list[Location] = []

    def open(self, window: Window) -> None:
        """Find the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        files = self._files = self._gate.find_files(self._config.path, self._setup, (".parquet",))
        place = self._gate.place_in(
            files, lambda file: pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
        )
        source = pl.scan_parquet([str(file) for file in files], glob=False)
        self.rows = self._gate.open_rows(
            source, self._config, window, name=self._setup.name, origin=self._origin, place=place
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns read."""
        return self._gate.digest_files(self._files, self.rows)

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)
