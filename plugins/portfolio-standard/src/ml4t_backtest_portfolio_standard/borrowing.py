"""Borrowed shares: what a short position costs, and who lends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_portfolio_standard.dated import DatedFigures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["Borrowing"]


class Borrowing:
    """Rates and availability by account and symbol, as known now.

    Only what settles by value is borrowed.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.

    Attributes:
        limited: Whether any account has a table, so that not everything can be borrowed.
        costs: Whether anything can cost something.

    Raises:
        RunFileError: A rate is not finite, or a table lacks one.
    """

    def __init__(self, state: RunState, accounts: Sequence[Account]) -> None:
        self._state, self._accounts = state, accounts
        self._rates: list[float | DatedFigures] = [_rate_of(account) for account in accounts]
        self.limited = any(isinstance(rate, DatedFigures) for rate in self._rates)
        self.costs = self.limited or any(rate != 0.0 for rate in self._rates)
        self._names: list[str] = []
        self._rows_known: list[int] = []
        self._available = np.zeros(0)

    def rate(self, symbol: int) -> float:
        """Return the yearly rate of a symbol by the newest row known, 0 where there is none."""
        state = self._state
        found = self._rates[int(state.instruments["account"][symbol])]
        if not isinstance(found, DatedFigures):
            return found
        found.advance(state.now)
        return found.newest(state.symbols.names[symbol], "rate") or 0.0

    def available(self, out: NDArray[np.float64]) -> None:
        """Write how many units of each symbol may be short; inf where there is no limit."""
        state = self._state
        known = [rate.advance(state.now) for rate in self._rates if isinstance(rate, DatedFigures)]
        if known != self._rows_known or self._names != state.symbols.names:
            self._names, self._rows_known = state.symbols.names.copy(), known
            self._available = np.array([self._available_of(symbol) for symbol in range(len(self._names))], float)
        out[:] = self._available

    def _available_of(self, symbol: int) -> float:
        instrument = self._state.instruments[symbol]
        number = int(instrument["account"])
        rates = self._rates[number]
        if not isinstance(rates, DatedFigures) or instrument["settles"] != 0:
            return np.inf
        figure = rates.newest(self._names[symbol], "available")
        if figure is None:
            return np.inf if self._accounts[number].borrow_missing == "allow" else 0.0
        return np.inf if np.isnan(figure) else figure


def _rate_of(account: Account) -> float | DatedFigures:
    if not isinstance(account.borrow, int | float):
        return DatedFigures(account.borrow, f"borrow of account {account.name}", ["rate"], ["available"])
    if not np.isfinite(account.borrow):
        raise RunFileError(f"borrow of account {account.name} was {account.borrow}; give a yearly rate such as 0.003")
    return float(account.borrow)
