"""Sources whose rows outside of sessions are left out, or counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.core.stamps import derive
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import ModelSource, Source, SourceSpec, Window

__all__ = ["CountedDays", "WithinSessions", "limit_to_sessions"]


class _Wrapped(Source):
    """What a source is with other rows.

    Args:
        source: The source.
        sessions: Returns the sessions of a calendar by name.
    """

    def __init__(self, source: Source, sessions: Callable[[str], SessionTable]) -> None:
        self._source, self._sessions = source, sessions
        self._left = 0

    @property
    def spec(self) -> SourceSpec:
        """That of the source."""
        return self._source.spec

    def open(self, window: Window) -> None:
        """Open the source.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """
        self._source.open(window)

    def digest(self) -> str:
        """That of the source."""
        return self._source.digest()

    def read(self) -> dict[str, int]:
        """That of the source."""
        return self._source.read()

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class WithinSessions(_Wrapped):
    """Hands on the rows of a source that lie within sessions, and counts the others."""

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows that lie within one session and in no break; what happens at an edge is within."""
        rule = self.spec.rule
        table = self._sessions(rule.calendar)
        self._left = 0
        for batch in self._source.batches():
            frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
            start, end, _ = derive(rule, frame, table)
            place = np.searchsorted(table.close, end)
            session = table.data[np.minimum(place, len(table) - 1)]
            resting = (start < session["break_end"]) & (end > session["break_start"])
            inside = (place < len(table)) & (session["open"] <= start) & ~resting
            self._left += int((~inside).sum())
            yield frame if inside.all() else frame.filter(pl.Series(inside))

    def notes(self) -> tuple[str, ...]:
        """Those of the source; once it is read, how many rows were left out."""
        left = f"{self.spec.origin}: {self._left:,} rows outside of sessions were left out"
        return (*self._source.notes(), *([left] if self._left else []))


class CountedDays(_Wrapped):
    """Hands on the rows of a source of daily bars, already open, and counts those of days without a session.

    Such rows say that the days of the source may be those of another calendar, which end at other times.
    """

    def batches(self) -> Iterator[Any]:
        """Yield what the source yields."""
        labels = self._sessions(self.spec.rule.calendar).label.tolist()
        self._left = 0
        for batch in self._source.batches():
            frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
            days = frame["timestamp"].cast(pl.Date).to_physical()
            unique = days.unique()
            if strange := unique.filter(~unique.is_in(labels)).to_list():
                self._left += int(days.is_in(strange).sum())
            yield batch

    def notes(self) -> tuple[str, ...]:
        """Those of the source; once it is read, how many rows are of days without a session."""
        calendar = self._sessions(self.spec.rule.calendar).name
        what = f"{self.spec.origin}: {self._left:,} rows are of days without a session of {calendar}"
        remedy = 'where its days end at other times than those sessions, name their calendar, as in calendar = "24/7"'
        return (*self._source.notes(), *([f"{what}; {remedy}"] if self._left else []))


def limit_to_sessions(source: Any, policy: object, where: str, sessions: Callable[[str], SessionTable]) -> Any:
    """Return the source, or one without its rows outside of sessions.

    Args:
        source: A feed or signal source.
        policy: What its setting ``outside_sessions`` says; None where there is none.
        where: Place of its table, for messages.
        sessions: Returns the sessions of a calendar by name.

    Raises:
        DataError: The policy is neither ``keep`` nor ``drop``, or the source has no rows of its own.
    """
    if policy in (None, "keep"):
        return source
    if policy != "drop" or isinstance(source, ModelSource):
        what = "a model has no rows; take it out" if policy == "drop" else 'write "keep" or "drop"'
        raise DataError(f"{where}.outside_sessions is {policy!r}: {what}")
    return WithinSessions(source, sessions)
