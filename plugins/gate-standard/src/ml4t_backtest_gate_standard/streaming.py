"""Rows that are checked while the run goes on, decoded ahead on a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.checks import RowGate

__all__ = ["BATCH", "LARGE", "PIECE", "Prefetch", "check_pieces", "cut_at_instants"]

LARGE = 4_000_000  # rows from which an input is streamed
PIECE = 250_000  # rows decoded and checked at a time
BATCH = 125_000  # rows released at a time, still less than a chunk of the clock
_AHEAD = 2
_POLL = 0.05  # seconds between looks at whether anybody still waits

T = TypeVar("T")


class Prefetch(Generic[T]):
    """What an iterator yields, made ahead on a thread.

    Args:
        make: Makes the iterator, on the thread.
        ahead: How many items may wait.
    """

    def __init__(self, make: Callable[[], Iterator[T]], ahead: int = _AHEAD) -> None:
        self._make = make
        self._ready: queue.Queue[T | BaseException | None] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        try:
            while (item := self._ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.close()

    def close(self) -> None:
        """End the thread; may be called more than once."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(_POLL)

    def _work(self) -> None:
        try:
            for item in (items := self._make()):
                if not self._put(item):
                    break
            close = getattr(items, "close", None)
            if close is not None:
                close()
            self._put(None)
        except BaseException as error:  # raised again where the items are taken
            self._put(error)

    def _put(self, item: T | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False


def cut_at_instants(pieces: Iterator[pl.DataFrame], time: str, rows: int) -> Iterator[pl.DataFrame]:
    """Yield the same rows in batches of about ``rows``, none of which ends within an instant.

    Args:
        pieces: The rows, in the order of ``time``.
        time: The column of stamps.
        rows: At most so many, unless an instant has more.
    """
    rest: pl.DataFrame | None = None  # its last instant may go on
    for piece in pieces:
        frame = piece
        if rest is not None:
            stamps, (newest,) = _integers(rest[time]), _integers(piece[time].head(1))
            last = int(np.searchsorted(stamps, newest))  # all of them, unless it does
            if last:
                yield rest.head(last).rechunk()
            if last < len(rest):
                frame = pl.concat([rest.slice(last), piece])
        stamps, start = _integers(frame[time]), 0
        while len(frame) - start > rows:
            stop = int(np.searchsorted(stamps, stamps[start + rows]))
            if stop <= start:
                stop = int(np.searchsorted(stamps, stamps[start], side="right"))
            if stop == len(frame):
                break
            yield frame.slice(start, stop - start).rechunk()
            start = stop
        rest = frame.slice(start)
    if rest is not None:
        yield rest.rechunk()


def _integers(stamps: pl.Series) -> NDArray[np.int64]:
    return stamps.cast(pl.Int64).to_numpy()


def check_pieces(pieces: Iterator[pl.DataFrame], gate: RowGate, *, labels: bool) -> Iterator[pl.DataFrame]:
    """Yield pieces in time order once they are checked.

    Args:
        pieces: The rows, in time order.
        gate: What checks them.
        labels: Whether the stamps were taken for session labels, because the first ones are all midnights.

    Raises:
        DataError: A row that no run can use, rows that go back, or a stamp that is no midnight among labels.
    """
    for piece in pieces:
        gate.check(piece)
        gate.raise_if_any()
        if not gate.in_time_order:
            raise DataError(f"{gate.origin}: rows go back in time within a row group; sort them, or add `sort = true`")
        if labels and not gate.all_midnight:
            stamps = piece[gate.time_column]
            row = (stamps.dt.truncate("1d") != stamps).arg_max() or 0
            fault = "its first stamps are all midnights and were taken for session labels, and this one is none"
            place = f"{gate.origin} ({piece['symbol'][row]}, {stamps[row]})"
            raise DataError(f"{place}: {fault}; state `bar` and `stamp`, or add `stream = false`")
        yield piece
    if not gate.rows:
        raise DataError(f"{gate.origin}: no rows for these symbols between start and end; correct what is asked of it")
