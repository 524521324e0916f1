"""What is to happen in phase 2 of later instants: the engine's own list, which nobody else sees."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from ml4t.backtest.core.queue import FOREVER

__all__ = ["Agenda"]


class Agenda:
    """Callbacks by instant; ties are served in the order in which they were entered."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Callable[[], None]]] = []
        self._entered = 0

    @property
    def next(self) -> int:
        """Instant of the earliest entry; the end of time when there is none."""
        return self._entries[0][0] if self._entries else FOREVER

    def at(self, instant: int, callback: Callable[[], None]) -> None:
        """Enter a callback."""
        self._entered += 1
        heapq.heappush(self._entries, (instant, self._entered, callback))

    def take(self, now: int) -> list[Callable[[], None]]:
        """Remove and return what is due, in order."""
        due = []
        while self.next <= now:
            due.append(heapq.heappop(self._entries)[2])
        return due
