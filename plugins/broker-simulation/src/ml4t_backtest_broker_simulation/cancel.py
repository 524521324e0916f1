"""Ends that were asked for: they hold for prices that form after them."""

from __future__ import annotations

from typing import Final

from ml4t_backtest_broker_simulation.core import Record, change, compiled, count_in_book, end, is_live, terms_of, wide
from ml4t_backtest_broker_simulation.layout import CANCELLED, HELD, LATENCY, NOW, ORDERS, R_ONE_CANCELS, Run, reason_of

__all__ = ["at_once", "cancel_order", "cancel_targets", "not_open"]

R_REPLACED: Final = reason_of("replaced-by-target")
R_CANCELLED: Final = reason_of("cancelled-by-strategy")
R_REQUESTED: Final = reason_of("cancel-requested")
R_UNKNOWN_ORDER: Final = reason_of("unknown-order")
R_DONE: Final = reason_of("already-done")


@compiled
def at_once(run: Run, i: int) -> bool:
    """Say whether no price that is still unknown can have met an order before a request of this instant."""
    order = run.orders[i]
    now, latency = run.setup[NOW], run.setup[LATENCY]
    if order["status"] == HELD:
        return True
    first = run.terms[order["terms"]]["active_from"] if order["terms"] >= 0 else order["submitted_at"] + latency
    return bool(first >= now + latency or (latency == 0 and run.books[order["symbol"]]["seen_at"] == now))


@compiled
def request_end(run: Run, i: int, reason: int) -> None:
    """End an order, or, where a bar is under way, let only prices that formed before fill it."""
    if at_once(run, i):
        end(run, i, CANCELLED, reason)
        return
    orders = run.orders
    order = orders[i]
    moment = run.setup[NOW] + run.setup[LATENCY]
    terms = run.terms[terms_of(run, i)]
    terms["ends_as"] = reason
    count_in_book(run, order, order["filled"] - order["quantity"])
    order["counts"] = 0
    if order["cancelled_at"] == 0 or moment < order["cancelled_at"]:
        order["cancelled_at"] = moment
    change(run, i, wide(order["status"]), R_REQUESTED)
    group = terms["group"]
    k = run.books[order["symbol"]]["first"] if group >= 0 else -1
    while k >= 0:  # no leg of a group fills at a price after the end of another
        other = orders[k]
        row = other["terms"]
        if row >= 0 and run.terms[row]["group"] == group and other["cancelled_at"] == 0 and is_live(other["status"]):
            other["cancelled_at"] = moment
            run.terms[row]["ends_as"] = R_ONE_CANCELS
        k = other["next"]


@compiled
def not_open(run: Run, request: Record) -> int:
    """Return why there is no order to cancel or amend, 0 where there is."""
    i = request["order_id"]
    if request["reason"] != 0:
        return int(request["reason"])
    if i < 0 or i >= run.counters[ORDERS]:
        return R_UNKNOWN_ORDER
    order = run.orders[i]
    if not is_live(order["status"]):
        return R_DONE
    if order["cancelled_at"] != 0 and run.terms[order["terms"]]["ends_as"] != R_ONE_CANCELS:
        return R_DONE
    return 0


@compiled
def cancel_order(run: Run, request: Record) -> int:
    """Cancel one order by id; return why not, 0 where it was done."""
    reason = not_open(run, request)
    if reason == 0:
        ends_as = wide(request["tag"])
        request_end(run, request["order_id"], ends_as if ends_as > 0 else R_CANCELLED)
    return reason


@compiled
def cancel_targets(run: Run, symbol: int, book: int) -> None:
    """Cancel the working target orders of a symbol in a book, oldest first."""
    orders = run.orders
    i = run.books[symbol]["first"]
    while i >= 0:
        order = orders[i]
        mine = order["is_target"] != 0 and order["book"] == book
        if mine and is_live(order["status"]) and order["cancelled_at"] == 0:
            request_end(run, i, R_REPLACED)
        i = order["next"]
