"""Rows of one source between its batches and their release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.stamps import derive
from ml4t.backtest.errors import DataError

if TYPE_CHECKING:
    from ml4t.backtest.core.clock import Clock
    from ml4t.backtest.interfaces.feed import Source, SourceSpec

__all__ = ["FOREVER", "Ints", "Queue", "Rows"]

Ints = NDArray[np.int64]
FOREVER = np.iinfo(np.int64).max
_PIECE = 60_000  # with the rest of an instant still less than a chunk of the clock
_OHLCV = ("open", "high", "low", "close", "volume")


@dataclass(slots=True)
class Rows:
    """Columns of one source, in the order of release.

    Attributes:
        spec: The source's description.
        known_at, event_time, bar_start: int64 (n,), UTC ns; ``known_at`` never decreases.
        symbol: int32 (n,), symbol ids of the run.
        values: float64 (n_fields, n), C-contiguous; row f is ``spec.fields[f]``; unknown is NaN.
        ohlcv: int64 (5,), row of ``values`` for open, high, low, close, volume, -1 where there is none.
        width: Rows of each instant where all instants have the same symbols in the same order; else 0.
    """

    spec: SourceSpec
    known_at: Ints
    event_time: Ints
    bar_start: Ints
    symbol: NDArray[np.int32]
    values: NDArray[np.float64]
    ohlcv: Ints
    width: int = 0

    def __len__(self) -> int:
        return len(self.known_at)

    def slice(self, start: int, stop: int) -> Rows:
        """Return the rows ``start:stop``, neither of which is within an instant, as views."""
        columns = (column[..., start:stop] for column in self._columns)
        return Rows(self.spec, *columns, self.ohlcv, self.width)  # type: ignore[arg-type, call-arg]  # one of each

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.known_at, self.event_time, self.bar_start, self.symbol, self.values

    def join(self, other: Rows) -> Rows:
        """Return these rows and then the other's, copied."""
        pairs = zip(self._columns, other._columns, strict=True)
        return Rows(self.spec, *(np.concatenate(pair, axis=-1) for pair in pairs), self.ohlcv)  # type: ignore[arg-type, call-arg]  # one of each

    def take(self, order: Ints) -> Rows:
        """Return the rows in another order, copied."""
        columns = (np.ascontiguousarray(column[..., order]) for column in self._columns)
        return Rows(self.spec, *columns, self.ohlcv)  # type: ignore[arg-type, call-arg]  # one of each


