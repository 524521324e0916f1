"""Working orders meet price rows."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from ml4t_backtest_broker_simulation.amend import adopt
from ml4t_backtest_broker_simulation.core import (
    change,
    compiled,
    end,
    fault,
    inlined,
    is_open,
    sweep,
    unlink,
    write_event,
)
from ml4t_backtest_broker_simulation.expire import close_row
from ml4t_backtest_broker_simulation.family import leave, leave_nothing, settle_ends
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    BARS,
    CANCELLED,
    FAULT_EARLY,
    FAULT_STATE,
    FILLED,
    LATENCY,
    MARKET_RULE,
    NO_PHASE,
    NOW,
    OPEN,
    PLAIN,
    ROWS,
    SOURCE,
    STOP,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    VOLUME_RULE,
    WORKING,
    Run,
    reason_of,
    whole,
)
from ml4t_backtest_broker_simulation.price import (
    R_LIMIT,
    R_NEXT_CLOSE,
    R_NEXT_OPEN,
    R_SAME_CLOSE,
    R_STOP,
    candidate,
    is_limit,
    is_stop,
)
from ml4t_backtest_broker_simulation.settle import (
    COMMISSION,
    IMPACT,
    R_PRICE,
    SLIPPAGE,
    WAITS,
    Functions,
    ask,
    fill_order,
    pay,
    write_fill,
)
from ml4t_backtest_broker_simulation.view import load_row
from ml4t_backtest_broker_simulation.volume import note_volume

__all__ = ["match_rows"]

R_TRIGGERED: Final = reason_of("triggered")

FIRST_PHASE: Final = whole(0)

Columns: TypeAlias = tuple[Any, ...]


@compiled
def trigger(run: Run, i: int, phase: int, price: float, reason: int) -> None:
    """Note that a stop was reached; a limit order goes on in what is left of the bar."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    raw = run.market[1]
    terms["triggered_at"] = raw["bar_start"] if phase == 0 else raw["event_time"]
    kind = order["kind"]
    if (kind in (TRAILING_STOP, TRAILING_STOP_LIMIT)) and (reason == R_STOP or np.isnan(order["stop_price"])):
        order["stop_price"] = price
    if not is_limit(kind):
        return
    if kind == TRAILING_STOP_LIMIT:
        order["limit_price"] = order["stop_price"] + terms["limit_offset"]
    change(run, i, np.int64(order["status"]), R_TRIGGERED)
    if phase > 3:
        leave_nothing(run, i)
    else:
        leave(run, i, i, phase, price)


@compiled
def meet(run: Run, models: Functions, i: int, phase: int) -> int:
    """Let an order do what it can in a phase of the row; return the later phase in which it can do more."""
    order = run.orders[i]
    row = order["terms"]
    at, price, reason = candidate(run, i)
    if at == NO_PHASE and row >= 0 and run.setup[AT_ONCE] == 0:
        terms = run.terms[row]
        if terms["next_quantity"] != 0.0 and run.market[1]["event_time"] >= terms["amended_at"]:
            adopt(run, i)
            if not is_open(order["status"]):
                return NO_PHASE
            at, price, reason = candidate(run, i)
    if at != phase:
        return at if at > phase else NO_PHASE
    kind = order["kind"]
    stops = row >= 0 and is_stop(kind, run.terms[row]["triggered_at"] != 0)
    rested = True
    if stops:
        trigger(run, i, phase, price, reason)
        if is_limit(kind):
            rested = False
            at, price, reason = candidate(run, i)
            if at != phase:
                return at if at > phase else NO_PHASE
    if row >= 0 and run.terms[row]["event_row"] == run.counters[ROWS] and is_limit(kind):
        rested = rested and run.terms[row]["triggered_at"] == 0
    maker = rested and reason == R_LIMIT and phase > 0 and phase < 4
    outcome = fill_order(run, models, i, phase, price, reason, maker)
    if outcome == WAITS and run.setup[STOP] == 0 and row >= 0:
        run.terms[row]["met_row"] = run.counters[ROWS]
        if stops and not is_limit(kind):
            change(run, i, np.int64(order["status"]), R_TRIGGERED)
    return NO_PHASE


@compiled
def meet_row(run: Run, models: Functions, symbol: int) -> None:
    """Let all working orders of a symbol meet a row: by phase, then id; then end what ends with it."""
    orders = run.orders
    run.counters[ROWS] += 1
    first = run.books[symbol]["first"]
    phase = FIRST_PHASE
    while phase < NO_PHASE:
        lowest = NO_PHASE
        i = first
        while i >= 0:
            if is_open(orders[i]["status"]):
                working = run.counters[WORKING]
                lowest = min(lowest, meet(run, models, i, phase))
                if working != run.counters[WORKING]:
                    settle_ends(run, symbol)
                if run.setup[STOP] != 0:
                    sweep(run, symbol)
                    return
            i = orders[i]["next"]
        phase = lowest
    i = first
    while i >= 0:
        if is_open(orders[i]["status"]) and orders[i]["terms"] >= 0:
            close_row(run, i)
        i = orders[i]["next"]
    settle_ends(run, symbol)
    sweep(run, symbol)


@compiled
def are_plain(run: Run, symbol: int) -> bool:
    """Say whether all working orders of a symbol are plain market orders."""
    i = run.books[symbol]["first"]
    while i >= 0:
        if run.orders[i]["terms"] >= 0:
            return False
        i = run.orders[i]["next"]
    return True


