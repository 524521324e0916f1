"""The signal source over Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ml4t.backtest.core.frames import OpenRows, SignalConfig, open_rows
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.interfaces import Setup, SignalSource, SourceSpec, Window
from ml4t_backtest_signal_parquet.files import digest_files, find_files, place_in

__all__ = ["ParquetSignalConfig", "ParquetSignalSource"]


@dataclass(frozen=True, kw_only=True)
class ParquetSignalConfig(SignalConfig):
    """What a Parquet signal source reads, beside the settings of every signal source that reads columns.

    Attributes:
        path: A file, a glob such as ``predictions/*.parquet``, or a list of these; relative to the run file.
    """

    path: str | tuple[str, ...]


class ParquetSignalSource(SignalSource):
    """Predictions and other values of Parquet files; only what a run needs is read."""

    Config = ParquetSignalConfig

    def __init__(self, config: ParquetSignalConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._files: list[Path] = []
        self._rows: OpenRows | None = None
        self._valid_for = None if config.valid_for is None else parse_duration(config.valid_for)

    @property
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""
        rows = self._opened
        return SourceSpec(
            name=self._setup.name,
            kind="signal",
            fields=rows.fields,
            rule=rows.rule,
            drives=False,
            valid_for=self._valid_for,
            origin=self._origin,
        )

    def open(self, window: Window) -> None:
        """Find the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        files = self._files = find_files(self._config.path, self._setup)
        place = place_in(files, lambda file: pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())
        source = pl.scan_parquet(files, glob=False)
        self._rows = open_rows(source, self._config, window, origin=self._origin, place=place)

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
        assert self._rows is not None, "open the source first"
        return self._rows
