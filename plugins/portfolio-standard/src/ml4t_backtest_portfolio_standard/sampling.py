"""All that a sample of equity takes, in one compiled call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numba

from ml4t.backtest import state as tables
from ml4t_backtest_portfolio_standard.accounting import Floats, Integers, Table, compiled
from ml4t_backtest_portfolio_standard.checks import EQUITY_OFF, is_off, look
from ml4t_backtest_portfolio_standard.compiling import columns, keep
from ml4t_backtest_portfolio_standard.totals import EQUITY, S_DEPOSITS, carry, earned, moved, totals

__all__ = ["compile_sample", "take_sample"]


@compiled
def take_sample(
    fills: Table,
    ledger: Table,
    instruments: Table,
    positions: Table,
    accounts: Table,
    seen: Integers,
    rows: Integers,
    balances: Floats,
    held: Floats,
    rules: Floats,
    opened: int,
    counted: Floats,
    carried: Floats,
    out: Floats,
) -> int:
    """Check balances and positions, then write all sums; see ``look``, ``totals`` and ``carry``."""
    wrong: int = look(fills, ledger, instruments, positions, accounts, seen, rows, balances, held)
    totals(instruments, positions, accounts, rules, opened, out)
    carry(accounts, counted, carried, out)
    if wrong == 0 and is_off(out[EQUITY] - carried[S_DEPOSITS], earned(out), moved(out)):
        return EQUITY_OFF
    return wrong


@cache
def compile_sample() -> Callable[..., int]:
    """Return ``take_sample``, compiled for the tables of a run."""
    rows = (tables.FILL, tables.LEDGER, tables.INSTRUMENT, tables.POSITION, tables.ACCOUNT)
    integers, floats, table = numba.int64[::1], numba.float64[::1], numba.float64[:, ::1]
    looked = (integers, integers, table, table)
    return keep(take_sample, numba.int64, *map(columns, rows), *looked, table, numba.int64, table, floats, floats)
