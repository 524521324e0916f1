"""Buying power: what an account may add to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from ml4t.backtest import state as tables
from ml4t_backtest_portfolio_standard import power_core as core
from ml4t_backtest_portfolio_standard.compiling import columns, keep
from ml4t_backtest_portfolio_standard.power_judging import Round, find_cancelled, wishes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account
    from ml4t_backtest_portfolio_standard.borrowing import Borrowing

__all__ = ["BuyingPower", "rules_of"]

_MODES = {"margin": core.MARGIN, "cash": core.CASH, "unlimited": core.FREE}


def rules_of(accounts: Sequence[Account], when: Sequence[str] = ("submit", "both")) -> NDArray[np.float64]:
    """Return the rules of accounts as compiled functions read them, float64 (n_accounts, RULES).

    Args:
        accounts: Settings by number of account.
        when: Accounts with another ``check`` than these are free.
    """
    rules = np.zeros((len(accounts), core.RULES))
    for row, account in zip(rules, accounts, strict=True):
        judged = account.check in when
        row[:] = (
            account.initial_margin,
            account.maintenance_margin,
            _MODES[account.type] if judged else core.FREE,
            account.insufficient == "scale",
            account.type == "cash" and not account.use_unsettled,
        )
    return rules


class BuyingPower:
    """Judges rounds of requests by what accounts can carry and lenders lend.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.
        borrowing: Says how many units of a symbol may be short.
    """

    def __init__(self, state: RunState, accounts: Sequence[Account], borrowing: Borrowing) -> None:
        self._state, self._borrowing = state, borrowing
        self._rules = rules_of(accounts)
        self._sums = np.zeros((len(accounts), core.SUMS))
        self._work = np.zeros((0, core.WORK))
        self._freed = np.zeros(1024, np.uint8)
        self._asked = bool(self._rules[:, core.MODE_RULE].any()) or borrowing.limited

    def check(self, requests: NDArray[np.void]) -> bool:
        """Judge one round in place; see ``Portfolio.check``."""
        if not self._asked:
            return False
        state = self._state
        count = state.orders.count
        if count + len(requests) > len(self._freed):
            self._freed = np.zeros(2 * (count + len(requests)), np.uint8)
        if len(self._work) != len(state.symbols):
            self._work = np.zeros((len(state.symbols), core.WORK))
            self._work[:, core.BORROW] = np.inf
        if self._borrowing.limited:
            self._borrowing.available(self._work[:, core.BORROW])
        tables_of_run = (state.instruments, state.books, state.orders.data, state.terms.data, state.positions)
        surveyed = (*tables_of_run, state.accounts, self._rules, self._work, self._sums, self._freed)
        if _compile_all_passes()(requests, *surveyed):
            return False
        wishes = wishes_of(requests, state)
        find_cancelled(requests, wishes, self._work, self._freed)
        _compile_survey()(*surveyed)
        self._freed[:] = 0
        self._work[:, core.REPLACED] = 0.0
        return Round(requests, state, self._rules, self._work, self._sums).judge(wishes)


def _arguments() -> list[Any]:
    rows = (tables.INSTRUMENT, tables.BOOK, tables.ORDER, tables.TERMS, tables.POSITION, tables.ACCOUNT)
    return [*map(columns, rows), *[numba.float64[:, ::1]] * 3, numba.uint8[::1]]


@cache
def _compile_all_passes() -> Callable[..., bool]:
    return keep(core.all_passes, numba.boolean, columns(tables.REQUEST), *_arguments())


@cache
def _compile_survey() -> Callable[..., None]:
    return keep(core.survey, numba.void, *_arguments())
