"""Figures of a run.

Returns, volatility, Sharpe, Sortino, drawdown and Calmar are those of empyrical-reloaded (``stats.py``) with
a risk-free rate and a required return of 0, over the returns from one session close to the next, the first
from the starting cash. A figure that is not defined (too few values, no variance, equity that was not
positive before) is NaN, never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml4t_backtest_portfolio_standard.trips import gains

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = [
    "annual_return",
    "annual_volatility",
    "calmar",
    "figures",
    "max_drawdown",
    "periods_per_year",
    "returns_of",
    "sharpe",
    "sortino",
]

_NAN = float("nan")


def figures(state: RunState, start: float, trips: NDArray[np.void]) -> dict[str, float]:
    """Return the figures of a run, counts as integers.

    ``total_return`` is last equity over starting cash - 1; ``turnover`` the value traded (both sides, at present
    rates) over mean equity per year; ``win_rate`` the share of closed round trips that earned more than their
    commission. Commission and slippage are sums over the run.

    Args:
        state: The run's columns.
        start: Deposits in base currency.
        trips: TRIP rows of the run.
    """
    rows = state.equity.rows()
    if len(rows):  # the last sample of a session is its close
        rows = rows[np.append(rows["session"][1:] != rows["session"][:-1], True)]
    equity = np.concatenate([[start], rows["equity"]])
    periods = periods_per_year(rows["session"])
    returns = returns_of(equity)
    mean = float(np.mean(rows["equity"])) if len(rows) else start
    years = len(rows) / periods
    closed = trips[trips["is_open"] == 0]
    net = gains(state, closed) - closed["entry_commission"] - closed["exit_commission"]
    return {
        "total_return": float(equity[-1] / start - 1.0) if start > 0.0 else _NAN,
        "annual_return": annual_return(equity, periods),
        "annual_volatility": annual_volatility(returns, periods),
        "sharpe": sharpe(returns, periods),
        "sortino": sortino(returns, periods),
        "max_drawdown": max_drawdown(equity),
        "calmar": calmar(equity, periods),
        "turnover": _traded(state) / mean / years if mean > 0.0 and years > 0.0 else _NAN,
        "n_fills": state.fills.count,
        "n_trades": len(closed),
        "win_rate": float(np.mean(net > 0.0)) if len(net) else _NAN,
        "final_equity": float(equity[-1]),
        "commission": float(rows["commission"][-1]) if len(rows) else 0.0,
        "slippage": float(rows["slippage"][-1]) if len(rows) else 0.0,
    }


def _traded(state: RunState) -> float:
    """Return the value of all fills, both sides, at the rates of now."""
    fills = state.fills.rows()
    instruments = state.instruments[fills["symbol"]]
    value = np.abs(fills["quantity"] * fills["price"] * instruments["multiplier"])
    if len(state.currencies) > 1:
        value = value * state.accounts["rate"][instruments["currency"]]
    return float(np.sum(value))


def periods_per_year(sessions: NDArray[np.int64]) -> int:
    """Return 365 where sessions fall on weekends, else 252.

    Args:
        sessions: int64 (n,), days since 1970-01-01 (a Thursday).
    """
    return 365 if np.any((sessions + 3) % 7 >= 5) else 252


def returns_of(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``equity[i] / equity[i - 1] - 1``, NaN from the first value that was not positive on.

    Args:
        equity: float64 (n,), the starting cash first.
    """
    if len(equity) < 2:
        return np.zeros(0)
    before = equity[:-1].astype(np.float64)
    alive = np.logical_and.accumulate((before > 0.0) & np.isfinite(equity[1:]))
    return np.where(alive, equity[1:] / np.where(alive, before, 1.0) - 1.0, _NAN)


def annual_return(equity: NDArray[np.float64], periods: int) -> float:
    """Return ``(last / first) ** (periods / n_returns) - 1`` (``annual_return``); -1 when all is lost, NaN in debt."""
    if len(equity) < 2 or not equity[0] > 0.0 or not 0.0 <= equity[-1] < np.inf:
        return _NAN
    with np.errstate(over="ignore"):
        return float(np.float64(equity[-1] / equity[0]) ** (periods / (len(equity) - 1)) - 1.0)


def annual_volatility(returns: NDArray[np.float64], periods: int) -> float:
    """Return the sample deviation of the returns times ``sqrt(periods)`` (``annual_volatility``)."""
    if len(returns) < 2:
        return _NAN
    return float(np.std(returns, ddof=1) * np.sqrt(periods))


def sharpe(returns: NDArray[np.float64], periods: int) -> float:
    """Return mean over sample deviation times ``sqrt(periods)`` (``sharpe_ratio``); NaN without variance."""
    if len(returns) < 2 or not _deviates(returns):
        return _NAN
    return float(np.mean(returns) / np.std(returns, ddof=1) * np.sqrt(periods))


def sortino(returns: NDArray[np.float64], periods: int) -> float:
    """Return ``mean * periods`` over the downside risk (``sortino_ratio``); NaN where nothing fell.

    The downside risk is ``sqrt(mean(min(return, 0) ** 2)) * sqrt(periods)``.
    """
    if len(returns) < 2:
        return _NAN
    downside = np.sqrt(np.mean(np.square(np.minimum(returns, 0.0)))) * np.sqrt(periods)
    return float(np.mean(returns) * periods / downside) if downside > 0.0 else _NAN


def max_drawdown(equity: NDArray[np.float64]) -> float:
    """Return the deepest fall from a peak as a fraction <= 0 of the peak (``max_drawdown``).

    Below -1 where equity went negative; NaN when the first value is not positive.
    """
    if not len(equity) or not equity[0] > 0.0:
        return _NAN
    peak = np.maximum.accumulate(equity)
    return float(np.min(equity / peak - 1.0))


def calmar(equity: NDArray[np.float64], periods: int) -> float:
    """Return annual return over the size of the deepest drawdown (``calmar_ratio``); NaN without one."""
    fall = max_drawdown(equity)
    return annual_return(equity, periods) / abs(fall) if fall < 0.0 else _NAN


def _deviates(returns: NDArray[np.float64]) -> bool:
    # The deviation of equal numbers is rounding noise, not zero, and would give a huge ratio.
    return not np.all(returns == returns[0])
