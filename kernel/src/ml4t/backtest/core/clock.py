"""The clock: merges columnar sources into instants, and is the only one that moves time.

Sources are pulled batch by batch; a row is held back until every source has shown a later one, so that the
order of release depends on stamps alone, never on batch sizes. Merging is NumPy over columns: instants are
the distinct ``known_at`` of all sources plus session opens and closes; each source keeps its own columns,
with one range of rows per instant.

Total order of rows: instant; source order in the run file; symbol name for bars, signals and tables, source
row order for quotes and trades.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.queue import FOREVER, Ints, Queue, Rows
from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.errors import RunError

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.feed import Source

__all__ = ["Chunk", "Clock", "Rows", "SourceRows", "TimeSource"]


class TimeSource(Protocol):
    """Where paper and live clocks take their time from; tests bring a fake one."""

    def now(self) -> int:
        """Return the current instant, UTC ns."""
        ...

    def wait_until(self, instant: int) -> None:
        """Return once ``now()`` has reached ``instant`` (or earlier, to poll again)."""


@dataclass(slots=True)
class SourceRows:
    """One source's part of a chunk: instant k releases ``rows`` from ``bounds[k]`` up to ``bounds[k + 1]``."""

    rows: Rows
    bounds: list[int]


@dataclass(slots=True)
class Chunk:
    """A run of instants whose rows are all at hand.

    Attributes:
        instants: Strictly increasing UTC ns.
        sources: One entry per source, in run-file order.
        opens, closes: Instant index -> row of the session table that opens or closes there.
        new_symbols: Instant index -> names that its rows mention for the first time.
    """

    instants: list[int]
    sources: list[SourceRows]
    opens: dict[int, int] = field(default_factory=dict)
    closes: dict[int, int] = field(default_factory=dict)
    new_symbols: dict[int, list[str]] = field(default_factory=dict)


