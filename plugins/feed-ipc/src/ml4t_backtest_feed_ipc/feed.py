"""The feed over Arrow IPC files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window
from ml4t.backtest.interfaces.gate import Location

__all__ = ["IPCDataFeed", "IPCFeedConfig"]

_ENDINGS = (".arrow", ".ipc", ".feather", ".arrows")
_FILE = "#file"
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
        files = self._gate.find_files(self._config.path, self._setup, _ENDINGS)
        wanted = self._config.symbols if self._config.symbol_from == "filename" else ()
        self._files = [file for file in files if Path(file).stem in wanted] or files
        place = self._gate.place_in(self._files, self._count)
        self.rows = self._gate.open_rows(
            self._scan(),
            self._config,
            window,
            name=self._setup.name,
            origin=self._origin,
            place=place,
            files=self._files,
        )

    def _count(self, file: Location) -> int:
        stream = _stream(file) if isinstance(file, Path) else None
        return int((self._one(file) if stream is None else stream).select(pl.len()).collect().item())

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns read."""
        return self._gate.digest_files(self._files, self.rows)

    def _scan(self) -> pl.LazyFrame:
        if self._config.symbol_from == "filename":
            found: list[dict[str, object]] = [{"symbol": Path(file).stem} for file in self._files]
        else:
            found = self._gate.partitions(self._files) if self._config.hive else []
        streams = [_stream(file) if isinstance(file, Path) else None for file in self._files]
        if any(stream is not None for stream in streams):
            parts = [
                self._one(file) if stream is None else stream for file, stream in zip(self._files, streams, strict=True)
            ]
            named = [
                part.with_columns(pl.lit(str(file)).alias(_FILE)) for file, part in zip(self._files, parts, strict=True)
            ]
            whole = pl.concat(named, how="vertical_relaxed")
        else:
            whole = self._one(*self._files, include_file_paths=_FILE)
        for key in found[0] if found else ():
            of_file = {str(file): values[key] for file, values in zip(self._files, found, strict=True)}
            whole = whole.with_columns(pl.col(_FILE).replace_strict(of_file).alias(key))
        return whole.drop(_FILE)

    def _one(self, *files: Location, **options: Any) -> pl.LazyFrame:
        # Only object stores have globs and folders; an asterisk in the name of a local file is a letter.
        places = [str(file) for file in files]
        glob = any("://" in place and ("*" in place or place[-1] == "/") for place in places)
        return pl.scan_ipc(places, glob=glob, storage_options=dict(self._config.storage_options) or None, **options)

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
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{file.name}: cannot be read as an Arrow stream: {error}") from error
