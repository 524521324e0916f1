"""What every room of the core shares: the run's columns, the layout of its set-up, transitions, small sums.

The core is plain functions over the tables of ``ml4t.backtest.state``, written once, compiled or
interpreted. ``Run`` holds the columns; ``setup`` is one int64 array that says which models and rules a run
has; its places are the constants below. Times are UTC ns. Nothing here knows a model by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.state import REASONS, STATUSES, RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Table: TypeAlias = Any  # a structured array, and a row of one: their fields have no static types
Record: TypeAlias = Any
Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"


def whole(value: int) -> int:
    """Return a constant as an int64: of a Python int compiled code makes a type of its own per value."""
    return cast(int, np.int64(value))


def reason_of(name: str) -> int:
    """Return the number of a documented reason."""
    return whole(REASONS.index(name))


PENDING, SUBMITTED, ACCEPTED, PARTIAL, FILLED, CANCELLED, EXPIRED, REFUSED, HELD = map(whole, range(9))

# Places in SETUP. The models stand in this order: fill, slippage, impact, commission, apply_fill.
MARKET_RULE: Final = 0
STOP: Final = 1  # set by a callback whose function raised, and with FAULT: the core returns
PRESENT: Final = 2
CALLBACK: Final = 7  # address of the callback, 0 where the function is compiled
PARAMS: Final = 12  # bounds in the array of all params
STATES: Final = 17
ADDRESS: Final = 22  # two addresses a function
SEES_CLOSE: Final = 32
CROSS: Final = 33  # the market has to trade through a limit
PATH: Final = 34
TRAIL_CLOSE: Final = 35
NEXT_BAR: Final = 36  # children see nothing of the bar that releases them
WAIT_BEYOND: Final = 37  # what slippage would take beyond its limit waits
STRICT_TICKS: Final = 38
LATENCY: Final = 39
VOLUME_RULE: Final = 40  # 0 no cap, 1 of the row, 2 of the row before
PLAIN: Final = 41  # nothing keeps plain market orders from the short way
SOURCE: Final = 42  # what rows are: 0 bars, 1 quotes, 2 trades
AT_ONCE: Final = 43  # only orders of this instant, on the rows of this instant
NOW: Final = 44
FAULT: Final = 45
FAULT_ORDER: Final = 46
LEGS: Final = 47  # most orders of one group so far
SETUP_SIZE: Final = 64

# Places in NUMBERS.
VOLUME_LIMIT: Final = 0

OPEN, CLOSE, VWAP, SAME_CLOSE = range(4)
PESSIMISTIC, OPTIMISTIC, OPEN_HIGH_LOW_CLOSE = range(3)
BARS, QUOTES, TRADES = range(3)

MARKET_ORDER, LIMIT, STOP_ORDER, STOP_LIMIT, TRAILING_STOP, TRAILING_STOP_LIMIT = range(6)
GTC, DAY, GTD, IOC, FOK, OPG, CLS = range(7)

ORDERS: Final = RunState.ORDERS
ORDER_EVENTS: Final = RunState.ORDER_EVENTS
FILLS: Final = RunState.FILLS
WORKING: Final = RunState.WORKING
SEQUENCE: Final = RunState.SEQUENCE
TERMS: Final = RunState.TERMS
# The broker's own counters, behind the kernel's.
ROWS: Final = 12  # rows that working orders met
CLIENTS: Final = 13  # newest client id used

NO_PHASE: Final = 9
FOREVER: Final = 9223372036854775807

# What a status may become, one bit per status: the table of states in docs/reference/orders.md.
_NEXT: Final = {
    "pending": "submitted",
    "submitted": "accepted held refused cancelled",
    "held": "held accepted cancelled",
    "accepted": "accepted partial filled cancelled expired",
    "partial": "partial filled cancelled expired",
}
LEADS_TO: Final = tuple(
    sum(1 << STATUSES.index(after) for after in _NEXT.get(status, "").split()) for status in STATUSES
)

R_CHANGED_BY_RISK: Final = reason_of("changed-by-risk")
R_PARENT_ENDED: Final = reason_of("parent-ended")
R_ONE_CANCELS: Final = reason_of("one-cancels-other")

FAULT_STATE: Final = whole(1)
FAULT_EARLY: Final = whole(2)
FAULT_RANGE: Final = whole(3)
FAULT_FILLED: Final = whole(4)
FAULT_SUM: Final = whole(5)


class Run(NamedTuple):
    """The columns of a run as the core takes them; tables are those of ``RunState``.

    Attributes:
        setup: int64, which rules and models there are, see above.
        numbers: float64, rules that are no whole numbers.
        market: Two MARKET rows: what the order sees, and the bar as it is. Of a quote the second holds bid
            and its size as ``low`` and ``volume``, ask and its size as ``high`` and ``vwap``.
        params, states: float64, those of all models end to end.
        volumes: float64 (3, symbols), of this feed: volume of the newest row, what was taken of it, its
            event_time; without symbols where no volume is limited.
        closes, opens: int64, of the run's sessions.
    """

    setup: Any
    numbers: Any
    market: Any
    params: Any
    states: Any
    volumes: Any
    counters: Any
    orders: Any
    terms: Any
    events: Any
    fills: Any
    ledger: Any
    instruments: Any
    books: Any
    positions: Any
    accounts: Any
    closes: Any
    opens: Any


# Only entries are called from Python and hold references: wrappers and counts in each function would treble the
# time of the first compilation.
_LEAN: Final = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy", **_LEAN)(function))


def inlined(function: Function) -> Function:
    """Compile a small function into its callers, which halves the time of a fill and changes no bit."""
    return cast(Function, numba.njit(error_model="numpy", forceinline=True, **_LEAN)(function))


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
    previous = -1
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
    return abs(count - np.floor(count + 0.5)) > 1e-9 * max(1.0, abs(count))


@inlined
def whole_lots(value: float, lot: float) -> float:
    """Truncate a quantity (not below 0) to lots."""
    if not lot > 0.0:
        return value
    count: float = np.floor(value / lot + 1e-9)
    return on_grid(count, lot, value)
