"""How requests become orders, refusals, ends and amendments. Quotations are from the page on orders."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from .book import Order
from .desk import Desk
from .prices import trailed
from .scenario import Amend, Bracket, Cancel, Oco, Place, Request
from .views import exact


def carry_out(desk: Desk, request: Request, refused: str = "") -> None:
    """Carry one request out; ``refused`` is why an amendment may not be."""
    match request:
        case Place():
            submit(desk, _order(desk, request))
        case Oco():
            legs = [_order(desk, leg) for leg in request.legs]
            for leg in legs:
                leg.group = legs
            for leg in legs:
                submit(desk, leg)
        case Bracket():
            _bracket(desk, request)
        case Cancel():
            cancel(desk, desk.by_name[request.order], request.reason)
        case Amend() if refused:
            desk.answer(desk.by_name[request.order], refused)
        case Amend():
            amend(desk, desk.by_name[request.order], request)


def kind_of(limit: Any, stop: Any, trails: bool, offset: Any) -> str:
    """Return the kind that the given prices make.

    | market | limit `limit_price=` | stop `stop_price=` | stop-limit both | trailing-stop `trail_amount=` or
    `trail_percent=` | trailing-stop-limit a trail and `limit_offset=` |
    """
    if trails:
        return "trailing-stop" if offset is None else "trailing-stop-limit"
    if stop is not None:
        return "stop" if limit is None else "stop-limit"
    return "market" if limit is None else "limit"


def _order(desk: Desk, place: Place) -> Order:
    trails = place.trail_amount is not None or place.trail_percent is not None
    order = Order(
        id=len(desk.orders),
        name=place.name,
        symbol=place.symbol,
        side=1 if place.quantity > 0 else -1,  # "above 0 buys, below 0 sells"
        size=abs(Decimal(place.quantity)),
        kind=kind_of(place.limit_price, place.stop_price, trails, place.limit_offset),
        submitted_at=desk.now,
        begins=desk.now + desk.scenario.latency,
        limit=exact(place.limit_price),
        stop=None if trails else exact(place.stop_price),
        trail_amount=exact(place.trail_amount),
        trail_percent=exact(place.trail_percent),
        limit_offset=exact(place.limit_offset),
        time_in_force=place.time_in_force,
        expires_at=place.expires_at,
        reduce_only=place.reduce_only,
        parent=desk.by_name[place.parent] if place.parent else None,
        level=exact(place.stop_price) if trails else None,
        client_id=place.client_id,
    )
    if order.name in desk.cut:
        order.size = desk.cut[order.name]
    order.original = order.size
    desk.orders.append(order)
    desk.by_name[order.name] = order
    return order


def _bracket(desk: Desk, asked: Bracket) -> None:
    """An entry "and up to two children on the other side ... They are `GTC` ... One cancels the other."."""
    prices = {"limit_price": asked.entry_limit, "stop_price": asked.entry_stop}
    entry = Place(asked.name, asked.symbol, asked.quantity, **prices, time_in_force=asked.time_in_force)
    family = [_order(desk, entry)]
    away = {"symbol": asked.symbol, "quantity": -asked.quantity, "parent": asked.name}
    protects = {
        "stop_price": asked.stop_price,
        "trail_amount": asked.trail_amount,
        "trail_percent": asked.trail_percent,
    }
    if any(price is not None for price in protects.values()):
        family.append(_order(desk, Place(f"{asked.name}.stop", **away, **protects)))
    if asked.target_price is not None:
        family.append(_order(desk, Place(f"{asked.name}.target", **away, limit_price=asked.target_price)))
    for child in family[1:]:
        child.group = family[1:]
    for order in family:
        submit(desk, order)


def submit(desk: Desk, order: Order) -> None:
    """Refuse an order, let it wait for its parent, or let it work.

    | pending | submitted | | submitted | accepted | it may fill | | submitted | held | it waits for its parent |
    | submitted | refused | | submitted | cancelled | its group or parent has ended already |
    """
    desk.note(order, "submitted", "changed-by-risk" if order.name in desk.cut else "")
    reason = desk.refused.get(order.name) or desk.ended(order.symbol) or refusal(desk, order)
    if reason:
        desk.end(order, "refused", reason)
        return
    if order.client_id:
        desk.client_ids.add(order.client_id)
    _round_to_ticks(desk, order)
    if order.parent is not None:
        if order.parent.is_over and order.parent.status != "filled":
            desk.end(order, "cancelled", "parent-ended")
            return
        order.parent.children.append(order)
    if any(other.is_over for other in order.others):
        desk.end(order, "cancelled", "one-cancels-other")
        return
    if order.parent is not None and not order.parent.filled:
        desk.note(order, "held", "waits-for-parent")
        return
    mark = desk.marks.get(order.symbol)
    if order.trails and order.level is None and mark is not None:
        # "It begins at the last price known when it was accepted, or, with `stop_price=` beside the trail, with
        # that stop."
        order.level = trailed(order, mark)
    desk.settle_session(order)
    desk.note(order, "accepted")


def refusal(desk: Desk, order: Order) -> str:
    """Return the reason of the list of refusals that an order meets, if any."""
    if reason := _size_refusal(desk, order.size):
        return reason
    # "`IOC`, `FOK`, `OPG` and `CLS` are for market and limit orders"
    if order.time_in_force in ("IOC", "FOK", "OPG", "CLS") and order.kind not in ("market", "limit"):
        return "time-in-force-not-supported"
    if order.parent is not None and order.parent.symbol != order.symbol:
        return "group-not-one-symbol"
    if any(other.symbol != order.symbol for other in order.others):
        return "group-not-one-symbol"
    if reason := _price_refusal(desk, [price for price in (order.limit, order.stop, order.level) if price is not None]):
        return reason
    trails = [trail for trail in (order.trail_amount, order.trail_percent) if trail is not None]
    if any(math.isnan(trail) or trail <= 0 for trail in trails):
        return "trail-not-positive"
    if order.trail_percent is not None and order.side < 0 and order.trail_percent >= 1:
        return "trail-not-positive"
    expiry = order.expires_at
    if (order.time_in_force == "GTD" and expiry is None) or (expiry is not None and expiry <= desk.now):
        return "expiry-passed"
    # "A `client_id` is used once in a run; the second is refused"
    return "client-id-used" if order.client_id in desk.client_ids else ""


def _size_refusal(desk: Desk, size: Decimal) -> str:
    if not size.is_finite():
        return "quantity-not-finite"
    if size == 0:
        return "quantity-zero"
    if size > Decimal(10) ** 15:
        return "quantity-too-large"
    lot = desk.scenario.instrument.lot
    return "quantity-off-lot" if lot is not None and size % Decimal(lot) else ""


def _price_refusal(desk: Desk, prices: list[Decimal]) -> str:
    instrument = desk.scenario.instrument
    if not all(price.is_finite() for price in prices):
        return "price-not-finite"
    if not instrument.negative and any(price <= 0 for price in prices):
        return "price-not-positive"
    tick = Decimal(instrument.tick)
    if tick and desk.scenario.strict_ticks and any(price % tick for price in prices):
        return "price-off-tick"
    return ""


def _round_to_ticks(desk: Desk, order: Order) -> None:
    """Round limit and stop prices: "a buying limit and a selling stop down, a selling limit and a buying stop up"."""
    order.limit = on_tick(desk, order.limit, down=order.side > 0)
    order.stop = on_tick(desk, order.stop, down=order.side < 0)
    order.level = on_tick(desk, order.level, down=order.side < 0)


def on_tick(desk: Desk, price: Decimal | None, *, down: bool) -> Decimal | None:
    tick = Decimal(desk.scenario.instrument.tick)
    if price is None or not tick:
        return price
    lower = (price / tick).to_integral_value("ROUND_FLOOR") * tick
    return lower if down or lower == price else lower + tick


def _acts_at_once(desk: Desk, order: Order, effective: int) -> bool:
    """Whether no bar can be under way.

    "(without latency: the newest row of the symbol ended at this instant; always: the order could not take a
    price yet) the end is immediate, and so it is for a held order"
    """
    newest = desk.newest.get(order.symbol)
    ended_now = newest is not None and newest.end == desk.now and not desk.scenario.latency
    first = order.begins if order.opening is None else max(order.begins, order.opening)
    return order.status == "held" or ended_now or first >= effective


def cancel(desk: Desk, order: Order, reason: str) -> None:
    """End an order, or note that its end was asked for: "A request acts on prices that form after it."."""
    if order.is_over or order.asked_to_end:
        desk.answer(order, "already-done")
        return
    effective = desk.now + desk.scenario.latency
    if _acts_at_once(desk, order, effective):
        desk.end(order, "cancelled", reason)
        return
    order.cancelled_at = effective if order.cancelled_at is None else min(order.cancelled_at, effective)
    order.asked_to_end, order.ends_as = True, reason
    for other in order.others:
        if other.is_open and other.cancelled_at is None:
            other.cancelled_at = effective
    desk.note(order, order.status, "cancel-requested")


def amend(desk: Desk, order: Order, asked: Amend) -> None:
    """Change what is named, from now on."""
    if order.is_over or order.cancelled_at is not None:
        desk.answer(order, "already-done")
        return
    if reason := _amend_refusal(desk, order, asked):
        desk.answer(order, reason)
        return
    terms: dict[str, Decimal] = {}
    if asked.quantity is not None:  # "`quantity` is the whole, filled part included."
        terms["size"] = abs(Decimal(asked.quantity))
    if asked.limit_price is not None:
        limit = on_tick(desk, Decimal(asked.limit_price), down=order.side > 0)
        terms["limit"] = limit if limit is not None else Decimal(0)
    if asked.stop_price is not None:
        stop = on_tick(desk, Decimal(asked.stop_price), down=order.side < 0)
        terms["stop"] = stop if stop is not None else Decimal(0)
    order.pending |= terms
    effective = desk.now + desk.scenario.latency
    order.amended_at = effective
    if _acts_at_once(desk, order, effective):
        order.adopt()
    desk.note(order, order.status, "amended")


def _amend_refusal(desk: Desk, order: Order, asked: Amend) -> str:
    """Return why an order cannot take new terms.

    "What cannot be amended (a price that the kind does not have, a quantity not above what has filled, another
    side, an order that has ended) is refused"; a number that no order may have is, with the reason of the number.
    """
    limits, stops = order.kind in ("limit", "stop-limit"), order.kind in ("stop", "stop-limit")
    if (asked.limit_price is not None and not limits) or (asked.stop_price is not None and not stops):
        return "amend-not-possible"
    if asked.stop_price is not None and order.triggered:
        return "amend-not-possible"
    if asked.quantity is not None:
        same_side = (asked.quantity > 0) == (order.side > 0)
        if not same_side or abs(Decimal(asked.quantity)) <= order.filled:
            return "amend-not-possible"
        if reason := _size_refusal(desk, abs(Decimal(asked.quantity))):
            return reason
    prices = [Decimal(price) for price in (asked.limit_price, asked.stop_price) if price is not None]
    return _price_refusal(desk, prices)
