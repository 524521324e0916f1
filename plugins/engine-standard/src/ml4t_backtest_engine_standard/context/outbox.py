"""The outbox: what a callback asks for, kept in columns until the callback has returned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import REQUEST, RunState

__all__ = ["CANCEL", "CANCEL_TARGETS", "ORDER", "Outbox"]

ORDER, CANCEL, CANCEL_TARGETS = 0, 1, 2
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Outbox:
    """Requests of one round, in the order in which they were made.

    Attributes:
        count: Requests waiting.
        closed: Set once the run has ended; later requests are errors.
    """

    def __init__(self, state: RunState) -> None:
        self.count = 0
        self.closed = False
        self._state = state
        self._rows: NDArray[np.void] = np.zeros(64, REQUEST)
        self._orders = 0
        self._open: Floats | None = None
        self._target: Floats | None = None

    def open_quantities(self) -> tuple[Floats, Floats]:
        """Return per symbol the signed (open, open by targets) quantities, this outbox included."""
        books = self._state.books
        if self._open is None or self._target is None or not self.count:
            self._open, self._target = books["open_quantity"].copy(), books["target_quantity"].copy()
        return self._open, self._target

    def place(
        self,
        symbols: Ints,
        quantities: Floats,
        *,
        is_target: bool = False,
        kind: int = 0,
        time_in_force: int = 0,
        limit_price: float = np.nan,
        stop_price: float = np.nan,
        tag: int = 0,
        basket: int = -1,
        reasons: Ints | None = None,
    ) -> Ints:
        """Append one order request per symbol and return their ids, int64."""
        size = len(symbols)
        rows = self._reserve(size)
        first = self._state.orders.count + self._orders
        ids = np.arange(first, first + size)
        self._orders += size
        rows["symbol"], rows["quantity"], rows["order_id"] = symbols, quantities, ids
        rows["is_target"], rows["basket"] = is_target, basket
        rows["limit_price"], rows["stop_price"] = limit_price, stop_price
        if kind or time_in_force or tag or reasons is not None:  # the row is zeros: a plain market order
            rows["kind"], rows["time_in_force"], rows["tag"] = kind, time_in_force, tag
            rows["reason"] = 0 if reasons is None else reasons
        if kind < 2:
            open_, target = self.open_quantities()
            counted = np.where(np.isfinite(quantities), quantities, 0.0)
            np.add.at(open_, symbols, counted)
            if is_target:
                np.add.at(target, symbols, counted)
        return ids

    def cancel(self, order_id: int, symbol: int, remainder: float, is_target: bool) -> None:
        """Ask for the end of one order; what is not in the open quantities is not taken off them."""
        earlier = self._rows[: self.count]
        placed = np.flatnonzero((earlier["action"] == ORDER) & (earlier["order_id"] == order_id))
        if len(placed):
            remainder = remainder if int(earlier["kind"][placed[0]]) < 2 else 0.0
            earlier = earlier[placed[0] :]
        ended = (earlier["action"] == CANCEL) & (earlier["order_id"] == order_id)
        ended |= is_target & (earlier["action"] == CANCEL_TARGETS) & (earlier["symbol"] == symbol)
        rows = self._reserve(1)
        rows["action"], rows["order_id"], rows["symbol"] = CANCEL, order_id, symbol
        if ended.any() or not np.isfinite(remainder):
            return
        open_, target = self.open_quantities()
        open_[symbol] -= remainder
        target[symbol] -= remainder * is_target

    def cancel_targets(self, symbols: Ints) -> None:
        """Ask for the end of what is left of earlier targets of these symbols."""
        rows = self._reserve(len(symbols))
        rows["action"], rows["symbol"], rows["order_id"] = CANCEL_TARGETS, symbols, -1
        open_, target = self.open_quantities()
        open_[symbols] -= target[symbols]
        target[symbols] = 0.0

    def take(self) -> NDArray[np.void]:
        """Return the waiting requests and start a new round."""
        rows = self._rows[: self.count]
        self._rows = np.zeros(len(self._rows), REQUEST)
        self.count = self._orders = 0
        self._open = self._target = None
        return rows

    def pending(self, order_id: int) -> NDArray[np.void] | None:
        """Return the request of an order that no broker has seen yet."""
        rows = self._rows[: self.count]
        return next((row for row in rows if row["action"] == ORDER and row["order_id"] == order_id), None)

    def pending_ids(self, symbol: int | None = None) -> list[int]:
        """Return ids of orders that no broker has seen yet, those that it will refuse left out."""
        rows = self._rows[: self.count]
        rows = rows[(rows["action"] == ORDER) & (rows["reason"] == 0)]
        return [int(row["order_id"]) for row in rows if symbol is None or row["symbol"] == symbol]

    def _reserve(self, size: int) -> NDArray[np.void]:
        if self.closed:
            raise OrderError("the run has ended: orders from on_end are refused; place them earlier")
        if not self.count:  # what an earlier callback saw may be out of date
            self._open = self._target = None
        first, self.count = self.count, self.count + size
        if self.count > len(self._rows):
            grown = np.zeros(max(self.count, 2 * len(self._rows)), REQUEST)
            grown[:first] = self._rows[:first]
            self._rows = grown
        rows = self._rows[first : self.count]
        rows["known_at"] = self._state.known_at
        return rows
