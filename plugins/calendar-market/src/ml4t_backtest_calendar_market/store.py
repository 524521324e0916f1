"""Session tables in the user's cache."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from ml4t.backtest.core.cache import cache_folder
from ml4t.backtest.core.sessions import SESSION_DTYPE, SessionTable
from ml4t.backtest.errors import DataError

__all__ = ["SessionStore", "Stored"]

# Both decide the rules: most exchange codes are answered by the second through the first.
_SOURCES = ("pandas-market-calendars", "exchange-calendars")
_YEAR = "[0-9]" * 4


@dataclass(frozen=True)
class Stored:
    """Sessions of whole years.

    Attributes:
        sessions: Rows of ``SESSION_DTYPE``.
        timezone: The exchange's IANA zone.
    """

    sessions: npt.NDArray[Any]
    timezone: str


class SessionStore:
    """Keep one file per calendar, window of years and version of the libraries that made it.

    A file is written whole under another name and then renamed; one that does not read back, fails its
    checksum or holds another calendar counts as absent.

    Args:
        name: The calendar's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._stem = quote(name, safe="").replace(".", "%2E")

    def read(self, first: int, last: int) -> Stored | None:
        """Return the table of these years, or None where there is no good one."""
        return self._load(self._folder() / f"{self._stem}-{first:04}-{last:04}.npz")

    def any(self) -> Stored | None:
        """Return a table of any years."""
        paths = sorted(self._folder().glob(f"{self._stem}-{_YEAR}-{_YEAR}.npz"))
        return next((stored for stored in map(self._load, paths) if stored), None)

    def write(self, first: int, last: int, stored: Stored) -> None:
        """Keep a table; where the cache cannot be written, the next run computes it again."""
        folder = self._folder()
        with suppress(OSError), tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as place:
            draft = Path(place, "table.npz")
            np.savez(draft, sessions=stored.sessions, timezone=np.array([self.name, stored.timezone]))
            os.replace(draft, folder / f"{self._stem}-{first:04}-{last:04}.npz")

    def _folder(self) -> Path:
        return cache_folder("calendars", "-".join(version(source) for source in _SOURCES))

    def _load(self, path: Path) -> Stored | None:
        try:
            # Opened here, because np.load leaves a file open that is no archive.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                sessions, (name, timezone) = file["sessions"], file["timezone"]
            if name != self.name or sessions.dtype != SESSION_DTYPE:
                return None
            SessionTable(sessions, timezone=str(timezone), name=self.name)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, DataError):
            return None
        return Stored(sessions, str(timezone))
