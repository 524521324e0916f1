"""Equity rows, and what an account's close calls for. Quotations are from the page on accounts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from .accounts import NOTHING, Accounts
from .desk import Desk

COUNTED = ("commission", "dividends", "interest", "borrow", "funding")


@dataclass(frozen=True)
class Sample:
    """An equity row; ``quantities`` what is held."""

    session: int
    cash: Decimal
    equity: Decimal
    receivable: Decimal
    gross: Decimal
    net: Decimal
    stale: Decimal
    realised: Decimal
    unrealised: Decimal
    commission: Decimal
    dividends: Decimal
    interest: Decimal
    borrow: Decimal
    funding: Decimal
    fx_pnl: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    quantities: dict[str, Decimal]


@dataclass
class Sampler:
    """Takes equity rows and remembers what the next needs.

    Attributes:
        nets: Net assets less unrealised profit at the sample before, by account and currency.
        rates: Rates at the sample before.
        seen: Sums in their currency that have been counted.
        sums: The same in base currency, "converted at the rate of the sample at which it is first counted".
    """

    nets: dict[tuple[int, str], Decimal] = field(default_factory=dict)
    rates: dict[str, Decimal] = field(default_factory=dict)
    seen: dict[tuple[int, str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    sums: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def take(self, desk: Desk, session: int) -> Sample:
        """Return the row of a session's close."""
        accounts, rates, unrealised = desk.accounts, {}, NOTHING
        for (place, currency), purse in accounts.purses.items():
            net = accounts.net(place, currency)
            if not net and not any(vars(purse).values()) and (place, currency) not in self.nets:
                continue
            rate = accounts.rates.of(currency)
            # "net assets of a currency less unrealised profit at the sample before x the change of its rate, and what a
            # conversion gained or lost against the rate"; "unrealised profit at the present rate"
            self.sums["fx"] += self.nets.get((place, currency), NOTHING) * (rate - self.rates.get(currency, rate))
            self._count(place, currency, "fx", "converted", purse.converted, rate)
            for name in COUNTED:
                self._count(place, currency, name, name, getattr(purse, name), rate)
            self._count(place, currency, "realised", "realised", purse.realised, rate)
            mine = _unrealised(accounts, place, currency)
            unrealised += mine * rate
            self.nets[place, currency], rates[currency] = net - mine, rate
        self.rates |= rates
        places = range(len(desk.scenario.accounts))
        held = accounts.held()
        values = {symbol: accounts.value(symbol) for symbol in held}
        receivable = sum(
            (purse.receivable * self.rates.get(currency, NOTHING) for (_, currency), purse in accounts.purses.items()),
            NOTHING,
        )
        return Sample(
            session=session,
            cash=sum(map(accounts.cash, places), NOTHING),
            equity=sum(map(accounts.equity, places), NOTHING),
            receivable=receivable,
            gross=sum(map(abs, values.values()), NOTHING),
            net=sum(values.values(), NOTHING),
            stale=sum((abs(values[each]) for each in held if _is_stale(desk, each, session)), NOTHING),
            realised=self.sums["realised"],
            unrealised=unrealised,
            **{name: self.sums[name] for name in COUNTED},
            fx_pnl=self.sums["fx"],
            initial_margin=_margin(accounts, held, initial=True),
            maintenance_margin=_margin(accounts, held, initial=False),
            quantities={symbol: accounts.quantity(symbol) for symbol in held},
        )

    def _count(self, place: int, currency: str, into: str, name: str, now: Decimal, rate: Decimal) -> None:
        self.sums[into] += (now - self.seen[place, currency, name]) * rate
        self.seen[place, currency, name] = now


def _unrealised(accounts: Accounts, place: int, currency: str) -> Decimal:
    mine = [symbol for symbol in accounts.held(place) if accounts.scenario.currency(symbol) == currency]
    return sum(map(accounts.unrealised, mine), NOTHING)


def _margin(accounts: Accounts, held: list[str], *, initial: bool) -> Decimal:
    needed = [accounts.requirement(symbol, abs(accounts.quantity(symbol)), initial=initial) for symbol in held]
    return sum(needed, NOTHING)


def _is_stale(desk: Desk, symbol: str, session: int) -> bool:
    """Whether "its last price formed before the session that closes"."""
    formed = desk.marked_at.get(symbol)
    return formed is None or desk.session_of(formed) < session


def called(desk: Desk) -> list[int]:
    """Return the accounts that are called for margin.

    "where an account's equity is below its maintenance requirement sum of |quantity| x mark x multiplier x rate x
    maintenance margin"; "Equity at or below zero is a margin call of every account that holds a position"
    """
    found = []
    for place in range(len(desk.scenario.accounts)):
        held = desk.accounts.held(place)
        equity = desk.accounts.equity(place)
        unlimited = desk.scenario.accounts[place].type == "unlimited"
        needed = NOTHING if unlimited else _margin(desk.accounts, held, initial=False)
        if held and (equity <= 0 or equity < needed):
            found.append(place)
    return found
