"""Figures of a run, by the definitions of empyrical."""

import math

import numpy as np
import pytest

from ml4t_backtest_portfolio_standard import metrics

EQUITY = np.array([100.0, 101.0, 99.0, 103.0, 102.0, 108.0])


def test_figures_of_a_short_series():
    """Worked by hand from the formulas of empyrical-reloaded's stats.py."""
    returns = metrics.returns_of(EQUITY)
    mean, deviation = returns.mean(), math.sqrt(((returns - returns.mean()) ** 2).sum() / 4)
    downside = math.sqrt(((returns[returns < 0]) ** 2).sum() / 5)

    assert [101 / 100 - 1, 99 / 101 - 1, 103 / 99 - 1, 102 / 103 - 1, 108 / 102 - 1] == returns.tolist()
    assert 1.08 ** (252 / 5) - 1 == pytest.approx(metrics.annual_return(EQUITY, 252))
    assert deviation * math.sqrt(252) == pytest.approx(metrics.annual_volatility(returns, 252))
    assert mean / deviation * math.sqrt(252) == pytest.approx(metrics.sharpe(returns, 252))
    assert mean * 252 / (downside * math.sqrt(252)) == pytest.approx(metrics.sortino(returns, 252))
    assert 99 / 101 - 1 == pytest.approx(metrics.max_drawdown(EQUITY))
    assert metrics.annual_return(EQUITY, 252) / (1 - 99 / 101) == pytest.approx(metrics.calmar(EQUITY, 252))


@pytest.mark.parametrize(
    "equity",
    [[], [100.0], [100.0] * 5, [0.0, 1.0], [-5.0, 3.0], [100.0, -20.0, 5.0], [100.0, 0.0], [100.0, math.nan]],
    ids=["empty", "one", "equal", "from-nothing", "negative-start", "negative", "ruined", "unknown"],
)
def test_edge_series_have_values_and_raise_nothing(equity):
    """A figure that is not defined is NaN."""
    series = np.array(equity, float)
    returns = metrics.returns_of(series)
    found = [
        metrics.annual_return(series, 252),
        metrics.annual_volatility(returns, 252),
        metrics.sharpe(returns, 252),
        metrics.sortino(returns, 252),
        metrics.max_drawdown(series),
        metrics.calmar(series, 252),
    ]

    assert all(isinstance(value, float) for value in found)
    assert math.isnan(found[2])
    assert not any(math.isinf(value) for value in found)


def test_all_lost_and_more():
    """Losing everything is -1 a year; debts have no yearly return, and show as a drawdown below -1."""
    assert -1.0 == metrics.annual_return(np.array([100.0, 0.0]), 252)
    assert math.isnan(metrics.annual_return(np.array([100.0, -20.0]), 252))
    assert -1.2 == pytest.approx(metrics.max_drawdown(np.array([100.0, -20.0, 5.0])))


def test_year_follows_the_calendar_of_the_sessions():
    """Sessions on weekends make a year of 365."""
    monday = 4  # 1970-01-05
    assert 252 == metrics.periods_per_year(np.arange(monday, monday + 5))
    assert 365 == metrics.periods_per_year(np.arange(monday, monday + 7))
    assert 252 == metrics.periods_per_year(np.zeros(0, np.int64))


def test_metrics_of_a_run(make_books):
    """Counts and sums come from fills and round trips; one session is sampled once."""
    books = make_books(cash=1000.0)
    books.fill(10, 10.0, commission=1.0, slippage=0.5)
    books.state.instruments["mark"] = 11.0
    books.portfolio.sample(0, 4)
    books.fill(-5, 12.0)
    books.fill(-5, 9.0)
    books.portfolio.sample(1, 5)
    books.portfolio.sample(2, 5)
    found = books.portfolio.metrics()

    assert (3, 2, 0.5, 1.0, 0.5) == tuple(
        found[n] for n in ("n_fills", "n_trades", "win_rate", "commission", "slippage")
    )
    assert (int, int) == (type(found["n_fills"]), type(found["n_trades"]))
    assert 1004.0 == found["final_equity"]
    assert 0.004 == pytest.approx(found["total_return"])
    assert (100 + 60 + 45) / ((1009 + 1004) / 2) / (2 / 252) == pytest.approx(found["turnover"])
    assert 1004 / 1009 - 1 == pytest.approx(found["max_drawdown"])


def test_metrics_of_an_idle_run(make_books):
    """Nothing happened: counts are 0, ratios NaN, equity the cash."""
    found = make_books(cash=1000.0).portfolio.metrics()

    assert (0, 0, 1000.0, 0.0) == tuple(found[n] for n in ("n_fills", "n_trades", "final_equity", "total_return"))
    assert math.isnan(found["win_rate"])
    assert math.isnan(found["turnover"])


def test_turnover_is_at_the_rates_of_now(make_books):
    """100 EUR bought at 2 USD each over 1,000 USD of equity, on one day of 252."""
    books = make_books(cash=1000.0, currencies=("USD", "EUR"), currency=1)
    books.state.accounts["rate"] = [1.0, 2.0]
    books.fill(10, 10.0)
    books.portfolio.sample(0, 0)
    found = books.portfolio.metrics()

    assert 200.0 / 1000.0 * 252 == pytest.approx(found["turnover"])
    assert 1000.0 == found["final_equity"]


def test_an_account_that_was_never_sampled_has_its_deposits(make_books):
    """Of a run that stopped before its first close."""
    found = make_books(cash=1000.0).portfolio.metrics()

    assert (1000.0, 0.0, 0) == (found["final_equity"], found["total_return"], found["n_trades"])
    assert math.isnan(found["turnover"])
