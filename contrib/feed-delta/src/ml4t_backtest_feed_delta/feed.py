"""The feed over Delta Lake tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window

__all__ = ["DeltaDataFeed", "DeltaFeedConfig"]


@dataclass(frozen=True, kw_only=True)
class DeltaFeedConfig(FeedConfig):
    """What a feed of a Delta Lake table reads, beside the settings of every feed that reads columns.

    Attributes:
        path: Folder of the table, relative to the run file, or its URL.
        version: Which version of the table; the newest by default.
        as_of: The version that was there at a time such as ``"2024-03-01T00:00:00Z"``, instead of its number.
        storage_options: How URLs are opened; run files are kept with the results, so that keys belong into the
            environment.
        sort: Whether to sort the rows, as those of a table have no order; true by default.
    """

    path: str
    version: int | None = None
    as_of: str | None = None
    storage_options: Mapping[str, str] = field(default_factory=dict)
    sort: bool = True


class DeltaDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of one version of a Delta Lake table; only what a run needs is read."""

    Config = DeltaFeedConfig

    def __init__(self, config: DeltaFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._version = 0

    def open(self, window: Window) -> None:
        """Find the version and check its rows.

        Raises:
            DataError: Naming table, what is wrong and what to do.
        """
        origin = self._config.path
        table = self._table()
        self._version = table.version()
        self.rows = self._gate.open_rows(
            pl.scan_delta(table), self._config, window, name=self._setup.name, origin=origin, place=lambda _: origin
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the columns read."""
        return self._gate.digest_files([self._config.path], self.rows)

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run, and which version was read."""
        return (*super().notes(), f"{self._config.path}: version {self._version} of the table")

    def _table(self) -> DeltaTable:
        path, version, as_of = self._config.path, self._config.version, self._config.as_of
        if version is not None and as_of is not None:
            raise DataError(f"{path}: version and as_of both say what is read; take one of them out")
        place = path if "://" in path else self._setup.path(path)
        try:
            table = DeltaTable(place, version=version, storage_options=dict(self._config.storage_options) or None)
            if as_of is not None:
                begun = min((entry["timestamp"] for entry in table.history()), default=0)
                table.load_as_version(as_of)  # before the first one it gives the first one, which was not there yet
                if (first := datetime.fromtimestamp(begun / 1000, UTC)) > datetime.fromisoformat(as_of):
                    raise DataError(f"{path}: as_of {as_of} is before its first version, of {first.isoformat()}")
        except (DeltaError, OSError, ValueError) as error:
            fault = str(error).partition("\n")[0]
            raise DataError(
                f"{path}: cannot be read as a Delta Lake table: {fault}; correct path or version"
            ) from error
        return table
