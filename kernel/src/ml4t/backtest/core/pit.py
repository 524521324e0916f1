"""The point-in-time enforcer: the only door from data to strategies.

Released rows are copied, instant by instant, into blocks that hold nothing else. When a block is full a new
one is begun and the tail that may still be asked for is copied; a block is not overwritten while anybody has
a view of it, so a window that a strategy keeps never changes. Nothing handed out is, or slices, a feed's own buffer.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import LookAheadError

if TYPE_CHECKING:
    from ml4t.backtest.core.event import MarketEvent
    from ml4t.backtest.core.queue import Rows
    from ml4t.backtest.interfaces.feed import SourceSpec
    from ml4t.backtest.state import RunState

__all__ = ["Released", "Take"]

Floats = NDArray[np.float64]
Take: TypeAlias = Callable[[NDArray[np.int32], Floats, NDArray[np.int64], bool], None]
_Scalar = TypeVar("_Scalar", bound=np.generic)
_SMALLEST_BLOCK = 4096
_LARGEST_BLOCK = 1 << 16  # unless more has to be kept


class Released:
    """Rows of one source that have been released, as columns; append-only.

    Args:
        spec: The source's description.
        state: The run's columns.
        take: What keeps marks: called with the symbol ids, values (fields, n) and times (event_time and known_at,
            n) of rows released since the last call, and whether they are the symbols 0, 1, 2 … once and in order.

    Attributes:
        count: Rows in the current block.
        depth: Instants that may be asked for.
        pending: Events already delivered whose rows are still to be copied (see ``release_events``).
        pending_full: Whether each of their instants holds exactly the symbols 0, 1, 2 … in order.
    """

    def __init__(self, spec: SourceSpec, state: RunState, take: Take | None = None) -> None:
        self.spec, self._state, self.take = spec, state, take
        self.count = 0
        self.pending: list[MarketEvent] = []
        self.pending_full = False
        self.depth = 1
        self._starts: list[int] = []
        self._full_run = 0
        self._width = 0
        self._folded = 0
        self._allocate(_SMALLEST_BLOCK)
        self._spare: tuple[Floats, NDArray[np.int32], NDArray[np.int64]] | None = None
        self._dense: dict[str, Floats] = {}

    @property
    def newest(self) -> int:
        """``known_at`` of the newest released row, 0 before the first."""
        if self.pending:
            return self.pending[-1].timestamp
        return int(self._times[1, self.count - 1]) if self.count else 0

    def keep(self, bars: int) -> None:
        """Declare that the last ``bars`` instants may be asked for."""
        self.depth = max(self.depth, bars)

    def release(self, rows: Rows, start: int, stop: int, full: bool) -> None:
        """Copy the rows ``start:stop`` of one instant in.

        Args:
            rows: The source's columns.
            start, stop: The instant's rows.
            full: Whether they are exactly the symbols 0, 1, 2 … in order.
        """
        self._sync()
        first = self._copy(rows, start, stop)
        self._close_slice(first, first + stop - start, full)

    def catch_up(self, rows: Rows, starts: Sequence[int], stop: int) -> None:
        """Copy in bulk the rows whose events were delivered but never asked for as columns.

        Args:
            rows: The source's columns.
            starts: First rows of the instants delivered, ascending.
            stop: End of the last instant delivered.
        """
        start = stop - len(self.pending)
        self.pending = []
        if start == stop:
            return
        starts = starts[bisect_left(starts, start) :]
        first = self._copy(rows, start, stop)
        if len(starts) > 1:  # all but the last instant at once
            width = starts[-1] - starts[-2] if self.pending_full else 0
            same = self.pending_full and width == self._width
            self._full_run = self._full_run + len(starts) - 1 if same else len(starts) - 1 if width else 0
            self._width = width
            self._starts += [first + place - start for place in starts[:-1]]
        self._close_slice(first + starts[-1] - start, first + stop - start, self.pending_full)

    def _copy(self, rows: Rows, start: int, stop: int) -> int:
        """Copy rows behind those that are there, which are not yet counted; return the place of the first."""
        if self.count + stop - start > self._symbol.size:
            self._roll(stop - start)
        first, end = self.count, self.count + stop - start
        self._values[:, first:end] = rows.values[:, start:stop]
        self._symbol[first:end] = rows.symbol[start:stop]
        self._times[0, first:end] = rows.event_time[start:stop]
        self._times[1, first:end] = rows.known_at[start:stop]
        return first

    def _close_slice(self, first: int, end: int, full: bool) -> None:
        if full and end - first == self._width:
            self._full_run += 1
        else:
            self._full_run, self._width = int(full), end - first
        self._starts.append(first)
        self.count = end
        self._dense.clear()

    def _sync(self) -> None:
        """Copy the rows of delivered events from the events themselves, which hold nothing of the future."""
        events, self.pending = self.pending, []
        if not events:
            return
        if self.count + len(events) > self._symbol.size:
            self._roll(len(events))
        ids, fields = self._state.symbols.id, self.spec.fields
        first, end = self.count, self.count + len(events)
        self._values[:, first:end] = [[getattr(event, name) for event in events] for name in fields]
        self._symbol[first:end] = [ids(event.symbol) for event in events]
        self._times[:, first:end] = [[event.event_time for event in events], [event.timestamp for event in events]]
        for place in range(first + 1, end):
            if self._times[1, place] != self._times[1, place - 1]:
                self._close_slice(first, place, self.pending_full)
                first = place
        self._close_slice(first, end, self.pending_full)

    def _allocate(self, size: int) -> None:
        """Make a block; zeroed, because memory that was used before may hold rows of the future."""
        self._values: Floats = _block((len(self.spec.fields), size), np.float64)
        self._symbol = _block((size,), np.int32)
        self._times = _block((2, size), np.int64)

    def _roll(self, room: int) -> None:
        """Start a new block with the tail that may still be asked for."""
        self.fold()
        kept = self._starts[-self.depth :]
        start = kept[0] if kept else self.count
        tail = slice(start, self.count)
        size = max(_SMALLEST_BLOCK, 4 * (self.count - start) + room, min(2 * self._symbol.size, _LARGEST_BLOCK))
        filled, spare = (self._values, self._symbol, self._times), self._spare
        # The block before holds rows of the past only and serves again if nobody has kept a view of it.
        if spare and len(spare[1]) >= size and all(sys.getrefcount(each.base) <= 2 for each in spare):
            self._values, self._symbol, self._times = spare
        else:
            self._allocate(size)
        self.count, self._spare = self.count - start, filled if len(filled[1]) <= 2 * _LARGEST_BLOCK else None
        self._values[:, : self.count] = filled[0][:, tail]
        self._symbol[: self.count] = filled[1][tail]
        self._times[:, : self.count] = filled[2][:, tail]
        self._starts = [place - start for place in kept]
        self._folded = self.count

    def fold(self) -> None:
        """Hand on the rows released since the last time to what keeps something by symbol."""
        self._sync()
        start, stop = self._folded, self.count
        if start == stop:
            return
        self._folded = stop
        ids, values, times = self._symbol[start:stop], self._values[:, start:stop], self._times[:, start:stop]
        if self.take is not None:
            self.take(ids, values, times, bool(self._full_run) and stop - start == self._width)

    def dense(self, field: str) -> Floats:
        """Return the newest instant's values of a field over the released symbols, float64 (n,), NaN if none."""
        self._sync()
        out = self._dense.get(field)
        if out is None or len(out) != len(self._state.symbols):
            out = self._dense[field] = self._make_dense(field)
        return out

    def _make_dense(self, field: str) -> Floats:
        place, width = self._newest_rows(), len(self._state.symbols)
        out = self._values[self.spec.fields.index(field), place]
        if not self._full_run or self._width != width:
            newest, out = out, np.full(width, np.nan)
            out[self._symbol[place]] = newest
        return _read_only(out)

    def _newest_rows(self) -> slice:
        """Return the place of the newest instant's rows."""
        self._sync()
        return slice(self._starts[-1] if self._starts else 0, self.count)

    def updated(self) -> NDArray[np.bool_]:
        """Return which symbols the newest instant has a row for, bool (n,)."""
        out = np.zeros(len(self._state.symbols), np.bool_)
        out[self.symbol_ids()] = True
        return out

    def symbol_ids(self) -> NDArray[np.int32]:
        """Return the symbols of the newest instant's rows, int32, in the order of release."""
        return _read_only(self._symbol[self._newest_rows()])

    def column(self, field: str) -> Floats:
        """Return a field of the newest instant's rows, float64, in the order of ``symbol_ids``."""
        place = self._newest_rows()
        return _read_only(self._values[self.row(field), place])

    def history(self, field: str, bars: int) -> Floats:
        """Return the last ``bars`` instants of a field, float64 (bars, n), oldest first, NaN where no row.

        Raises:
            LookAheadError: When more was asked for than ``subscribe`` declared.
        """
        if not 0 <= bars <= self.depth:
            raise LookAheadError(
                f"history of {bars} bars of {self.spec.name!r} was asked for, {self.depth} declared: "
                f"call context.subscribe({self.spec.name!r}, history={bars}) in on_start"
            )
        self._sync()
        row, width = self.row(field), len(self._state.symbols)
        have = min(bars, len(self._starts))
        start = self._starts[-have] if have else self.count
        if have == bars and self._full_run >= bars and self._width == width:
            return _read_only(self._values[row, start : self.count].reshape(bars, width))
        out = np.full((bars, width), np.nan)
        if have:
            lengths = np.diff([*self._starts[-have:], self.count])
            out[np.repeat(np.arange(bars - have, bars), lengths), self._symbol[start : self.count]] = self._values[
                row, start : self.count
            ]
        return _read_only(out)

    def kept(self) -> tuple[NDArray[np.int32], NDArray[np.int64], Floats]:
        """Return symbol ids (n,), times (event_time and known_at, n) and values (fields, n) of the kept instants."""
        self._sync()
        place = slice(self._starts[-self.depth :][0] if self._starts else 0, self.count)
        return _read_only(self._symbol[place]), _read_only(self._times[:, place]), _read_only(self._values[:, place])

    def row(self, field: str) -> int:
        """Return the row of ``values`` that holds a field; LookAheadError for one that the source does not have."""
        if field not in self.spec.fields:
            raise LookAheadError(
                f"source {self.spec.name!r} has no field {field!r}; it has {', '.join(self.spec.fields)}"
            )
        return self.spec.fields.index(field)


def _block(shape: tuple[int, ...], dtype: type[_Scalar]) -> NDArray[_Scalar]:
    """Return the one writable view of new memory; what is read is based on memory that is read-only."""
    memory = np.zeros(shape, dtype)
    writable = memory.view()
    memory.flags.writeable = False
    return writable


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array = array.view()
    array.flags.writeable = False
    return array
