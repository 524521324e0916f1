"""What a request may cost. Quotations are from the page on accounts, "Buying power"."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from .accounts import NOTHING
from .book import Order
from .desk import Desk
from .payments import newest
from .scenario import Amend, Bracket, Cancel, Oco, Place, Request
from .terms import Account

REFUSED_BY_MONEY = "no-buying-power"
SLACK = Decimal("1e-9")


@dataclass
class Verdicts:
    """What becomes of a round: reasons by name of order, sizes that were cut, reasons by place of an amendment."""

    refused: dict[str, str] = field(default_factory=dict)
    cut: dict[str, Decimal] = field(default_factory=dict)
    amendments: dict[int, str] = field(default_factory=dict)


@dataclass
class Wish:
    """One request as it is judged; ``quantity`` is signed, ``place`` the amendment's place in the round."""

    symbol: str
    quantity: Decimal
    name: str = ""
    place: int = -1
    market: bool = False


@dataclass
class Open:
    """What of a symbol is on its way, both sizes above 0, and what counts as filled, signed."""

    buys: Decimal = NOTHING
    sells: Decimal = NOTHING
    filled: Decimal = NOTHING

    def add(self, quantity: Decimal) -> None:
        """Count a signed quantity."""
        if quantity > 0:
            self.buys += quantity
        else:
            self.sells -= quantity

    def larger_side(self, position: Decimal) -> Decimal:
        """Return "max(|position + open buys|, |position - open sells|)"."""
        position += self.filled
        return max(abs(position + self.buys), abs(position - self.sells))


def judge(desk: Desk, requests: list[Request]) -> Verdicts:
    """Judge one round, "by what would result if every working order and every request of the round filled"."""
    verdicts = Verdicts()
    ended = {each.order for each in requests if isinstance(each, Cancel)}  # also what is made and ended in one round
    wishes = [wish for wish in _wishes(desk, requests) if wish.name not in ended]
    opens: dict[str, Open] = defaultdict(Open)
    for order in desk.working():
        if counts(order) and order.name not in ended:
            opens[order.symbol].add(order.side * (_whole(order) - order.filled))
    late = []
    for wish in wishes:  # "those that only reduce first"
        if _only_reduces(desk, opens[wish.symbol], wish) and wish.market and not _pays_cash(desk, wish.symbol):
            opens[wish.symbol].filled += wish.quantity  # "a market order that only reduces counts as filled"
        elif _only_reduces(desk, opens[wish.symbol], wish):
            opens[wish.symbol].add(wish.quantity)
        else:
            late.append(wish)
    for wish in late:
        account = desk.scenario.accounts[desk.scenario.account(wish.symbol)]
        reason = _refusal(desk, account, opens, wish)
        if reason == REFUSED_BY_MONEY and account.insufficient == "scale":
            reason = _scale(desk, account, opens, wish, verdicts)
        if reason and wish.place >= 0:
            verdicts.amendments[wish.place] = reason
        elif reason:
            verdicts.refused[wish.name] = reason
        else:
            opens[wish.symbol].add(wish.quantity)
    return verdicts


def counts(order: Order) -> bool:
    """Whether a working order counts as on its way: those that only close something do not."""
    return order.parent is None and not order.group and not order.reduce_only and order.cancelled_at is None


def _wishes(desk: Desk, requests: list[Request]) -> list[Wish]:
    found = []
    for place, request in enumerate(requests):
        match request:
            case Place() if not request.parent and not request.reduce_only:
                prices = request.limit_price, request.stop_price, request.trail_amount, request.trail_percent
                market = all(price is None for price in prices)
                found.append(Wish(request.symbol, _finite(request.quantity), request.name, market=market))
            case Bracket():
                market = request.entry_limit is None and request.entry_stop is None
                found.append(Wish(request.symbol, _finite(request.quantity), request.name, market=market))
            case Amend() if request.quantity is not None:
                order = desk.by_name.get(request.order)
                new = next((wish for wish in found if wish.name == request.order), None)
                if order is not None and counts(order) and order.is_open:
                    side, whole = order.side, _whole(order)
                elif new is not None:
                    side, whole = (1 if new.quantity > 0 else -1), abs(new.quantity)
                else:
                    continue
                more = abs(_finite(request.quantity)) - whole
                if (request.quantity > 0) == (side > 0) and more > 0:
                    symbol = order.symbol if order is not None else new.symbol if new is not None else ""
                    found.append(Wish(symbol, side * more, place=place))
            case Oco():
                pass
    return [wish for wish in found if wish.quantity]


