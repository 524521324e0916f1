"""What counts for each symbol of a signal source: its row with the newest event time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.state import RunState

__all__ = ["Latest"]

Floats = NDArray[np.float64]


class Latest:
    """Keeps the newest row of each symbol; a restated row takes the place of the one that it restates.

    Args:
        fields: How many values a row has.
        state: The run's columns.
    """

    def __init__(self, fields: int, state: RunState) -> None:
        self._state = state
        self._values: Floats = np.zeros((fields, 0))
        self._times: NDArray[np.int64] = np.zeros((2, 0), np.int64)  # event_time and known_at

    def __call__(self, ids: NDArray[np.int32], values: Floats, times: NDArray[np.int64], each_once: bool) -> None:
        """Take over released rows, as ``Released`` hands them on."""
        self._grow()
        newer = np.flatnonzero(times[0] >= self._times[0, ids])
        newer = newer[np.argsort(times[0, newer], kind="stable")]  # of several written to one place the last stays
        self._times[:, ids[newer]] = times[:, newer]
        self._values[:, ids[newer]] = values[:, newer]

    def known_since(self, released: Released) -> NDArray[np.int64]:
        """Return when the row that counts for each symbol was known, int64 (n,) UTC ns, -1 never.

        Args:
            released: The source's rows, which are taken over first.
        """
        released.fold()
        self._grow()
        return np.array(self._times[1])

    def valid(self, released: Released, field: str, valid_for: int) -> Floats:
        """Return each symbol's value that is known for no longer than ``valid_for`` ns, float64 (n,), else NaN."""
        age = self._state.now - self.known_since(released)
        out = np.where(age <= valid_for, self._values[released.row(field)], np.nan)
        out.flags.writeable = False
        return out

    def _grow(self) -> None:
        if more := len(self._state.symbols) - self._values.shape[1]:
            self._values = np.pad(self._values, [(0, 0), (0, more)], constant_values=np.nan)
            self._times = np.pad(self._times, [(0, 0), (0, more)], constant_values=-1)
