"""What is paid for holding something. Quotations are from the page on accounts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .accounts import NOTHING, Accounts, Entry
from .terms import Account, Rate


@dataclass(frozen=True)
class Before:
    """What was held strictly before an instant."""

    quantities: dict[str, Decimal]
    cash: dict[tuple[int, str], Decimal]


def before(accounts: Accounts) -> Before:
    """Note what is held now."""
    quantities = {symbol: accounts.quantity(symbol) for symbol in accounts.held()}
    return Before(quantities, {key: purse.cash for key, purse in accounts.purses.items()})


def newest(rows: tuple[Rate, ...], symbol: str, now: int) -> Rate | None:
    """Return "a table's newest row known then"."""
    known = [row for row in rows if row.symbol == symbol and row.at <= now]
    return max(known, key=lambda row: row.at, default=None)


def at_a_close(accounts: Accounts, now: int, session: int, held: Before) -> None:
    """Pay borrow and interest for the time since the close before, and settle what is due."""
    closes = [close for _, close in accounts.scenario.sessions]
    if session:
        days = Decimal(closes[session] - closes[session - 1]) / 86_400
        for place, account in enumerate(accounts.scenario.accounts):
            _borrow(accounts, now, place, account, days, held)
            _interest(accounts, now, place, account, days, held)
    _settle(accounts, now, session)


def _borrow(accounts: Accounts, now: int, place: int, account: Account, days: Decimal, held: Before) -> None:
    """Pay "size x mark x multiplier x rate x days / `day_count`" for short positions."""
    for symbol, quantity in held.quantities.items():
        if quantity >= 0 or accounts.scenario.account(symbol) != place or accounts.settles(symbol) != "value":
            continue
        rate = account.borrow
        if not isinstance(rate, float):
            row = newest(rate, symbol, now)
            rate = row.rate if row else 0.0
        mark = accounts.marks.get(symbol, accounts.holding(symbol).average)
        amount = quantity * mark * accounts.multiplier(symbol) * Decimal(rate) * days / account.day_count
        if amount:
            currency = accounts.scenario.currency(symbol)
            accounts.purse(place, currency).borrow += amount
            accounts.post(Entry(now, "borrow", place, currency, amount, symbol))


def _interest(accounts: Accounts, now: int, place: int, account: Account, days: Decimal, held: Before) -> None:
    """Pay on what was borrowed, receive on what was left."""
    for (owner, currency), cash in held.cash.items():
        if owner != place:
            continue
        debit, credit = 0.0, 0.0
        if account.interest and isinstance(account.interest[0], Rate):
            row = newest(account.interest, currency, now)
            debit, credit = (row.rate, row.credit) if row else (0.0, 0.0)
        else:
            debit, credit = account.interest
        amount = cash * Decimal(debit if cash < 0 else credit) * days / account.day_count
        if amount:
            accounts.purse(place, currency).interest += amount
            accounts.post(Entry(now, "interest", place, currency, amount))


def _settle(accounts: Accounts, now: int, session: int) -> None:
    """Settle what is due: "`settled` says what, `amount` is 0"."""
    due = [each for each in accounts.unsettled if each[0] <= session]
    accounts.unsettled = [each for each in accounts.unsettled if each[0] > session]
    for _, place, currency, amount in due:
        accounts.purse(place, currency).settled += amount
        accounts.ledger.append(Entry(now, "settlement", place, currency, NOTHING, settled=amount))


def fund(accounts: Accounts, now: int, held: Before) -> None:
    """Pay funding: "quantity x mark x multiplier x rate is paid by longs and received by shorts"."""
    for place, account in enumerate(accounts.scenario.accounts):
        for row in account.funding:
            quantity = held.quantities.get(row.symbol, NOTHING)
            if row.at != now or not quantity or accounts.scenario.account(row.symbol) != place:
                continue
            mark = accounts.marks.get(row.symbol, accounts.holding(row.symbol).average)
            amount = -quantity * mark * accounts.multiplier(row.symbol) * Decimal(row.rate)
            currency = accounts.scenario.currency(row.symbol)
            accounts.purse(place, currency).funding += amount
            accounts.post(Entry(now, "funding", place, currency, amount, row.symbol))


def vary(accounts: Accounts, now: int) -> None:
    """Pay variation: "each session's close pays quantity x (mark - settled price) x multiplier into cash"."""
    for symbol in accounts.held():
        if accounts.settles(symbol) != "daily" or symbol not in accounts.marks:
            continue
        holding, mark = accounts.holding(symbol), accounts.marks[symbol]
        amount = holding.quantity * (mark - holding.basis) * accounts.multiplier(symbol)
        holding.basis = mark
        if amount:
            place, currency = accounts.scenario.account(symbol), accounts.scenario.currency(symbol)
            accounts.post(Entry(now, "variation", place, currency, amount, symbol))
