"""What a fill costs. Quotations are from the pages on costs and on matching."""

from __future__ import annotations

from decimal import Decimal

from .book import Order
from .prices import Meeting
from .scenario import Costs, FillRules


def price_paid(costs: Costs, rules: FillRules, side: int, meeting: Meeting) -> Decimal | None:
    """Return what is paid for one unit; None where the order then does not fill.

    "`price = reference + slippage + impact`. ... On a fill with reason `limit` or `limit-better`, slippage never
    makes the price worse than the limit: it is clipped to it (`beyond_limit = "wait"`: the order does not
    fill)." (matching) | `bps` | `d x bps / 10,000 x |r|` | (costs)
    """
    price = meeting.price + side * abs(meeting.price) * Decimal(str(costs.bps)) / 10_000
    if meeting.reason not in ("limit", "limit-better") or meeting.limit is None:
        return price
    if side * price <= side * meeting.limit:
        return price
    return None if rules.beyond_limit == "wait" else meeting.limit


def commission(costs: Costs, order: Order, quantity: Decimal, price: Decimal, multiplier: Decimal) -> Decimal:
    """Return the commission of a fill; the order still has what it had filled and paid before.

    "a fill pays what its order owes by now less what it has paid, and never less than 0"
    """
    rate, minimum = Decimal(str(costs.rate)), Decimal(str(costs.minimum))
    total = order.filled + quantity
    match costs.commission:
        case "per-share":
            # | `per-share` | `max(0, owed - C)` with `owed = max(minimum, rate x (F + |q|))`; with `maximum`, at
            # most `maximum x |(F + |q|) x p x m|`, also where that is below the minimum |
            owed = max(minimum, rate * total)
            if costs.maximum:
                owed = min(owed, Decimal(str(costs.maximum)) * abs(total * price * multiplier))
            return max(Decimal(0), owed - order.paid)
        case "percent":
            # | `percent` | `rate x |q x p x m|`; with a minimum that is not exceeded yet (`C <= minimum`),
            # `max(0, max(minimum, rate x |(F + |q|) x p x m|) - C)` |
            if minimum and order.paid <= minimum:
                return max(Decimal(0), max(minimum, rate * abs(total * price * multiplier)) - order.paid)
            return rate * abs(quantity * price * multiplier)
        case "per-trade":  # | `per-trade` | `amount` where `F` is 0, else 0 |
            return rate if order.filled == 0 else Decimal(0)
    return Decimal(0)
