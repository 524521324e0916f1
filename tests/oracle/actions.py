"""What corporate actions do to positions, cash and marks. Quotations are from the page on corporate actions."""

from __future__ import annotations

from decimal import Decimal

from .accounts import NOTHING, STEP, Accounts, Entry
from .desk import Desk
from .restating import end_orders, restate
from .terms import Action
from .views import exact


def take_effect(desk: Desk, session: int) -> None:
    """Apply what goes ex with a session, "in the order of the table"."""
    for action in desk.scenario.actions:
        if action.session == session and action.symbol not in desk.gone:
            _apply(desk, action)


def pay(desk: Desk, session: int) -> None:
    """Pay what is due at the open of a session."""
    due = [each for each in desk.due if each[0] <= session]
    desk.due = [each for each in desk.due if each[0] > session]
    for _, entry in due:
        desk.accounts.purse(entry.account, entry.currency).receivable -= entry.amount
        desk.accounts.post(Entry(**{**vars(entry), "at": desk.now}))


def _apply(desk: Desk, action: Action) -> None:
    ratio, amount, value = exact(action.ratio), exact(action.amount), exact(action.value)
    symbol, mark = action.symbol, desk.marks.get(action.symbol)
    match action.kind:
        case "split" | "stock-dividend":
            assert ratio is not None
            factor = ratio if action.kind == "split" else 1 + ratio
            if mark is not None:
                desk.marks[symbol] = mark / factor
            restate(desk, symbol, factor)
            _split(desk, action, factor)
        case "dividend":
            assert amount is not None
            if mark is not None:
                desk.marks[symbol] = mark - amount
            cash = desk.accounts.quantity(symbol) * amount * desk.accounts.multiplier(symbol)
            _receive(desk, action, cash)
            desk.accounts.purse(*_purse_of(desk, symbol)).dividends += cash
        case "merger":
            end_orders(desk, symbol, "corporate-action")
            _merge(desk, action, ratio, amount or NOTHING)
            desk.gone.add(symbol)
        case "spin-off":
            assert ratio is not None
            if mark is not None:
                desk.marks[symbol] = mark - ratio * (value or NOTHING)
            if value is not None and action.new_symbol not in desk.marks:
                desk.marks[action.new_symbol] = value  # what the action states is no price that formed
            _spin_off(desk, action, ratio, value or NOTHING)
        case "delisting":
            end_orders(desk, symbol, "corporate-action")
            close_at(desk, symbol, mark if value is None else value, "delisting")
            if value is not None:
                desk.marks[symbol] = value
            desk.gone.add(symbol)


def _purse_of(desk: Desk, symbol: str) -> tuple[int, str]:
    return desk.scenario.account(symbol), desk.scenario.currency(symbol)


def _post(desk: Desk, kind: str, symbol: str, amount: Decimal, quantity: Decimal) -> None:
    account, currency = _purse_of(desk, symbol)
    desk.accounts.post(Entry(desk.now, kind, account, currency, amount, symbol, quantity=quantity))


def _realise(desk: Desk, symbol: str, amount: Decimal) -> None:
    desk.accounts.purse(*_purse_of(desk, symbol)).realised += amount
    desk.accounts.holding(symbol).realised += amount


def _receive(desk: Desk, action: Action, cash: Decimal) -> None:
    """Receive cash now or at the pay date: "receivable from the ex session on, cash at `pay_date`"."""
    if not cash:
        return
    account, currency = _purse_of(desk, action.symbol)
    entry = Entry(desk.now, action.kind, account, currency, cash, action.symbol)
    if action.pay is None or action.pay <= action.session:
        desk.accounts.post(entry)
        return
    desk.accounts.purse(account, currency).receivable += cash
    desk.due.append((action.pay, entry))


def _was_whole(desk: Desk, quantity: Decimal) -> bool:
    return quantity % desk.lot == 0


def _cut(desk: Desk, quantity: Decimal) -> Decimal:
    """Return what is left over beside whole lots, "cut off towards zero"."""
    return quantity - desk.whole_lots(abs(quantity)).copy_sign(quantity)


