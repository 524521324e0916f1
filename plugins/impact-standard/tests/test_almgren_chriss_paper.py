"""The worked example of Almgren and Chriss, "Optimal execution of portfolio transactions" (2000), section 3.4."""

import math

import numpy as np
import pytest

from ml4t_backtest_impact_standard.models import AlmgrenChrissImpact

# Table 1: a million shares at 50, sold in five days of one trade each; sigma in currency per share and root of day.
PRICE, SHARES, DAYS, TRADES = 50.0, 1e6, 5.0, 5
SIGMA, EPSILON, GAMMA, ETA = 0.95, 0.0625, 2.5e-7, 2.5e-6
TAU = DAYS / TRADES
ETA_TILDE = ETA - GAMMA * TAU / 2  # equation 8


def cost_of(order, fills):
    """Return the sum over the fills of impact times quantity: what the sale brings less than at the first price."""
    impacts = order(
        AlmgrenChrissImpact, *fills, price=PRICE, epsilon=EPSILON, eta=ETA, gamma=GAMMA, interval=DAYS / len(fills)
    )
    return sum(impact * quantity for impact, quantity in zip(impacts, fills, strict=True))


def optimal(risk_aversion):
    """Return kappa and the holdings after each trade, equations 16 to 19."""
    kappa_tilde_squared = risk_aversion * SIGMA**2 / ETA_TILDE
    kappa = math.acosh(1 + kappa_tilde_squared * TAU**2 / 2) / TAU
    times = np.arange(TRADES + 1) * TAU
    return kappa, SHARES * np.sinh(kappa * (DAYS - times)) / math.sinh(kappa * DAYS)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_uniform_sale_costs_what_the_paper_says(order, side):
    """E = gamma X^2 / 2 + epsilon X + (eta - gamma tau / 2) X^2 / T: 125,000 + 62,500 + 475,000."""
    expected = GAMMA * SHARES**2 / 2 + EPSILON * SHARES + ETA_TILDE * SHARES**2 / DAYS
    assert 662_500.0 == pytest.approx(expected, rel=1e-12)

    assert pytest.approx(expected, rel=1e-12) == cost_of(order, [side * SHARES / TRADES] * TRADES)


def test_the_cost_of_the_uniform_sale_holds_for_every_number_of_trades(order):
    """The formula with tau = T / N; one trade pays no permanent impact."""
    for trades in (1, 2, 3, 10, 1_000):
        eta_tilde = ETA - GAMMA * DAYS / trades / 2
        expected = GAMMA * SHARES**2 / 2 + EPSILON * SHARES + eta_tilde * SHARES**2 / DAYS
        assert pytest.approx(expected, rel=1e-12) == cost_of(order, [-SHARES / trades] * trades)


@pytest.mark.parametrize("risk_aversion", [1e-9, 1e-7, 1e-6, 1e-5])
def test_optimal_trajectories_cost_what_the_paper_says(order, risk_aversion):
    """Equation 20, where trades shrink from day to day; for 1e-6 the paper states kappa = 0.61 a day."""
    kappa, holdings = optimal(risk_aversion)
    expected = (
        GAMMA * SHARES**2 / 2
        + EPSILON * SHARES
        + ETA_TILDE
        * SHARES**2
        * math.tanh(kappa * TAU / 2)
        * (TAU * math.sinh(2 * kappa * DAYS) + 2 * DAYS * math.sinh(kappa * TAU))
        / (2 * TAU**2 * math.sinh(kappa * DAYS) ** 2)
    )

    assert pytest.approx(expected, rel=1e-9) == cost_of(order, np.diff(holdings))
    assert risk_aversion != 1e-6 or pytest.approx(0.61, abs=0.005) == kappa