class Clock:
    """Owns time in backtest, paper and live mode.

    Args:
        sources: Opened sources in run-file order.
        sessions: Sessions of the run's calendar.
        calendars: Sessions of the other calendars that sources name, by name.
        last: Rows known after this instant are not released.
        mode: ``backtest`` moves from instant to instant; ``paper`` and ``live`` wait for ``time_source``.
        time_source: Required unless backtest.
        late: What happens to a row older than the present: ``refuse`` (the input is not in order) or
            ``restamp`` to the present and count.
        chunk_rows: About how many rows of one source are merged at a time.
        identify: Takes symbols and event times (int64 ns) of rows and returns what each symbol stood for then, so
            that a ticker used by two companies makes two columns; None where a name is enough.

    Attributes:
        now: The instant reached; nobody but the clock's owner moves it.
        late_rows: Rows restamped so far, and bars that joined a later slice, per source name.
        reading: The source that rows were asked of last.
        identify: As given.
        wants_opens: Whether session opens are instants of their own.
        first_close: Close of the first session of the data, UTC ns; known once rows are.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sessions: SessionTable,
        *,
        calendars: Mapping[str, SessionTable] | None = None,
        last: int = FOREVER,
        mode: Literal["backtest", "paper", "live"] = "backtest",
        time_source: TimeSource | None = None,
        late: Literal["refuse", "restamp"] = "refuse",
        chunk_rows: int = 1 << 17,
        identify: Callable[[pl.Series, Ints], pl.Series] | None = None,
    ) -> None:
        if mode != "backtest" and time_source is None:
            raise RunError(f"clock in mode {mode} needs a time source")
        self.now = 0
        self.late_rows = Counter[str]()
        self.wants_opens = True
        self.first_close = 0
        self.reading: Source | None = None
        self.sessions, self.calendars = sessions, calendars or {}
        self._last = last
        self._time_source = time_source
        self._late = late
        self._names: dict[str, int] = {}
        self._codes, self._ranks = np.full(1, -1, np.int32), np.zeros(0, np.int32)
        self._public: NDArray[np.int32] = np.zeros(0, np.int32)
        self._next_id = 0
        self._cut = 0
        self._next_open = self._next_close = -1
        self._chunk_rows = chunk_rows
        self._queues = [Queue(source, self) for source in sources]
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.identify = identify

    def move(self, instant: int) -> None:
        """Set the present; refuses to go back."""
        if instant < self.now:
            raise RunError(f"clock cannot go back from {self.now} to {instant}")
        self.now = instant

    def at(self, instant: int, callback: Callable[[], None]) -> None:
        """Queue a dynamic event; ties are served in the order in which they were queued."""
        self._sequence += 1
        heapq.heappush(self._timers, (max(instant, self.now), self._sequence, callback))

    @property
    def next_timer(self) -> int:
        """Instant of the earliest dynamic event; the end of time when there is none."""
        return self._timers[0][0] if self._timers else FOREVER

    def due(self) -> list[Callable[[], None]]:
        """Take the dynamic events of the present, in order."""
        out = []
        while self._timers and self._timers[0][0] <= self.now:
            out.append(heapq.heappop(self._timers)[2])
        return out

    def chunks(self) -> Iterator[Chunk]:
        """Yield the run's instants, chunk after chunk, until every source is drained."""
        while self._queues:
            cut = self._next_cut()
            parts = [queue.take(cut) for queue in self._queues]
            final = all(queue.exhausted for queue in self._queues)
            chunk = self._merge(parts, cut, final)
            self._cut = max(self._cut, min(cut, self._last))
            if chunk.instants:
                yield chunk
            if final or cut > self._last:
                return

    def _next_cut(self) -> int:
        """Return the instant before which every row of every source is at hand."""
        while True:
            for queue in self._queues:
                if queue.watermark <= self._cut:
                    queue.pull()
            cut = min(min(queue.watermark, queue.limit(self._chunk_rows)) for queue in self._queues)
            needed = self._cut  # the instant up to which rows must be at hand for there to be anything to do
            if self._time_source is not None and not all(queue.exhausted for queue in self._queues):
                needed, now = self._next_due(), self._time_source.now()
                if needed > now:
                    self._time_source.wait_until(needed)
                cut = min(cut, now + 1)
            if cut > needed:
                return cut
            for queue in self._queues:
                if queue.watermark <= cut:
                    queue.pull()

    def _next_due(self) -> int:
        """Return the earliest instant that is known to come: a row at hand, or a session's open or close."""
        table = self.sessions
        due = [queue.first for queue in self._queues]
        for column in (table.open, table.close):
            place = int(np.searchsorted(column, self._cut))
            due += [int(column[place])] if place < len(column) and self._next_open >= 0 else []
        return min(due)

    def _merge(self, parts: list[Rows], cut: int, final: bool) -> Chunk:
        known = [part.known_at for part in parts]
        opens, closes = self._session_events(known, cut, final)
        table = self.sessions
        known_once = [part.known_at[:: part.width] if part.width else _once(part.known_at) for part in parts]
        stamps = [*known_once, table.open[opens] if self.wants_opens else known[0][:0], table.close[closes]]
        merged = np.sort(np.concatenate(stamps), kind="stable")
        instants = _once(merged)
        chunk = Chunk(instants.tolist(), [])
        if self.wants_opens:
            where = np.searchsorted(instants, table.open[opens])
            chunk.opens = dict(zip(where.tolist(), opens.tolist(), strict=True))
        where = np.searchsorted(instants, table.close[closes])
        chunk.closes = dict(zip(where.tolist(), closes.tolist(), strict=True))
        bounds = [np.searchsorted(stamp, instants, side="right") for stamp in known]
        self._name_symbols(parts, bounds, chunk)
        for part, stops in zip(parts, bounds, strict=True):
            part.symbol = np.resize(self._public[part.symbol[: part.width or None]], len(part))
            chunk.sources.append(SourceRows(part, [0, *stops.tolist()]))
        return chunk

    def _session_events(self, known: list[Ints], cut: int, final: bool) -> tuple[Ints, Ints]:
        """Return rows of the sessions that open, and that close, in this chunk."""
        table = self.sessions
        some = [stamps for stamps in known if len(stamps)]
        if self._next_open < 0:
            if not some:
                return np.zeros(0, np.int64), np.zeros(0, np.int64)
            first = min(int(stamps[0]) for stamps in some)
            self._next_open = self._next_close = int(np.searchsorted(table.close, first))
            self.first_close = int(table.close[self._next_close]) if self._next_close < len(table) else first
        if final:  # the session in which the data ends still closes
            newest = max((int(stamps[-1]) for stamps in some), default=self._cut - 1)
            stop_open = stop_close = int(np.searchsorted(table.open, newest))
        else:
            stop_open, stop_close = (int(np.searchsorted(edge, cut)) for edge in (table.open, table.close))
        opens, closes = np.arange(self._next_open, stop_open), np.arange(self._next_close, stop_close)
        self._next_open, self._next_close = max(self._next_open, stop_open), max(self._next_close, stop_close)
        return opens[table.open[opens] <= self._last], closes[table.close[closes] <= self._last]

    def _name_symbols(self, parts: list[Rows], bounds: list[Ints], chunk: Chunk) -> None:
        """Give ids to symbols that this chunk names first, in the order of release."""
        first_seen: list[tuple[int, int, int, int]] = []
        for order, (part, stops) in enumerate(zip(parts, bounds, strict=True) if (self._public < 0).any() else ()):
            fresh = np.flatnonzero(self._public[part.symbol] < 0)
            codes, where = np.unique(part.symbol[fresh], return_index=True)
            rows = fresh[where]
            instants = np.searchsorted(stops, rows, side="right")
            first_seen += zip(instants.tolist(), [order] * len(rows), rows.tolist(), codes.tolist(), strict=True)
        names = list(self._names) if first_seen else []
        for instant, _, _, code in sorted(first_seen):
            if self._public[code] < 0:
                self._public[code] = self._next_id
                self._next_id += 1
                chunk.new_symbols.setdefault(instant, []).append(names[code])

    def _encode(self, symbols: pl.Series, physical: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return private codes of categories, given what names these; they say nothing about ids until release."""
        codes: NDArray[np.int32] = self._codes[np.minimum(physical, len(self._codes) - 1)]
        if len(codes) and codes.min() < 0:  # names that are new
            names = symbols.unique().cast(pl.String).sort()
            fresh = [name for name in names if name not in self._names]
            self._names |= {name: len(self._names) + place for place, name in enumerate(fresh)}
            self._public = np.concatenate([self._public, np.full(len(fresh), -1, np.int32)])
            self._known = pl.Series(list(self._names), dtype=pl.Categorical)
            of_names = self._known.to_physical().to_numpy()
            self._codes = np.full(int(of_names.max()) + 2, -1, np.int32)  # the last one stands for all beyond
            self._codes[of_names] = np.arange(len(of_names))
            self._ranks = np.argsort(np.argsort(np.array(list(self._names)), kind="stable")).astype(np.int32)
            codes = self._codes[physical]
        return codes


def _once(stamps: Ints) -> Ints:
    """Return sorted stamps, each once."""
    return stamps[np.flatnonzero(np.diff(stamps, prepend=-1))]
