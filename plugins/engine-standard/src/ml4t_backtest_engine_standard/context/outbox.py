"""The outbox: what a callback asks for, kept in columns until the callback has returned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import ACTIONS, REQUEST, RunState
from ml4t_backtest_engine_standard.context.own import add_loose, own_quantities

__all__ = ["AMEND", "CANCEL", "CANCEL_TARGETS", "ORDER", "Outbox", "blank_requests"]

ORDER, CANCEL, CANCEL_TARGETS, AMEND = range(len(ACTIONS))
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def blank_requests(size: int) -> NDArray[np.void]:
    """Return rows of plain market orders that have neither symbol nor quantity yet."""
    return _blanked(np.empty(size, REQUEST))


def _blanked(rows: NDArray[np.void]) -> NDArray[np.void]:
    # As bytes: NumPy writes structured rows field by field.
    rows.view(np.uint8).reshape(len(rows), REQUEST.itemsize)[:] = _BLANK
    return rows


def _blank() -> NDArray[np.uint8]:
    row = np.zeros(1, REQUEST)
    for name in ("limit_price", "stop_price", "asked"):
        row[name] = np.nan
    row["basket"] = row["group"] = row["parent"] = -1
    row["counts"] = 1
    return row.view(np.uint8)


_BLANK = _blank()


class Outbox:
    """Requests of one round, in the order in which they were made.

    Attributes:
        count: Requests waiting.
        unusual: Whether any of them is an amendment or no plain market order.
        woken: Whether timers wait for the loop to take them.
        begin: First instant with callbacks, UTC ns; 0 before it.
        closed: Set once the run has ended; later requests are errors.
        book: Number of the strategy whose turn it is.
        holders: Columns of each book; empty where there is one strategy.
    """

    def __init__(self, state: RunState) -> None:
        self.count = self.begin = 0
        self.unusual = self.closed = self.woken = False
        self._state = state
        self._rows: NDArray[np.void] = np.zeros(64, REQUEST)
        self._orders = 0
        self._open: Floats | None = None
        self._target: Floats | None = None
        self._amended: dict[int, float] = {}
        self._places: list[int] = []  # rows of this outbox's orders, by id
        self._cancelled: set[int] = set()
        self._replaced: dict[int, int] = {}  # per symbol the first id that its cancelled targets do not have
        self.book, self.holders = 0, list[RunState]()
        self._kept: dict[int, tuple[Floats | None, Floats | None, dict[int, int]]] = {}  # of the other books
        self._askers: dict[int, list[int]] = {}

    @property
    def next_id(self) -> int:
        """Id of the next order."""
        return self._state.orders.count + self._orders

    def open_quantities(self) -> tuple[Floats, Floats]:
        """Return per symbol the signed (open, open by targets) quantities, this outbox included."""
        books = self._state.books
        if self._open is None or self._target is None or not self.count:
            if self.holders:
                waiting = self._rows[: self.count]
                self._open, self._target = own_quantities(self._state, self.holders, self.book, waiting)
            else:
                self._open, self._target = books["open_quantity"].copy(), books["target_quantity"].copy()
        return self._open, self._target

    def turn_to(self, book: int) -> None:
        """Take requests for another book from now on."""
        if book != self.book:
            self._kept[self.book] = (self._open, self._target, self._replaced)
            self._open, self._target, self._replaced = self._kept.pop(book, (None, None, {}))
            self.book = book

    def asker(self, order_id: int) -> int:
        """Return the book that asked for the end or change of an order that nobody has; -1 where none did."""
        asked = self._askers.get(order_id)
        return asked.pop(0) if asked else -1

    def place(
        self,
        symbols: Ints,
        quantities: Floats,
        *,
        is_target: bool = False,
        tag: int = 0,
        basket: int = -1,
        reasons: Ints | None = None,
    ) -> Ints:
        """Append one market order per symbol and return their ids, int64."""
        size = len(symbols)
        first = self.next_id
        rows = self._reserve(size)
        ids = np.arange(first, first + size)
        self._orders += size
        self._places.extend(range(self.count - size, self.count))
        rows["symbol"], rows["quantity"], rows["order_id"] = symbols, quantities, ids
        rows["is_target"], rows["basket"] = is_target, basket
        if tag or reasons is not None:
            rows["tag"] = tag
            rows["reason"] = 0 if reasons is None else reasons
        open_, target = self.open_quantities()
        counted = np.where(np.isfinite(quantities), quantities, 0.0)
        np.add.at(open_, symbols, counted)
        if is_target:
            np.add.at(target, symbols, counted)
        return ids

    def add(self, symbol: int, quantity: float, columns: dict[str, float]) -> int:
        """Append one order of any kind and return its id.

        Args:
            symbol: Symbol id.
            quantity: Signed.
            columns: Further columns of REQUEST, ``counts`` among them where it is not 1.
        """
        order_id = self.next_id
        row = self._reserve(1)[0]
        self._orders += 1
        self._places.append(self.count - 1)
        row["symbol"], row["quantity"], row["order_id"] = symbol, quantity, order_id
        for name, value in columns.items():
            row[name] = value
            self.unusual = self.unusual or name != "tag"
        if row["counts"] and np.isfinite(quantity):
            self.open_quantities()[0][symbol] += quantity
        return order_id

    def append(self, requests: NDArray[np.void]) -> None:
        """Take over orders and cancels that are complete but for the ids of orders."""
        rows, known_at = self._reserve(len(requests)), self._state.known_at
        rows[:] = requests
        rows["known_at"] = known_at
        orders = rows["action"] == ORDER
        first = self.next_id
        self._orders += int(orders.sum())
        rows["order_id"][orders] = np.arange(first, self.next_id)
        self._places.extend((self.count - len(rows) + np.flatnonzero(orders)).tolist())
        self._cancelled.update(rows["order_id"][rows["action"] == CANCEL].tolist())
        self.unusual = True
        counted = orders & (rows["counts"] != 0)
        if not self.holders:
            np.add.at(self.open_quantities()[0], rows["symbol"][counted], rows["quantity"][counted])
            return
        self._kept[self.book] = (self._open, self._target, self._replaced)
        for book, (open_, *_) in self._kept.items():
            if open_ is not None:
                add_loose(open_, self._state, self.holders[book], rows[counted])
        self._kept.pop(self.book)

    def amend(self, order: NDArray[np.void], order_id: int, columns: dict[str, float], *, open_: bool) -> None:
        """Ask for new terms of an order.

        Args:
            order: Its row in ORDER, or its request.
            order_id: Its id.
            columns: What changes, and a reason where that is refused already.
            open_: Whether it may still fill.
        """
        symbol, is_target = int(order["symbol"]), bool(order["is_target"])
        ended = not open_ or self.ended(order_id, symbol, is_target)
        row = self._reserve(1)[0]
        row["action"], row["order_id"], row["symbol"] = AMEND, order_id, symbol
        row["quantity"] = np.nan
        for name, value in columns.items():
            row[name] = value
        self.unusual = True
        quantity = float(row["quantity"])
        if ended or row["reason"] or not order["counts"] or not np.isfinite(quantity):
            return
        change = quantity - float(order["quantity"])
        self._count(symbol, change - self._amended.get(order_id, 0.0), is_target)
        self._amended[order_id] = change

    def cancel(self, order_id: int, symbol: int, remainder: float, is_target: bool) -> None:
        """Ask for the end of one order.

        Args:
            order_id: Its id.
            symbol: Symbol id, -1 where it is not known.
            remainder: What open quantities hold of it; NaN and 0 for nothing.
            is_target: Whether targets' quantities hold it as well.
        """
        ended = self.ended(order_id, symbol, is_target)
        row = self._reserve(1)[0]
        row["action"], row["order_id"], row["symbol"] = CANCEL, order_id, symbol
        if order_id < self.next_id:  # of an order that does not exist yet nothing was said
            self._cancelled.add(order_id)
        change = -remainder - self._amended.pop(order_id, 0.0)
        if not ended and change and np.isfinite(change):
            self._count(symbol, change, is_target)

    def cancel_targets(self, symbols: Ints) -> None:
        """Ask for the end of what is left of earlier targets of these symbols."""
        rows = self._reserve(len(symbols))
        rows["action"], rows["symbol"], rows["order_id"] = CANCEL_TARGETS, symbols, -1
        self._replaced.update(dict.fromkeys(symbols.tolist(), self.next_id))
        open_, target = self.open_quantities()
        open_[symbols] -= target[symbols]
        target[symbols] = 0.0

    def ended(self, order_id: int, symbol: int, is_target: bool) -> bool:
        """Say whether this outbox asks for the end of an order."""
        return order_id in self._cancelled or (is_target and order_id < self._replaced.get(symbol, 0))

    def take(self) -> NDArray[np.void]:
        """Return the waiting requests, each with the account that trades its symbol, and start a new round."""
        rows = self._rows[: self.count]
        if len(self._state.accounts) > len(self._state.currencies):
            plain = (rows["account"] == 0) & (rows["symbol"] >= 0)  # risk managers may name another
            rows["account"][plain] = self._state.instruments["account"][rows["symbol"][plain]]
        self._rows = np.zeros(len(self._rows), REQUEST)  # memory used before may hold the future
        self.count = self._orders = 0
        self.unusual = False
        self._open = self._target = None
        self._amended, self._places, self._cancelled, self._replaced = {}, [], set(), {}
        if self.holders:
            self._kept = {}
            asking = (rows["action"] == CANCEL) | (rows["action"] == AMEND)
            for row in rows[asking & ((rows["order_id"] < 0) | (rows["order_id"] >= self._state.orders.count))]:
                self._askers.setdefault(int(row["order_id"]), []).append(int(row["book"]))
        return rows

    def pending(self, order_id: int) -> NDArray[np.void] | None:
        """Return the request of an order that no broker has seen yet."""
        place = order_id - self._state.orders.count
        return self._rows[self._places[place]] if 0 <= place < self._orders else None

    def pending_ids(self, symbol: int | None = None) -> list[int]:
        """Return ids of orders that no broker has seen yet, those that it will refuse left out."""
        rows = self._rows[: self.count]
        rows = rows[(rows["action"] == ORDER) & (rows["reason"] == 0)]
        rows = rows[rows["book"] == self.book] if self.holders else rows
        return [int(row["order_id"]) for row in rows if symbol is None or row["symbol"] == symbol]

    def _count(self, symbol: int, change: float, is_target: bool) -> None:
        open_, target = self.open_quantities()
        open_[symbol] += change
        target[symbol] += change * is_target

    def _reserve(self, size: int) -> NDArray[np.void]:
        if self.closed:
            raise OrderError("the run has ended: orders from on_end are refused; place them earlier")
        if not self.count:  # what an earlier callback saw may be out of date
            self._open = self._target = None
            self._kept = {}
        first, self.count = self.count, self.count + size
        if self.count > len(self._rows):
            grown = np.zeros(max(self.count, 2 * len(self._rows)), REQUEST)
            grown[:first] = self._rows[:first]
            self._rows = grown
        rows = _blanked(self._rows[first : self.count])
        rows["known_at"] = self._state.known_at
        if self.holders:
            rows["book"] = self.book
        return rows
