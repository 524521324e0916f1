"""At which price, and in which phase of a bar, an order would fill: the tables of docs/reference/matching.md.

Selling orders are met with mirrored signs: a sale at 10 is a purchase at -10, and a bar's high its low.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.core import Record, compiled
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    BARS,
    CLOSE,
    CLS,
    CROSS,
    LIMIT,
    MARKET_ORDER,
    MARKET_RULE,
    NO_PHASE,
    OPEN,
    OPEN_HIGH_LOW_CLOSE,
    OPG,
    OPTIMISTIC,
    PATH,
    QUOTES,
    ROWS,
    SAME_CLOSE,
    SOURCE,
    STOP_LIMIT,
    TRAIL_CLOSE,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    Run,
    reason_of,
)
from ml4t_backtest_broker_simulation.trail import moved_level, trail_level
from ml4t_backtest_broker_simulation.view import look

__all__ = ["candidate", "is_limit", "is_stop", "market_price"]

R_NEXT_OPEN: Final = reason_of("next-open")
R_NEXT_CLOSE: Final = reason_of("next-close")
R_SAME_CLOSE: Final = reason_of("same-close")
R_NEXT_VWAP: Final = reason_of("next-vwap")
R_LIMIT: Final = reason_of("limit")
R_LIMIT_BETTER: Final = reason_of("limit-better")
R_STOP: Final = reason_of("stop")
R_STOP_GAP: Final = reason_of("stop-gap")
R_AT_OPEN: Final = reason_of("at-open")
R_AT_CLOSE: Final = reason_of("at-close")
R_QUOTE: Final = reason_of("quote")
R_TRADE: Final = reason_of("trade")


@compiled
def is_stop(kind: int, triggered: bool) -> bool:
    """Say whether an order waits for its stop."""
    return kind > LIMIT and not triggered


@compiled
def is_limit(kind: int) -> bool:
    """Say whether an order has, or will have, a limit price."""
    return kind in (LIMIT, STOP_LIMIT, TRAILING_STOP_LIMIT)


@compiled
def first_price(run: Run) -> tuple[int, float, int]:
    """Return the first price that an order sees: the open, else the close."""
    seen = run.market[0]
    if not np.isnan(seen["open"]):
        return 0, float(seen["open"]), R_NEXT_OPEN
    if np.isnan(seen["close"]):
        return NO_PHASE, np.nan, 0
    source = run.setup[SOURCE]
    reason = R_NEXT_CLOSE if source == BARS else R_QUOTE if source == QUOTES else R_TRADE
    return 4, float(seen["close"]), reason


@compiled
def market_price(run: Run, tif: int) -> tuple[int, float, int]:
    """Return the phase, price and reason at which a market order would fill."""
    seen = run.market[0]
    rule = run.setup[MARKET_RULE]
    if run.setup[SOURCE] != BARS:
        return first_price(run)
    if tif == OPG or (rule == OPEN and tif != CLS):
        if np.isnan(seen["open"]):
            return NO_PHASE, np.nan, 0
        return 0, float(seen["open"]), R_AT_OPEN if tif == OPG else R_NEXT_OPEN
    if tif == CLS or rule in (CLOSE, SAME_CLOSE):
        if np.isnan(seen["close"]):
            return NO_PHASE, np.nan, 0
        reason = R_SAME_CLOSE if run.setup[AT_ONCE] != 0 else R_NEXT_CLOSE
        return 4, float(seen["close"]), R_AT_CLOSE if tif == CLS else reason
    vwap = run.market[1]["vwap"]
    if vwap >= seen["low"] and vwap <= seen["high"]:
        return 4, float(vwap), R_NEXT_VWAP
    return NO_PHASE, np.nan, 0


@compiled
def range_phase(run: Run, stop: bool, level: float, opened: float) -> int:
    """Return when, between open and close, a level is met."""
    path = run.setup[PATH]
    if path == OPEN_HIGH_LOW_CLOSE and not np.isnan(opened):
        return 1 if level >= opened else 2
    return 1 if stop == (path != OPTIMISTIC) else 2


@compiled
def limit_price(run: Run, side: float, limit: float) -> tuple[int, float, int]:
    """Return the phase, price and reason at which a limit order would fill."""
    seen = run.market[0]
    cross = run.setup[CROSS] != 0
    level = side * limit
    opened, close = side * seen["open"], side * seen["close"]
    low, high = (seen["low"], seen["high"]) if side > 0.0 else (-seen["high"], -seen["low"])
    if opened < level or (not cross and opened == level):
        return 0, float(seen["open"]), R_LIMIT if opened == level else R_LIMIT_BETTER
    if (low < level or (not cross and low == level)) and (not np.isnan(opened) or level <= high):
        return range_phase(run, False, limit, seen["open"]), float(limit), R_LIMIT
    if close < level or (not cross and close == level):
        return 4, float(seen["close"]), R_LIMIT if close == level else R_LIMIT_BETTER
    return NO_PHASE, np.nan, 0


@compiled
def stop_price(run: Run, kind: int, side: float, stop: float) -> tuple[int, float, int]:
    """Return the phase, price and reason at which a stop is reached."""
    seen = run.market[0]
    level = side * stop
    opened, close = side * seen["open"], side * seen["close"]
    low, high = (seen["low"], seen["high"]) if side > 0.0 else (-seen["high"], -seen["low"])
    if opened >= level:
        return 0, float(seen["open"]), R_STOP if opened == level else R_STOP_GAP
    if high >= level and (not np.isnan(opened) or low <= level):
        return range_phase(run, True, stop, seen["open"]), float(stop), R_STOP
    if close >= level:
        source = run.setup[SOURCE]
        if source != BARS and not is_limit(kind):
            return 4, float(seen["close"]), R_QUOTE if source == QUOTES else R_TRADE
        return 4, float(seen["close"]), R_STOP if close == level else R_STOP_GAP
    return NO_PHASE, np.nan, 0


@compiled
def turn_price(run: Run, order: Record, terms: Record, side: float) -> tuple[int, float, int]:
    """Return where the market comes back from its extreme to a trailing stop that has followed it."""
    seen = run.market[0]
    best = seen["low"] if side > 0.0 else seen["high"]
    if run.setup[TRAIL_CLOSE] != 0 or np.isnan(best):
        return NO_PHASE, np.nan, 0
    level = moved_level(order, terms, best)
    later = terms["event_row"] == run.counters[ROWS] and terms["event_phase"] > 1
    by_path = run.setup[PATH] == OPEN_HIGH_LOW_CLOSE and not np.isnan(seen["open"]) and not later
    if by_path and side < 0.0 and seen["low"] <= level:
        return 2, float(level), R_STOP
    if side * seen["close"] >= side * level:
        return 3, float(level), R_STOP
    return NO_PHASE, np.nan, 0


@compiled
def candidate(run: Run, i: int) -> tuple[int, float, int]:
    """Return the phase, price and reason of the next that a row can do to an order; NO_PHASE for nothing.

    For an order that waits for its stop this is where the stop is reached.
    """
    order = run.orders[i]
    row = order["terms"]
    stamp = run.counters[ROWS]
    if row >= 0 and run.terms[row]["met_row"] == stamp:
        return NO_PHASE, np.nan, 0
    look(run, i)
    kind = order["kind"]
    if kind == MARKET_ORDER:
        return market_price(run, order["time_in_force"])
    terms = run.terms[row]
    side = 1.0 if order["quantity"] > 0.0 else -1.0
    triggered = terms["triggered_at"] != 0
    if terms["reached"] == 0 and (kind == LIMIT or (triggered and is_limit(kind))):
        phase, price, reason = limit_price(run, side, order["limit_price"])
    elif triggered or terms["reached"] != 0:
        phase, price, reason = first_price(run)
    elif kind in (TRAILING_STOP, TRAILING_STOP_LIMIT):
        level = order["stop_price"]
        if np.isnan(level):  # no price was known when it was accepted: it begins with the first one
            level = trail_level(order, terms, run.market[0]["open"])
        phase, price, reason = stop_price(run, kind, side, level)
        if phase == NO_PHASE:
            phase, price, reason = turn_price(run, order, terms, side)
    else:
        phase, price, reason = stop_price(run, kind, side, order["stop_price"])
    if phase != NO_PHASE and terms["event_row"] == stamp:
        phase = max(phase, int(terms["event_phase"]))
    return phase, price, reason
