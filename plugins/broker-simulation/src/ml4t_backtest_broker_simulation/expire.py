"""Orders that end without a request: with their first price, their session or their instant."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.accept import first_after
from ml4t_backtest_broker_simulation.amend import adopt
from ml4t_backtest_broker_simulation.core import compiled, end, is_open, sweep, wide
from ml4t_backtest_broker_simulation.family import settle_ends
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    BARS,
    CANCELLED,
    CLS,
    DAY,
    EXPIRED,
    FOK,
    IOC,
    MARKET_ORDER,
    NO_PHASE,
    OPG,
    SHOWN,
    SOURCE,
    TRAIL_CLOSE,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    Run,
    reason_of,
)
from ml4t_backtest_broker_simulation.price import market_price
from ml4t_backtest_broker_simulation.trail import begin_trail, move_trail
from ml4t_backtest_broker_simulation.view import look

__all__ = ["close_row", "could_take", "end_sessions", "fix_day"]

R_REMAINDER: Final = reason_of("remainder-of-ioc")
R_NOT_WHOLE: Final = reason_of("not-whole")
R_DAY_OVER: Final = reason_of("day-over")
R_DATE: Final = reason_of("date-reached")
R_OPEN_MISSED: Final = reason_of("open-missed")
R_CLOSE_MISSED: Final = reason_of("close-missed")


@compiled
def could_take(run: Run, i: int) -> bool:
    """Say whether the row shows a price that an order could take, whatever its own limits; see ``view.look``."""
    order, seen = run.orders[i], run.market[0]
    if order["kind"] == MARKET_ORDER:
        phase, _, _ = market_price(run, order["time_in_force"])
        return bool(phase != NO_PHASE)
    return not (np.isnan(seen["open"]) and np.isnan(seen["high"]) and np.isnan(seen["close"]))


@compiled
def follow(run: Run, i: int) -> None:
    """Let a trailing stop that was not reached follow the row."""
    order, seen = run.orders[i], run.market[0]
    buys = order["quantity"] > 0.0
    if np.isnan(order["stop_price"]):
        begin_trail(run, i, seen["close"] if np.isnan(seen["open"]) else seen["open"])
    best = seen["low"] if buys else seen["high"]
    if run.setup[TRAIL_CLOSE] != 0 or np.isnan(best):
        best = seen["close"]
    move_trail(run, i, best)


@compiled
def expiry_reason(tif: int) -> int:
    """Return the reason with which orders of a time in force expire."""
    if tif == DAY:
        return R_DAY_OVER
    if tif == OPG:
        return R_OPEN_MISSED
    return R_CLOSE_MISSED if tif == CLS else R_DATE


@compiled
def fix_day(run: Run, i: int) -> None:
    """Note the session of a DAY order at the first row of which it could take a price."""
    terms = run.terms[run.orders[i]["terms"]]
    if run.orders[i]["time_in_force"] == DAY and terms["expires_at"] == 0 and could_take(run, i):
        stop = run.market[1]["event_time"]
        terms["expires_at"] = first_after(run.closes, stop, True) if len(run.closes) > 0 else stop


@compiled
def end_at(run: Run, i: int, moment: int) -> None:
    """Give effect to what was to happen by a moment: an end or an amendment that was asked for, an expiry."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    if terms["next_quantity"] != 0.0 and terms["amended_at"] <= moment:
        adopt(run, i)
    if is_open(order["status"]):
        if order["cancelled_at"] != 0 and order["cancelled_at"] <= moment:
            end(run, i, CANCELLED, wide(terms["ends_as"]))
        elif terms["expires_at"] != 0 and terms["expires_at"] <= moment:
            end(run, i, EXPIRED, expiry_reason(order["time_in_force"]))


@compiled
def close_row(run: Run, i: int) -> None:
    """Do what the end of a row does to a working order that has terms."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    raw = run.market[1]
    tif, kind = order["time_in_force"], order["kind"]
    look(run, i)
    if (tif in (IOC, FOK)) and could_take(run, i):
        end(run, i, CANCELLED, R_REMAINDER if tif == IOC else R_NOT_WHOLE)
        return
    if run.setup[AT_ONCE] != 0:
        return
    if (kind in (TRAILING_STOP, TRAILING_STOP_LIMIT)) and terms["triggered_at"] == 0:
        follow(run, i)
    fix_day(run, i)
    if run.setup[SOURCE] == BARS:
        first = terms["active_from"]
        close_shown = tif == CLS and len(run.closes) == 0 and raw["event_time"] > first
        if close_shown or (tif == OPG and raw["bar_start"] >= first):
            terms["expires_at"] = raw["event_time"]
    end_at(run, i, raw["event_time"])


@compiled
def end_sessions(run: Run) -> None:
    """Give effect, at a session's close, to what was to happen by the newest price that is known for sure."""
    orders = run.orders
    for symbol in range(len(run.books)):
        i = run.books[symbol]["first"]
        if i < 0:
            continue
        while i >= 0:
            if is_open(orders[i]["status"]) and orders[i]["terms"] >= 0:
                end_at(run, i, run.setup[SHOWN])
            i = orders[i]["next"]
        settle_ends(run, symbol)
        sweep(run, symbol)
