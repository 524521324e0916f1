"""What is paid for holding something: borrow, interest and funding, on what was held strictly before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_portfolio_standard.booking import place_of, post
from ml4t_backtest_portfolio_standard.dated import DatedFigures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account
    from ml4t_backtest_portfolio_standard.borrowing import Borrowing

__all__ = ["FOREVER", "Payments"]

FOREVER: Final = 2**63 - 1
_SIDES = ("debit", "credit")


class Payments:
    """Pays borrow and interest at each session's close, and funding at the instants of its table.

    Days are those between the labels of two sessions, so that a weekend is three days and half days are whole.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.
        borrowing: Rates of short positions.

    Attributes:
        next_due: The next instant of funding, UTC ns.
        label: Of the last session that closed, days since 1970-01-01; -1 before the first.

    Raises:
        RunFileError: A rate is missing or not finite.
    """

    def __init__(self, state: RunState, accounts: Sequence[Account], borrowing: Borrowing) -> None:
        self._state, self._accounts, self._borrowing = state, accounts, borrowing
        self._interest = [_interest_of(account) for account in accounts]
        self._funding = [
            None
            if account.funding is None
            else DatedFigures(account.funding, f"funding of account {account.name}", ["rate"])
            for account in accounts
        ]
        self._instants: list[int] = sorted({each for table in self._funding if table for each in table.instants})
        self._pays = borrowing.costs or any(each is not None for each in self._interest)
        self._place = 0
        self.label = -1

    @property
    def next_due(self) -> int:
        """The next instant of funding after now; before the first instant of a run nothing is due."""
        if self._place >= len(self._instants):
            return FOREVER
        now = self._state.now
        if now == 0:
            return FOREVER
        while self._place < len(self._instants) and self._instants[self._place] < now:
            self._place += 1
        return self._instants[self._place] if self._place < len(self._instants) else FOREVER

    def settle(self, session: int | None) -> None:
        """Pay what is due now.

        Args:
            session: Label of the session that closes now, days since 1970-01-01; None where none does.
        """
        days = 0 if session is None or self.label < 0 else session - self.label
        if session is not None:
            self.label = session
            self._borrowing.note_names()
        cash: NDArray[np.float64] | None = None
        if days > 0 and self._pays:
            cash = self._own_cash()
        if self._place < len(self._instants) and self._instants[self._place] <= self._state.now:
            self._fund()
        if cash is not None:
            self._pay_borrow(days)
            self._pay_interest(days, cash)

    def _fund(self) -> None:
        state = self._state
        self._place = int(np.searchsorted(self._instants, state.now, side="right"))
        for number, table in enumerate(self._funding):
            for name, figures in table.at(state.now) if table else ():
                symbol = state.symbols.id(name) if name in state.symbols else -1
                if symbol < 0 or int(state.instruments["account"][symbol]) != number:
                    continue
                self._pay(symbol, "funding", -self._value(symbol) * figures["rate"])

    def _pay_borrow(self, days: int) -> None:
        state = self._state
        if not self._borrowing.costs:
            return
        borrowed = (state.positions["quantity"] < 0.0) & (state.instruments["settles"] == 0)
        for symbol in np.flatnonzero(borrowed).tolist():
            account = self._accounts[int(state.instruments["account"][symbol])]
            part = self._borrowing.rate(symbol) * days / account.day_count
            self._pay(symbol, "borrow", self._value(symbol) * part)

    def _pay_interest(self, days: int, cash: NDArray[np.float64]) -> None:
        state = self._state
        for place in np.flatnonzero(cash).tolist():
            number, currency = divmod(place, len(state.currencies))
            interest = self._interest[number]
            if interest is None:
                continue
            side = "credit" if cash[place] > 0.0 else "debit"
            if isinstance(interest, DatedFigures):
                interest.advance(state.now)
                rate = interest.newest(state.currencies[currency], side) or 0.0
            else:
                rate = interest[side]
            amount = float(cash[place]) * rate * days / self._accounts[number].day_count
            if amount:
                state.accounts[place]["interest"] += amount
                post(state, place, "interest", amount)

    def _pay(self, symbol: int, kind: str, amount: float) -> None:
        if amount:
            place = place_of(self._state, symbol)
            self._state.accounts[place][kind] += amount
            post(self._state, place, kind, amount, symbol=symbol)

    def _value(self, symbol: int) -> float:
        """Return the signed value of a position at its mark, at cost without one, in its currency."""
        instrument, position = self._state.instruments[symbol], self._state.positions[symbol]
        price = instrument["mark"] if np.isfinite(instrument["mark"]) else position["average_price"]
        return float(position["quantity"] * price * instrument["multiplier"])

    def _own_cash(self) -> NDArray[np.float64]:
        """Return the cash of each row of ACCOUNT, without the proceeds of short sales that lenders hold."""
        state = self._state
        cash: NDArray[np.float64] = state.accounts["cash"].copy()
        held = [account.short_proceeds == "held" for account in self._accounts]
        if any(held):
            short = (state.positions["quantity"] < 0.0) & (state.instruments["settles"] == 0)
            for symbol in np.flatnonzero(short).tolist():
                instrument, position = state.instruments[symbol], state.positions[symbol]
                if held[int(instrument["account"])]:
                    proceeds = position["quantity"] * position["average_price"] * instrument["multiplier"]
                    cash[place_of(state, symbol)] += proceeds
        return cash


def _interest_of(account: Account) -> Mapping[str, float] | DatedFigures | None:
    """Return rates by side, a table of them, or None for no interest."""
    interest: Any = account.interest
    if interest is None:
        return None
    where = f"interest of account {account.name}"
    if not isinstance(interest, Mapping):
        return DatedFigures(interest, where, _SIDES)
    rates: dict[str, float] = dict.fromkeys(_SIDES, 0.0)
    for side, rate in interest.items():
        if side not in rates:
            raise RunFileError(f"{where}: {side!r} is not a known key; give debit and credit, yearly rates")
        if not isinstance(rate, int | float) or not np.isfinite(rate):
            raise RunFileError(f"{where}: {side} was {rate}; give a yearly rate such as 0.06")
        rates[side] = float(rate)
    return rates
