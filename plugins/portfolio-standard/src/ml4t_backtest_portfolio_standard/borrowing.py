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

    Only what settles by value is borrowed. Rows are of a ticker: those of the present one count, and where there are
    none those of the one before, so that a symbol change needs no rows of its own.

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
        self._tickers: list[list[str]] = []  # of each symbol, the present one first
        self._rows_known: list[int] = []
        self._available = np.zeros(0)

    def rate(self, symbol: int) -> float:
        """Return the yearly rate of a symbol by the newest row known, 0 where there is none."""
        found = self._rates[int(self._state.instruments["account"][symbol])]
        if not isinstance(found, DatedFigures):
            return found
        found.advance(self._state.now)
        return self._newest(found, symbol, "rate") or 0.0

    def note_names(self) -> None:
        """Note symbols that are new or have another name; called at each session's close."""
        names = self._state.symbols.names
        if not self.limited or names == self._names:
            return
        self._tickers.extend([name] for name in names[len(self._tickers) :])
        for tickers, name in zip(self._tickers, names, strict=True):
            if tickers[0] != name:
                tickers.insert(0, name)
        self._names, self._rows_known = names.copy(), []

    def available(self, out: NDArray[np.float64]) -> None:
        """Write how many units of each symbol may be short; inf where there is no limit."""
        state = self._state
        known = [rate.advance(state.now) for rate in self._rates if isinstance(rate, DatedFigures)]
        self.note_names()
        if known != self._rows_known:
            self._rows_known = known
            self._available = np.array([self._available_of(symbol) for symbol in range(len(self._names))], float)
        out[:] = self._available

    def _newest(self, rates: DatedFigures, symbol: int, name: str) -> float | None:
        self.note_names()
        figures = (rates.newest(ticker, name) for ticker in self._tickers[symbol])
        return next((figure for figure in figures if figure is not None), None)

    def _available_of(self, symbol: int) -> float:
        instrument = self._state.instruments[symbol]
        number = int(instrument["account"])
        rates = self._rates[number]
        if not isinstance(rates, DatedFigures) or instrument["settles"] != 0:
            return np.inf
        figure = self._newest(rates, symbol, "available")
        if figure is None:
            return np.inf if self._accounts[number].borrow_missing == "allow" else 0.0
        return np.inf if np.isnan(figure) else figure


def _rate_of(account: Account) -> float | DatedFigures:
    if not isinstance(account.borrow, int | float):
        return DatedFigures(account.borrow, f"borrow of account {account.name}", ["rate"], ["available"])
    if not np.isfinite(account.borrow):
        raise RunFileError(f"borrow of account {account.name} was {account.borrow}; give a yearly rate such as 0.003")
    return float(account.borrow)
