"""What both halves of the core share: the layout of its set-up, transitions, and the book of a symbol.

The core is plain functions over the tables of ``ml4t.backtest.state``, written once, compiled or
interpreted. ``setup`` is one int64 array that says which models a run has; its places are the constants
below. Times are UTC ns. Nothing here knows a model by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.state import CANCELLED, RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Table: TypeAlias = Any  # a structured array, and a row of one: their fields have no static types
Record: TypeAlias = Any
Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"

# Places in SETUP. The models stand in this order: fill, slippage, impact, commission, apply_fill.
MODE: Final = 0
STOP: Final = 1  # set by a callback whose function raised
PRESENT: Final = 2
CALLBACK: Final = 7  # address of the callback, 0 where the function is compiled
PARAMS: Final = 12  # bounds in the array of all params
STATES: Final = 17
ADDRESS: Final = 22  # two addresses a function
SETUP_SIZE: Final = 32

NEXT_OPEN: Final = 0

ORDERS: Final = RunState.ORDERS
ORDER_EVENTS: Final = RunState.ORDER_EVENTS
FILLS: Final = RunState.FILLS
WORKING: Final = RunState.WORKING
SEQUENCE: Final = RunState.SEQUENCE


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter.

    Inlining everywhere (which changes no bit) halves the time of a fill.
    """
    return cast(Function, numba.njit(error_model="numpy", forceinline=True)(function))


@compiled
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


@compiled
def unlink(book: Record, orders: Table, previous: int, i: int, counters: Integers) -> None:
    """Take a working order out of its symbol's list; ``previous`` is the one before it or -1."""
    following = orders[i]["next"]
    if previous < 0:
        book["first"] = following
    else:
        orders[previous]["next"] = following
    if book["last"] == i:
        book["last"] = previous
    orders[i]["next"] = -1
    counters[WORKING] -= 1


@compiled
def reduce_book(book: Record, order: Record, quantity: float) -> None:
    """Take a quantity that no longer waits off the book; an empty book is exactly zero."""
    if book["first"] < 0:
        book["open_quantity"] = 0.0
        book["target_quantity"] = 0.0
        return
    book["open_quantity"] -= quantity
    if order["is_target"] != 0:
        book["target_quantity"] -= quantity


@compiled
def end_order(
    book: Record,
    orders: Table,
    previous: int,
    i: int,
    reason: int,
    now: int,
    counters: Integers,
    events: Table,
) -> None:
    """Cancel a working order."""
    order = orders[i]
    unlink(book, orders, previous, i, counters)
    reduce_book(book, order, order["quantity"] - order["filled"])
    order["status"] = CANCELLED
    order["reason"] = reason
    write_event(events, counters, now, order, CANCELLED, reason)
