"""Random corporate actions, and prices that follow them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

from .scenario import Amend, Bar, Bracket, Feed, Oco, Place, Request, Row, Scenario, Step
from .scenarios import Walk, random_bars
from .shrink import tidy
from .terms import Action

KINDS = (
    "split", "split", "split", "dividend", "dividend", "stock-dividend", "merger", "spin-off", "symbol-change",
    "delisting",
)  # fmt: skip
# Ratios by which a price on the grid stays a number without rounding; prices follow these.
PLAIN = (2.0, 4.0, 0.5, 0.25, 0.125)


def happen(rng: random.Random, scenario: Scenario, symbols: list[str]) -> Scenario:
    """Return a scenario in which something happens to some of these shares."""
    for listing in scenario.listings:
        if listing.listed_to is not None:
            scenario = _without(scenario, listing.symbol, scenario.sessions[listing.listed_to][1])
    taken: set[tuple[str, int]] = set()
    changed: set[str] = set()
    for _ in range(rng.choice((0, 1, 2, 3, 4))):
        symbol, session = rng.choice(symbols), rng.randrange(1, len(scenario.sessions))
        kind = rng.choice(KINDS)
        over = [each for each in scenario.actions if each.symbol == symbol and each.kind in ("merger", "delisting")]
        ends = kind in ("merger", "delisting")
        later = any(each.symbol == symbol and each.session >= session for each in scenario.actions)
        ends_before = ends and any(each.new_symbol == symbol and each.session >= session for each in scenario.actions)
        if (
            ends_before
            or (symbol, session) in taken
            or any(each.session <= session for each in over)
            or (ends and later)
        ):
            continue
        listing = scenario.listing(symbol)
        dated = listing.listed_from is not None or listing.listed_to is not None  # these are of a ticker
        if kind == "symbol-change" and (symbol in changed or dated):
            continue
        if listing.listed_to is not None and session > listing.listed_to:  # the ticker is another company's then
            continue
        taken.add((symbol, session))
        changed |= {symbol} if kind == "symbol-change" else set()
        scenario = _one(rng, scenario, Action(kind, symbol, session), symbols)
    last = max(row.end for feed in scenario.feeds for row in feed.rows)
    kept = tuple(step for step in scenario.script if not isinstance(step.at, int) or step.at < last)
    actions = tuple(sorted(scenario.actions, key=lambda action: action.session))
    return replace(scenario, actions=actions, script=tidy(kept))


def _one(rng: random.Random, scenario: Scenario, action: Action, symbols: list[str]) -> Scenario:
    opens = scenario.sessions[action.session][0]
    known = rng.choice((None, None, opens, opens - 3_600, 0))
    action = replace(action, known=known)
    match action.kind:
        case "split":
            action = replace(action, ratio=rng.choice((*PLAIN, 2.0, 1.5, 3.0, 7.0)))
            if action.ratio in PLAIN and rng.random() < 0.8:
                scenario = _following(scenario, action.symbol, opens, action.ratio or 1.0)
        case "stock-dividend":
            action = replace(action, ratio=rng.choice((1.0, 0.5, 0.25, 0.125)))
        case "dividend":
            pay = rng.choice((None, action.session, *range(action.session, len(scenario.sessions))))
            action = replace(action, amount=rng.choice((0.125, 0.5, 1.0)), pay=pay)
        case "merger" | "spin-off":
            received = _received(rng, scenario, action, symbols)
            if received is None:
                return scenario
            scenario, action = received
        case "symbol-change":
            action = replace(action, new_symbol=f"{action.symbol}X")
        case "delisting":
            action = replace(action, value=rng.choice((None, 0.0, 2.0, 12.0)))
            scenario = _without(scenario, action.symbol, opens)
    return replace(scenario, actions=(*scenario.actions, action))


def _received(
    rng: random.Random, scenario: Scenario, action: Action, symbols: list[str]
) -> tuple[Scenario, Action] | None:
    """Return an action that gives units of another share, which is there already or comes with it."""
    others = [
        each
        for each in symbols
        if each != action.symbol
        and scenario.currency(each) == scenario.currency(action.symbol)
        and scenario.listing(each).multiplier == scenario.listing(action.symbol).multiplier
        and (scenario.listing(each).listed_to is None)
        and all(happening.symbol != each for happening in scenario.actions)
    ]
    ratio = rng.choice((1.0, 0.5, 0.75, 1.5, 2.0, 0.25))
    if action.kind == "merger" and rng.random() < 0.3:
        action = replace(action, amount=rng.choice((2.0, 10.0, 15.0)))
    else:
        new = rng.choice(others) if others and rng.random() < 0.6 else "CC"
        if new == "CC" and (any(row.symbol == "CC" for feed in scenario.feeds for row in feed.rows)):
            return None
        listing = scenario.listing(action.symbol)
        if new == "CC" and (scenario.currency(action.symbol) != scenario.base or listing.multiplier != 1.0):
            return None
        action = replace(action, new_symbol=new, ratio=ratio)
        if action.kind == "spin-off":
            action = replace(action, value=rng.choice((0.5, 1.0, 2.0)))
        elif rng.random() < 0.4:
            action = replace(action, amount=2.0)
        if new == "CC":
            scenario = _with_new(rng, scenario, scenario.sessions[action.session][0])
    if action.kind == "merger":
        if action.amount is not None and rng.random() < 0.4:
            action = replace(action, pay=rng.randrange(action.session, len(scenario.sessions)))
        scenario = _without(scenario, action.symbol, scenario.sessions[action.session][0])
    return scenario, action


def _begins(row: Row) -> int:
    return row.start if isinstance(row, Bar) else row.end


def _with_feeds(scenario: Scenario, change: Callable[[Feed], Feed]) -> Scenario:
    return replace(scenario, feeds=tuple(feed for feed in map(change, scenario.feeds) if feed.rows))


def _without(scenario: Scenario, symbol: str, since: int) -> Scenario:
    """Take a share's rows from an instant on away."""

    def change(feed: Feed) -> Feed:
        return replace(feed, rows=tuple(row for row in feed.rows if row.symbol != symbol or _begins(row) < since))

    return _with_feeds(scenario, change)


