"""Requests in, working orders out."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t.backtest.state import ACCEPTED, PARTIAL, REASONS, REFUSED, SUBMITTED
from ml4t_backtest_broker_simulation.core import (
    ORDER_EVENTS,
    ORDERS,
    SEQUENCE,
    WORKING,
    Integers,
    Record,
    Table,
    compiled,
    end_order,
    write_event,
)

__all__ = ["finish_orders", "submit_requests"]

ORDER: Final = 0
CANCEL: Final = 1
CANCEL_TARGETS: Final = 2
MARKET_ORDER: Final = 0
GOOD_TILL_CANCELLED: Final = 0

R_REPLACED: Final = REASONS.index("replaced-by-target")
R_CANCELLED: Final = REASONS.index("cancelled-by-strategy")
R_END: Final = REASONS.index("end-of-run")
R_NOT_FINITE: Final = REASONS.index("quantity-not-finite")
R_ZERO: Final = REASONS.index("quantity-zero")
R_KIND: Final = REASONS.index("order-kind-not-supported")
R_TIME_IN_FORCE: Final = REASONS.index("time-in-force-not-supported")
R_UNKNOWN_ORDER: Final = REASONS.index("unknown-order")
R_DONE: Final = REASONS.index("already-done")
R_SYMBOL: Final = REASONS.index("unknown-symbol")
R_ACCOUNT: Final = REASONS.index("unknown-account")


@compiled
def refusal(request: Record, symbols: int, accounts: int) -> int:
    """Return why an order is refused, 0 when it is not."""
    if request["reason"] != 0:
        return int(request["reason"])
    if request["symbol"] < 0 or request["symbol"] >= symbols:
        return R_SYMBOL
    if request["account"] < 0 or request["account"] >= accounts:
        return R_ACCOUNT
    if not np.isfinite(request["quantity"]):
        return R_NOT_FINITE
    if request["quantity"] == 0.0:
        return R_ZERO
    if request["kind"] != MARKET_ORDER:
        return R_KIND
    if request["time_in_force"] != GOOD_TILL_CANCELLED:
        return R_TIME_IN_FORCE
    return 0


@compiled
def submit_order(
    request: Record, now: int, counters: Integers, orders: Table, events: Table, books: Table, accounts: int
) -> None:
    """Write an ORDER row and its first two transitions; an accepted order joins its symbol's list."""
    i = counters[ORDERS]
    counters[ORDERS] = i + 1
    order = orders[i]
    order["id"] = i
    order["symbol"] = request["symbol"]
    order["account"] = request["account"]
    order["kind"] = request["kind"]
    order["time_in_force"] = request["time_in_force"]
    order["is_target"] = request["is_target"]
    order["tag"] = request["tag"]
    order["basket"] = request["basket"]
    order["quantity"] = request["quantity"]
    order["filled"] = 0.0
    order["limit_price"] = request["limit_price"]
    order["stop_price"] = request["stop_price"]
    order["submitted_at"] = now
    order["known_at"] = request["known_at"]
    order["next"] = -1
    write_event(events, counters, now, order, SUBMITTED, 0)
    reason = refusal(request, len(books), accounts)
    order["reason"] = reason
    if reason != 0:
        order["status"] = REFUSED
        order["sequence"] = write_event(events, counters, now, order, REFUSED, reason)
        return
    order["status"] = ACCEPTED
    order["sequence"] = write_event(events, counters, now, order, ACCEPTED, 0)
    book = books[order["symbol"]]
    if book["first"] < 0:
        book["first"] = i
    else:
        orders[book["last"]]["next"] = i
    book["last"] = i
    book["open_quantity"] += order["quantity"]
    if order["is_target"] != 0:
        book["target_quantity"] += order["quantity"]
    counters[WORKING] += 1


@compiled
def refuse_cancel(request: Record, reason: int, now: int, counters: Integers, events: Table) -> None:
    """Record a cancel request that changes nothing."""
    event = events[counters[ORDER_EVENTS]]
    event["timestamp"] = now
    event["order_id"] = request["order_id"]
    event["sequence"] = counters[SEQUENCE]
    event["status"] = REFUSED
    event["reason"] = reason
    event["quantity"] = 0.0
    event["filled"] = 0.0
    counters[ORDER_EVENTS] += 1
    counters[SEQUENCE] += 1


@compiled
def cancel_working(
    i: int, reason: int, now: int, counters: Integers, orders: Table, events: Table, books: Table
) -> None:
    """Cancel a working order, which stands somewhere in the chain of its symbol."""
    book = books[orders[i]["symbol"]]
    previous = -1
    at = book["first"]
    while at != i:
        previous = at
        at = orders[at]["next"]
    end_order(book, orders, previous, i, reason, now, counters, events)


@compiled
def cancel_order(request: Record, now: int, counters: Integers, orders: Table, events: Table, books: Table) -> None:
    """Cancel one order by id, or record why not."""
    i = request["order_id"]
    if request["reason"] != 0:
        refuse_cancel(request, request["reason"], now, counters, events)
        return
    if i < 0 or i >= counters[ORDERS]:
        refuse_cancel(request, R_UNKNOWN_ORDER, now, counters, events)
        return
    if orders[i]["status"] != ACCEPTED and orders[i]["status"] != PARTIAL:
        refuse_cancel(request, R_DONE, now, counters, events)
        return
    cancel_working(i, R_CANCELLED, now, counters, orders, events, books)


@compiled
def cancel_targets(request: Record, now: int, counters: Integers, orders: Table, events: Table, books: Table) -> None:
    """Cancel the working target orders of a symbol, oldest first."""
    symbol = request["symbol"]
    if request["reason"] != 0 or symbol < 0 or symbol >= len(books):
        return
    book = books[symbol]
    previous = -1
    i = book["first"]
    while i >= 0:
        following = orders[i]["next"]
        if orders[i]["is_target"] != 0:
            end_order(book, orders, previous, i, R_REPLACED, now, counters, events)
        else:
            previous = i
        i = following


@compiled
def submit_requests(
    requests: Table, now: int, counters: Integers, orders: Table, events: Table, books: Table, accounts: int
) -> None:
    """Carry out requests in order; room is reserved by the caller."""
    for k in range(len(requests)):
        request = requests[k]
        if request["action"] == ORDER:
            submit_order(request, now, counters, orders, events, books, accounts)
        elif request["action"] == CANCEL:
            cancel_order(request, now, counters, orders, events, books)
        elif request["action"] == CANCEL_TARGETS:
            cancel_targets(request, now, counters, orders, events, books)


@compiled
def finish_orders(now: int, counters: Integers, orders: Table, events: Table, books: Table) -> None:
    """Cancel every working order, in the order of ids."""
    for i in range(counters[ORDERS]):
        if orders[i]["status"] == ACCEPTED or orders[i]["status"] == PARTIAL:
            cancel_working(i, R_END, now, counters, orders, events, books)
