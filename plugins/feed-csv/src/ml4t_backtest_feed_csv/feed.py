"""The feed over CSV files."""

from __future__ import annotations

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import CheckedSource, DataFeed, Setup, Window
from ml4t.backtest.interfaces.gate import Location
from ml4t_backtest_feed_csv.reading import CSVFeedConfig, read_frame

__all__ = ["CSVDataFeed"]

_ENDINGS = (".csv", ".csv.gz", ".csv.zst")


class CSVDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of CSV files; the same rows as those of a Parquet file with the same content.

    The columns that a run needs are read into memory at once; large inputs are better kept as Parquet.
    """

    Config = CSVFeedConfig

    def __init__(self, config: CSVFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._files: list[Location] = []

    def open(self, window: Window) -> None:
        """Read the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        self._files = self._gate.find_files(self._config.path, self._setup, _ENDINGS)
        found = self._gate.partitions(self._files) if self._config.hive else [{} for _ in self._files]
        given = zip(self._files, found, strict=True)
        frames = [read_frame(file, self._config, self._gate, values) for file, values in given]
        heights = {file: frame.height for file, frame in zip(self._files, frames, strict=True)}
        try:
            whole = pl.concat(frames, how="diagonal_relaxed").lazy()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{self._origin}: the files differ in their columns: {error}") from error
        place = self._gate.place_in(self._files, heights.__getitem__)
        self.rows = self._gate.open_rows(
            whole, self._config, window, name=self._setup.name, origin=self._origin, place=place
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns read."""
        return self._gate.digest_files(self._files, self.rows)

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)
