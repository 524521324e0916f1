"""Cash, positions and the ledger of every account. Quotations are from the pages on accounts and on instruments."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from .book import Order
from .rates import Rates
from .scenario import Scenario
from .views import exact

NOTHING = Decimal(0)
STEP = Decimal("1e-9")


@dataclass
class Holding:
    """What is held of a symbol, what it cost, and up to which price its profits are in cash (``basis``)."""

    quantity: Decimal = NOTHING
    average: Decimal = NOTHING
    basis: Decimal = NOTHING
    realised: Decimal = NOTHING

    def add(self, quantity: Decimal, price: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Trade; return what closed (signed as the position was), at which average and at which basis."""
        closed = NOTHING
        average, basis = self.average, self.basis
        if self.quantity * quantity < 0:
            closed = min(abs(quantity), abs(self.quantity)).copy_sign(self.quantity)
        opened = quantity + closed
        kept = self.quantity - closed
        if opened and kept:
            self.average = (kept * self.average + opened * price) / (kept + opened)
            self.basis = (kept * self.basis + opened * price) / (kept + opened)
        elif opened:
            self.average = self.basis = price
        self.quantity = (kept + opened).quantize(STEP)
        if not self.quantity:
            self.average = self.basis = NOTHING
        return closed, average, basis


@dataclass(frozen=True)
class Entry:
    """A row of the ledger: cash that moved, and what moved the position other than a fill."""

    at: int
    kind: str
    account: int
    currency: str
    amount: Decimal
    symbol: str = ""
    order: int = -1
    quantity: Decimal = NOTHING
    settled: Decimal = NOTHING


@dataclass
class Purse:
    """An account's money in one currency; all but cash, settled and receivable are sums since the start."""

    cash: Decimal = NOTHING
    settled: Decimal = NOTHING
    receivable: Decimal = NOTHING
    realised: Decimal = NOTHING
    commission: Decimal = NOTHING
    dividends: Decimal = NOTHING
    interest: Decimal = NOTHING
    borrow: Decimal = NOTHING
    funding: Decimal = NOTHING
    converted: Decimal = NOTHING
    deposits: Decimal = NOTHING


