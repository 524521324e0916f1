"""At which price, and in which phase, an order meets a row. Quotations are from the page on matching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from .book import Order
from .scenario import Bar, FillRules, Quote, Row
from .views import CLOSE, OPEN, Price, Span, View, exact, narrowed, span_of, taken, what_is_left, whole


@dataclass(frozen=True)
class Meeting:
    """A price that an order meets; with ``triggers`` it is a stop-limit's stop and nothing fills yet."""

    phase: int
    price: Decimal
    reason: str
    triggers: bool = False
    limit: Price = None
    amended: bool = False


def views_of(order: Order, row: Row, rules: FillRules, ends_session: bool) -> Iterator[tuple[Order, View]]:
    """Yield what an order sees of a row, with its old and its amended terms if it has both.

    "the old terms hold for prices formed before the request, the new ones after"
    """
    span = span_of(order)
    if order.amended_at is None:
        yield order, _view(order, row, span, rules, ends_session)
        return
    before = order.amended_at if span.before is None else min(span.before, order.amended_at)
    yield order, _view(order, row, replace(span, before=before), rules, ends_session)
    later = Span(max(span.begin, order.amended_at), span.before, span.until)
    yield replace(order, **order.pending), _view(order, row, later, rules, ends_session)


def _view(order: Order, row: Row, span: Span, rules: FillRules, ends_session: bool) -> View:
    view = whole(row, order.side) if order.released else taken(row, order.side, span)
    for price, phase in order.events:
        straddles = isinstance(row, Bar) and row.start < span.begin and not order.released
        view = View(close=view.close) if straddles and phase != CLOSE else what_is_left(view, price, phase, rules.path)
    if order.released and not span.ends_after(row.end):
        # "What an event at price E releases ... sees what provably comes after": all of it formed after the order
        # was there, so that only its end limits it
        at_open = isinstance(row, Bar) and all(phase == OPEN for _, phase in order.events)
        view = View(open=view.open) if at_open and span.ends_after(row.start) else View()
    return narrowed(order, view, row, rules, ends_session=ends_session)


def sees_a_price(order: Order, row: Row, rules: FillRules, ends_session: bool) -> bool:
    """Whether there is a price that the order could take; for a market order: the one that its rule names."""
    if order.triggered_in_row:
        return True
    for terms, view in views_of(order, row, rules, ends_session):
        waits_for_rule = terms.kind == "market"
        if not view.is_empty() and (not waits_for_rule or _market(terms, view, row, rules) is not None):
            return True
    return False


def meeting_of(order: Order, row: Row, rules: FillRules, ends_session: bool) -> Meeting | None:
    """Return how an order meets a row; None where it does not."""
    for number, (terms, view) in enumerate(views_of(order, row, rules, ends_session)):
        found = _meet(terms, view, row, rules)
        if found is None and order.time_in_force in ("IOC", "FOK") and not view.is_empty() and order.kind == "limit":
            return None  # that was its first price: amended terms come too late
        if found is not None:
            # "What is released is never matched in an earlier phase than the event"
            first = max((phase for _, phase in order.events), default=OPEN)
            limit = found.limit if found.triggers else terms.limit
            return replace(found, phase=max(found.phase, first), limit=limit, amended=number == 1)
    return None


def _meet(order: Order, view: View, row: Row, rules: FillRules) -> Meeting | None:
    if order.kind == "market":
        return _market(order, view, row, rules)
    if order.kind == "limit" or (order.triggered and order.kind.endswith("limit")):
        return _limit(order, view, rules)
    if order.triggered:
        return _after_trigger(view, row)
    if order.trails:
        order = replace(order, level=first_level(order, view))
    level = order.level if order.trails else order.stop
    found = None if level is None else _stop(order, level, view, row, rules)
    if found is None and order.trails:
        found = _return(order, view, rules)
        level = moved_level(order, view, rules)
    if found is not None and order.kind.endswith("limit"):
        # "stop-limit: is triggered as a stop fills, at that price and phase"; a trailing one: "its limit is the
        # stop at that moment plus the offset"
        limit = level + order.limit_offset if order.trails and level is not None else order.limit
        return replace(found, triggers=True, limit=limit)
    return found


def _market(order: Order, view: View, row: Row, rules: FillRules) -> Meeting | None:
    # "Market orders meet a quote or trade at its price with reason `quote` or `trade`, whatever `market` says"
    if not isinstance(row, Bar):
        return None if view.close is None else Meeting(CLOSE, view.close, _row_name(row))
    # | market OPG, CLS | open, close known | open, close | 0, 4 | `at-open`, `at-close` |
    if order.time_in_force == "OPG":
        return None if view.open is None else Meeting(OPEN, view.open, "at-open")
    if order.time_in_force == "CLS":
        return None if view.close is None else Meeting(CLOSE, view.close, "at-close")
    match rules.market:
        case "open":  # | open known | open | 0 | `next-open` |
            return None if view.open is None else Meeting(OPEN, view.open, "next-open")
        case "vwap":  # | the range may be taken and the field `vwap` lies within low and high | vwap | 4 |
            vwap = exact(row.vwap)
            if view.low is None or view.high is None or vwap is None or not view.low <= vwap <= view.high:
                return None
            return Meeting(CLOSE, vwap, "next-vwap")
    # | `"close"` | close known | close | 4 | `next-close` |; in mode `same-close` an order that found no bar
    # "waits for the symbol's next close"
    return None if view.close is None else Meeting(CLOSE, view.close, "next-close")


