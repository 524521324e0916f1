"""Reporters write a result out; they never take part in it."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.result import Result

__all__ = ["Progress", "Reporter"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        rows: Rows released so far.
        now: The instant just finished, UTC ns.
        first, last: The run's first and last instant as far as known, UTC ns.
        elapsed: Seconds since the run began.
    """

    rows: int
    now: int
    first: int
    last: int
    elapsed: float


class Reporter(ABC):
    """Built as ``cls(config, setup)``; every method has a do-nothing default."""

    def started(self, header: tuple[str, ...], out: Path | None) -> None:
        """Called once before the first instant with the header's lines and the run folder, if any."""
        return None

    def progress(self, progress: Progress) -> None:
        """Called between instants, at most a few times a second."""
        return None

    def finished(self, result: Result, out: Path | None) -> None:
        """Called once at the end, also after an error or an interrupt (see ``result.status``).

        Write under ``out`` (None: nothing is to be written) under a temporary name, then rename.
        """
        return None
