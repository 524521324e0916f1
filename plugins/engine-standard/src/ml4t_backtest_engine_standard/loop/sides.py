"""Mids of quotes, some of which tell one side only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.state import RunState

__all__ = ["Sides"]

Floats = NDArray[np.float64]


class Sides:
    """Keeps the newest bid and the newest ask of each symbol.

    They are forgotten where something else has changed the symbol's mark since: the price of another feed, or an
    action, after which a side of before would mean nothing.

    Args:
        state: The run's columns.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._newest: tuple[Floats, Floats] = (np.zeros(0), np.zeros(0))
        self._marks = np.zeros(0)

    def mids(self, ids: NDArray[np.int32], bid: Floats, ask: Floats) -> Floats:
        """Return the mid of each row, float64 (n,), NaN where one of its sides was never known.

        Args:
            ids: Symbol ids (n,), in the order in which the rows are known.
            bid, ask: float64 (n,), NaN where a row does not tell.
        """
        self._grow()
        before, after = self._marks[ids], self._state.instruments["mark"][ids]
        other = ids[(before != after) & ~(np.isnan(before) & np.isnan(after))]
        for kept in self._newest:
            kept[other] = np.nan
        sides = [_carried(kept, ids, side) for kept, side in zip(self._newest, (bid, ask), strict=True)]
        mids = (sides[0] + sides[1]) * 0.5
        known = np.isfinite(mids)
        self._marks[ids] = after
        self._marks[ids[known]] = mids[known]
        return np.asarray(mids)

    def _grow(self) -> None:
        if more := len(self._state.symbols) - len(self._marks):
            bid, ask, self._marks = (
                np.append(column, np.full(more, np.nan)) for column in (*self._newest, self._marks)
            )
            self._newest = bid, ask


def _carried(kept: Floats, ids: NDArray[np.int32], side: Floats) -> Floats:
    """Return the newest known value of each row's symbol, and keep that of the last row of each."""
    known = np.isfinite(side)
    if not known.all():
        order = np.argsort(ids, kind="stable")
        places = np.arange(len(ids))
        begins = np.maximum.accumulate(np.where(np.diff(ids[order], prepend=-1) != 0, places, 0))
        newest = np.maximum.accumulate(np.where(known[order], places, -1))
        out = np.empty(len(ids))
        out[order] = np.where(newest >= begins, side[order][newest], kept[ids[order]])
        side = out
    kept[ids] = side  # of several written to one place the last stays
    return side