def _whole(order: Order) -> Decimal:
    """Return the quantity that an order may come to have: an amendment downwards frees nothing before it holds."""
    return max(order.size, order.pending.get("size", order.size))


def _finite(quantity: float) -> Decimal:
    known = math.isfinite(quantity) and abs(quantity) <= 1e15  # others the broker refuses with a reason of their own
    return Decimal(quantity) if known else NOTHING


def _only_reduces(desk: Desk, on_its_way: Open, wish: Wish) -> bool:
    """Whether a wish goes "towards zero, counting working orders of that side"."""
    position = desk.accounts.quantity(wish.symbol) + on_its_way.filled
    if wish.quantity < 0:
        return position > 0 and on_its_way.sells - wish.quantity <= position
    return position < 0 and on_its_way.buys + wish.quantity <= -position


def _pays_cash(desk: Desk, symbol: str) -> bool:
    """Whether cash at hand pays for a symbol, so that a sale on its way brings some."""
    account = desk.scenario.accounts[desk.scenario.account(symbol)]
    judged = account.check in ("submit", "both")
    return judged and account.type == "cash" and desk.accounts.settles(symbol) == "value"


def _refusal(desk: Desk, account: Account, opens: dict[str, Open], wish: Wish) -> str:
    after = _with(opens, wish)
    if reason := _not_borrowable(desk, account, after[wish.symbol], wish):
        return reason
    if account.type == "unlimited" or account.check not in ("submit", "both"):
        return ""
    if wish.symbol not in desk.marks:
        return "no-mark"
    by_value = desk.accounts.settles(wish.symbol) == "value"
    if account.type == "cash" and wish.quantity < 0 and by_value:
        below_zero = desk.accounts.quantity(wish.symbol) < after[wish.symbol].sells
        return "short-not-allowed" if below_zero else ""
    place = desk.scenario.account(wish.symbol)
    equity = desk.accounts.equity(place)
    if equity <= 0:  # "Where equity is zero or below only reducing orders pass."
        return REFUSED_BY_MONEY
    mine = [symbol for symbol in {*after, *desk.accounts.held()} if desk.scenario.account(symbol) == place]
    if account.type == "margin":
        needed = [_needed(desk, symbol, after.get(symbol, Open())) for symbol in mine]
        return REFUSED_BY_MONEY if _exceeds(sum(needed, NOTHING), equity) else ""
    paid = [symbol for symbol in mine if desk.accounts.settles(symbol) == "value"]
    cost = sum((_at_marks(desk, symbol, after[symbol].buys) for symbol in paid if symbol in after), NOTHING)
    # "instruments that do not settle by value claim their initial margin"
    cost += sum((_needed(desk, each, after.get(each, Open())) for each in mine if each not in paid), NOTHING)
    hand = desk.accounts.cash(place, settled=not account.use_unsettled)
    if account.use_unsettled:
        hand += sum((_at_marks(desk, symbol, after[symbol].sells) for symbol in paid if symbol in after), NOTHING)
    return REFUSED_BY_MONEY if _exceeds(cost, hand) else ""


def _exceeds(needed: Decimal, there: Decimal) -> bool:
    """Whether something is too much by more than a rounding."""
    return needed > there + abs(there) * SLACK


def _with(opens: dict[str, Open], wish: Wish) -> dict[str, Open]:
    after = {symbol: Open(each.buys, each.sells, each.filled) for symbol, each in opens.items()}
    after.setdefault(wish.symbol, Open()).add(wish.quantity)
    return after


