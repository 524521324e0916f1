"""What a strategy sees of accounts and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces.context import Position
from ml4t.backtest.interfaces.portfolio import Portfolio as Accounting
from ml4t.backtest.state import SETTLES, RunState
from ml4t_backtest_engine_standard.loop.marks import Marks

__all__ = ["AccountView", "Portfolio"]

Floats = NDArray[np.float64]
_VALUE = SETTLES.index("value")


class AccountView(NamedTuple):
    """One account as it is now, in base currency.

    Attributes:
        name: Its name.
        cash: Cash of all currencies.
        equity: Cash, receivable dividends and the worth of positions.
        gross_exposure: Sum of absolute position values.
        settled_cash: The part of cash that has settled; purchases come out of it at once.
    """

    name: str
    cash: float
    equity: float
    gross_exposure: float
    settled_cash: float


class _Accounts(dict[str, AccountView]):
    """Accounts by name, which say what they are called when asked for another."""

    def __missing__(self, name: str) -> AccountView:
        raise RunError(f"account {name!r} was asked for: this run has {', '.join(self)}")


class Portfolio:
    """Cash, equity, exposure and positions as known now, over all accounts; read-only, in base currency.

    Args:
        accounting: The portfolio.
        state: The run's columns.
        marks: Brings marks and rates up to date.
        names: Name of each account.
    """

    __slots__ = ("_accounting", "_marks", "_names", "_state")

    def __init__(self, accounting: Accounting, state: RunState, marks: Marks, names: Sequence[str]) -> None:
        self._accounting, self._state = accounting, state
        self._marks, self._names = marks, tuple(names)

    @property
    def cash(self) -> float:
        """Cash of all accounts and currencies."""
        if len(self._state.accounts) == 1:
            return float(self._state.accounts["cash"].item(0))
        return float(self._in_base("cash").sum())

    @property
    def receivable(self) -> float:
        """Dividends that are due and not paid."""
        return float(self._in_base("receivable").sum())

    @property
    def equity(self) -> float:
        """Cash, receivable dividends and marked positions."""
        self._fold()
        return self._accounting.equity()

    @property
    def gross_exposure(self) -> float:
        """Sum of absolute position values."""
        self._fold()
        return self._accounting.exposure()[0]

    @property
    def net_exposure(self) -> float:
        """Sum of signed position values."""
        self._fold()
        return self._accounting.exposure()[1]

    @property
    def accounts(self) -> dict[str, AccountView]:
        """Each account by its name, in the order of the settings; ``RunError`` for a name that none has."""
        cash, receivable, settled = (self._in_base(name) for name in ("cash", "receivable", "settled"))
        owner = self._state.accounts["account"]
        instruments, positions = self._state.instruments, self._state.positions
        held = np.flatnonzero(positions["quantity"])
        rows, position = instruments[held], positions[held]
        mark = np.where(np.isfinite(rows["mark"]), rows["mark"], position["average_price"])
        unit = position["quantity"] * rows["multiplier"] * self._rates()[rows["currency"]]
        worth = unit * np.where(rows["settles"] == _VALUE, mark, mark - position["basis"])
        return _Accounts(
            (
                name,
                AccountView(
                    name,
                    float(cash[own := owner == number].sum()),
                    float(cash[own].sum() + receivable[own].sum() + worth[its := rows["account"] == number].sum()),
                    float(np.abs(unit * mark)[its].sum()),
                    float(settled[own].sum()),
                ),
            )
            for number, name in enumerate(self._names)
        )

    @property
    def quantities(self) -> Floats:
        """Signed quantity per released symbol, float64 (n,)."""
        return self._state.positions["quantity"].copy()

    @property
    def positions(self) -> dict[str, Position]:
        """Positions that are not flat, by symbol, in the order of ``symbols``."""
        self._marks.fold()
        held = np.flatnonzero(self._state.positions["quantity"])
        found = [self.position(int(place)) for place in held]
        return {position.symbol: position for position in found}

    def cash_in(self, currency: str) -> float:
        """Return cash in one currency, of all accounts, in that currency.

        Raises:
            RunError: The run has no such currency.
        """
        currencies, accounts = self._state.currencies, self._state.accounts
        if currency not in currencies:
            raise RunError(f"cash in {currency!r} was asked for: this run has {', '.join(currencies)}")
        return float(accounts["cash"][accounts["currency"] == currencies.index(currency)].sum())

    def position(self, symbol_id: int) -> Position:
        """Return the position in one symbol, flat or not."""
        row, instrument = self._state.positions[symbol_id], self._state.instruments[symbol_id]
        return Position(
            symbol=self._state.symbols.names[symbol_id],
            quantity=float(row["quantity"]),
            average_price=float(row["average_price"]),
            mark=float(instrument["mark"]),
            realised=float(row["realised"]),
            currency=self._state.currencies[instrument["currency"]],
            account=self._names[instrument["account"]],
            multiplier=float(instrument["multiplier"]),
        )

    def _fold(self) -> None:
        self._marks.fold()
        self._marks.check()

    def _rates(self) -> Floats:
        rates = self._marks.rates
        return np.ones(1) if rates is None else rates.rates

    def _in_base(self, column: str) -> Floats:
        """Return amounts of all accounts and currencies in base currency, one per row of ACCOUNT."""
        accounts = self._state.accounts
        amounts: Floats = accounts[column].copy()
        if self._marks.rates is not None:
            self._fold()
            amounts[amounts != 0.0] *= self._rates()[accounts["currency"][amounts != 0.0]]
        return amounts