def _after_trigger(view: View, row: Row) -> Meeting | None:
    # "from then on a market order that takes the first price that it sees (the open, else the close)"
    if view.open is not None:
        return Meeting(OPEN, view.open, "next-open")
    if view.close is not None:
        return Meeting(CLOSE, view.close, "next-close" if isinstance(row, Bar) else _row_name(row))
    return None


def _limit(order: Order, view: View, rules: FillRules) -> Meeting | None:
    assert order.limit is not None
    seen = view if order.side > 0 else view.mirrored()
    limit = order.side * order.limit

    def reaches(price: Decimal) -> bool:
        # "With `limit = "cross"` every <= of a limit is <: the market has to trade through."
        return price < limit if rules.limit == "cross" else price <= limit

    # | limit | open <= L | open | 0 | `limit-better` (`limit` where equal) |
    if seen.open is not None and reaches(seen.open):
        return Meeting(OPEN, order.side * seen.open, "limit" if seen.open == limit else "limit-better")
    # | otherwise low <= L | L | range | `limit` |; the level has to lie within the bar
    if seen.low is not None and seen.high is not None and reaches(seen.low) and limit <= seen.high:
        return Meeting(_phase_in_range("limit", order.limit, view.open, rules), order.limit, "limit")
    # | otherwise close <= L | close | 4 | `limit-better` (`limit`) |
    if seen.close is not None and reaches(seen.close):
        return Meeting(CLOSE, order.side * seen.close, "limit" if seen.close == limit else "limit-better")
    return None


def _stop(order: Order, level: Decimal, view: View, row: Row, rules: FillRules) -> Meeting | None:
    seen = view if order.side > 0 else view.mirrored()
    stop = order.side * level
    # | stop | open >= S | open | 0 | `stop-gap` (`stop` where equal) |
    if seen.open is not None and seen.open >= stop:
        return Meeting(OPEN, order.side * seen.open, "stop" if seen.open == stop else "stop-gap")
    # | otherwise high >= S | S | range | `stop` |; the level has to lie within the bar
    if seen.high is not None and seen.low is not None and seen.low <= stop <= seen.high:
        return Meeting(_phase_in_range("stop", level, view.open, rules), level, "stop")
    # | otherwise close >= S | close | 4 | `stop-gap` (`stop`) |
    if seen.close is not None and seen.close >= stop:
        reason = "stop" if seen.close == stop else "stop-gap"
        # "Market orders meet a quote or trade at its price with reason `quote` or `trade` ...; so do stop orders
        # that it triggers."
        return Meeting(CLOSE, order.side * seen.close, reason if isinstance(row, Bar) else _row_name(row))
    return None


def _return(order: Order, view: View, rules: FillRules) -> Meeting | None:
    """Return how the market comes back to a level that the row itself has moved."""
    level = moved_level(order, view, rules)
    if rules.trail != "extreme" or view.high is None or view.low is None or level is None or level == order.level:
        return None
    # "With path `open-high-low-close` a selling order whose low reaches the new level fills at it in phase 2, where
    # the open is known and what it sees of the bar begins before phase 2."
    begins = max((phase for _, phase in order.events), default=OPEN)
    on_its_way = rules.path == "open-high-low-close" and order.side < 0 and view.open is not None and begins < 2
    if on_its_way and view.low <= level:
        return Meeting(2, level, "stop")
    # "With `"extreme"` and a range that may be taken, a close at or beyond the new level fills at that level in
    # phase 3, reason `stop`"
    if view.close is not None and order.side * view.close >= order.side * level:
        return Meeting(3, level, "stop")
    return None


def moved_level(order: Order, view: View, rules: FillRules) -> Price:
    """Return where a trailing stop stands after a row.

    "the best price moves with the bar: with `trail = "extreme"` by high (selling) or low (buying), with
    `"close"` by the close; where only the close may be taken, by the close. Then the level follows; it never
    moves away from the market."
    """
    best = view.low if order.side > 0 else view.high
    if rules.trail == "close" or best is None:
        best = view.close
    before = first_level(order, view)
    if best is None:
        return before
    level = trailed(order, best)
    if before is None:
        return level
    return min(level, before) if order.side > 0 else max(level, before)


def first_level(order: Order, view: View) -> Price:
    """Return where a trailing stop stands when it meets a row.

    "It begins at the last price known when it was accepted (where none is known, at the first that it sees)"
    """
    return trailed(order, view.open) if order.level is None and view.open is not None else order.level


def trailed(order: Order, best: Decimal) -> Decimal:
    """Return the level of a trailing stop whose best price is this.

    "by `trail_amount`, or by `trail_percent` (a fraction) of that price"
    """
    distance = abs(best) * order.trail_percent if order.trail_percent is not None else order.trail_amount
    assert distance is not None
    return best + order.side * distance


def _phase_in_range(kind: str, level: Decimal, opened: Price, rules: FillRules) -> int:
    # "`pessimistic`: stops and trailing stops 1, limits 2. `optimistic`: limits 1, stops 2.
    # `open-high-low-close`: levels at or above the open 1, below it 2. Where the open is unknown, as
    # pessimistic."
    if rules.path == "open-high-low-close" and opened is not None:
        return 1 if level >= opened else 2
    first = "limit" if rules.path == "optimistic" else "stop"
    return 1 if kind == first else 2


def _row_name(row: Row) -> str:
    return "quote" if isinstance(row, Quote) else "trade"