def _needed(desk: Desk, symbol: str, on_its_way: Open) -> Decimal:
    units = on_its_way.larger_side(desk.accounts.quantity(symbol))
    return desk.accounts.requirement(symbol, units, initial=True)


def _at_marks(desk: Desk, symbol: str, quantity: Decimal) -> Decimal:
    if not quantity:
        return NOTHING
    rate = desk.accounts.rates.of(desk.scenario.currency(symbol))
    return quantity * desk.marks.get(symbol, NOTHING) * desk.accounts.multiplier(symbol) * rate


def _not_borrowable(desk: Desk, account: Account, after: Open, wish: Wish) -> str:
    """Refuse what nobody lends: "selling short a symbol without a row, or more than `available`"."""
    short = after.sells - desk.accounts.quantity(wish.symbol) - after.filled
    nothing_to_lend = isinstance(account.borrow, float) or desk.accounts.settles(wish.symbol) != "value"
    if wish.quantity > 0 or short <= 0 or nothing_to_lend:
        return ""
    row = newest(account.borrow, wish.symbol, desk.now)
    if row is None:
        return "" if account.borrow_missing == "allow" else "not-borrowable"
    return "not-borrowable" if row.available is not None and short > Decimal(row.available) else ""


def _scale(desk: Desk, account: Account, opens: dict[str, Open], wish: Wish, verdicts: Verdicts) -> str:
    """Cut a wish: "a single order is cut, to whole lots, so that it passes"."""
    side = Decimal(1).copy_sign(wish.quantity)
    low, high = 0, int(abs(wish.quantity) // desk.lot)
    while low < high:
        middle = (low + high + 1) // 2
        part = Wish(wish.symbol, side * middle * desk.lot, wish.name)
        passes = _only_reduces(desk, opens[wish.symbol], part) or not _refusal(desk, account, opens, part)
        low, high = (middle, high) if passes else (low, middle - 1)
    if not low or wish.place >= 0:
        return REFUSED_BY_MONEY
    wish.quantity = side * low * desk.lot
    verdicts.cut[wish.name] = low * desk.lot
    return ""


def affords(desk: Desk, order: Order, quantity: Decimal, price: Decimal, cost: Decimal) -> bool:
    """Whether a fill can be paid for: "a cash account cannot pay more than its cash (commission included)"."""
    place = desk.scenario.account(order.symbol)
    account = desk.scenario.accounts[place]
    position = desk.accounts.quantity(order.symbol)
    after = position + quantity
    reduces = abs(after) <= abs(position) and position * after >= 0
    if account.check not in ("fill", "both") or account.type == "unlimited" or reduces:
        return True
    if desk.accounts.equity(place) <= 0:
        return False
    marked = {order.symbol: desk.marks.get(order.symbol, price)}
    units = {symbol: abs(desk.accounts.quantity(symbol)) for symbol in desk.accounts.held(place)} | {
        order.symbol: abs(after)
    }
    needed = {
        symbol: desk.accounts.requirement(symbol, each, initial=True, at=marked.get(symbol))
        for symbol, each in units.items()
    }
    rate = desk.accounts.rates.of(desk.scenario.currency(order.symbol))
    if account.type == "margin":
        return not _exceeds(sum(needed.values(), NOTHING), desk.accounts.equity(place) - cost * rate)
    by_value = desk.accounts.settles(order.symbol) == "value"
    if by_value and after < 0 and quantity < 0:
        return False  # nothing is sold below zero
    paid = (quantity * price * desk.accounts.multiplier(order.symbol) if by_value else NOTHING) + cost
    claimed = [each for symbol, each in needed.items() if desk.accounts.settles(symbol) != "value"]
    hand = desk.accounts.cash(place, settled=not account.use_unsettled)
    return not _exceeds(paid * rate + sum(claimed, NOTHING), hand)
