"""Figures published for vectors of returns: those that the portfolio has are compared.

Compared: annual return and volatility, Sharpe and Sortino ratio, drawdown, Calmar ratio of empyrical's own
test vectors. Still to come with the reports: cumulative returns, downside risk, tail ratio, stability,
alpha and beta, omega, and all figures of ``published.bacon_metrics`` (pain index, Martin ratio, Bernardo and
Ledoit, d ratio, upside risk and potential, ...).
"""

import numpy as np
import pytest

from ml4t_backtest_portfolio_standard import metrics

DAILY = 252


@pytest.fixture(scope="module")
def vectors(shared):
    return shared.case("published.empyrical_vectors")["expected"]


def returns_of(vectors, name):
    """Return a vector without the missing first value, as empyrical's figures do."""
    return np.array([value for value in vectors[name] if value is not None])


def equity_of(vectors, name):
    """Return the equity that grows by a vector; a missing return is a day without change."""
    return np.cumprod([1.0, *(1.0 + (value or 0.0) for value in vectors[name])])


def test_annual_figures_of_the_mixed_returns(vectors):
    """The nine values count as nine periods for the return, as eight numbers for the volatility."""
    equity = equity_of(vectors, "mixed")

    assert vectors["annual_return_mixed"] == pytest.approx(metrics.annual_return(equity, DAILY), abs=1e-8)
    expected = vectors["annual_volatility_mixed"]
    assert expected == pytest.approx(metrics.annual_volatility(returns_of(vectors, "mixed"), DAILY), abs=1e-8)
    assert vectors["calmar_mixed"] == pytest.approx(metrics.calmar(equity, DAILY), abs=1e-8)


@pytest.mark.parametrize("name", ["mixed", "negative"])
def test_ratios_and_drawdowns(vectors, name):
    """Sharpe, Sortino and the deepest fall, to the digits published."""
    returns = returns_of(vectors, name)

    assert vectors["sharpe"][name] == pytest.approx(metrics.sharpe(returns, DAILY), abs=1e-8)
    assert vectors["sortino"][name] == pytest.approx(metrics.sortino(returns, DAILY), abs=1e-8)
    assert vectors["max_drawdown"][name] == pytest.approx(metrics.max_drawdown(equity_of(vectors, name)), abs=1e-7)


def test_sharpe_of_the_returns_beyond_the_benchmark(vectors):
    """The published ratio of the differences, day by day."""
    pairs = zip(vectors["mixed"], vectors["benchmark"], strict=True)
    excess = np.array([mine - theirs for mine, theirs in pairs if mine is not None])

    assert vectors["sharpe"]["mixed_vs_benchmark"] == pytest.approx(metrics.sharpe(excess, DAILY), abs=1e-8)
