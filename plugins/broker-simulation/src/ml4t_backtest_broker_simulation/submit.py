"""Requests in, working orders out."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.accept import refusal, set_term, worse_tick
from ml4t_backtest_broker_simulation.amend import amend_order
from ml4t_backtest_broker_simulation.cancel import cancel_order, cancel_targets
from ml4t_backtest_broker_simulation.core import Record, change, compiled, sweep, terms_of, wide
from ml4t_backtest_broker_simulation.family import end_group, settle_ends
from ml4t_backtest_broker_simulation.layout import (
    ACCEPTED,
    CANCELLED,
    COMPLETE,
    EXPIRED,
    FILLED,
    GTC,
    HELD,
    LEGS,
    MARKET_ORDER,
    NEXT_BAR,
    NOW,
    ORDER_EVENTS,
    ORDERS,
    PARTIAL,
    PENDING,
    R_CHANGED_BY_RISK,
    R_ONE_CANCELS,
    R_PARENT_ENDED,
    REFUSED,
    SEQUENCE,
    SUBMITTED,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    WORKING,
    Run,
    reason_of,
    whole,
)
from ml4t_backtest_broker_simulation.trail import begin_trail

__all__ = ["submit_requests"]

ORDER: Final = 0
CANCEL: Final = 1
CANCEL_TARGETS: Final = 2
AMEND: Final = 3

NO_REASON: Final = whole(0)
R_WAITS: Final = reason_of("waits-for-parent")


@compiled
def write_order(run: Run, request: Record, i: int) -> None:
    """Write an ORDER row."""
    order = run.orders[i]
    order["id"] = i
    order["symbol"] = request["symbol"]
    order["account"] = request["account"]
    order["kind"] = request["kind"]
    order["time_in_force"] = request["time_in_force"]
    order["status"] = PENDING
    order["is_target"] = request["is_target"]
    order["tag"] = request["tag"]
    order["basket"] = request["basket"]
    order["quantity"] = request["quantity"]
    order["filled"] = 0.0
    order["limit_price"] = request["limit_price"]
    order["stop_price"] = request["stop_price"]
    order["submitted_at"] = run.setup[NOW]
    order["known_at"] = request["known_at"]
    order["next"] = -1
    order["cancelled_at"] = 0
    order["commission"] = 0.0
    order["terms"] = -1
    order["client_id"] = request["client_id"]
    order["reduce_only"] = request["reduce_only"]
    order["counts"] = request["counts"]
    order["book"] = request["book"]


@compiled
def write_terms(run: Run, request: Record, i: int) -> int:
    """Write what an order has beyond a plain market order; return why it ends at once, 0 where it does not."""
    orders = run.orders
    order = orders[i]
    instrument = run.instruments[order["symbol"]]
    terms = run.terms[terms_of(run, i)]
    buys = order["quantity"] > 0.0
    order["limit_price"] = worse_tick(order["limit_price"], instrument["tick"], buys)
    order["stop_price"] = worse_tick(order["stop_price"], instrument["tick"], not buys)
    terms["trail_amount"] = request["trail_amount"]
    terms["trail_percent"] = request["trail_percent"]
    terms["limit_offset"] = request["limit_offset"]
    terms["parent"] = request["parent"]
    terms["group"] = request["group"]
    if request["group"] >= 0:
        run.setup[LEGS] = max(run.setup[LEGS], i - request["group"] + 1)
    set_term(run, i, request["expires_at"])
    parent, first = request["parent"], request["group"]
    if parent >= 0:
        run.terms[terms_of(run, parent)]["children"] = 1
        status = orders[parent]["status"]
        if status in (CANCELLED, EXPIRED, REFUSED):
            return R_PARENT_ENDED
    if first >= 0 and first != i:
        status = orders[first]["status"]
        if status in (CANCELLED, EXPIRED, REFUSED, FILLED):
            return R_ONE_CANCELS
    return 0


@compiled
def submit_order(run: Run, request: Record) -> None:
    """Write an order and its first transitions; what was not refused joins its symbol's list."""
    orders = run.orders
    i = run.counters[ORDERS]
    run.counters[ORDERS] = i + 1
    write_order(run, request, i)
    order = orders[i]
    asked = request["asked"]
    changed = np.isfinite(asked) and asked != 0.0 and asked != request["quantity"]
    change(run, i, SUBMITTED, R_CHANGED_BY_RISK if changed else NO_REASON)
    reason = refusal(run, request, i)
    if reason != 0:
        order["sequence"] = change(run, i, REFUSED, reason)
        if request["group"] >= 0 and request["group"] < i:
            end_group(run, wide(orders[request["group"]]["symbol"]), request["group"], i)
        return
    symbol = wide(order["symbol"])
    kind = order["kind"]
    status = ACCEPTED
    if (
        kind != MARKET_ORDER
        or order["time_in_force"] != GTC
        or order["reduce_only"] != 0
        or request["parent"] >= 0
        or request["group"] >= 0
    ):
        reason = write_terms(run, request, i)
        if reason != 0:
            order["sequence"] = change(run, i, CANCELLED, reason)
            return
        parent = request["parent"]
        if parent >= 0 and orders[parent]["status"] != PARTIAL and orders[parent]["status"] != FILLED:
            status = HELD
        if kind in (TRAILING_STOP, TRAILING_STOP_LIMIT) and (status != HELD or run.setup[NEXT_BAR] == COMPLETE):
            begin_trail(run, i, run.instruments[symbol]["mark"])
    order["sequence"] = change(run, i, status, R_WAITS if status == HELD else NO_REASON)
    join_book(run, i)


@compiled
def join_book(run: Run, i: int) -> None:
    """Put an order at the end of its symbol's list."""
    order = run.orders[i]
    book = run.books[order["symbol"]]
    if book["first"] < 0:
        book["first"] = i
    else:
        run.orders[book["last"]]["next"] = i
    book["last"] = i
    if order["counts"] != 0:
        book["open_quantity"] += order["quantity"]
        if order["is_target"] != 0:
            book["target_quantity"] += order["quantity"]
    run.counters[WORKING] += 1


@compiled
def refuse(run: Run, request: Record, reason: int) -> None:
    """Record a cancel or amendment that changes nothing."""
    counters = run.counters
    event = run.events[counters[ORDER_EVENTS]]
    event["timestamp"] = run.setup[NOW]
    event["order_id"] = request["order_id"]
    event["sequence"] = counters[SEQUENCE]
    event["status"] = REFUSED
    event["reason"] = reason
    event["quantity"] = 0.0
    event["filled"] = 0.0
    counters[ORDER_EVENTS] += 1
    counters[SEQUENCE] += 1


@compiled
def submit_requests(run: Run, requests: Record) -> None:
    """Carry out requests in order; room is reserved by the caller."""
    for k in range(len(requests)):
        request = requests[k]
        action = request["action"]
        symbol = wide(request["symbol"])
        if action == ORDER:
            submit_order(run, request)
        elif action == CANCEL_TARGETS:
            if request["reason"] == 0 and symbol >= 0 and symbol < len(run.books):
                cancel_targets(run, symbol, wide(request["book"]))
        else:
            i = request["order_id"]
            reason = cancel_order(run, request) if action == CANCEL else amend_order(run, request)
            if reason != 0:
                refuse(run, request, reason)
                continue
            symbol = wide(run.orders[i]["symbol"])
        if (action != ORDER or request["group"] >= 0) and symbol >= 0 and symbol < len(run.books):
            settle_ends(run, symbol)
            sweep(run, symbol)
