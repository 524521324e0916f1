"""The signal source over Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        hive: Whether folders ``key=value`` on the way to the files are columns of their rows.
        storage_options: How URLs are opened, such as ``{ aws_region = "eu-west-1" }``; run files are kept with the
            results, so that keys belong into the environment.
        stream: Whether the rows of local files are checked while the run goes on rather than before it; by default
            where there are more than 4 million.
    """

    path: str | tuple[str, ...]
    hive: bool = True
    storage_options: Mapping[str, str] = field(default_factory=dict)
    stream: bool | None = None


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
        place = self._gate.place_in(files, lambda file: self._scan(file).select(pl.len()).collect().item())
        found = self._gate.partitions(files) if self._config.hive else []
        known = {name: value for values in found for name, value in values.items() if value is not None}
        schema = {name: pl.String if isinstance(value, str) else pl.Date for name, value in known.items()}
        source = self._scan(*files, hive_partitioning=bool(schema), hive_schema=schema or None)
        self.rows = self._gate.open_rows(
            source,
            self._config,
            window,
            name=self._setup.name,
            origin=self._origin,
            place=place,
            files=files,
            stream=self._config.stream,
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the compressed bytes of the columns and row groups read; of URLs, that of the columns."""
        return self._gate.digest_files(self._files, self.rows)

    def _scan(self, *files: Location, **options: Any) -> pl.LazyFrame:
        # Only object stores have globs and folders; an asterisk in the name of a local file is a letter.
        places = [str(file) for file in files]
        glob = any("://" in place and ("*" in place or place[-1] == "/") for place in places)
        options["cast_options"] = _alike()
        return pl.scan_parquet(places, glob=glob, storage_options=dict(self._config.storage_options) or None, **options)

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)


def _alike() -> pl.ScanCastOptions:
    """Return how the types of further files may differ from those of the first one: without loss only."""
    return pl.ScanCastOptions(
        integer_cast=("upcast", "allow-float"),
        float_cast="upcast",
        datetime_cast=("millisecond-upcast", "microsecond-upcast", "convert-timezone"),
        categorical_to_string="allow",
    )