@dataclass
class Accounts:
    """All accounts of a run.

    Attributes:
        unsettled: (session at whose close it settles, account, currency, amount).
    """

    scenario: Scenario
    marks: dict[str, Decimal]
    rates: Rates
    purses: dict[tuple[int, str], Purse] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)
    unsettled: list[tuple[int, int, str, Decimal]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for place, account in enumerate(self.scenario.accounts):
            for currency, amount in account.capital:
                purse = self.purse(place, currency)
                purse.deposits += Decimal(amount)
                self.post(Entry(-1, "deposit", place, currency, Decimal(amount)))

    def purse(self, account: int, currency: str) -> Purse:
        """Return an account's money in a currency."""
        return self.purses.setdefault((account, currency), Purse())

    def holding(self, symbol: str) -> Holding:
        """Return what is held of a symbol."""
        return self.holdings.setdefault(symbol, Holding())

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed position."""
        return self.holdings[symbol].quantity if symbol in self.holdings else NOTHING

    def multiplier(self, symbol: str) -> Decimal:
        """Return the value of one unit at price 1."""
        return Decimal(self.scenario.listing(symbol).multiplier)

    def settles(self, symbol: str) -> str:
        """Return how value changes hands."""
        kinds = {"perpetual": "close", "future": "daily"}
        return kinds.get(self.scenario.listing(symbol).asset_class, "value")

    def post(self, entry: Entry, settles_later: int | None = None) -> None:
        """Write a row of the ledger and move its cash, which settles at once but for what a session is named for."""
        purse = self.purse(entry.account, entry.currency)
        purse.cash += entry.amount
        if settles_later is None:
            purse.settled += entry.amount
        else:
            self.unsettled.append((settles_later, entry.account, entry.currency, entry.amount))
        self.ledger.append(entry)

    def fill(self, now: int, session: int, order: Order, quantity: Decimal, price: Decimal, cost: Decimal) -> None:
        """Apply a fill.

        | `value` | a fill moves quantity x price x multiplier |
        | `close` | nothing; what closes pays closed x (price - average price) x multiplier |
        | `daily` | as `close`, from the last settlement |
        """
        symbol, place = order.symbol, self.scenario.account(order.symbol)
        terms, currency = self.scenario.accounts[place], self.scenario.currency(symbol)
        holding, multiplier, purse = self.holding(symbol), self.multiplier(symbol), self.purse(place, currency)
        closed, average, basis = holding.add(quantity, price)
        purse.realised += closed * (price - average) * multiplier
        holding.realised += closed * (price - average) * multiplier
        by_value = self.settles(symbol) == "value"
        amount = -quantity * price * multiplier if by_value else closed * (price - basis) * multiplier
        later = None
        converts = terms.convert == "at-fill" and currency != self.scenario.base
        if terms.settlement_days and by_value and amount > 0:
            # "settles at the close of the N-th session after the fill's session"; "Purchases come out of settled
            # cash at once. Instruments that do not settle by value settle at once."
            later = session + terms.settlement_days
        self.post(Entry(now, "fill", place, currency, amount, symbol, order.id), None if converts else later)
        if cost:
            purse.commission += cost
            self.post(Entry(now, "commission", place, currency, -cost, symbol, order.id))
        if converts and amount - cost:
            self._convert(now, place, currency, amount - cost, order)
            if later is not None:  # what the sale brought settles as what it became
                became = amount * self.rates.of(currency)
                self.purse(place, self.scenario.base).settled -= became
                self.unsettled.append((later, place, self.scenario.base, became))

    def _convert(self, now: int, place: int, currency: str, amount: Decimal, order: Order) -> None:
        base, rate = self.scenario.base, self.rates.of(currency)
        self.purse(place, currency).converted -= amount
        self.purse(place, base).converted += amount * rate
        self.post(Entry(now, "conversion", place, currency, -amount, order.symbol, order.id))
        self.post(Entry(now, "conversion", place, base, amount * rate, order.symbol, order.id))

    def worth(self, symbol: str) -> Decimal:
        """Return what a position is worth. "A position without a mark is worth its average price." """
        holding = self.holding(symbol)
        mark = self.marks.get(symbol, holding.average)
        if self.settles(symbol) == "value":
            return holding.quantity * mark * self.multiplier(symbol)
        return holding.quantity * (mark - holding.basis) * self.multiplier(symbol)

    def unrealised(self, symbol: str) -> Decimal:
        """Return the profit of what is held: that of trading, whatever was settled."""
        holding = self.holding(symbol)
        mark = self.marks.get(symbol, holding.average)
        return holding.quantity * (mark - holding.average) * self.multiplier(symbol)

    def value(self, symbol: str) -> Decimal:
        """Return quantity x mark x multiplier in base currency."""
        holding = self.holding(symbol)
        mark = self.marks.get(symbol, holding.average)
        if not holding.quantity:
            return NOTHING
        return holding.quantity * mark * self.multiplier(symbol) * self.rates.of(self.scenario.currency(symbol))

    def held(self, account: int | None = None) -> list[str]:
        """Return the symbols held, in one account or in all."""
        return [
            symbol
            for symbol, holding in self.holdings.items()
            if holding.quantity and account in (None, self.scenario.account(symbol))
        ]

    def net(self, account: int, currency: str) -> Decimal:
        """Return "worth of positions + cash + receivable dividends" of an account in a currency."""
        purse = self.purse(account, currency)
        mine = [symbol for symbol in self.held(account) if self.scenario.currency(symbol) == currency]
        return purse.cash + purse.receivable + sum(map(self.worth, mine), NOTHING)

    def equity(self, account: int) -> Decimal:
        """Return an account's equity in base currency."""
        currencies = [currency for place, currency in list(self.purses) if place == account]
        nets = {currency: self.net(account, currency) for currency in currencies}
        return sum((net * self.rates.of(currency) for currency, net in nets.items() if net), NOTHING)

    def cash(self, account: int, *, settled: bool = False) -> Decimal:
        """Return an account's cash in base currency, all of it or what has settled."""
        total = NOTHING
        for (place, currency), purse in self.purses.items():
            amount = purse.settled if settled else purse.cash
            if place == account and amount:
                total += amount * self.rates.of(currency)
        return total

    def requirement(self, symbol: str, units: Decimal, *, initial: bool, at: Decimal | None = None) -> Decimal:
        """Return the margin of so many units in base currency, at the mark or at a price.

        "An instrument's `initial_margin` (a fraction) or `initial_per_unit` (an amount for each unit) takes the
        place of the account's."
        """
        listing, account = self.scenario.listing(symbol), self.scenario.accounts[self.scenario.account(symbol)]
        rate = self.rates.of(self.scenario.currency(symbol)) if units else NOTHING
        per_unit = exact(listing.initial_per_unit if initial else listing.maintenance_per_unit)
        if per_unit is not None:
            return units * per_unit * rate
        stated = listing.initial_margin if initial else listing.maintenance_margin
        usual = account.initial_margin if initial else account.maintenance_margin
        fraction = Decimal(usual if stated is None else stated)
        mark = self.marks.get(symbol, self.holding(symbol).average) if at is None else at
        return units * abs(mark) * self.multiplier(symbol) * rate * fraction