def _following(scenario: Scenario, symbol: str, since: int, ratio: float) -> Scenario:
    """Let a share's prices follow a split."""

    def scaled(row: Row) -> Row:
        if row.symbol != symbol or _begins(row) < since:
            return row
        prices = [
            name for name in ("open", "high", "low", "close", "vwap", "bid", "ask", "price") if hasattr(row, name)
        ]
        given = {name: getattr(row, name) for name in prices}
        return replace(row, **{name: None if price is None else price / ratio for name, price in given.items()})

    return _with_feeds(scenario, lambda feed: replace(feed, rows=tuple(map(scaled, feed.rows))))


def _with_new(rng: random.Random, scenario: Scenario, since: int) -> Scenario:
    """Give a share that comes into being its prices, in a feed of its own."""
    sessions = tuple(session for session in scenario.sessions if session[0] >= since)
    return replace(scenario, feeds=(*scenario.feeds, random_bars(rng, {"CC": Walk(rng, 0.5, 10.0)}, sessions, 1)))


def in_halves(scenario: Scenario) -> Scenario:
    """Make some quantities fractions of a share, where no lot is stated."""
    if scenario.instrument.lot is not None:
        return scenario
    cut = tuple(Step(step.at, _halved(step.request, place)) for place, step in enumerate(scenario.script))
    return replace(scenario, script=cut)


def _halved(request: Request, place: int) -> Request:
    if isinstance(request, Oco):
        return Oco(tuple(_halved(leg, place) for leg in request.legs))
    sized = isinstance(request, (Place, Bracket, Amend)) and request.quantity is not None
    if sized and place % 2 and math.isfinite(request.quantity):
        return replace(request, quantity=request.quantity * 0.5)
    return request
