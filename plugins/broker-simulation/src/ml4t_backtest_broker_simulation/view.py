"""What an order sees of a row: only prices that formed after it was submitted and before its end.

This is the one place of that rule. What an order may not take is NaN here, for prices and models alike.
"""

from __future__ import annotations

import numpy as np

from ml4t_backtest_broker_simulation.core import Record, compiled, inlined
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    BARS,
    CLS,
    FOK,
    FOREVER,
    IOC,
    LATENCY,
    MARKET_ORDER,
    NO_PHASE,
    NOW,
    OPG,
    QUOTES,
    ROWS,
    SEES_CLOSE,
    SOURCE,
    Run,
)

__all__ = ["earliest", "load_row", "look", "value_at"]


@inlined
def value_at(values: Record, row: int, r: int) -> float:
    """Return a field of a row, NaN where the source has no such field."""
    if row < 0:
        return np.nan
    value: float = values[row, r]
    return value


@compiled
def earliest(run: Run, i: int) -> int:
    """Return from when prices may fill an order."""
    order = run.orders[i]
    if order["terms"] < 0:
        moment: int = order["submitted_at"] + run.setup[LATENCY]
        return moment
    return int(run.terms[order["terms"]]["active_from"])


@compiled
def load_row(run: Run, values: Record, fields: Record, r: int) -> None:
    """Write the prices of a row into ``market[1]``; an unknown high or low is that of what is known."""
    raw = run.market[1]
    if run.setup[SOURCE] == BARS:
        opened, close = value_at(values, fields[0], r), value_at(values, fields[3], r)
        high, low = value_at(values, fields[1], r), value_at(values, fields[2], r)
        if np.isnan(high):
            high = np.fmax(np.fmax(opened, close), low)
        if np.isnan(low):
            low = np.fmin(np.fmin(opened, close), high)
        raw["open"], raw["close"], raw["high"], raw["low"] = opened, close, high, low
        raw["volume"] = value_at(values, fields[4], r)
        raw["vwap"] = value_at(values, fields[5], r)
        return
    raw["open"] = np.nan
    if run.setup[SOURCE] == QUOTES:
        raw["low"], raw["volume"] = value_at(values, fields[0], r), value_at(values, fields[1], r)
        raw["high"], raw["vwap"] = value_at(values, fields[2], r), value_at(values, fields[3], r)
        raw["close"] = np.nan
        return
    price = value_at(values, fields[0], r)
    raw["low"], raw["high"], raw["close"] = price, price, price
    raw["volume"] = value_at(values, fields[1], r)
    raw["vwap"] = np.nan


@compiled
def blind(seen: Record) -> None:
    """Let an order see nothing."""
    seen["open"] = np.nan
    seen["high"] = np.nan
    seen["low"] = np.nan
    seen["close"] = np.nan


@compiled
def look(run: Run, i: int) -> None:
    """Write what an order sees of the row into the prices of ``market[0]``."""
    raw, seen, order = run.market[1], run.market[0], run.orders[i]
    blind(seen)
    start, stop = raw["bar_start"], raw["event_time"]
    buys = order["quantity"] > 0.0
    if run.setup[AT_ONCE] != 0:
        fresh = order["submitted_at"] == run.setup[NOW] and order["time_in_force"] < OPG
        released = order["terms"] >= 0 and run.terms[order["terms"]]["event_row"] != 0
        if order["kind"] == MARKET_ORDER and fresh and not released:
            seen["close"] = raw["close"]
        return
    first = earliest(run, i)
    until = order["cancelled_at"] if order["cancelled_at"] != 0 else FOREVER
    last = FOREVER
    row = order["terms"]
    left = False
    if row >= 0:
        terms = run.terms[row]
        left = terms["event_row"] == run.counters[ROWS]
        if left and terms["event_phase"] == NO_PHASE:
            return
        if terms["expires_at"] != 0:
            last = terms["expires_at"]
        if terms["next_quantity"] != 0.0:
            until = min(until, terms["amended_at"])
    whole = stop < until and stop <= last
    if run.setup[SOURCE] != BARS:
        if stop > first and whole and order["time_in_force"] < OPG:
            if run.setup[SOURCE] == QUOTES:
                seen["close"] = raw["high"] if buys else raw["low"]
            else:
                seen["close"] = raw["close"]
        return
    if left:
        at_open = run.terms[row]["event_phase"] == 0
        if whole or (at_open and start < until and start <= last):
            seen["open"] = run.terms[row]["left_open"]
        if whole:
            seen["high"], seen["low"] = run.terms[row]["left_high"], run.terms[row]["left_low"]
            seen["close"] = raw["close"]
    else:
        if start >= first and start < until and start <= last:
            seen["open"] = raw["open"]
        if start >= first and whole:
            seen["high"], seen["low"] = raw["high"], raw["low"]
        if stop > first and whole:
            seen["close"] = raw["close"]
    narrow(run, order, seen, stop == last)


@compiled
def narrow(run: Run, order: Record, seen: Record, ends_session: bool) -> None:
    """Hide the prices of a bar that an order's time in force, or the fill rules, keep from it."""
    tif, kind = order["time_in_force"], order["kind"]
    if tif == OPG:
        seen["high"], seen["low"], seen["close"] = np.nan, np.nan, np.nan
    elif tif == CLS:
        if not ends_session and len(run.closes) > 0:
            seen["close"] = np.nan
        seen["open"], seen["high"], seen["low"] = np.nan, np.nan, np.nan
    elif kind != MARKET_ORDER:
        if run.setup[SEES_CLOSE] != 0:
            seen["open"], seen["high"], seen["low"] = np.nan, np.nan, np.nan
        if tif in (IOC, FOK):
            seen["high"], seen["low"] = np.nan, np.nan
            if not np.isnan(seen["open"]):
                seen["close"] = np.nan
