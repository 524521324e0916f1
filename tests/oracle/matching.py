"""How the orders of a symbol meet one row. Quotations are from the page on matching."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from .book import Fill, Order
from .costs import commission, price_paid
from .desk import Desk
from .power import affords
from .prices import Meeting, meeting_of, moved_level, sees_a_price, views_of
from .scenario import Bar, Quote, Row
from .views import CLOSE, OPEN, exact, starts_in_its_session


@dataclass
class RowAtHand:
    """A row and what is left of its volume; ``caps`` is by side, None without a limit."""

    row: Row
    ends_session: bool
    caps: dict[int, Decimal] | None = None
    shared: bool = True
    short_of_volume: list[Order] = field(default_factory=list)

    def cap(self, side: int) -> Decimal | None:
        """Return how much may still be taken on a side."""
        return None if self.caps is None else self.caps[0 if self.shared else side]

    def take(self, side: int, quantity: Decimal) -> None:
        """Take from the volume."""
        if self.caps is not None:
            self.caps[0 if self.shared else side] -= quantity


def at_hand(desk: Desk, row: Row) -> RowAtHand:
    """Return a row with its volume."""
    closes = {close for _, close in desk.scenario.sessions}
    ends = isinstance(row, Bar) and row.end in closes
    if not desk.rules.volume_limit:  # "Without `volume_limit`, the whole remainder."
        return RowAtHand(row, ends)
    # "(`volume_basis = "trailing"`: of the symbol's row before)"
    basis = desk.newest.get(row.symbol) if desk.rules.volume_basis == "trailing" else row
    limit = Decimal(desk.rules.volume_limit)
    sizes = {side: exact(size) for side, size in _sizes(basis).items()}
    # "at most `volume_limit x` the volume of the row, truncated to lots"; "A volume of zero, or an unknown one,
    # fills nothing."
    caps = {side: desk.whole_lots(limit * size) if size is not None else Decimal(0) for side, size in sizes.items()}
    return RowAtHand(row, ends, caps, shared=not isinstance(row, Quote))


def _sizes(row: Row | None) -> dict[int, float | None]:
    # "For a quote the volume is the size at the order's side, for a trade its size."
    match row:
        case Quote():
            return {1: row.ask_size, -1: row.bid_size}
        case Bar():
            return {0: row.volume}
        case None:
            return {0: None, 1: None, -1: None}
    return {0: row.size}


def match_row(desk: Desk, row: Row) -> None:
    """Let all working orders of a symbol meet a row, then move, expire and end what has to.

    "Within one row, among all working orders of its symbol, the one with the lowest (phase, order id) fills
    first; what its fill changes (children, groups, positions, volume) holds for the next; until none is left. An
    order fills at most once per row."
    """
    hand = at_hand(desk, row)
    for order in desk.orders:
        order.done = order.released = order.triggered_in_row = False
        order.events = []
    while True:
        found = [(meeting, order) for order in desk.working(row.symbol) if (meeting := _next(desk, order, hand))]
        if not found:
            break
        meeting, order = min(found, key=lambda pair: (pair[0].phase, pair[1].id))
        _carry_out(desk, order, meeting, hand)
    desk.newest[row.symbol] = row
    # "recorded after all fills of the row"
    ends = [(order, *end) for order in desk.working(row.symbol) if (end := _end_with_row(desk, order, hand))]
    desk.end_all(ends)


def _next(desk: Desk, order: Order, hand: RowAtHand) -> Meeting | None:
    waits_for_stop = "stop" in order.kind and not order.triggered
    if order.done or (desk.allowed(order) <= 0 and not waits_for_stop):
        return None
    return meeting_of(order, hand.row, desk.rules, hand.ends_session)


def _carry_out(desk: Desk, order: Order, meeting: Meeting, hand: RowAtHand) -> None:
    if meeting.triggers:
        _trigger(desk, order, meeting)
        return
    order.done = True  # whatever comes of it: "An order fills at most once per row"
    if meeting.amended:
        order.adopt()
    quantity = desk.allowed(order)
    if order.reduce_only and quantity > 0:
        # "a fill is cut to the position that it closes; where there is none, the order is cancelled
        # (`nothing-to-reduce`) at the moment it would fill" (orders)
        held = -order.side * desk.accounts.quantity(order.symbol)
        if held <= 0:
            desk.end(order, "cancelled", "nothing-to-reduce")
            return
        quantity = min(quantity, held)
    cap = hand.cap(order.side)
    if cap is not None:
        quantity = min(quantity, cap)
    price = price_paid(desk.scenario.costs, desk.rules, order.side, meeting)
    # "`FOK` takes all or nothing."
    if quantity <= 0 or price is None or (order.time_in_force == "FOK" and quantity < order.remaining):
        if order.kind in ("stop", "trailing-stop") and not order.triggered:
            _trigger(desk, order, meeting)
            order.done = True
        return
    cost = commission(desk.scenario.costs, order, quantity, price, desk.accounts.multiplier(order.symbol))
    if not affords(desk, order, order.side * quantity, price, cost):
        desk.end(order, "cancelled", "no-buying-power")
        return
    hand.take(order.side, quantity)
    if order.kind in ("stop", "trailing-stop"):
        order.triggered = True
    fill(desk, order, meeting, quantity, price, cost, hand.row)


def _trigger(desk: Desk, order: Order, meeting: Meeting) -> None:
    if meeting.amended and order.amended_at is not None:
        order.adopt()
    order.triggered = order.triggered_in_row = True
    order.limit = meeting.limit
    order.events.append((meeting.price, meeting.phase))
    desk.note(order, order.status, "triggered")


def fill(
    desk: Desk, order: Order, meeting: Meeting, quantity: Decimal, price: Decimal, cost: Decimal, row: Row
) -> None:
    """Write a fill down and let it change everything that it changes."""
    # "The open of a bar forms at its start, the close at its end"; the range is "recorded as `event_time`"
    formed_at = row.start if isinstance(row, Bar) and meeting.phase == OPEN else row.end
    # "A fill is a maker's where its reason is `limit`, its phase is of the range, and nothing triggered it in
    # this bar."
    maker = meeting.reason == "limit" and OPEN < meeting.phase < CLOSE and not order.triggered_in_row
    order.filled += quantity
    order.paid += cost
    signed = order.side * quantity
    desk.accounts.fill(desk.now, desk.session_of(desk.now), order, signed, price, cost)
    desk.fills.append(Fill(order.id, signed, meeting.price, price, cost, formed_at, desk.now, meeting.reason, maker))
    complete = order.remaining <= 0
    desk.note(order, "filled" if complete else "partial", meeting.reason)
    if complete and order.asked_to_end:
        for other in order.others:  # the cancel came too late, and so did what it meant for them
            other.cancelled_at = other.cancelled_at if other.asked_to_end else None
    desk.after_fill(order, quantity, meeting.price, meeting.phase, formed_at)


def _end_with_row(desk: Desk, order: Order, hand: RowAtHand) -> tuple[str, str] | None:
    """Return how an order ends with a row, or with the session that ends with it.

    "What such an end does to children and groups comes after all ends of that row or close."
    """
    end = _after_row(desk, order, hand)
    if end is None and hand.ends_session and hand.row.end == desk.now:
        return end_of_session(desk, order, desk.session_of(desk.now))
    return end


def _after_row(desk: Desk, order: Order, hand: RowAtHand) -> tuple[str, str] | None:
    """Move the trail of an order, let amendments hold, fix its day; return (status, reason) where it ends."""
    row = hand.row
    waits = order.released and (desk.rules.children == "next-bar" or order.kind == "market")
    met = not waits and sees_a_price(order, row, desk.rules, hand.ends_session)
    if order.trails and not order.triggered and not waits:
        for _, view in views_of(order, row, desk.rules, hand.ends_session):
            order.level = moved_level(order, view, desk.rules)
    if order.amended_at is not None and row.end >= order.amended_at:
        order.adopt()
        if order.remaining <= 0:
            return "cancelled", order.emptied_by
    if order.time_in_force in ("IOC", "FOK") and met:
        return "cancelled", "not-whole" if order.time_in_force == "FOK" else "remainder-of-ioc"
    # "the order ends with the first row or session's close that shows that nothing came before" (orders)
    if order.cancelled_at is not None and row.end >= order.cancelled_at:
        return "cancelled", order.ends_as if order.asked_to_end else "one-cancels-other"
    # "with the first bar of their session (OPG; a bar without an open is one)"
    if order.time_in_force == "OPG" and starts_in_its_session(order, row):
        return "expired", "open-missed"
    # "What has expired ... is recorded after all fills of the row, or at the first session's close or row of the
    # symbol at or after it."
    if order.expires_at is not None and row.end >= order.expires_at:
        return "expired", "date-reached"
    # `DAY`: "the first session from which it could take a price" (orders)
    if order.time_in_force == "DAY" and met and order.day is None:
        order.day = desk.session_of(row.end)
    return None


def match_at_the_close(desk: Desk, rows: list[Row]) -> None:
    """Let market orders of this instant take the close of this instant, in mode `same-close`.

    | market, `"same-close"` | submitted at the very close | that close | 4 | `same-close` |
    """
    if desk.rules.market != "same-close":
        return
    for row in rows:
        if not isinstance(row, Bar) or row.end != desk.now or row.close is None:
            continue
        for order in desk.working(row.symbol):
            plain = order.kind == "market" and order.time_in_force not in ("OPG", "CLS")
            if not plain or order.submitted_at != desk.now or order.was_held or not order.is_open:
                continue
            for each in desk.orders:
                each.done = each.released = each.triggered_in_row = False
                each.events = []
            meeting = Meeting(CLOSE, Decimal(row.close), "same-close")
            _carry_out(desk, order, meeting, RowAtHand(row, ends_session=True))


def end_of_session(desk: Desk, order: Order, session: int) -> tuple[str, str] | None:
    """Return how an order ends with a session, if it does."""
    over = {"DAY": "day-over", "CLS": "close-missed", "OPG": "open-missed"}
    if order.cancelled_at is not None and order.cancelled_at <= desk.now:
        return "cancelled", order.ends_as if order.asked_to_end else "one-cancels-other"
    if order.time_in_force in over and order.day is not None and order.day <= session:
        return "expired", over[order.time_in_force]
    if order.expires_at is not None and order.expires_at <= desk.now:
        return "expired", "date-reached"
    return None
