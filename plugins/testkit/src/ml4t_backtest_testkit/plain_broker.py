"""A plain broker for market orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml4t.backtest.interfaces import Broker
from ml4t.backtest.state import (
    ACCEPTED,
    BOOK,
    CANCELLED,
    FILL,
    FILLED,
    MARKET,
    ORDER,
    REASONS,
    REFUSED,
    SUBMITTED,
    RunState,
)
from ml4t_backtest_testkit.reference import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.core.clock import Rows
    from ml4t.backtest.interfaces import ExecutionModel, ExecutionModels, FillModel, Portfolio

__all__ = ["PlainBroker"]

_PRICES = ("open", "high", "low", "close", "volume")


class PlainBroker(Broker):
    """Fills market orders whole and one by one, at the first price of the model's mode that forms after submission.

    Args:
        compiled: Whether functions that were compiled are called as such, or as plain Python.
    """

    def __init__(self, compiled: bool = False) -> None:
        self._compiled = compiled

    def open(self, state: RunState, models: ExecutionModels, portfolio: Portfolio) -> None:
        """Keep what is needed."""
        self._state, self._models = state, models
        self._apply = portfolio.apply_fill if self._compiled else plain(portfolio.apply_fill)
        self._states: dict[int, NDArray[np.float64]] = {}

    def submit(self, requests: NDArray[np.void]) -> None:
        """Accept or refuse requests in order."""
        state = self._state
        for request in requests:
            if request["action"] == 3:
                self._event(int(request["order_id"]), REFUSED, int(request["reason"]) or self._not_amended(request))
            elif request["action"] == 1:
                self._cancel(int(request["order_id"]), int(request["reason"]))
            elif request["action"] == 2:
                targets = [i for i in self._working(int(request["symbol"])) if state.orders.data[i]["is_target"]]
                for i in targets:
                    self._end(i, CANCELLED, REASONS.index("replaced-by-target"))
            else:
                self._accept(request)

    def match(self, rows: Rows, start: int, stop: int) -> None:
        """Fill the orders that may take a price of these rows."""
        for r in range(start, stop):
            for i in self._working(int(rows.symbol[r])):
                self._fill(i, rows, r)

    def finish(self) -> None:
        """Cancel what still works."""
        for symbol in range(len(self._state.symbols)):
            for i in self._working(symbol):
                self._end(i, CANCELLED, REASONS.index("end-of-run"))

    def _accept(self, request: np.void) -> None:
        state = self._state
        i = state.orders.count
        order = state.orders.reserve(1)[i : i + 1]
        order[:] = np.zeros(1, ORDER)
        for name in (set(ORDER.names or ()) & set(request.dtype.names or ())) - {"reason"}:
            order[name] = request[name]
        order["id"], order["submitted_at"], order["next"], order["terms"] = i, state.now, -1, -1
        state.counters[RunState.ORDERS] += 1
        changed = np.isfinite(request["asked"]) and request["asked"] not in (0.0, request["quantity"])
        self._event(i, SUBMITTED, REASONS.index("changed-by-risk") if changed else 0)
        reason = int(request["reason"]) or REASONS.index(self._problem(request))
        order["sequence"] = state.counters[RunState.SEQUENCE]
        order["status"], order["reason"] = (REFUSED, reason) if reason else (ACCEPTED, 0)
        self._event(i, int(order["status"][0]), reason)
        if not reason:
            state.counters[RunState.WORKING] += 1
            self._book(int(request["symbol"]))

    def _not_amended(self, request: np.void) -> int:
        known = 0 <= request["order_id"] < self._state.orders.count
        return REASONS.index("amend-not-possible" if known else "unknown-order")

    def _problem(self, request: np.void) -> str:
        if not 0 <= request["symbol"] < len(self._state.symbols):
            return "unknown-symbol"
        if not 0 <= request["account"] < len(self._state.accounts):
            return "unknown-account"
        if not np.isfinite(request["quantity"]):
            return "quantity-not-finite"
        if request["quantity"] == 0.0:
            return "quantity-zero"
        if request["kind"] != 0:
            return "order-kind-not-supported"
        if request["time_in_force"] != 0:
            return "time-in-force-not-supported"
        alone = request["group"] == request["parent"] and not request["reduce_only"]  # both -1, or rows of zeros
        return "" if alone and request["parent"] <= 0 else "order-kind-not-supported"

    def _cancel(self, i: int, reason: int) -> None:
        orders = self._state.orders
        if not 0 <= i < orders.count:
            self._event(i, REFUSED, reason or REASONS.index("unknown-order"))
        elif orders.data[i]["status"] != ACCEPTED or reason:
            self._event(i, REFUSED, reason or REASONS.index("already-done"))
        else:
            self._end(i, CANCELLED, REASONS.index("cancelled-by-strategy"))

    def _fill(self, i: int, rows: Rows, r: int) -> None:
        state, models = self._state, self._models
        order = state.orders.data[i]
        at_open = models.fill.rules.market == "open"
        formed = int((rows.bar_start if at_open else rows.event_time)[r])
        if formed < order["submitted_at"] or (not at_open and formed == order["submitted_at"]):
            return
        market = np.zeros(1, MARKET)
        market["symbol"], market["multiplier"] = order["symbol"], state.instruments[order["symbol"]]["multiplier"]
        market["quantity"] = order["quantity"]
        for name in ("bar_start", "event_time", "known_at"):
            market[name] = getattr(rows, name)[r]
        for name, place in zip(_PRICES, rows.ohlcv, strict=True):
            market[name] = rows.values[place, r] if place >= 0 else np.nan
        market["price"] = market["open" if at_open else "close"]
        if models.fill.function is not None:
            market["price"] = self._ask(models.fill, i, market)
        reference = float(market["price"][0])
        if not np.isfinite(reference):
            return
        price = reference + (self._ask(models.slippage, i, market) + self._ask(models.impact, i, market))
        market["price"] = price
        fill = np.zeros(1, FILL)
        for name in ("symbol", "account", "submitted_at"):
            fill[name] = order[name]
        fill["order_id"], fill["quantity"], fill["price"], fill["reference_price"] = (
            *(i, order["quantity"]),
            *(price, reference),
        )
        fill["reason"], fill["commission"] = (
            REASONS.index("next-open" if at_open else "next-close"),
            self._ask(models.commission, i, market),
        )
        fill["slippage"] = (price - reference) * order["quantity"] * market["multiplier"]
        fill["formed_at"], fill["known_at"] = formed, market["known_at"]
        fill["sequence"] = state.counters[RunState.SEQUENCE]
        row = state.fills.count
        state.fills.reserve(1)[row] = fill[0]
        state.counters[RunState.FILLS] += 1
        order["filled"] = order["quantity"]
        self._end(i, FILLED, REASONS.index("next-open" if at_open else "next-close"))
        state.ledger.reserve(4)
        columns = (state.instruments, state.positions, state.accounts, state.ledger.data, state.counters)
        self._apply(state.fills.data, row, *columns)

    def _ask(self, model: ExecutionModel | FillModel | None, i: int, market: NDArray[np.void]) -> float:
        if model is None or model.function is None:
            return 0.0
        state = self._states.setdefault(id(model), model.initial_state())
        function = model.function if self._compiled else plain(model.function)
        return float(function(self._state.orders.data, i, market, model.params(), state))

    def _working(self, symbol: int) -> list[int]:
        orders = self._state.orders.rows()
        return np.flatnonzero((orders["symbol"] == symbol) & (orders["status"] == ACCEPTED)).tolist()

    def _end(self, i: int, status: int, reason: int) -> None:
        order = self._state.orders.data[i]
        order["status"], order["reason"] = status, reason
        self._state.counters[RunState.WORKING] -= 1
        self._event(i, status, reason)
        self._book(int(order["symbol"]))

    def _book(self, symbol: int) -> None:
        working = self._working(symbol)
        orders = self._state.orders.data[working]
        remainder = (orders["quantity"] - orders["filled"]) * (orders["counts"] != 0)
        targets = remainder[orders["is_target"] != 0].sum()
        ends = (working[0], working[-1]) if working else (-1, -1)
        self._state.books[symbol] = np.array([(remainder.sum(), targets, *ends, 0)], BOOK)[0]

    def _event(self, i: int, status: int, reason: int) -> None:
        state = self._state
        row = state.order_events.count
        known = 0 <= i < state.orders.count
        amounts = [float(state.orders.data[i][name]) if known else 0.0 for name in ("quantity", "filled")]
        sequence = state.counters[RunState.SEQUENCE]
        state.order_events.reserve(1)[row] = (state.now, i, sequence, status, reason, *amounts)
        state.counters[RunState.ORDER_EVENTS] += 1
        state.counters[RunState.SEQUENCE] += 1