@inlined
def fill_plain(
    run: Run, models: Functions, i: int, previous: int, reference: float, reason: int, formed_at: int
) -> None:
    """Fill a plain market order whole: what ``settle.fill_order`` comes to for it, without a function call."""
    setup, counters, order, bar = run.setup, run.counters, run.orders[i], run.market[0]
    quantity = order["quantity"] - order["filled"]
    bar["price"] = reference
    bar["quantity"] = quantity
    shift = ask(SLIPPAGE, models[1], run, i)
    if setup[STOP] != 0:
        return
    shift += ask(IMPACT, models[2], run, i)
    if setup[STOP] != 0:
        return
    price = reference + shift
    bar["price"] = price
    commission = ask(COMMISSION, models[3], run, i)
    if setup[STOP] != 0:
        return
    if not np.isfinite(price) or not np.isfinite(commission):
        end(run, i, CANCELLED, R_PRICE)
        unlink(run, i, previous)
        return
    if not is_open(order["status"]):
        fault(setup, FAULT_STATE, i)
    if setup[AT_ONCE] == 0 and formed_at < order["submitted_at"] + setup[LATENCY]:
        fault(setup, FAULT_EARLY, i)
    row = write_fill(run, order, reference, commission, reason, formed_at)
    order["filled"] = order["quantity"]
    order["commission"] += commission
    order["status"] = FILLED
    order["reason"] = reason
    counters[WORKING] -= 1
    if order["counts"] != 0:
        book = run.books[order["symbol"]]
        book["open_quantity"] -= quantity
        if order["is_target"] != 0:
            book["target_quantity"] -= quantity
    unlink(run, i, previous)
    run.fills[row]["sequence"] = write_event(run.events, counters, setup[NOW], order, FILLED, reason)
    pay(run, models, row)


@inlined
def meet_plain(run: Run, models: Functions, symbol: int) -> None:
    """Let plain market orders meet a bar, oldest first."""
    setup, orders, bar, raw = run.setup, run.orders, run.market[0], run.market[1]
    opens = setup[MARKET_RULE] == OPEN
    at_once = setup[AT_ONCE] != 0
    reference = raw["open"] if opens else raw["close"]
    formed_at = raw["bar_start"] if opens else raw["event_time"]
    reason = R_NEXT_OPEN if opens else R_SAME_CLOSE if at_once else R_NEXT_CLOSE
    if np.isnan(reference):
        return
    bar["open"], bar["high"], bar["low"], bar["close"] = raw["open"], raw["high"], raw["low"], raw["close"]
    bar["volume"], bar["vwap"] = raw["volume"], raw["vwap"]
    bar["maker"] = 0
    previous = -1
    i = run.books[symbol]["first"]
    while i >= 0:
        following = orders[i]["next"]
        submitted_at = orders[i]["submitted_at"]
        first = submitted_at + setup[LATENCY]
        allowed = formed_at >= first if opens else formed_at > first
        if at_once:
            allowed = submitted_at == setup[NOW]
        if allowed:
            if not opens:
                sees_range = raw["bar_start"] >= first and not at_once
                bar["open"] = raw["open"] if sees_range else np.nan
                bar["high"] = raw["high"] if sees_range else np.nan
                bar["low"] = raw["low"] if sees_range else np.nan
            fill_plain(run, models, i, previous, reference, reason, formed_at)
            if setup[STOP] != 0:
                return
        if is_open(orders[i]["status"]):
            previous = i
        i = following


@compiled
def match_rows(run: Run, models: Functions, rows: Columns, start: int, stop: int) -> None:
    """Let working orders meet the rows ``start:stop``, rows in their order.

    Args:
        run: The run's columns.
        models: fill, slippage, impact, commission and apply_fill, callable.
        rows: known_at, event_time, bar_start, symbol, values of the source, and where in ``values`` its fields
            stand: of bars open, high, low, close, volume, vwap; of quotes bid, its size, ask, its size; of
            trades price and size.
        start: First row.
        stop: Row after the last.
    """
    known_at, event_time, bar_start, symbols, values, fields = rows
    setup, books = run.setup, run.books
    bar, raw = run.market[0], run.market[1]
    limits = setup[VOLUME_RULE] != 0
    for r in range(start, stop):
        symbol = np.int64(symbols[r])
        known = symbol < len(books)  # one that is named by this very instant nobody can have ordered
        if not limits and (not known or books[symbol]["first"] < 0):
            continue
        raw["bar_start"] = bar_start[r]
        raw["event_time"] = event_time[r]
        load_row(run, values, fields, r)
        if limits:
            note_volume(run, symbol)
            if not known:
                continue
        books[symbol]["seen_at"] = event_time[r]
        if books[symbol]["first"] < 0:
            continue
        bar["symbol"] = symbol
        bar["bar_start"] = bar_start[r]
        bar["event_time"] = event_time[r]
        bar["known_at"] = known_at[r]
        bar["multiplier"] = run.instruments[symbol]["multiplier"]
        if setup[PLAIN] != 0 and setup[SOURCE] == BARS and are_plain(run, symbol):
            meet_plain(run, models, symbol)
        else:
            meet_row(run, models, symbol)
        if setup[STOP] != 0:
            return
