"""Working orders meet price rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from ml4t.backtest.state import FILLED, REASONS
from ml4t_backtest_broker_simulation.callback import call_back
from ml4t_backtest_broker_simulation.core import (
    CALLBACK,
    FILLS,
    MODE,
    NEXT_OPEN,
    PARAMS,
    PRESENT,
    STATES,
    STOP,
    Floats,
    Integers,
    Record,
    Table,
    compiled,
    end_order,
    reduce_book,
    unlink,
    write_event,
)

__all__ = ["match_rows"]

FILL: Final = 0
SLIPPAGE: Final = 1
IMPACT: Final = 2
COMMISSION: Final = 3
APPLY_FILL: Final = 4

Function: TypeAlias = Callable[..., float]
Columns: TypeAlias = tuple[Any, ...]

R_PRICE: Final = REASONS.index("fill-price-not-finite")
R_FIRST_MODE: Final = REASONS.index("next-open")  # next-close and same-close follow it

WAITS: Final = 0
ENDED: Final = 1


@compiled
def value_at(values: Floats, row: int, r: int) -> float:
    """Return a field of a row, NaN where the source has no such field."""
    if row < 0:
        return np.nan
    value: float = values[row, r]
    return value


@compiled
def may_fill(mode: int, submitted_at: int, bar_start: int, event_time: int, now: int, at_once: bool) -> bool:
    """Say whether the price of this bar formed late enough for an order (or, at once, is this instant's)."""
    if at_once:
        return submitted_at == now and event_time <= now
    if mode == NEXT_OPEN:
        return bar_start >= submitted_at
    return event_time > submitted_at


@compiled
def ask(
    which: int,
    function: Function,
    setup: Integers,
    params: Floats,
    states: Floats,
    market: Table,
    orders: Table,
    i: int,
) -> float:
    """Call a model, compiled by its address or back in Python; a model that is not there costs nothing."""
    if setup[PRESENT + which] == 0:
        return 0.0
    if setup[CALLBACK + which] != 0:
        return call_back(setup[CALLBACK + which], i)
    own_params = params[setup[PARAMS + which] : setup[PARAMS + which + 1]]
    own_state = states[setup[STATES + which] : setup[STATES + which + 1]]
    return function(orders, i, market, own_params, own_state)


@compiled
def write_fill(
    order: Record,
    market: Table,
    reference: float,
    commission: float,
    mode: int,
    fills: Table,
    counters: Integers,
) -> int:
    """Append the FILL row of the order's whole remainder and return its row number."""
    bar = market[0]
    row = int(counters[FILLS])
    fill = fills[row]
    fill["order_id"] = order["id"]
    fill["symbol"] = order["symbol"]
    fill["account"] = order["account"]
    fill["reason"] = R_FIRST_MODE + mode
    fill["quantity"] = bar["quantity"]
    fill["price"] = bar["price"]
    fill["reference_price"] = reference
    fill["commission"] = commission
    fill["slippage"] = (bar["price"] - reference) * bar["quantity"] * bar["multiplier"]
    fill["formed_at"] = bar["bar_start"] if mode == NEXT_OPEN else bar["event_time"]
    fill["known_at"] = bar["known_at"]
    fill["submitted_at"] = order["submitted_at"]
    counters[FILLS] = row + 1
    return row


@compiled
def fill_order(
    i: int,
    previous: int,
    now: int,
    setup: Integers,
    params: Floats,
    states: Floats,
    market: Table,
    models: tuple[Function, ...],
    tables: Columns,
) -> int:
    """Try to fill a working order on the bar in ``market``; return WAITS or ENDED."""
    counters, orders, events, fills, ledger, instruments, books, positions, accounts = tables
    order = orders[i]
    bar = market[0]
    quantity = order["quantity"] - order["filled"]
    bar["price"] = np.nan
    bar["quantity"] = quantity
    reference = ask(FILL, models[0], setup, params, states, market, orders, i)
    if setup[STOP] != 0 or not np.isfinite(reference):
        return WAITS
    bar["price"] = reference
    shift = ask(SLIPPAGE, models[1], setup, params, states, market, orders, i)
    if setup[STOP] != 0:
        return WAITS
    shift += ask(IMPACT, models[2], setup, params, states, market, orders, i)
    if setup[STOP] != 0:
        return WAITS
    price = reference + shift
    bar["price"] = price
    commission = ask(COMMISSION, models[3], setup, params, states, market, orders, i)
    if setup[STOP] != 0:
        return WAITS
    book = books[order["symbol"]]
    if not np.isfinite(price) or not np.isfinite(commission):
        end_order(book, orders, previous, i, R_PRICE, now, counters, events)
        return ENDED
    row = write_fill(order, market, reference, commission, setup[MODE], fills, counters)
    order["filled"] = order["quantity"]
    order["status"] = FILLED
    order["reason"] = fills[row]["reason"]
    unlink(book, orders, previous, i, counters)
    reduce_book(book, order, quantity)
    fills[row]["sequence"] = write_event(events, counters, now, order, FILLED, order["reason"])
    if setup[CALLBACK + APPLY_FILL] != 0:
        call_back(setup[CALLBACK + APPLY_FILL], row)
    else:
        models[4](fills, row, instruments, positions, accounts, ledger, counters)
    return ENDED


@compiled
def match_rows(
    setup: Integers,
    params: Floats,
    states: Floats,
    market: Table,
    models: tuple[Function, ...],
    tables: Columns,
    rows: Columns,
    start: int,
    stop: int,
    now: int,
    at_once: bool,
) -> None:
    """Let working orders meet the rows ``start:stop``: rows in their order, a symbol's orders oldest first.

    Args:
        setup: int64, which models there are and how they are called, see ``core``.
        params: float64, the params of all models end to end.
        states: float64, their states.
        market: One MARKET row to work in.
        models: fill, slippage, impact, commission and apply_fill, callable.
        tables: counters, orders, events, fills, ledger, instruments, books, positions, accounts.
        rows: known_at, event_time, bar_start, symbol, values, ohlcv of the source.
        start: First row.
        stop: Row after the last.
        now: The instant at which they become known.
        at_once: Whether only orders submitted at ``now`` fill, on the bar that is already there.
    """
    orders, instruments, books = tables[1], tables[5], tables[6]
    known_at, event_time, bar_start, symbols, values, ohlcv = rows
    bar = market[0]
    mode = setup[MODE]
    for r in range(start, stop):
        symbol = symbols[r]
        if symbol >= len(books):  # first named by this very instant, so nobody can have ordered it
            continue
        i = books[symbol]["first"]
        if i < 0:
            continue
        bar["symbol"] = symbol
        bar["bar_start"] = bar_start[r]
        bar["event_time"] = event_time[r]
        bar["known_at"] = known_at[r]
        bar["open"] = value_at(values, ohlcv[0], r)
        bar["high"] = value_at(values, ohlcv[1], r)
        bar["low"] = value_at(values, ohlcv[2], r)
        bar["close"] = value_at(values, ohlcv[3], r)
        bar["volume"] = value_at(values, ohlcv[4], r)
        bar["multiplier"] = instruments[symbol]["multiplier"]
        previous = -1
        while i >= 0:
            following = orders[i]["next"]
            outcome = WAITS
            if may_fill(mode, orders[i]["submitted_at"], bar_start[r], event_time[r], now, at_once):
                outcome = fill_order(i, previous, now, setup, params, states, market, models, tables)
                if setup[STOP] != 0:
                    return
            if outcome == WAITS:
                previous = i
            i = following
