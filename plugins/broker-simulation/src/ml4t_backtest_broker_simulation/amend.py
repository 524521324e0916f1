"""New terms for an order: they hold for prices that form after the request."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.accept import price_problem, quantity_problem, worse_tick
from ml4t_backtest_broker_simulation.cancel import R_CANCELLED, R_DONE, at_once, not_open
from ml4t_backtest_broker_simulation.core import Record, change, compiled, count_in_book, end, terms_of, wide
from ml4t_backtest_broker_simulation.layout import (
    CANCELLED,
    HELD,
    LATENCY,
    LIMIT,
    NOW,
    STOP_LIMIT,
    STOP_ORDER,
    STRICT_TICKS,
    Run,
    reason_of,
)

__all__ = ["adopt", "amend_order"]

R_AMENDED: Final = reason_of("amended")
R_IMPOSSIBLE: Final = reason_of("amend-not-possible")


@compiled
def amend_problem(run: Run, request: Record) -> int:
    """Return why new terms cannot be taken, 0 where they can; NaN keeps what there is."""
    order = run.orders[request["order_id"]]
    instrument = run.instruments[order["symbol"]]
    quantity, limit, stop = request["quantity"], request["limit_price"], request["stop_price"]
    kind = order["kind"]
    strict = run.setup[STRICT_TICKS]
    if np.isnan(quantity) and np.isnan(limit) and np.isnan(stop):
        return R_IMPOSSIBLE
    if not np.isnan(quantity):
        problem = quantity_problem(quantity, instrument)
        if problem != 0:
            return problem
        if (quantity > 0.0) != (order["quantity"] > 0.0) or abs(quantity) <= abs(order["filled"]):
            return R_IMPOSSIBLE
    if not np.isnan(limit):
        if kind != LIMIT and kind != STOP_LIMIT:
            return R_IMPOSSIBLE
        problem = price_problem(limit, instrument, strict)
        if problem != 0:
            return problem
    if not np.isnan(stop):
        triggered = order["terms"] >= 0 and run.terms[order["terms"]]["triggered_at"] != 0
        if (kind != STOP_ORDER and kind != STOP_LIMIT) or triggered:
            return R_IMPOSSIBLE
        return price_problem(stop, instrument, strict)
    return 0


@compiled
def amend_order(run: Run, request: Record) -> int:
    """Amend an order by id; return why not, 0 where it was done."""
    reason = not_open(run, request)
    if reason != 0:
        return reason
    i = request["order_id"]
    order = run.orders[i]
    if order["cancelled_at"] != 0:
        return R_DONE
    reason = amend_problem(run, request)
    if reason != 0:
        return reason
    terms = run.terms[terms_of(run, i)]
    tick = run.instruments[order["symbol"]]["tick"]
    buys = order["quantity"] > 0.0
    if terms["next_quantity"] == 0.0:
        terms["next_quantity"] = order["quantity"]
        terms["next_limit_price"] = order["limit_price"]
        terms["next_stop_price"] = order["stop_price"]
    if not np.isnan(request["quantity"]):
        terms["next_quantity"] = request["quantity"]
    if not np.isnan(request["limit_price"]):
        terms["next_limit_price"] = worse_tick(request["limit_price"], tick, buys)
    if not np.isnan(request["stop_price"]):
        terms["next_stop_price"] = worse_tick(request["stop_price"], tick, not buys)
    terms["amended_at"] = run.setup[NOW] + run.setup[LATENCY]
    if at_once(run, i):
        adopt(run, i)
    change(run, i, wide(order["status"]), R_AMENDED)
    return 0


@compiled
def adopt(run: Run, i: int) -> None:
    """Put amended terms in force; what has filled more than they allow ends."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    difference = terms["next_quantity"] - order["quantity"]
    moment = terms["amended_at"]
    terms["next_quantity"] = 0.0
    terms["amended_at"] = 0
    terms["left_open"], terms["left_high"], terms["left_low"] = np.nan, np.nan, np.nan  # formed before
    if order["status"] != HELD:
        terms["active_from"] = max(terms["active_from"], moment)
    if order["kind"] in (LIMIT, STOP_LIMIT):
        order["limit_price"] = terms["next_limit_price"]
    if (order["kind"] in (STOP_ORDER, STOP_LIMIT)) and terms["triggered_at"] == 0:
        order["stop_price"] = terms["next_stop_price"]
    if abs(order["quantity"] + difference) <= abs(order["filled"]):
        end(run, i, CANCELLED, R_CANCELLED)
        return
    count_in_book(run, order, difference)
    order["quantity"] += difference
    terms["whole"] += difference
