"""The standard portfolio: what the fills have made of the cash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from ml4t.backtest import state as tables
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Portfolio
from ml4t_backtest_portfolio_standard import accounting, metrics, trips

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup
    from ml4t.backtest.state import RunState

__all__ = ["PortfolioAccounting"]

Numba: TypeAlias = Any


class PortfolioAccounting(Portfolio):
    """Keep positions at average cost, cash, profit and loss, and what trading cost.

    Args:
        config: No settings yet.
        setup: Surroundings of the component.
    """

    apply_fill = staticmethod(accounting.apply_fill)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._setup = setup
        self._totals = np.zeros(len(accounting.TOTALS))

    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Write the opening balance.

        Args:
            state: The run's columns.
            capital: Currency -> amount, finite; one currency.

        Raises:
            RunFileError: There are several currencies, or an amount that is not finite.
        """
        if len(capital) > 1:
            raise RunFileError(
                f"capital names {', '.join(capital)}; portfolio standard keeps one currency, give one amount"
            )
        cash = float(sum(capital.values()))
        if not np.isfinite(cash):
            raise RunFileError(f"capital was {cash}; give a finite amount")
        self._state = state
        self._add_up = _compile_totals()
        account = state.accounts[0]
        account["cash"] = account["start_cash"] = cash
        row = state.counters[state.LEDGER]
        ledger = state.ledger.reserve(1)
        ledger[row] = np.zeros(1, tables.LEDGER)[0]
        ledger[row]["timestamp"] = state.now
        ledger[row]["order_id"] = ledger[row]["symbol"] = -1
        ledger[row]["amount"] = ledger[row]["balance"] = cash
        state.counters[state.LEDGER] = row + 1

    def equity(self) -> float:
        """Return cash plus marked positions."""
        return float(self._sums()[accounting.EQUITY])

    def exposure(self) -> tuple[float, float]:
        """Return gross and net value of the positions."""
        sums = self._sums()
        return float(sums[accounting.GROSS]), float(sums[accounting.NET])

    def unrealised(self) -> float:
        """Return profit and loss of the open positions."""
        return float(self._sums()[accounting.UNREALISED])

    def sample(self, timestamp: int, session: int) -> None:
        """Append an EQUITY row; see ``Portfolio.sample``.

        ``long_pnl`` and ``short_pnl`` are what long and short positions have earned since the start, realised
        and not, before commission.
        """
        state = self._state
        row = state.equity.reserve(1)[state.counters[state.EQUITY]]
        row["timestamp"], row["session"] = timestamp, session
        for name, value in zip(accounting.TOTALS, self._sums().tolist(), strict=True):
            row[name] = value
        state.counters[state.EQUITY] += 1

    def trades(self) -> pl.DataFrame:
        """Return the round trips so far, first in first out; what is open comes last.

        Columns: symbol, side (``long`` or ``short``), quantity (> 0), entry_time and exit_time (when the
        prices formed, UTC), entry_price, exit_price, pnl (before commission; of open trips at the mark),
        commission (the trip's share of both fills'), entry_order_id, exit_order_id, account, is_open, mfe and
        mae (best and worst profit on the way: not recorded yet, null). An open trip's exit columns are null.
        """
        return trips.trips_frame(self._state, self._pair())

    def metrics(self) -> Mapping[str, float]:
        """Return the figures of the run, counts as integers; NaN where one is not defined.

        ``total_return`` is last equity over starting cash - 1; ``turnover`` the value traded (both sides)
        over mean equity per year; ``win_rate`` the share of closed round trips that earned more than their
        commission. The others are defined in ``metrics``, or are sums over the run in base currency.
        """
        state = self._state
        rows = state.equity.rows()
        if len(rows):  # the last sample of a session is its close
            rows = rows[np.append(rows["session"][1:] != rows["session"][:-1], True)]
        start = float(np.sum(state.accounts["start_cash"]))
        equity = np.concatenate([[start], rows["equity"]])
        periods = metrics.periods_per_year(rows["session"])
        returns = metrics.returns_of(equity)
        fills = state.fills.rows()
        multiplier = state.instruments["multiplier"][fills["symbol"]] if len(fills) else np.zeros(0)
        traded = float(np.sum(np.abs(fills["quantity"] * fills["price"] * multiplier)))
        mean = float(np.mean(rows["equity"])) if len(rows) else start
        years = len(rows) / periods
        pairs = self._pair()
        closed = pairs[pairs["exit"] >= 0]
        gain = fills["price"][closed["exit"]] - fills["price"][closed["entry"]]
        if len(closed):
            gain = gain * closed["quantity"] * multiplier[closed["entry"]]
        net = gain - closed["entry_commission"] - closed["exit_commission"]
        return {
            "total_return": float(equity[-1] / start - 1.0) if start > 0.0 else float("nan"),
            "annual_return": metrics.annual_return(equity, periods),
            "annual_volatility": metrics.annual_volatility(returns, periods),
            "sharpe": metrics.sharpe(returns, periods),
            "sortino": metrics.sortino(returns, periods),
            "max_drawdown": metrics.max_drawdown(equity),
            "calmar": metrics.calmar(equity, periods),
            "turnover": traded / mean / years if mean > 0.0 and years > 0.0 else float("nan"),
            "n_fills": len(fills),
            "n_trades": len(closed),
            "win_rate": float(np.mean(net > 0.0)) if len(net) else float("nan"),
            "final_equity": float(equity[-1]),
            "commission": float(np.sum(state.accounts["commission"])),
            "slippage": float(np.sum(state.accounts["slippage"])),
        }

    def _sums(self) -> NDArray[np.float64]:
        state = self._state
        self._add_up(state.instruments, state.positions, state.accounts, self._totals)
        return self._totals

    def _pair(self) -> NDArray[np.void]:
        state = self._state
        count = state.fills.count
        pairs = np.zeros(2 * count, trips.TRIP)
        nobody = np.full(len(state.symbols), -1, np.int64)
        found = _compile_pairing()(
            *(state.fills.data[:count], state.instruments, pairs, np.zeros(count)),
            *(nobody, nobody.copy(), np.full(count, -1, np.int64)),
        )
        return pairs[:found]


def _compile(function: Callable[..., Any], result: Numba, *arguments: Numba) -> Callable[..., Any]:
    """Compile a function for one signature and keep it, or leave it interpreted where compilation is off."""
    if isinstance(function, Dispatcher):
        kept = numba.njit(result(*arguments), error_model="numpy", cache=True)
        compiled: Callable[..., Any] = kept(function.py_func)
        return compiled
    quiet: Callable[..., Any] = np.errstate(all="ignore")(function)
    return quiet


def _table(dtype: np.dtype[np.void]) -> Numba:
    return numba.types.Array(numba.from_dtype(dtype), 1, "C")


@cache
def _compile_totals() -> Callable[..., None]:
    columns = map(_table, (tables.INSTRUMENT, tables.POSITION, tables.ACCOUNT))
    return _compile(accounting.totals, numba.void, *columns, numba.float64[::1])


@cache
def _compile_pairing() -> Callable[..., int]:
    columns = map(_table, (tables.FILL, tables.INSTRUMENT, trips.TRIP))
    integers = numba.int64[::1]
    return _compile(trips.pair_fills, numba.int64, *columns, numba.float64[::1], integers, integers, integers)
