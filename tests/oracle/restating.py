"""What corporate actions do to working orders. Quotations are from the page on corporate actions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from .accounts import STEP
from .book import Order
from .desk import Desk
from .requests import on_tick
from .scenario import Bar, Quote, Row


def end_orders(desk: Desk, symbol: str, reason: str) -> None:
    """End all orders of a symbol, held ones too."""
    for order in _orders_of(desk, symbol):
        desk.note(order, "cancelled", reason)


def restate(desk: Desk, symbol: str, factor: Decimal) -> None:
    """Multiply quantities and divide prices of the orders of a symbol.

    "A split (stock dividend) multiplies the quantity of each working order of the symbol, filled part and remainder
    alike, and divides limit, stop, trail amount, limit offset and the extreme of a trailing stop."
    """
    if symbol in desk.newest:  # the volume that a cap looks back at is counted in the new units
        desk.newest[symbol] = _scaled(desk.newest[symbol], float(factor))
    nothing_left = []
    for order in _orders_of(desk, symbol):
        if order.amended_at is not None and order.amended_at <= desk.now:
            order.adopt()  # no price that forms earlier is still to come
        size = order.size
        filled = (order.filled * factor).quantize(STEP)
        order.size = filled + _left(desk, size - order.filled, factor)
        order.original = order.size + (order.original - size) * factor
        if "size" in order.pending:
            order.pending["size"] = filled + _left(desk, order.pending["size"] - order.filled, factor)
        order.filled = filled
        _divide(desk, order, factor)
        if max(order.remaining, order.pending.get("size", order.size) - order.filled) <= 0:
            nothing_left.append((order, "cancelled", "corporate-action"))
        else:
            if "size" in order.pending and order.pending["size"] <= order.filled:
                order.emptied_by = "corporate-action"
            desk.note(order, order.status, "corporate-action")
    # "An order of which nothing is left ends as `cancelled` ..., and its children and group end as they do with
    # any cancel."
    desk.end_all(nothing_left)


def _orders_of(desk: Desk, symbol: str) -> list[Order]:
    return [each for each in desk.orders if each.symbol == symbol and not each.is_over and each.status != "pending"]


def _left(desk: Desk, remaining: Decimal, factor: Decimal) -> Decimal:
    """Return a remainder in new units: "The remainder is truncated to lots"."""
    return desk.whole_lots(remaining * factor) if remaining % desk.lot == 0 else (remaining * factor).quantize(STEP)


def _divide(desk: Desk, order: Order, factor: Decimal) -> None:
    # "prices are put on the tick, to the side that is worse for the order"
    buys = order.side > 0
    order.limit = on_tick(desk, None if order.limit is None else order.limit / factor, down=buys)
    order.stop = on_tick(desk, None if order.stop is None else order.stop / factor, down=not buys)
    for name in ("level", "trail_amount", "limit_offset"):
        value = getattr(order, name)
        setattr(order, name, None if value is None else value / factor)
    for name, down in (("limit", buys), ("stop", not buys)):
        if name in order.pending:
            price = on_tick(desk, order.pending[name] / factor, down=down)
            assert price is not None
            order.pending[name] = price


def _scaled(row: Row, factor: float) -> Row:
    match row:
        case Bar():
            return replace(row, volume=None if row.volume is None else row.volume * factor)
        case Quote():
            sizes = [None if size is None else size * factor for size in (row.bid_size, row.ask_size)]
            return replace(row, bid_size=sizes[0], ask_size=sizes[1])
    return replace(row, size=None if row.size is None else row.size * factor)
