"""The feed over Arrow IPC files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window
from ml4t.backtest.interfaces.gate import Location

__all__ = ["IPCDataFeed", "IPCFeedConfig"]

_ENDINGS = (".arrow", ".ipc", ".feather", ".arrows")
_STREAM = b"\xff\xff\xff\xff"  # what a stream begins with; a file begins with the letters ARROW1


@dataclass(frozen=True, kw_only=True)
class IPCFeedConfig(FeedConfig):
    """What a feed of Arrow IPC files reads, beside the settings of every feed that reads columns.

    Attributes:
        path: A file, a folder (its files that end in ``.arrow``, ``.ipc``, ``.feather`` or ``.arrows``, at any
            depth), a glob such as ``prices/*.arrow``, a URL, or a list of these; relative to the run file.
        symbol_from: ``column``, or ``filename``: the name of each file, without its ending, is its symbol.
        hive: Whether folders ``key=value`` on the way to the files are columns of their rows.
        storage_options: How URLs are opened, such as ``{ aws_region = "eu-west-1" }``; run files are kept with the
            results, so that keys belong into the environment.
    """

    path: str | tuple[str, ...]
    symbol_from: Literal["column", "filename"] = "column"
    hive: bool = True
    storage_options: Mapping[str, str] = field(default_factory=dict)


class IPCDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of Arrow IPC (Feather 2) files and streams, compressed or not."""

    Config = IPCFeedConfig

    def __init__(self, config: IPCFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._files: list[Location] = []

    def open(self, window: Window) -> None:
        """Find the files and check their rows.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        self._files = self._gate.find_files(self._config.path, self._setup, _ENDINGS)
        place = self._gate.place_in(self._files, lambda file: self._one(file).select(pl.len()).collect().item())
        self.rows = self._gate.open_rows(
            self._scan(), self._config, window, name=self._setup.name, origin=self._origin, place=place
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns read."""
        return self._gate.digest_files(self._files, self.rows)

    def _scan(self) -> pl.LazyFrame:
        hive = self._config.hive and self._config.symbol_from == "column"
        found = self._gate.partitions(self._files) if hive else [{} for _ in self._files]
        parts = []
        for file, values in zip(self._files, found, strict=True):
            constants = dict(values)
            if self._config.symbol_from == "filename":
                constants["symbol"] = Path(file).stem
            parts.append(self._one(file).with_columns(pl.lit(value).alias(key) for key, value in constants.items()))
        return parts[0] if len(parts) == 1 else pl.concat(parts, how="vertical_relaxed")

    def _one(self, file: Location) -> pl.LazyFrame:
        if isinstance(file, Path):
            stream = _stream(file)
            return pl.scan_ipc(file, glob=False) if stream is None else stream
        # Only object stores have globs and folders.
        options = dict(self._config.storage_options) or None
        return pl.scan_ipc(file, glob="*" in file or file.endswith("/"), storage_options=options)

    @property
    def _origin(self) -> str:
        path = self._config.path
        return path if isinstance(path, str) else ", ".join(path)


def _stream(file: Path) -> pl.LazyFrame | None:
    """Return the rows of a stream; None where the file is none."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_STREAM))
        return pl.read_ipc_stream(file).lazy() if begins == _STREAM else None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file.name}: cannot be read as an Arrow stream: {error}") from error
