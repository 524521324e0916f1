"""What every room of the core shares: transitions, the book of a symbol, steps and lots.

The core is plain functions over the tables of ``ml4t.backtest.state``, written once, compiled or
interpreted; ``layout.Run`` holds the columns. Times are UTC ns. Nothing here knows a model by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t_backtest_broker_simulation.layout import (
    ACCEPTED,
    FAULT,
    FAULT_ORDER,
    FAULT_STATE,
    HELD,
    LATENCY,
    LEADS_TO,
    NOBODY,
    NOW,
    ORDER_EVENTS,
    PARTIAL,
    SEQUENCE,
    STOP,
    TERMS,
    WORKING,
    Run,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Table: TypeAlias = Any  # a structured array, and a row of one: their fields have no static types
Record: TypeAlias = Any
Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"


# Only entries are called from Python and hold references: wrappers and counts in each function would treble the
# time of the first compilation.
_LEAN: Final[dict[str, Any]] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy", **_LEAN)(function))


def inlined(function: Function) -> Function:
    """Compile a small function into its callers, which halves the time of a fill and changes no bit."""
    return cast(Function, numba.njit(error_model="numpy", forceinline=True, **_LEAN)(function))


@inlined
def wide(value: int) -> int:
    """Return an integer of a narrow column as an int64, so that no function is compiled for both."""
    return np.int64(value)  # type: ignore[return-value]  # an int to whoever takes it


@inlined
def is_open(status: int) -> bool:
    """Say whether an order of this status may fill."""
    return status in (ACCEPTED, PARTIAL)


@inlined
def is_live(status: int) -> bool:
    """Say whether an order of this status has not ended."""
    return status in (ACCEPTED, PARTIAL, HELD)


@inlined
def write_event(events: Table, counters: Integers, now: int, order: Record, status: int, reason: int) -> int:
    """Append an ORDER_EVENT row and return its place in the run's order of transitions."""
    sequence = int(counters[SEQUENCE])
    event = events[counters[ORDER_EVENTS]]
    event["timestamp"] = now
    event["order_id"] = order["id"]
    event["sequence"] = sequence
    event["status"] = status
    event["reason"] = reason
    event["quantity"] = order["quantity"]
    event["filled"] = order["filled"]
    counters[ORDER_EVENTS] += 1
    counters[SEQUENCE] = sequence + 1
    return sequence


@inlined
def fault(setup: Integers, what: int, i: int) -> None:
    """Stop the core: something that must never happen has happened to an order."""
    if setup[FAULT] == 0:
        setup[FAULT] = what
        setup[FAULT_ORDER] = i
        setup[STOP] = 1


@compiled
def change(run: Run, i: int, status: int, reason: int) -> int:
    """Move an order to a status (perhaps the same) and record it; return the transition's number."""
    order = run.orders[i]
    if (LEADS_TO[order["status"]] >> status) & 1 == 0:
        fault(run.setup, FAULT_STATE, i)
    order["status"] = status
    order["reason"] = reason
    return write_event(run.events, run.counters, run.setup[NOW], order, status, reason)


@compiled
def count_in_book(run: Run, order: Record, quantity: float) -> None:
    """Add a quantity to what waits in the book, where the order counts there."""
    if order["counts"] != 0:
        book = run.books[order["symbol"]]
        book["open_quantity"] += quantity
        if order["is_target"] != 0:
            book["target_quantity"] += quantity


@compiled
def end(run: Run, i: int, status: int, reason: int) -> None:
    """End an order; it stands in its symbol's list until that is swept."""
    order = run.orders[i]
    count_in_book(run, order, order["filled"] - order["quantity"])
    run.counters[WORKING] -= 1
    change(run, i, status, reason)


@inlined
def unlink(run: Run, i: int, previous: int) -> None:
    """Take an ended order out of its symbol's list; ``previous`` is the one before it or -1."""
    book = run.books[run.orders[i]["symbol"]]
    following = run.orders[i]["next"]
    run.orders[i]["next"] = -1
    if previous < 0:
        book["first"] = following
    else:
        run.orders[previous]["next"] = following
    if following < 0:
        book["last"] = previous
    if book["first"] < 0:
        book["open_quantity"] = 0.0
        book["target_quantity"] = 0.0


@compiled
def sweep(run: Run, symbol: int) -> None:
    """Take ended orders out of a symbol's list; an empty book is exactly zero."""
    orders = run.orders
    previous = NOBODY
    i = run.books[symbol]["first"]
    while i >= 0:
        following = orders[i]["next"]
        if is_live(orders[i]["status"]):
            previous = i
        else:
            unlink(run, i, previous)
        i = following


@compiled
def terms_of(run: Run, i: int) -> int:
    """Return the row of an order's terms, made where it has none; room is reserved by the caller."""
    order = run.orders[i]
    if order["terms"] < 0:
        row = int(run.counters[TERMS])
        run.counters[TERMS] = row + 1
        order["terms"] = row
        terms = run.terms[row]
        terms["order_id"] = i
        terms["group"] = -1
        terms["parent"] = -1
        terms["extreme"] = np.nan
        terms["whole"] = order["quantity"]
        terms["active_from"] = order["submitted_at"] + run.setup[LATENCY]
    return int(order["terms"])


@inlined
def round_to_step(value: float, step: float) -> float:
    """Round to the nearest multiple of ``step`` (ties up); 0 turns rounding off.

    A step such as 1e-9 is no binary fraction, so multiples of it are made by dividing by the whole number
    1 / step: ``15 / 1e-9 * 1e-9`` would be 15.000000000000002.
    """
    if not step > 0.0:
        return value
    return on_grid(np.floor(value / step + 0.5), step, value)


@inlined
def on_grid(count: float, step: float, value: float) -> float:
    """Return ``count`` steps; ``value`` where floats are too coarse for the step."""
    if not abs(count) < 4503599627370496.0:  # beyond 2**52 steps every float is a multiple already
        return value
    inverse: float = np.floor(1.0 / step + 0.5) if step > 0.0 else 0.0
    if inverse >= 1.0 and abs(inverse * step - 1.0) < 1e-9:
        return count / inverse
    return count * step


@inlined
def off_grid(value: float, step: float) -> bool:
    """Say whether a value is no multiple of ``step``, up to the dust of floats."""
    if not step > 0.0:
        return False
    count = value / step
    return bool(abs(count - np.floor(count + 0.5)) > 1e-9 * max(1.0, abs(count)))


@inlined
def whole_lots(value: float, lot: float) -> float:
    """Truncate a quantity (not below 0) to lots."""
    if not lot > 0.0:
        return value
    count: float = np.floor(value / lot + 1e-9)
    return on_grid(count, lot, value)
