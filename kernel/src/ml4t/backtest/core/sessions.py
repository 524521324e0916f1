"""The sessions of one market as columns, and what they say about days and instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ml4t.backtest.errors import DataError

__all__ = ["DAY_NS", "EPOCH_ORDINAL", "NO_BREAK", "SESSION_DTYPE", "AlwaysOpen", "SessionTable", "to_ns"]

Integers: TypeAlias = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
# What break_start and break_end hold where a session has no break.
NO_BREAK = int(np.iinfo(np.int64).min)
# label: days since 1970-01-01 of the date that names the session; the others: UTC ns.
SESSION_DTYPE = np.dtype([("label", "i8"), ("open", "i8"), ("close", "i8"), ("break_start", "i8"), ("break_end", "i8")])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Ordinal of 1970-01-01: a label is a date's ordinal less this.
EPOCH_ORDINAL = _EPOCH.toordinal()


class SessionTable:
    """Look up sessions by label and by instant; all look-ups are vectorised.

    Args:
        sessions: Structured array of `SESSION_DTYPE`, labels and times strictly increasing.
        timezone: IANA zone in which labels are local days.
        name: The calendar's name, for messages.

    Attributes:
        data: The sessions, read-only rows of `SESSION_DTYPE`.

    Raises:
        DataError: Sessions are out of order, overlap or end before they begin.
    """

    def __init__(self, sessions: npt.NDArray[Any], *, timezone: str, name: str) -> None:
        # One row beyond the last, which is what -1 (no session) reads and no instant reaches.
        self._rows = np.full(len(sessions) + 1, np.iinfo(np.int64).max, SESSION_DTYPE)
        self._rows["break_start"] = NO_BREAK
        self._rows[:-1] = sessions
        self._rows.flags.writeable = False
        self.data = self._rows[:-1]
        self.timezone = timezone
        self.name = name
        self.label, self.open, self.close = (
            np.ascontiguousarray(self.data[field]) for field in ("label", "open", "close")
        )
        wrong = self.open >= self.close
        wrong[1:] |= (self.label[1:] <= self.label[:-1]) | (self.open[1:] < self.close[:-1])
        if wrong.any():
            day = date.fromordinal(EPOCH_ORDINAL + int(self.label[wrong.argmax()]))
            raise DataError(f"calendar {name}: session {day} overlaps or is out of order; correct the calendar")

    def __len__(self) -> int:
        return len(self.label)

    def index_of_label(self, days: Integers) -> Integers:
        """Return the row of each label (days since epoch), -1 where that day is no session."""
        rows = np.searchsorted(self.label, days)
        return np.where(self._rows["label"][rows] == days, rows, -1)

    def label_open(self, days: Integers) -> Integers:
        """Return the open (UTC ns) of each label; the start of that local day where it is no session."""
        return self._edge(days, "open")

    def label_close(self, days: Integers) -> Integers:
        """Return the close (UTC ns) of each label; the end of that local day where it is no session."""
        return self._edge(days, "close")

    def _edge(self, days: Integers, edge: Literal["open", "close"]) -> Integers:
        rows = self.index_of_label(days)
        result: Integers = self._rows[edge][rows]
        if (missing := rows < 0).any():
            strangers, inverse = np.unique(days[missing], return_inverse=True)
            zone, offset = ZoneInfo(self.timezone), 0 if edge == "open" else 1
            midnights = [_local_midnight(int(day) + offset, zone) for day in strangers]
            result[missing] = np.array(midnights, np.int64)[inverse]
        return result


class AlwaysOpen:
    """The calendar of a run that names none: each UTC day is a session, without a gap."""

    name = "24/7"
    timezone = "UTC"

    def sessions(self, start: date, end: date) -> npt.NDArray[Any]:
        """Return one row of `SESSION_DTYPE` for each day from start to end, both included."""
        days = np.arange(start.toordinal(), end.toordinal() + 1) - EPOCH_ORDINAL
        table = np.full(len(days), NO_BREAK, SESSION_DTYPE)
        table["label"], table["open"], table["close"] = days, days * DAY_NS, (days + 1) * DAY_NS
        return table


def _local_midnight(day: int, zone: ZoneInfo) -> int:
    # Where clocks skip midnight, fold=0 takes the offset before the switch: the very instant of it.
    return to_ns(datetime.fromordinal(EPOCH_ORDINAL + day).replace(tzinfo=zone))


def to_ns(moment: datetime) -> int:
    """Return a zone-aware datetime as UTC ns."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
