"""Rates of exchange: the marks of pairs of currencies, as ACCOUNT.rate has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import RunError
from ml4t.backtest.state import RunState

__all__ = ["Rates"]

_EPOCH = date(1970, 1, 1)
_DAY = 86_400 * 10**9


class Rates:
    """Keeps the rate of each currency in base currency at the marks of the pairs released so far.

    A rate is the mark of the pair, one over that of the reverse pair, or the product of two such legs by way of one
    third currency, in this order, third currencies by name; the first of which all marks are known counts. Of two
    pairs of the same currencies the one that the settings name first counts.

    Args:
        state: The run's columns.
        names: Name of each account, for messages.
        ages: Sessions after which a rate is too old, for each account.

    Attributes:
        rates: float64 (n,), of each currency in base currency; NaN while it is not known.
    """

    def __init__(self, state: RunState, names: Sequence[str], ages: Sequence[int]) -> None:
        self._state, self._names, self._ages = state, names, ages
        self.rates: NDArray[np.float64] = np.full(len(state.currencies), np.nan)
        self.rates[0] = 1.0
        self._formed: NDArray[np.int64] = np.zeros(len(state.currencies), np.int64)
        self._thirds = sorted(range(1, len(state.currencies)), key=lambda each: state.currencies[each])
        self._pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._symbols: NDArray[np.int64] = np.zeros(0, np.int64)
        self._seen: NDArray[np.void] = state.instruments[["mark", "mark_time"]]
        self._write()

    def add(self, symbol: int, base: str, place: int) -> None:
        """Take the marks of one more symbol.

        Args:
            symbol: Its id.
            base: The currency that it is the price of, in the instrument's currency.
            place: Of its entry among those of instruments.
        """
        pair = self._state.currencies.index(base), int(self._state.instruments["currency"][symbol])
        self._pairs[pair] = sorted([*self._pairs.get(pair, ()), (place, symbol)])
        self._symbols = np.append(self._symbols, symbol)

    def update(self) -> None:
        """Take over the marks of pairs; call it where marks were brought up to date."""
        marks = self._state.instruments[["mark", "mark_time"]][self._symbols]
        if np.array_equal(marks, self._seen):
            return
        self._seen = marks
        for currency in range(1, len(self.rates)):
            self.rates[currency], self._formed[currency] = self._find(currency)
        self._write()

    def require(self, currencies: Iterable[int], account: int, what: str) -> None:
        """Stop the run where a rate is not known or too old.

        Args:
            currencies: Those that are needed.
            account: Number of the account that needs them.
            what: What needs them, for the message.

        Raises:
            RunError: With currency, date, and what to add.
        """
        for currency in set(currencies) - {0}:
            if np.isnan(self.rates[currency]):
                self._stop(currency, account, what, "has no rate yet")
            age = self._age(currency)
            if age > self._ages[account]:
                day, most = _date(int(self._formed[currency])), self._ages[account]
                self._stop(currency, account, what, f"has a rate of {day}, {age} sessions old (max_fx_age {most})")

    def check(self) -> None:
        """Stop the run where a balance or a position is in a currency whose rate is not known or too old."""
        state = self._state
        accounts = state.accounts
        holds = (accounts["cash"] != 0.0) | (accounts["receivable"] != 0.0)
        for row in np.flatnonzero(holds & (accounts["currency"] > 0)).tolist():
            account, currency = int(accounts["account"][row]), int(accounts["currency"][row])
            self.require([currency], account, f"{float(accounts['cash'][row]):,.2f} of cash")
        instruments = state.instruments
        held = np.flatnonzero((state.positions["quantity"] != 0.0) & (instruments["currency"] > 0))
        for symbol in held.tolist():
            row = instruments[symbol]
            self.require([int(row["currency"])], int(row["account"]), f"the position in {state.symbols.names[symbol]}")

    def needed(self, symbols: NDArray[np.integer]) -> None:
        """Stop the run where orders of symbols are in a currency whose rate is not known or too old."""
        instruments = self._state.instruments
        known = symbols[(symbols >= 0) & (symbols < len(instruments))]
        for symbol in np.unique(known[instruments["currency"][known] > 0]).tolist():
            row = instruments[symbol]
            what = f"an order of {self._state.symbols.names[symbol]}"
            self.require([int(row["currency"])], int(row["account"]), what)

    def _find(self, currency: int) -> tuple[float, int]:
        """Return rate and the time of its older mark; NaN where there is none."""
        rate, formed = self._leg(currency, 0)
        third = (each for each in self._thirds if each != currency)
        while np.isnan(rate) and (by := next(third, 0)):
            (first, one), (second, other) = self._leg(currency, by), self._leg(by, 0)
            rate, formed = first * second, min(one, other)
        return rate, formed

    def _leg(self, base: int, quote: int) -> tuple[float, int]:
        """Return the price of one currency in another by a pair or its reverse."""
        instruments = self._state.instruments
        for pair, reverse in (((base, quote), False), ((quote, base), True)):
            for _, symbol in self._pairs.get(pair, ()):
                mark = float(instruments["mark"][symbol])
                if 0.0 < mark < np.inf:
                    return (1.0 / mark if reverse else mark), int(instruments["mark_time"][symbol])
        return np.nan, 0

    def _age(self, currency: int) -> int:
        """Return how many sessions lie between that in which a rate formed and the present one."""
        formed, now = np.searchsorted(self._state.session_closes, [self._formed[currency], self._state.now])
        return int(now - formed)

    def _write(self) -> None:
        accounts = self._state.accounts
        accounts["rate"] = self.rates[accounts["currency"]]

    def _stop(self, currency: int, account: int, what: str, problem: str) -> None:
        state = self._state
        name, base = state.currencies[currency], state.currencies[0]
        remedy = f'add prices of a pair with asset_class = "fx", base = "{name}", currency = "{base}", or the reverse'
        who = f"{what} of account {self._names[account]}"
        raise RunError(f"currency {name} {problem} in {base} on {_date(state.now)}, which {who} needs: {remedy}")


def _date(instant: int) -> date:
    return _EPOCH + timedelta(days=instant // _DAY)
