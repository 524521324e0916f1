"""What of the open orders of an account belongs to one book of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.state import ACCEPTED, HELD, PARTIAL, RunState

__all__ = ["add_loose", "own_quantities"]

Floats = NDArray[np.float64]
_LIVE = (ACCEPTED, PARTIAL, HELD)
_ORDER = 0


def own_quantities(
    state: RunState, holders: Sequence[RunState], book: int, waiting: NDArray[np.void]
) -> tuple[Floats, Floats]:
    """Return per symbol the signed (open, open by targets) quantities of a book; orders of no book in part.

    Args:
        state: The run's columns.
        holders: Columns of each book.
        book: Its number.
        waiting: Requests that no broker has seen yet; those of the book itself are not looked at.
    """
    open_, target = np.zeros(len(state.books)), np.zeros(len(state.books))
    orders = state.orders.data
    for symbol in np.flatnonzero(state.books["first"] >= 0).tolist():
        place = int(state.books["first"][symbol])
        while place >= 0:
            order = orders[place]
            place = int(order["next"])
            if not order["counts"] or order["status"] not in _LIVE or order["book"] not in (book, -1):
                continue
            left = float(order["quantity"] - order["filled"])
            if order["book"] < 0:
                left *= _part(state, holders[book], symbol)
            open_[symbol] += left
            target[symbol] += left * bool(order["is_target"])
    loose = waiting[(waiting["action"] == _ORDER) & (waiting["book"] < 0) & (waiting["counts"] != 0)]
    add_loose(open_, state, holders[book], loose[loose["reason"] == 0])
    return open_, target


def add_loose(open_: Floats, state: RunState, holder: RunState, rows: NDArray[np.void]) -> None:
    """Add a book's part of requests that belong to no book.

    Args:
        open_: float64 (n,), open quantities of the book, written here.
        state: The run's columns.
        holder: Columns of the book.
        rows: Rows of REQUEST.
    """
    for row in rows:
        open_[row["symbol"]] += float(row["quantity"]) * _part(state, holder, int(row["symbol"]))


def _part(state: RunState, holder: RunState, symbol: int) -> float:
    """Return how much of the account's position a book holds."""
    held = float(state.positions[symbol]["quantity"])
    return float(holder.positions[symbol]["quantity"]) / held if held else 0.0