class Queue:
    """Rows of one source that are read but not yet released."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.spec, self._source = source.spec, source
        self.drained = False
        self._silent_until = self._read = 0
        self._newest = int(np.iinfo(np.int64).min)
        self._rule = rule = source.spec.rule
        self._delay = 0 if rule.convention == "known_at" else rule.latency_ns + rule.grace_ns
        self._table = clock.calendars.get(rule.calendar, clock.sessions)
        self._clock = clock
        self._batches = _pieces(source.batches(), source.spec.whole)
        fields = list(self.spec.fields)
        self._ohlcv = np.array([fields.index(name) if name in fields else -1 for name in _OHLCV], np.int64)
        self._rows = self._empty()

    @property
    def watermark(self) -> int:
        """Rows known before this instant are all at hand."""
        if self.drained:
            return FOREVER
        # Rows are in the order of their ends; of those still to come none is known earlier than the newest end's.
        return max(self._newest + self._delay + self.spec.whole, self._clock._cut, self._silent_until)

    @property
    def first(self) -> int:
        """Instant of the oldest row at hand; the end of time when there is none."""
        return int(self._rows.known_at[0]) if len(self._rows) else FOREVER

    @property
    def exhausted(self) -> bool:
        """Whether every row was read and released."""
        return self.drained and not len(self._rows)

    def limit(self, rows: int) -> int:
        """Return an instant that keeps a chunk near ``rows`` rows."""
        known = self._rows.known_at
        return FOREVER if len(known) <= rows else max(int(known[rows]), self._clock._cut + 1)

    def pull(self) -> None:
        """Read one more batch behind the rows at hand."""
        if self.drained:
            return
        self._clock.reading = self._source
        try:
            frame = next(self._batches)
        except StopIteration:
            self.drained = True
            return
        if len(frame):
            fresh = self._ingest(frame)
            self._rows = self._rows.join(fresh) if len(self._rows) else fresh
            self._sort()
        elif self._clock._time_source is not None:
            self._silent_until = self._clock._time_source.now() + 1

    def take(self, cut: int) -> Rows:
        """Remove and return the rows known before ``cut`` (and not after the run's end)."""
        limit = min(cut, self._clock._last + 1) if self._clock._last < FOREVER else cut
        stop = int(np.searchsorted(self._rows.known_at, limit))
        out = self._rows.slice(0, stop)
        out.values = np.ascontiguousarray(out.values)  # what the compiled core takes
        self._rows = self._rows.slice(stop, len(self._rows))
        if len(self._rows) and min(self.first, self.watermark - 1) > self._clock._last:
            self._rows, self.drained = self._empty(), True
        return out

    def _ingest(self, frame: pl.DataFrame) -> Rows:
        bar_start, event_time, known_at = derive(self._rule, frame, self._table)
        order = known_at if self._rule.convention == "known_at" else event_time
        if self._rule.period_ns and "known_at" in frame.columns:
            self._clock.late_rows[self.spec.name] += int((known_at > event_time + self._delay).sum())
        ordered = bool((order[1:] >= order[:-1]).all())
        if known_at.min() < self._clock._cut or order[0] < self._newest or not ordered:
            late = known_at < self._clock._cut
            self._take_late(frame, late | (order < np.append(self._newest, order[:-1])), late)
            known_at, ordered = np.maximum(known_at, self._clock._cut), False
        self._newest = max(self._newest, int(order.max()))
        self._read += len(frame)
        values = np.empty((len(self.spec.fields), len(frame)))
        for row, name in enumerate(self.spec.fields):
            values[row] = frame.get_column(name).cast(pl.Float64).to_numpy()  # null becomes NaN
        identify, names = self._clock.identify, frame.get_column("symbol")
        # The table of categories lasts as long as some series of its names.
        names = (identify(names, event_time) if identify else names).cast(pl.Categorical)
        physical = names.to_physical().to_numpy()
        width = _width(order, physical) if ordered and "known_at" not in frame.columns else 0
        symbol = np.resize(self._clock._encode(names, physical[: width or None]), len(names))
        return Rows(self.spec, known_at, event_time, bar_start, symbol, values, self._ohlcv, width)

    def _take_late(self, frame: pl.DataFrame, back: NDArray[np.bool_], late: NDArray[np.bool_]) -> None:
        if self._clock._late == "refuse":
            place = int(back.argmax())
            what = "goes back in time", "sort it by time, or add `sort = true`"
            if late[place] and not self._clock._cut:
                what = "begins before 1970, where runs begin,", "set start to 1970-01-01 or later"
            raise DataError(
                f"{self.spec.origin}: source {self.spec.name!r} {what[0]} at row {self._read + place}, "
                f"{frame.row(place, named=True)}: {what[1]}"
            )
        self._clock.late_rows[self.spec.name] += int(late.sum())

    def _sort(self) -> None:
        """Put rows into the order of release; most sources are in it already."""
        rows = self._rows
        ranks = self._clock._ranks[rows.symbol[: rows.width or 1]]
        if rows.width and (ranks[1:] > ranks[:-1]).all():
            return
        later = np.diff(rows.known_at)
        if self.spec.kind in ("quote", "trade"):
            if not (later < 0).any():
                return
            order = np.argsort(rows.known_at, kind="stable")
        else:
            rank = self._clock._ranks[rows.symbol]
            up, same = rank[1:] > rank[:-1], rank[1:] == rank[:-1]
            if ((later > 0) | ((later == 0) & (up | (same & (np.diff(rows.event_time) >= 0))))).all():
                return
            order = np.lexsort((rows.event_time, rank, rows.known_at))
        self._rows = rows.take(order)

    def _empty(self) -> Rows:
        none = np.zeros(0, np.int64)
        values = np.zeros((len(self.spec.fields), 0))
        return Rows(self.spec, none, none, none, np.zeros(0, np.int32), values, self._ohlcv)


def _width(order: Ints, codes: NDArray[np.uint32]) -> int:
    """Return the rows of each instant where all have the same symbols in the same order, else 0; stamps only rise."""
    width = int(np.searchsorted(order, order[0], side="right"))
    if len(order) % width:
        return 0
    stamps, symbols = order.reshape(-1, width), codes.reshape(-1, width)
    same = (stamps[:, 0] == stamps[:, -1]).all() and (stamps[1:, 0] > stamps[:-1, 0]).all()
    return width if same and (symbols == symbols[0]).all() else 0


def _pieces(batches: Iterable[object], whole: bool) -> Iterator[pl.DataFrame]:
    """Cut batches whose stamps only rise, so that no more than a piece lies here in columns; whole ones stay so."""
    for batch in batches:
        frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)  # type: ignore[arg-type]  # Arrow stream
        stamps = [frame[name] for name in ("timestamp", "event_time", "known_at") if name in frame.columns]
        rises = not whole and len(frame) > _PIECE and all(column.is_sorted() for column in stamps)
        yield from frame.iter_slices(_PIECE) if rises else [frame]
