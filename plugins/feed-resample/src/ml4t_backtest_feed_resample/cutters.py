"""Where one bar ends and the next begins."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ml4t.backtest.core.sessions import DAY_NS, SessionTable
from ml4t.backtest.errors import DataError
from ml4t_backtest_feed_resample.rows import Floats, Integers, Rows, fold

__all__ = ["Cutter", "SizeCutter", "TimeCutter"]

_WINDOW = 64  # rows looked at first for the end of a bar of volume


class Cutter(Protocol):
    """Takes rows in order and gives back bars that no later row can change.

    Attributes:
        outside: Rows left out so far because they lie outside of sessions.
    """

    outside: int

    def add(self, rows: Rows) -> Rows:
        """Take more rows; return the bars that are complete by now, in order of their ends."""
        ...

    def finish(self) -> tuple[Rows, int]:
        """Return the bars that the end of the data completes, and how many it leaves incomplete."""
        ...


class TimeCutter:
    """Cut bars of one length, aligned to each session's open, ended by its close and by breaks.

    Args:
        every: Length of a bar, ns; a day is the session.
        sessions: The sessions.
        fields: Names of the values.
        by_known: Whether rows come in the order in which they are known, so that some come after their bar's end.
        delay: From the end of a bar to when its rows are known, ns.
        origin: The source, for messages.

    Attributes:
        outside: Rows left out so far because they lie outside of sessions.
    """

    def __init__(
        self, every: int, sessions: SessionTable, fields: tuple[str, ...], *, by_known: bool, delay: int, origin: str
    ) -> None:
        self._every, self._table, self._fields = every, sessions, fields
        self._by_known, self._delay, self._origin = by_known, delay, origin
        self.outside = 0
        self._newest = 0
        self._waiting = Rows.empty(len(fields))
        self._begin = self._end = np.zeros(0, np.int64)

    def add(self, rows: Rows) -> Rows:
        """Take more rows; return the bars that are complete by now."""
        if not len(rows):
            return rows
        begin, end, inside = self._bars(rows.start, rows.end)
        if self._by_known:
            late = rows.known > end + self._delay
            begin[late], end[late], inside[late] = self._bars(rows.known[late], rows.known[late])
            self._newest = int(rows.known[-1]) - self._delay
        else:
            self._newest = int(rows.end[-1])
            if (over := inside & (rows.end > end)).any():
                span = f"{_moment(rows.start[over][0])} to {_moment(rows.end[over][0])}"
                where = f"{self._origin}: the row from {span} reaches over the end of its bar, {_moment(end[over][0])}"
                raise DataError(f"{where}; make every a multiple of the length of its bars")
        self.outside += int((~inside).sum())
        self._waiting = self._waiting.join(rows.take(inside))
        self._begin = np.concatenate([self._begin, begin[inside]])
        self._end = np.concatenate([self._end, end[inside]])
        return self._release(self._newest)

    def finish(self) -> tuple[Rows, int]:
        """Return the bars whose end the data has reached, and how many it has not."""
        bars = self._release(self._newest + 1)
        return bars, len({*zip(self._waiting.symbol.tolist(), self._end.tolist(), strict=True)})

    def _release(self, reached: int) -> Rows:
        ready = self._end < reached
        rows, begin, end = self._waiting.take(ready), self._begin[ready], self._end[ready]
        if ready.any():
            rest = ~ready
            self._waiting, self._begin, self._end = self._waiting.take(rest), self._begin[rest], self._end[rest]
            order = np.lexsort((rows.symbol, end))
            rows, begin, end = rows.take(order), begin[order], end[order]
            new = (np.diff(end, prepend=-1) != 0) | (np.diff(rows.symbol, prepend=-1) != 0)
            firsts = np.flatnonzero(new)
            bars, end = fold(rows, firsts, self._fields), end[firsts]
            known = end + self._delay if self._by_known else np.maximum(bars.known, end + self._delay)
            return Rows(bars.symbol, begin[firsts], end, known, bars.values)
        return rows

    def _bars(self, start: Integers, end: Integers) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
        """Return begin and end of the bar of each row, and whether it lies in a session and not in a break."""
        table = self._table
        place = np.searchsorted(table.close, end)
        # What happens at a close ends its session, unless the next one opens at that very instant.
        place += (start == end) & (np.searchsorted(table.open, start, side="right") > place + 1)
        inside = place < len(table)
        session = table.data[np.minimum(place, len(table) - 1)]
        first, last = session["open"].copy(), session["close"].copy()
        inside &= first <= start
        resting = (start < session["break_end"]) & (end > session["break_start"])
        if self._every == DAY_NS:
            return first, last, inside & ~resting
        has_break = session["break_start"] > first
        after = has_break & (start >= session["break_end"])
        before = has_break & (end <= session["break_start"])
        first[after], last[before] = session["break_end"][after], session["break_start"][before]
        # What happens at the very end belongs to the bar that ends there.
        number = np.minimum(start - first, last - 1 - first) // self._every
        begin = first + number * self._every
        return begin, np.minimum(begin + self._every, last), inside & ~resting


class SizeCutter:
    """Cut a symbol's bar with the row that brings its volume, dollars or rows to a figure.

    Args:
        size: The figure.
        measure: ``volume``, ``dollar`` or ``ticks``.
        fields: Names of the values, among them ``close`` and, unless rows are counted, ``volume``.
        by_known: Whether rows come in the order in which they are known.

    Attributes:
        outside: Always 0: these bars do not heed sessions.
    """

    outside = 0

    def __init__(self, size: float, measure: str, fields: tuple[str, ...], *, by_known: bool) -> None:
        self._size, self._measure, self._fields, self._by_known = size, measure, fields, by_known
        self._waiting = Rows.empty(len(fields))
        self._sums: dict[int, float] = {}

    def add(self, rows: Rows) -> Rows:
        """Take more rows; return the bars that they complete."""
        if not len(rows):
            return rows
        fresh = np.concatenate([np.zeros(len(self._waiting), np.bool_), np.ones(len(rows), np.bool_)])
        rows = self._waiting.join(rows)
        order = np.argsort(rows.symbol, kind="stable")
        rows, fresh = rows.take(order), fresh[order]
        weights = self._weights(rows)
        edges = np.append(np.flatnonzero(np.diff(rows.symbol, prepend=-1)), len(rows))
        firsts: list[int] = []
        closed = np.zeros(len(rows), np.bool_)
        for begin, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            first_fresh = begin + int(fresh[begin:stop].argmax()) if fresh[begin:stop].any() else stop
            symbol = int(rows.symbol[begin])
            ends, self._sums[symbol] = self._ends(weights[first_fresh:stop], self._sums.get(symbol, 0.0))
            stops = [first_fresh + end for end in ends]
            firsts += [begin, *stops[:-1]] if stops else []
            closed[begin : stops[-1] if stops else begin] = True
        done, self._waiting = rows.take(closed), rows.take(~closed)
        if not firsts:
            return done
        bars = fold(done, np.searchsorted(np.flatnonzero(closed), np.array(firsts, np.int64)), self._fields)
        return bars.take(np.argsort(bars.known if self._by_known else bars.end, kind="stable"))

    def finish(self) -> tuple[Rows, int]:
        """Return no bars, and how many are incomplete."""
        return self._waiting.take(np.zeros(0, np.int64)), len(np.unique(self._waiting.symbol))

    def _weights(self, rows: Rows) -> Floats:
        if self._measure == "ticks":
            return np.ones(len(rows))
        weights = rows.values[self._fields.index("volume")]
        if self._measure == "dollar":
            weights = weights * np.abs(rows.values[self._fields.index("close")])
        return np.where(np.isnan(weights), 0.0, weights)

    def _ends(self, weights: Floats, total: float) -> tuple[list[int], float]:
        """Return where bars end, and the sum of the rows after the last end; sums are taken row after row."""
        ends: list[int] = []
        place, window = 0, _WINDOW
        while place < len(weights):
            sums = np.cumsum(np.append(total, weights[place : place + window]))[1:]
            hit = int(np.searchsorted(sums, self._size))
            if hit < len(sums):
                place, total, window = place + hit + 1, 0.0, max(_WINDOW, 2 * hit)
                ends.append(place)
            else:
                place, total, window = place + len(sums), float(sums[-1]), 2 * window
        return ends, total


def _moment(instant: np.int64) -> str:
    return f"{np.datetime64(int(instant), 'ns').astype('datetime64[ms]')}Z"
