"""A slow, obvious simulator: the second opinion on every fill and every transition.

Written from the pages on orders, matching and costs alone; it shares no code with the broker. Prices and
quantities are decimals, one order is looked at at a time, and the words of the page stand above each piece:

    scenario    what happens in the market and what is asked for
    requests    what becomes of a request
    views       which prices an order may take
    prices      at which of them it fills
    matching    who fills first, and how much
    desk        what a fill or an end means for others
    costs       what a fill costs
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .book import Fill, Order, Transition
from .desk import Desk
from .matching import match_at_the_close, match_row
from .requests import carry_out
from .scenario import Bar, Quote, Row, Scenario, Step
from .views import exact


@dataclass(frozen=True)
class Outcome:
    """What a run came to: fills and transitions in order, positions at the end."""

    fills: list[Fill]
    transitions: list[Transition]
    positions: dict[str, Decimal]


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario."""
    desk = Desk(scenario)
    told = 0  # fills that the script has heard of
    for now in _instants(scenario):
        desk.now = now
        rows = _rows_at(scenario, now)
        for row in rows:
            match_row(desk, row)
        _end_session(desk)
        for row in rows:
            if (price := _mark(row)) is not None:
                desk.marks[row.symbol] = price
        steps = [step for step in scenario.script if step.at == now]
        while True:
            heard, told = desk.fills[told:], len(desk.fills)
            wanted = [*_reactions(desk, scenario.script, heard, told - len(heard)), *steps]
            if not wanted:
                break
            steps = []
            for step in wanted:
                carry_out(desk, step.request)
            match_at_the_close(desk, rows)
    for order in desk.orders:  # "At the end of the run what is still open is cancelled (`end-of-run`)."
        if not order.is_over:
            desk.note(order, "cancelled", "cancelled-by-strategy" if order.asked_to_end else "end-of-run")
    return Outcome(desk.fills, desk.transitions, desk.positions)


def _instants(scenario: Scenario) -> list[int]:
    rows = {row.end for feed in scenario.feeds for row in feed.rows}
    closes = {close for _, close in scenario.sessions}
    asked = {step.at for step in scenario.script if isinstance(step.at, int)}
    # a run ends with the session of its last row
    last = min(close for close in closes if close >= max(rows))
    return sorted(instant for instant in rows | closes | asked if instant <= last)


def _rows_at(scenario: Scenario, now: int) -> list[Row]:
    """Return the rows of an instant "in the order of the feeds and then of symbols"."""
    rows: list[Row] = []
    for feed in scenario.feeds:
        fresh = [row for row in feed.rows if row.end == now]
        rows += sorted(fresh, key=lambda row: row.symbol) if feed.kind == "bar" else fresh
    return rows


def _mark(row: Row) -> Decimal | None:
    match row:
        case Bar():
            return exact(row.close)
        case Quote():
            return None if row.bid is None or row.ask is None else (Decimal(row.bid) + Decimal(row.ask)) / 2
    return exact(row.price)


def _reactions(desk: Desk, script: tuple[Step, ...], heard: list[Fill], before: int) -> list[Step]:
    """Return what is asked for because an order filled for the first time."""
    wanted = []
    for place, fill in enumerate(heard, before):
        if all(earlier.order != fill.order for earlier in desk.fills[:place]):
            name = desk.orders[fill.order].name
            wanted += [step for step in script if step.at == name]
    return wanted


def _end_session(desk: Desk) -> None:
    """End what ends with a session, after all matching of its close.

    "Orders expire at the close of their session (DAY, CLS), at their instant (GTD) and with the first bar of
    their session, or its close where there is none (OPG ...)." (matching)
    """
    closes = [close for _, close in desk.scenario.sessions]
    if desk.now not in closes:
        return
    session = closes.index(desk.now)
    ends = [(order, *end) for order in desk.working() if (end := _end_of(desk, order, session))]
    desk.end_all(ends)


def _end_of(desk: Desk, order: Order, session: int) -> tuple[str, str] | None:
    over = {"DAY": "day-over", "CLS": "close-missed", "OPG": "open-missed"}
    if order.cancelled_at is not None and order.cancelled_at <= desk.now:
        return "cancelled", "cancelled-by-strategy" if order.asked_to_end else "one-cancels-other"
    if order.time_in_force in over and order.day is not None and order.day <= session:
        return "expired", over[order.time_in_force]
    if order.expires_at is not None and order.expires_at <= desk.now:
        return "expired", "date-reached"
    return None