def _split(desk: Desk, action: Action, factor: Decimal) -> None:
    """Multiply a position; "Average price and lots are divided as the quantity is multiplied"."""
    symbol, holding = action.symbol, desk.accounts.holding(action.symbol)
    before = holding.quantity
    if not before:
        return
    after = (before * factor).quantize(STEP)
    holding.quantity = after
    holding.average /= factor
    holding.basis /= factor  # "adjusts the settled price too"
    _post(desk, action.kind, symbol, NOTHING, after - before)
    mark = desk.marks.get(symbol)
    left_over = _cut(desk, after)
    # "A position that was whole lots stays whole lots ... Without a mark nothing is cut off."
    if not _was_whole(desk, before) or mark is None or not left_over:
        return
    price = NOTHING if desk.accounts.settles(symbol) == "value" else holding.basis
    multiplier = desk.accounts.multiplier(symbol)
    _realise(desk, symbol, left_over * (mark - holding.average) * multiplier)
    holding.quantity -= left_over
    if not holding.quantity:
        holding.average = holding.basis = NOTHING
    _post(desk, "cash-in-lieu", symbol, left_over * (mark - price) * multiplier, -left_over)


def _merge(desk: Desk, action: Action, ratio: Decimal | None, amount: Decimal) -> None:
    """Let a position become cash, units of another instrument, or both."""
    symbol, holding = action.symbol, desk.accounts.holding(action.symbol)
    quantity, average = holding.quantity, holding.average
    if not quantity:
        return
    multiplier = desk.accounts.multiplier(symbol)
    if ratio is None:  # "where there is cash only, the difference is realised"
        _realise(desk, symbol, quantity * (amount - average) * multiplier)
    _receive(desk, action, quantity * amount * multiplier)
    holding.quantity = holding.average = holding.basis = NOTHING
    _post(desk, "merger", symbol, NOTHING, -quantity)
    if ratio is not None:
        # "the average price is the old one / ratio, after `amount` was taken off the old one"
        mark = desk.marks.get(action.new_symbol)
        _take_in(desk, action, quantity, ratio, (average - amount) / ratio, mark)


def _spin_off(desk: Desk, action: Action, ratio: Decimal, value: Decimal) -> None:
    """Give units of another instrument.

    "A spin-off takes ratio x `value` (0 without it) off the average price, and the new position costs `value` each."
    """
    holding = desk.accounts.holding(action.symbol)
    if not holding.quantity:
        return
    holding.average -= ratio * value
    holding.basis = holding.average
    _take_in(desk, action, holding.quantity, ratio, value, value)


def _take_in(desk: Desk, action: Action, old: Decimal, ratio: Decimal, cost: Decimal, mark: Decimal | None) -> None:
    symbol = action.new_symbol
    received = (old * ratio).quantize(STEP)
    left_over = _cut(desk, received) if _was_whole(desk, old) and mark is not None else NOTHING
    closed, average, _ = desk.accounts.holding(symbol).add(received - left_over, cost)
    multiplier = desk.accounts.multiplier(symbol)
    _realise(desk, symbol, closed * (cost - average) * multiplier)
    _post(desk, action.kind, symbol, NOTHING, received)
    if left_over and mark is not None:
        _realise(desk, symbol, left_over * (mark - cost) * multiplier)
        _post(desk, "cash-in-lieu", symbol, left_over * mark * multiplier, -left_over)


def close_at(desk: Desk, symbol: str, price: Decimal | None, kind: str) -> None:
    """Close a position at a price that no fill made: "Cut-off fractions, delistings and expiries realise"."""
    holding = desk.accounts.holding(symbol)
    quantity, average, basis = holding.quantity, holding.average, holding.basis
    if not quantity:
        return
    at = average if price is None else price
    multiplier = desk.accounts.multiplier(symbol)
    by_value = desk.accounts.settles(symbol) == "value"
    _realise(desk, symbol, quantity * (at - average) * multiplier)
    holding.quantity = holding.average = holding.basis = NOTHING
    _post(desk, kind, symbol, quantity * (at if by_value else at - basis) * multiplier, -quantity)


def expire(desk: Desk, accounts: Accounts, session: int) -> None:
    """Close what expires with a session: "at its close the position is closed at the mark" (instruments)."""
    for listing in desk.scenario.listings:
        if listing.expires == session and listing.symbol not in desk.gone:
            end_orders(desk, listing.symbol, "delisted")
            close_at(desk, listing.symbol, accounts.marks.get(listing.symbol), "expiry")
            desk.gone.add(listing.symbol)
