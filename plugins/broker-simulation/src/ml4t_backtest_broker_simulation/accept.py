"""Whether an order can be taken at all, and with which prices and end."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.core import Integers, Record, compiled, off_grid, on_grid
from ml4t_backtest_broker_simulation.layout import (
    CLIENTS,
    CLS,
    FOREVER,
    GTD,
    IOC,
    LIMIT,
    MARKET_ORDER,
    NOW,
    OPG,
    STOP_LIMIT,
    STOP_ORDER,
    STRICT_TICKS,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    Run,
    reason_of,
)

__all__ = ["first_after", "price_problem", "quantity_problem", "refusal", "set_term", "worse_tick"]

MOST: Final = 1e15

R_NOT_FINITE: Final = reason_of("quantity-not-finite")
R_ZERO: Final = reason_of("quantity-zero")
R_LARGE: Final = reason_of("quantity-too-large")
R_OFF_LOT: Final = reason_of("quantity-off-lot")
R_KIND: Final = reason_of("order-kind-not-supported")
R_TIME_IN_FORCE: Final = reason_of("time-in-force-not-supported")
R_UNKNOWN_ORDER: Final = reason_of("unknown-order")
R_SYMBOL: Final = reason_of("unknown-symbol")
R_ACCOUNT: Final = reason_of("unknown-account")
R_PRICE_MISSING: Final = reason_of("price-missing")
R_PRICE_NOT_FINITE: Final = reason_of("price-not-finite")
R_NOT_POSITIVE: Final = reason_of("price-not-positive")
R_OFF_TICK: Final = reason_of("price-off-tick")
R_TRAIL: Final = reason_of("trail-not-positive")
R_EXPIRY: Final = reason_of("expiry-passed")
R_CLIENT: Final = reason_of("client-id-used")
R_NOT_ONE_SYMBOL: Final = reason_of("group-not-one-symbol")
R_DELISTED: Final = reason_of("delisted")
R_NOT_LISTED: Final = reason_of("not-listed")
R_MARK_TOO_OLD: Final = reason_of("mark-too-old")


@compiled
def first_after(times: Integers, moment: int, itself: bool) -> int:
    """Return the first of sorted times after a moment (or at it, with ``itself``); FOREVER where there is none."""
    low = 0
    high = len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < moment or (times[middle] == moment and not itself):
            low = middle + 1
        else:
            high = middle
    return int(times[low]) if low < len(times) else FOREVER


@compiled
def quantity_problem(quantity: float, instrument: Record) -> int:
    """Return why nobody can trade a quantity, 0 where somebody can."""
    if not np.isfinite(quantity):
        return R_NOT_FINITE
    if quantity == 0.0:
        return R_ZERO
    if abs(quantity) > MOST:
        return R_LARGE
    if instrument["lot_stated"] != 0 and off_grid(quantity, instrument["lot"]):
        return R_OFF_LOT
    return 0


@compiled
def price_problem(price: float, instrument: Record, strict: int) -> int:
    """Return what is wrong with a limit or stop price, 0 for nothing."""
    if not np.isfinite(price):
        return R_PRICE_NOT_FINITE
    if not price > 0.0 and instrument["negative"] == 0:
        return R_NOT_POSITIVE
    if strict != 0 and off_grid(price, instrument["tick"]):
        return R_OFF_TICK
    return 0


@compiled
def worse_tick(price: float, tick: float, down: bool) -> float:
    """Return a price on the grid of ticks, moved down or up where it is off it."""
    if not off_grid(price, tick):
        return price
    count = price / tick if tick > 0.0 else 0.0
    return on_grid(np.floor(count) if down else np.ceil(count), tick, price)


@compiled
def terms_problem(request: Record, instrument: Record, strict: int, now: int) -> int:
    """Return what is wrong with prices, trail and end of an order that is no plain market order."""
    kind = request["kind"]
    related = request["parent"] >= 0 or request["group"] >= 0
    if kind in (LIMIT, STOP_LIMIT):
        if related and np.isnan(request["limit_price"]):
            return R_PRICE_MISSING
        problem = price_problem(request["limit_price"], instrument, strict)
        if problem != 0:
            return problem
    trails = kind in (TRAILING_STOP, TRAILING_STOP_LIMIT)
    if kind in (STOP_ORDER, STOP_LIMIT) or (trails and not np.isnan(request["stop_price"])):
        if related and np.isnan(request["stop_price"]):
            return R_PRICE_MISSING
        problem = price_problem(request["stop_price"], instrument, strict)
        if problem != 0:
            return problem
    if trails:
        amount, percent = request["trail_amount"], request["trail_percent"]
        if not (amount > 0.0 or percent > 0.0) or amount < 0.0 or percent < 0.0:
            return R_TRAIL
        if np.isinf(amount) or np.isinf(percent) or (percent >= 1.0 and request["quantity"] < 0.0):
            return R_TRAIL
        if kind == TRAILING_STOP_LIMIT and not np.isfinite(request["limit_offset"]):
            return R_PRICE_NOT_FINITE
    if request["time_in_force"] == GTD and request["expires_at"] <= now:
        return R_EXPIRY
    return 0


@compiled
def refusal(run: Run, request: Record, i: int) -> int:
    """Return why an order is refused, 0 where it is not; its client id is used up either way."""
    used = False
    if request["client_id"] > 0:  # ids of texts count up in the order of their first use
        used = request["client_id"] <= run.counters[CLIENTS]
        run.counters[CLIENTS] = max(run.counters[CLIENTS], request["client_id"])
    if request["reason"] != 0:
        return int(request["reason"])
    symbol = request["symbol"]
    if symbol < 0 or symbol >= len(run.books):
        return R_SYMBOL
    account = request["account"]  # each has a row per currency
    if account < 0 or account * max(1, run.accounts[0]["currencies"]) >= len(run.accounts):
        return R_ACCOUNT
    instrument = run.instruments[symbol]
    if instrument["ended"] != 0:
        return R_DELISTED if instrument["ended"] == 1 else R_NOT_LISTED if instrument["ended"] == 2 else R_MARK_TOO_OLD
    if used:
        return R_CLIENT
    problem = quantity_problem(request["quantity"], instrument)
    if problem != 0:
        return problem
    kind, tif = request["kind"], request["time_in_force"]
    if kind < MARKET_ORDER or kind > TRAILING_STOP_LIMIT:
        return R_KIND
    if tif < 0 or tif > CLS or (tif >= IOC and kind != MARKET_ORDER and kind != LIMIT):
        return R_TIME_IN_FORCE
    if request["parent"] >= i or request["group"] > i:
        return R_UNKNOWN_ORDER
    if request["parent"] >= 0 and run.orders[request["parent"]]["symbol"] != symbol:
        return R_NOT_ONE_SYMBOL
    if request["group"] >= 0 and run.orders[request["group"]]["symbol"] != symbol:
        return R_NOT_ONE_SYMBOL
    if kind == MARKET_ORDER and tif == 0:
        return 0
    return terms_problem(request, instrument, run.setup[STRICT_TICKS], run.setup[NOW])


@compiled
def set_term(run: Run, i: int, expires_at: int) -> None:
    """Set from when to when prices fill an order, by its time in force.

    An OPG order is of the first session that opens at or after it could, a CLS order of the first that
    closes after it; without sessions every row is one.
    """
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    tif = order["time_in_force"]
    if tif == GTD:
        terms["expires_at"] = expires_at
    elif tif == OPG and len(run.opens) > 0:
        terms["active_from"] = first_after(run.opens, terms["active_from"], True)
        terms["expires_at"] = first_after(run.closes, terms["active_from"], False)
    elif tif == CLS and len(run.closes) > 0:
        terms["expires_at"] = first_after(run.closes, terms["active_from"], False)
