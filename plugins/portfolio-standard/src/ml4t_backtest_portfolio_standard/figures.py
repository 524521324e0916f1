"""What strategies see of a portfolio: sums at present marks and rates, and nothing of tables with later rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from ml4t.backtest import state as tables
from ml4t_backtest_portfolio_standard import totals
from ml4t_backtest_portfolio_standard.compiling import columns, keep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["NEVER", "Figures"]

NEVER: Final = int(np.iinfo(np.int64).min)


class Figures:
    """Equity and exposures in base currency.

    Args:
        state: The run's columns.
        rules: float64 (n_accounts, >= 2): fractions of initial and maintenance margin.

    Attributes:
        rules: As given.
        totals: float64, where sums are written.
    """

    def __init__(self, state: RunState, rules: NDArray[np.float64]) -> None:
        self._state, self.rules = state, rules
        self.totals = np.zeros(len(totals.TOTALS))

    def equity(self) -> float:
        """Return cash plus worth of positions plus receivable dividends."""
        return float(self.sums()[totals.EQUITY])

    def exposure(self) -> tuple[float, float]:
        """Return gross and net value of the positions."""
        sums = self.sums()
        return float(sums[totals.GROSS]), float(sums[totals.NET])

    def unrealised(self) -> float:
        """Return profit and loss of the open positions."""
        return float(self.sums()[totals.UNREALISED])

    def sums(self) -> NDArray[np.float64]:
        """Return the sums of ``totals.totals``, in one array that the next call writes again."""
        state = self._state
        _compile_totals()(state.instruments, state.positions, state.accounts, self.rules, NEVER, self.totals)
        return self.totals


@cache
def _compile_totals() -> Callable[..., None]:
    instruments, positions, accounts = map(columns, (tables.INSTRUMENT, tables.POSITION, tables.ACCOUNT))
    table, floats = numba.float64[:, ::1], numba.float64[::1]
    return keep(totals.totals, numba.void, instruments, positions, accounts, table, numba.int64, floats)
