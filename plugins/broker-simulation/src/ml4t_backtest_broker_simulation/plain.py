"""The short way for runs in which only plain market orders work, and meet bars.

It comes to what ``match`` and ``settle`` come to for such orders, bit by bit, and compiles in a fraction of the
time; a run takes it until the first order with more to it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ml4t_backtest_broker_simulation.core import (
    compiled,
    end,
    fault,
    inlined,
    is_open,
    unlink,
    wide,
    write_event,
)
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    CANCELLED,
    FAULT_EARLY,
    FAULT_STATE,
    FILLED,
    LATENCY,
    MARKET_RULE,
    NOBODY,
    NOW,
    OPEN,
    STOP,
    WORKING,
    Run,
)
from ml4t_backtest_broker_simulation.price import (
    R_NEXT_CLOSE,
    R_NEXT_OPEN,
    R_SAME_CLOSE,
)
from ml4t_backtest_broker_simulation.settle import (
    COMMISSION,
    IMPACT,
    R_PRICE,
    SLIPPAGE,
    Functions,
    ask,
    pay,
    write_fill,
)
from ml4t_backtest_broker_simulation.view import load_row

__all__ = ["match_plain_rows"]

Columns: TypeAlias = tuple[Any, ...]


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
    previous = NOBODY
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
def match_plain_rows(run: Run, models: Functions, rows: Columns, start: int, stop: int) -> None:
    """Let plain market orders meet the bars ``start:stop``; see ``match.match_rows``."""
    known_at, event_time, bar_start, symbols, values, fields = rows
    books = run.books
    bar, raw = run.market[0], run.market[1]
    for r in range(start, stop):
        symbol = wide(symbols[r])
        if symbol >= len(books) or books[symbol]["first"] < 0:
            continue
        raw["bar_start"] = bar_start[r]
        raw["event_time"] = event_time[r]
        load_row(run, values, fields, r)
        books[symbol]["seen_at"] = event_time[r]
        bar["symbol"] = symbol
        bar["bar_start"] = bar_start[r]
        bar["event_time"] = event_time[r]
        bar["known_at"] = known_at[r]
        bar["multiplier"] = run.instruments[symbol]["multiplier"]
        meet_plain(run, models, symbol)
        if run.setup[STOP] != 0:
            return
