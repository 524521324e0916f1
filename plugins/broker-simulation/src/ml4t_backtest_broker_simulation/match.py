"""Working orders meet price rows."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from ml4t_backtest_broker_simulation.amend import adopt
from ml4t_backtest_broker_simulation.core import (
    change,
    compiled,
    is_open,
    sweep,
    wide,
)
from ml4t_backtest_broker_simulation.expire import close_row, could_take, fix_day
from ml4t_backtest_broker_simulation.family import leave, settle_ends
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    EVERYTHING,
    FOK,
    IOC,
    NO_PHASE,
    NOTHING,
    OPG,
    PATH,
    REACHED,
    ROWS,
    STOP,
    SUBMISSION,
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
    R_STOP,
    candidate,
    is_limit,
    is_stop,
)
from ml4t_backtest_broker_simulation.settle import (
    WAITS,
    Functions,
    fill_order,
)
from ml4t_backtest_broker_simulation.view import load_row
from ml4t_backtest_broker_simulation.volume import note_volume, volume_left

__all__ = ["match_rows"]

R_TRIGGERED: Final = reason_of("triggered")

FIRST_PHASE: Final = whole(0)
LAST_PHASE: Final = whole(4)
HIDDEN: Final = whole(-1)

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
    change(run, i, wide(order["status"]), R_TRIGGERED)
    if phase > 3 and run.setup[REACHED] == EVERYTHING:
        return  # what reached the stop may have reached the limit
    if phase > 3 or (run.setup[PATH] == SUBMISSION and phase > 0 and waits_beyond(run, i)):
        terms["met_row"] = run.counters[ROWS]
    else:
        leave(run, i, i, phase, price)


@compiled
def waits_beyond(run: Run, i: int) -> bool:
    """Say whether a limit beyond its stop waits: no path is assumed, and the bar does not close back past its open."""
    order, raw = run.orders[i], run.market[1]
    if order["quantity"] > 0.0:
        return bool(order["limit_price"] < order["stop_price"] and not raw["close"] < raw["open"])
    return bool(order["limit_price"] > order["stop_price"] and not raw["close"] >= raw["open"])


@compiled
def next_candidate(run: Run, i: int, phase: int) -> tuple[int, float, int]:
    """Return what the row can do to an order; where the old terms meet nothing, amended ones take their place."""
    at, price, reason = candidate(run, i)
    row = run.orders[i]["terms"]
    if at == NO_PHASE and row >= 0 and run.setup[AT_ONCE] == 0:
        terms, raw = run.terms[row], run.market[1]
        if terms["next_quantity"] != 0.0 and raw["event_time"] >= terms["amended_at"]:
            start = raw["bar_start"]
            if (run.orders[i]["time_in_force"] in (IOC, FOK)) and could_take(run, i):
                return at, price, reason  # that was its first price: amended terms come too late
            if start < terms["amended_at"] and phase < LAST_PHASE and run.setup[PATH] != SUBMISSION:
                return LAST_PHASE, price, reason  # of this bar the amended terms see the close alone
            fix_day(run, i)
            if run.orders[i]["time_in_force"] == OPG and terms["active_from"] <= start < terms["amended_at"]:
                terms["expires_at"] = raw["event_time"]  # the open that it was for met the old terms
            adopt(run, i)
            if is_open(run.orders[i]["status"]):
                return candidate(run, i)
    return at, price, reason


@compiled
def meet(run: Run, models: Functions, i: int, phase: int) -> int:
    """Let an order do what it can in a phase of the row; return the later phase in which it can do more."""
    order = run.orders[i]
    row = order["terms"]
    at, price, reason = next_candidate(run, i, phase)
    by_submission = run.setup[PATH] == SUBMISSION and at != NO_PHASE
    if by_submission:
        phase = at
    if at != phase:
        return at if at > phase else NO_PHASE
    kind = order["kind"]
    stops = row >= 0 and is_stop(kind, run.terms[row]["triggered_at"] != 0)
    rested = True
    if stops:
        trigger(run, i, phase, price, reason)
        if is_limit(kind):
            rested = False
            at, price, reason = next_candidate(run, i, phase)
            if by_submission and at != NO_PHASE:
                phase = at
            if at != phase:
                return at if at > phase else NO_PHASE
    if run.setup[REACHED] == EVERYTHING and row >= 0 and is_limit(kind):
        run.terms[row]["reached"] = 1
    if row >= 0 and run.terms[row]["event_row"] == run.counters[ROWS] and is_limit(kind):
        rested = rested and run.terms[row]["triggered_at"] == 0
    maker = rested and reason == R_LIMIT and phase > 0 and phase < 4
    outcome = fill_order(run, models, i, phase, price, reason, maker)
    forgets = stops and not is_limit(kind) and run.setup[REACHED] == NOTHING
    if outcome == WAITS and run.setup[STOP] == 0 and row >= 0:
        run.terms[row]["met_row"] = run.counters[ROWS]
        if stops and not is_limit(kind) and not forgets:
            change(run, i, wide(order["status"]), R_TRIGGERED)
    if forgets:
        run.terms[row]["triggered_at"] = 0
    if outcome == WAITS and hides(run, wide(order["symbol"]), order["quantity"] > 0.0):
        return HIDDEN
    return NO_PHASE


@compiled
def hides(run: Run, symbol: int, buys: bool) -> bool:
    """Say whether a row is used up, so that orders behind the one that found nothing left are not looked at."""
    if run.setup[REACHED] != EVERYTHING or run.setup[VOLUME_RULE] == 0:
        return False
    return bool(volume_left(run, symbol, buys) == 0.0)


@compiled
def meet_row(run: Run, models: Functions, symbol: int) -> None:
    """Let all working orders of a symbol meet a row: by phase, then id; then end what ends with it."""
    orders = run.orders
    run.counters[ROWS] += 1
    first = run.books[symbol]["first"]
    phase = FIRST_PHASE
    if run.setup[VOLUME_RULE] != 0 and not run.market[1]["volume"] > 0.0 and hides(run, symbol, True):
        phase = NO_PHASE
    while phase < NO_PHASE:
        lowest = NO_PHASE
        i = first
        while i >= 0:
            if is_open(orders[i]["status"]):
                working = run.counters[WORKING]
                found = meet(run, models, i, phase)
                if found == HIDDEN:
                    lowest = NO_PHASE
                    break
                lowest = min(lowest, found)
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
        symbol = wide(symbols[r])
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
        meet_row(run, models, symbol)
        if setup[STOP] != 0:
            return
