"""The layout of what the core is given: the run's columns, the places in its set-up, constants.

``setup`` is one int64 array that says which models and rules a run has; its places are the constants below.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import numpy as np

from ml4t.backtest.state import REASONS, STATUSES, RunState


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
NEXT_BAR: Final = 36  # children see nothing of the bar that releases them; 2: of that which completes their entry
BEYOND: Final = 37  # what slippage would take beyond its limit: 0 is clipped, 1 waits, 2 pays it
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
GROUPS_CANCEL: Final = 48  # a fill ends the others of its group
REACHED: Final = 49  # what stays reached
OWN_VOLUME: Final = 50  # each order has the volume to itself
SLIPS_ON: Final = 51  # which fills slip
SLIPS_WITHIN: Final = 52  # slippage ends at the bar's high and low
SHOWN: Final = 53  # prices that formed up to this are known, at a session's close
# A function of the portfolio that is asked before each fill: whether there is one, its callback, its two addresses,
# bounds in the array of all params.
AFFORDS: Final = 54
AFFORDS_CALLBACK: Final = 55
AFFORDS_ADDRESS: Final = 56
AFFORDS_PARAMS: Final = 58
SETUP_SIZE: Final = 64

# Places in NUMBERS.
VOLUME_LIMIT: Final = 0
COMMISSION_NOW: Final = 1  # of the fill under way
NUMBERS_SIZE: Final = 2

OPEN, CLOSE, VWAP, SAME_CLOSE = range(4)
PESSIMISTIC, OPTIMISTIC, OPEN_HIGH_LOW_CLOSE, SUBMISSION = range(4)
COMPLETE: Final = 2
STOPS, NOTHING, EVERYTHING = range(3)
OPENS_AND_STOPS: Final = 2
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
NOBODY: Final = whole(-1)
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
