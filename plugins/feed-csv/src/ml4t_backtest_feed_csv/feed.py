"""The feed over CSV files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ml4t.backtest.core.frames import OpenRows, open_rows
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import DataFeed, Setup, SourceSpec, Window
from ml4t_backtest_feed_csv.files import digest_files, find_files, place_in
from ml4t_backtest_feed_csv.reading import CSVFeedConfig, read_frame

__all__ = ["CSVDataFeed"]


class CSVDataFeed(DataFeed):
    """Bars, quotes or trades of CSV files; the same rows as those of a Parquet file with the same content.

    The columns that a run needs are read into memory at once; large inputs are better kept as Parquet.
    """

    Config = CSVFeedConfig

    def __init__(self, config: CSVFeedConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._files: list[Path] = []
        self._rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this feed; valid after ``open``."""
        rows, config = self._opened, self._config
        return SourceSpec(
            name=self._setup.name,
            kind=rows.kind,
            fields=rows.fields,
            rule=rows.rule,
            prices=(config.prices or "raw") if rows.kind == "bar" else None,
            drives=config.drives,
            origin=self._origin,
        )

    def open(self, window: Window) -> None:
        """Read the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        self._files = find_files(self._config.path, self._setup)
        frames = [read_frame(file, self._config) for file in self._files]
        heights = {file: frame.height for file, frame in zip(self._files, frames, strict=True)}
        try:
            whole = pl.concat(frames, how="diagonal_relaxed").lazy()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{self._origin}: the files differ in their columns: {error}") from error
        place = place_in(self._files, heights.__getitem__)
        self._rows = open_rows(whole, self._config, window, origin=self._origin, place=place)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order."""
        return self._opened.batches()

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes."""
        return digest_files(self._files)

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run, one sentence each."""
        return self._opened.notes

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = None

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)

    @property
    def _opened(self) -> OpenRows:
        assert self._rows is not None, "open the feed first"
        return self._rows
