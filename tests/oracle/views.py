"""What an order sees of a row. Words in quotation marks are those of the page on matching."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from .book import Order
from .scenario import Bar, FillRules, Quote, Row, Trade

Price = Decimal | None
OPEN, CLOSE = 0, 4


def exact(value: float | None) -> Price:
    """Return a number as it is, without rounding."""
    return None if value is None else Decimal(value)


@dataclass(frozen=True)
class View:
    """Open, high, low and close as an order sees them; None is unknown."""

    open: Price = None
    high: Price = None
    low: Price = None
    close: Price = None

    def is_empty(self) -> bool:
        """Whether nothing is seen."""
        return self.open is None and self.high is None and self.low is None and self.close is None

    def mirrored(self) -> View:
        """Return the view with all signs turned, in which a selling order is a buying one."""
        turn = {name: None if value is None else -value for name, value in vars(self).items()}
        return View(turn["open"], turn["low"], turn["high"], turn["close"])


NOTHING = View()


def whole(row: Row, side: int) -> View:
    """Return everything that a row shows to one side.

    "Where the range may be taken and high or low is null, the highest or lowest of the known fields of the bar
    stands for it." "A quote or trade is a view of its close only: for a quote the ask for a buy and the bid for
    a sell, for a trade its price."
    """
    match row:
        case Quote():
            return View(close=exact(row.ask if side > 0 else row.bid))
        case Trade():
            return View(close=exact(row.price))
        case Bar():
            fields = [exact(price) for price in (row.open, row.high, row.low, row.close)]
            known = [price for price in fields if price is not None]
            high = max(known, default=None) if row.high is None else exact(row.high)
            low = min(known, default=None) if row.low is None else exact(row.low)
            return View(exact(row.open), high, low, exact(row.close))


def what_is_left(view: View, price: Decimal, phase: int, path: str) -> View:
    """Return what provably comes after an event at a price in a phase.

    | the event was | what is left of the bar |
    | at the open | all of it |
    | in the range, E below the open | open = E, the same low, high = max(E, close) |
    | in the range, E above the open | open = E, the same high, low = min(E, close) |
    | in the range, E at the open, or the open unknown | open = E, high = max(E, close), low = min(E, close) |
    | at the close | nothing |

    "With open-high-low-close, an event of phase 1 leaves high and low as they are, one of phase 2 leaves low and
    takes max(E, close) for the high, one of phase 3 takes both from E and the close. Where the open is unknown it
    is the table."
    """
    if phase == OPEN:
        return replace(view, open=price)
    if phase == CLOSE:
        return NOTHING
    top = price if view.close is None else max(price, view.close)
    bottom = price if view.close is None else min(price, view.close)
    if path == "open-high-low-close" and view.open is not None:
        keeps_high, keeps_low = phase == 1, phase in (1, 2)
    else:
        keeps_high = view.open is not None and price > view.open and phase != 3
        keeps_low = view.open is not None and price < view.open and phase != 3
    return View(price, view.high if keeps_high else top, view.low if keeps_low else bottom, view.close)


@dataclass(frozen=True)
class Span:
    """From when, and until when, prices may be taken."""

    begin: int
    before: int | None = None
    until: int | None = None

    def ends_after(self, formed: int) -> bool:
        """Whether a price that formed then is not too late.

        "prices that form at or after `cancelled_at`, or after `expires_at`, are not taken"
        """
        return (self.before is None or formed < self.before) and (self.until is None or formed <= self.until)


def span_of(order: Order) -> Span:
    """Return the life of an order as it is without amendments."""
    return Span(order.begins, order.cancelled_at, order.expires_at)


def taken(row: Row, side: int, span: Span) -> View:
    """Return what may be taken of a row.

    | | formed at | may be taken where |
    | the open | `bar_start` | `bar_start >= from` |
    | the range | recorded as `event_time` | `bar_start >= from` |
    | the close | `event_time` | `event_time > from` |
    """
    view = whole(row, side)
    late_enough = span.ends_after(row.end)
    close = view.close if row.end > span.begin and late_enough else None
    if not isinstance(row, Bar) or row.start < span.begin:
        return View(close=close)
    opened = view.open if span.ends_after(row.start) else None
    return View(opened, view.high, view.low, close) if late_enough else View(opened)


def narrowed(order: Order, view: View, row: Row, rules: FillRules, *, ends_session: bool) -> View:
    """Return what the order's kind and time in force leave of a view.

    Args:
        order: Whose view it is.
        view: What may be taken.
        row: The row.
        rules: The rules of the run.
        ends_session: Whether the row is a bar that ends with a session.
    """
    # "`OPG` orders see the open of a session's first bar only, `CLS` orders the close of the bar that ends with
    # the session only"
    if order.time_in_force == "OPG":
        return View(open=view.open) if starts_in_its_session(order, row) else NOTHING
    if order.time_in_force == "CLS":
        its_own = order.closing is None or row.end >= order.closing
        return View(close=view.close) if ends_session and its_own else NOTHING
    # "With `sees = "close"`, stop and limit orders (not those on open) see the close only."
    if rules.sees == "close" and order.kind != "market":
        view = View(close=view.close)
    # "`IOC` and `FOK` orders the first price only: the open where it may be taken and is known, otherwise the
    # close"; a market order waits for the price that its rule names.
    if order.time_in_force in ("IOC", "FOK") and order.kind == "limit":
        view = View(close=view.close) if view.open is None else View(open=view.open)
    return view


def starts_in_its_session(order: Order, row: Row) -> bool:
    """Whether a row is a bar of the session whose open an OPG order is for."""
    return isinstance(row, Bar) and order.opening is not None and row.start >= order.opening
