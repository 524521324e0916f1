"""Orders that belong together: what a fill or an end of one does to the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.accept import set_term
from ml4t_backtest_broker_simulation.amend import adopt
from ml4t_backtest_broker_simulation.core import (
    change,
    compiled,
    count_in_book,
    end,
    is_live,
    round_to_step,
    whole_lots,
    wide,
)
from ml4t_backtest_broker_simulation.layout import (
    ACCEPTED,
    CANCELLED,
    COMPLETE,
    EXPIRED,
    FILLED,
    GROUPS_CANCEL,
    HELD,
    MARKET_ORDER,
    NEXT_BAR,
    NO_PHASE,
    OPEN_HIGH_LOW_CLOSE,
    OPG,
    PATH,
    R_ONE_CANCELS,
    R_PARENT_ENDED,
    ROWS,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    Run,
    reason_of,
)
from ml4t_backtest_broker_simulation.trail import begin_trail

__all__ = ["child_part", "end_group", "leave", "leave_nothing", "settle_ends", "spread_fill"]

R_PARENT_FILLED: Final = reason_of("parent-filled")


@compiled
def child_part(run: Run, i: int) -> float:
    """Return how much of a child, with what its group took off it, may fill by now (not below 0)."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    parent = run.orders[terms["parent"]]
    whole = abs(terms["whole"])
    taken = whole - abs(order["quantity"])
    total = abs(parent["quantity"])
    ready = whole * abs(parent["filled"]) / total if total > 0.0 else 0.0
    part = whole_lots(ready, run.instruments[order["symbol"]]["lot"])
    return float(part - taken)


@compiled
def leave(run: Run, event: int, i: int, phase: int, price: float) -> None:
    """Set what is left of the bar for order ``i`` after an event of order ``event`` in it."""
    terms = run.terms[run.orders[i]["terms"]]
    source = run.terms[run.orders[event]["terms"]]
    raw = run.market[1]
    opened, high, low = raw["open"], raw["high"], raw["low"]
    if source["event_row"] == run.counters[ROWS]:
        opened, high, low = source["left_open"], source["left_high"], source["left_low"]
    close = price if np.isnan(raw["close"]) else raw["close"]
    by_path = run.setup[PATH] == OPEN_HIGH_LOW_CLOSE and not np.isnan(opened)
    terms["event_row"] = run.counters[ROWS]
    terms["event_phase"] = phase
    if phase > 0:
        if (phase == 3 or (by_path and phase == 2)) or (not by_path and not price > opened):
            high = max(price, close)
        if phase == 3 or (not by_path and not price < opened):
            low = min(price, close)
        opened = price
    terms["left_open"] = opened
    terms["left_high"] = high
    terms["left_low"] = low


@compiled
def leave_nothing(run: Run, i: int) -> None:
    """Keep an order from what is left of the bar."""
    terms = run.terms[run.orders[i]["terms"]]
    terms["event_row"] = run.counters[ROWS]
    terms["event_phase"] = NO_PHASE


