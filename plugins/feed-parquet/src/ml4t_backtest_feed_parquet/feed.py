"""The feed over Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window
from ml4t.backtest.interfaces.gate import Location
from ml4t_backtest_feed_parquet.several import options_for

__all__ = ["ParquetDataFeed", "ParquetFeedConfig"]

_FILE = "#file"


@dataclass(frozen=True, kw_only=True)
class ParquetFeedConfig(FeedConfig):
    """What a Parquet feed reads, beside the settings of every feed that reads columns.

    Attributes:
        path: A file, a folder (its files that end in ``.parquet``, at any depth), a glob such as
            ``prices/*.parquet``, a URL such as ``s3://bucket/prices.parquet``, or a list of these; relative to the
            run file.
        symbol_from: ``column``, or ``filename``: the name of each file, without its ending, is its symbol.
        hive: Whether folders ``key=value`` on the way to the files are columns of their rows.
        storage_options: How URLs are opened, such as ``{ aws_region = "eu-west-1" }``; run files are kept with the
            results, so that keys belong into the environment.
        stream: Whether the rows of local files are checked while the run goes on rather than before it; by default
            where there are more than 4 million.
    """

    path: str | tuple[str, ...]
    symbol_from: Literal["column", "filename"] = "column"
    hive: bool = True
    storage_options: Mapping[str, str] = field(default_factory=dict)
    stream: bool | None = None


class ParquetDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of Parquet files; only columns, symbols and days that a run needs are read."""

    Config = ParquetFeedConfig

    def __init__(self, config: ParquetFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._files: list[Location] = []

    def open(self, window: Window) -> None:
        """Find the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        files = self._gate.find_files(self._config.path, self._setup, (".parquet",))
        wanted = self._config.symbols if self._config.symbol_from == "filename" else ()
        self._files = [file for file in files if Path(file).stem in wanted] or files
        place = self._gate.place_in(
            self._files, lambda file: self._one(file, glob=False).select(pl.len()).collect().item()
        )
        self.rows = self._gate.open_rows(
            self._scan(),
            self._config,
            window,
            name=self._setup.name,
            origin=self._origin,
            place=place,
            files=self._files,
            stream=self._config.stream,
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the compressed bytes of the columns and row groups read; of URLs, that of the columns."""
        return self._gate.digest_files(self._files, self.rows)

    def _scan(self) -> pl.LazyFrame:
        if self._config.symbol_from == "filename":
            # One scan of all files: one of each, put together, takes a hundred times as long.
            names = {str(file): Path(file).stem for file in self._files}
            symbol = pl.col(_FILE).replace_strict(names, return_dtype=pl.String)
            return self._one(*self._files, include_file_paths=_FILE).with_columns(symbol=symbol).drop(_FILE)
        found = self._gate.partitions(self._files) if self._config.hive else []
        known = {name: value for values in found for name, value in values.items() if value is not None}
        schema = {name: pl.String if isinstance(value, str) else pl.Date for name, value in known.items()}
        return self._one(*self._files, hive_partitioning=bool(schema), hive_schema=schema or None)

    def _one(self, *files: Location, **options: Any) -> pl.LazyFrame:
        # Only object stores have globs and folders; an asterisk in the name of a local file is a letter.
        places = [str(file) for file in files]
        if len(places) > 1:
            options |= options_for(files)
        options.setdefault("glob", any("://" in place and ("*" in place or place[-1] == "/") for place in places))
        return pl.scan_parquet(places, storage_options=dict(self._config.storage_options) or None, **options)

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)
