"""The table of what may become of an order, and what a run made of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest import Result
from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import ACCEPTED, HELD, PARTIAL, REASONS, STATUSES, RunState

__all__ = ["BookWatch", "histories", "strange_transitions"]

_FILLS = {
    *("next-open", "next-close", "same-close", "next-vwap", "limit", "limit-better", "stop", "stop-gap"),
    *("at-open", "at-close", "quote", "trade"),
}
_CHANGES = {"triggered", "amended", "cancel-requested", "one-cancels-other", "parent-ended"}
_ENDS = {
    *("cancelled-by-strategy", "replaced-by-target", "one-cancels-other", "parent-ended", "remainder-of-ioc"),
    *("not-whole", "nothing-to-reduce", "fill-price-not-finite", "end-of-run"),
}
_EXPIRIES = {"day-over", "date-reached", "open-missed", "close-missed"}
# (status, next status) -> the reasons it may have.
_TABLE = {
    ("", "submitted"): {"", "changed-by-risk"},
    ("submitted", "accepted"): {""},
    ("submitted", "held"): {"waits-for-parent"},
    ("submitted", "refused"): set(REASONS[1:]),
    ("submitted", "cancelled"): {"one-cancels-other", "parent-ended"},
    ("held", "held"): {"amended"},
    ("held", "accepted"): {"parent-filled"},
    ("held", "cancelled"): {"parent-ended", "one-cancels-other", "cancelled-by-strategy", "end-of-run"},
    ("accepted", "accepted"): _CHANGES,
    ("accepted", "partial"): _FILLS,
    ("partial", "partial"): _FILLS | _CHANGES,
    **{(before, "filled"): _FILLS for before in ("accepted", "partial")},
    **{(before, "cancelled"): _ENDS for before in ("accepted", "partial")},
    **{(before, "expired"): _EXPIRIES for before in ("accepted", "partial")},
}


def histories(result: Result) -> dict[int, list[tuple[str, str]]]:
    """Return (status, reason) of each transition of each order, refused requests to cancel or amend left out."""
    found: dict[int, list[tuple[str, str]]] = {}
    for event in result.state.order_events.rows():
        status, reason = STATUSES[event["status"]], REASONS[event["reason"]]
        known = found.get(int(event["order_id"]), [])
        if reason != "unknown-order" and (status != "refused" or [each for each, _ in known] == ["submitted"]):
            found.setdefault(int(event["order_id"]), []).append((status, reason))
        elif reason == "unknown-order" and [each for each, _ in known] == ["submitted"]:
            known.append((status, reason))
    return found


def strange_transitions(result: Result) -> Iterator[tuple[int, str, str, str]]:
    """Yield (order, status, next status, reason) of what the table of states does not have."""
    for order, history in histories(result).items():
        before = ""
        for status, reason in history:
            if reason not in _TABLE.get((before, status), ()):
                yield order, before, status, reason
            before = status


class BookWatch(RiskManager):
    """Compares BOOK and the number of working orders with ORDER at each round of requests.

    Attributes:
        rounds: Rounds that were looked at.
        wrong: Instants at which they disagreed.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self.wrong: list[int] = []

    def check(self, requests: NDArray[np.void], state: RunState) -> None:
        """Look, and approve."""
        self.rounds += 1
        orders = state.orders.rows()
        working = orders[np.isin(orders["status"], [ACCEPTED, PARTIAL, HELD])]
        counted = working[working["counts"] != 0]
        expected = np.zeros(len(state.symbols))
        np.add.at(expected, counted["symbol"], counted["quantity"] - counted["filled"])
        same = np.allclose(expected, state.books["open_quantity"], rtol=0.0, atol=1e-9)
        if not same or len(working) != state.working:
            self.wrong.append(state.now)
