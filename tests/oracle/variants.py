"""Other versions of a scenario: prices at and below zero, fractions of units, feeds without volumes."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

from .scenario import Amend, Bar, Bracket, Cancel, Feed, Oco, Place, Request, Scenario, Step

BARS, TICKS = ("open", "high", "low", "close", "vwap"), ("bid", "ask", "price")
ORDERS = ("limit_price", "stop_price", "entry_limit", "entry_stop", "target_price")
PRICES = frozenset((*BARS, *TICKS, *ORDERS))


def below_zero(scenario: Scenario) -> Scenario:
    """Move all prices down by 10, so that they lie around zero."""
    feeds = tuple(replace(feed, rows=tuple(_moved(row) for row in feed.rows)) for feed in scenario.feeds)
    script = tuple(Step(step.at, _moved(step.request)) for step in scenario.script)
    return replace(scenario, feeds=feeds, script=script, instrument=replace(scenario.instrument, negative=True))


def _moved(given: Any) -> Any:
    if isinstance(given, Oco):
        return Oco(tuple(_moved(leg) for leg in given.legs))
    if isinstance(given, Cancel):
        return given
    known = {each.name: getattr(given, each.name) for each in fields(given) if each.name in PRICES}
    return replace(given, **{name: price - 10.0 for name, price in known.items() if price is not None})


def in_fractions(scenario: Scenario) -> Scenario:
    """Make quantities multiples of 1/8 of a unit; a lot that was stated is 1/8."""
    script = tuple(Step(step.at, _cut(step.request, place)) for place, step in enumerate(scenario.script))
    lot = None if scenario.instrument.lot is None else 0.125
    return replace(scenario, script=script, instrument=replace(scenario.instrument, lot=lot))


def _cut(request: Request, place: int) -> Request:
    if isinstance(request, Oco):
        return Oco(tuple(_cut(leg, place) for leg in request.legs))  # type: ignore[misc]  # legs stay legs
    if (
        isinstance(request, (Place, Bracket, Amend))
        and request.quantity is not None
        and math.isfinite(request.quantity)
    ):
        return replace(request, quantity=request.quantity * (0.125, 0.5, 1.125)[place % 3])
    return request


def without_volume(scenario: Scenario) -> Scenario:
    """Leave volumes and average prices out of bars."""

    def bare(feed: Feed) -> Feed:
        rows = [replace(row, volume=None, vwap=None) if isinstance(row, Bar) else row for row in feed.rows]
        return replace(feed, rows=tuple(rows))

    return replace(scenario, feeds=tuple(bare(feed) for feed in scenario.feeds))