@compiled
def release(run: Run, parent: int, i: int, phase: int, price: float, formed_at: int) -> None:
    """Let a child fill, from what is left of the parent's bar on; one that is free already takes its larger part."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    stamp = run.counters[ROWS]
    if run.setup[NEXT_BAR] == COMPLETE and run.orders[parent]["status"] != FILLED:
        return
    if order["status"] != HELD:
        if phase > 0 or run.setup[NEXT_BAR] != 0:
            terms["met_row"] = stamp
        return
    order["submitted_at"] = formed_at
    terms["active_from"] = formed_at
    set_term(run, i, terms["expires_at"])
    change(run, i, ACCEPTED, R_PARENT_FILLED)
    if order["kind"] == TRAILING_STOP or order["kind"] == TRAILING_STOP_LIMIT:
        begin_trail(run, i, price)
    is_past = order["time_in_force"] == OPG and run.market[1]["bar_start"] < terms["active_from"]
    if phase > 3 or run.setup[NEXT_BAR] != 0 or order["kind"] == MARKET_ORDER or is_past:
        leave_nothing(run, i)
    else:
        leave(run, parent, i, phase, price)


@compiled
def reduce(run: Run, i: int, amount: float, formed_at: int) -> None:
    """Take an absolute quantity off what a leg has left when a price forms; one with nothing left ends."""
    order = run.orders[i]
    own = run.terms[order["terms"]]
    if own["next_quantity"] != 0.0 and formed_at >= own["amended_at"]:
        adopt(run, i)
        if not is_live(order["status"]):
            return
    step = run.instruments[order["symbol"]]["quantity_step"]
    left = round_to_step(abs(order["quantity"] - order["filled"]) - amount, step)
    if not left > 0.0:
        end(run, i, CANCELLED, R_ONE_CANCELS)
        return
    before = order["quantity"]
    after = round_to_step(order["filled"] + (left if before > 0.0 else -left), step)
    count_in_book(run, order, after - before)
    order["quantity"] = after
    terms = run.terms[order["terms"]]
    if terms["next_quantity"] != 0.0:
        terms["next_quantity"] += after - before
    change(run, i, wide(order["status"]), R_ONE_CANCELS)


@compiled
def spread_fill(run: Run, i: int, quantity: float, phase: int, price: float, formed_at: int) -> None:
    """Tell an order's group and children that it has filled, in the order of ids."""
    orders, terms = run.orders, run.terms
    own = terms[orders[i]["terms"]]
    group = own["group"]
    if group < 0 and own["children"] == 0:
        return
    # a cancel of what had filled ends nobody else either
    comes_late = orders[i]["cancelled_at"] != 0 and orders[i]["status"] == FILLED and own["ends_as"] != R_ONE_CANCELS
    k = run.books[orders[i]["symbol"]]["first"]
    while k >= 0:
        row = orders[k]["terms"]
        if k != i and row >= 0 and is_live(orders[k]["status"]):
            if group >= 0 and terms[row]["group"] == group:
                if comes_late and terms[row]["ends_as"] == R_ONE_CANCELS:
                    orders[k]["cancelled_at"], terms[row]["ends_as"] = 0, 0
                if run.setup[GROUPS_CANCEL] == 0:
                    reduce(run, k, abs(quantity), formed_at)
                elif own["parent"] < 0 or orders[i]["status"] == FILLED:
                    end(run, k, CANCELLED, R_ONE_CANCELS)
            elif terms[row]["parent"] == i:
                release(run, i, k, phase, price, formed_at)
        k = orders[k]["next"]


@compiled
def end_group(run: Run, symbol: int, group: int, i: int) -> None:
    """Cancel every leg of a group but ``i``."""
    k = run.books[symbol]["first"]
    while k >= 0:
        order = run.orders[k]
        row = order["terms"]
        if k != i and row >= 0 and run.terms[row]["group"] == group and is_live(order["status"]):
            end(run, k, CANCELLED, R_ONE_CANCELS)
        k = order["next"]


@compiled
def end_children(run: Run, symbol: int, parent: int) -> None:
    """Cut the children of an ended order to the part that it has filled; without one they end."""
    orders = run.orders
    k = run.books[symbol]["first"]
    while k >= 0:
        order = orders[k]
        if order["terms"] >= 0 and is_live(order["status"]) and run.terms[order["terms"]]["parent"] == parent:
            part = child_part(run, k)
            step = run.instruments[symbol]["quantity_step"]
            never = run.setup[NEXT_BAR] == COMPLETE and order["status"] == HELD
            if never or not round_to_step(part - abs(order["filled"]), step) > 0.0:
                end(run, k, CANCELLED, R_PARENT_ENDED)
            else:
                before = order["quantity"]
                order["quantity"] = part if before > 0.0 else -part
                count_in_book(run, order, order["quantity"] - before)
                terms = run.terms[order["terms"]]
                if abs(terms["next_quantity"]) > part:
                    terms["next_quantity"] = order["quantity"]
                change(run, k, wide(order["status"]), R_PARENT_ENDED)
        k = order["next"]


@compiled
def settle_ends(run: Run, symbol: int) -> None:
    """Tell groups and children of a symbol's ended orders, and theirs, until nothing more ends."""
    orders = run.orders
    again = True
    while again:
        again = False
        i = run.books[symbol]["first"]
        while i >= 0:
            order = orders[i]
            status, row = order["status"], order["terms"]
            if row >= 0 and (status in (CANCELLED, EXPIRED)) and run.terms[row]["spread"] == 0:
                terms = run.terms[row]
                terms["spread"] = 1
                again = True
                if terms["children"] != 0:
                    end_children(run, symbol, i)
                by_family = order["reason"] == R_ONE_CANCELS or order["reason"] == R_PARENT_ENDED
                if terms["group"] >= 0 and not by_family:
                    end_group(run, symbol, terms["group"], i)
            i = order["next"]
