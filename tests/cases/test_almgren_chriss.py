"""Almgren and Chriss, "Optimal execution of portfolio transactions" (2000): the costs of their table 1.

One order of a million shares is sold over five days, as much a day as its trajectory says: the volume of each
bar is twice that, and orders take half. The price does not move, so what the order gets less than 50 is impact.
Variance and half-life, also published, are properties of a trajectory and not of fills; they are not compared.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

PRICE = 50.0
SHARES = 1_000_000
IMPACT = {"use": "almgren-chriss", "eta": 2.5e-6, "gamma": 2.5e-7, "epsilon": 0.0625}


class Sell(Strategy):
    """Sell everything with one order, once."""

    def __init__(self):
        self.order = None

    def on_slice(self, market, context):
        self.order = self.order or context.order("X", -SHARES)


def sold(trades):
    """Run the sale of these numbers of shares a day and return the fills."""
    days = [date(2024, 3, 4) + timedelta(days=day) for day in range(len(trades) + 1)]
    volumes = [0.0, *(2.0 * trade for trade in trades[:-1]), 2.0 * SHARES]
    prices = pl.DataFrame({"symbol": "X", "timestamp": days, "volume": volumes})
    prices = prices.with_columns(**{name: pl.lit(PRICE) for name in ("open", "high", "low", "close")})
    return (
        Engine(
            prices=prices,
            strategy=Sell(),
            broker={"fill": {"use": "next-open", "volume_limit": 0.5}, "impact": IMPACT},
            instruments={"symbol": "X", "lot": 0.001},
            capital=100_000_000,
        )
        .run()
        .fills
    )


def cost_of(fills):
    """Return what the sale brought less than its shares at the first price."""
    return float(((PRICE - fills["price"]) * -fills["quantity"]).sum())


@pytest.mark.parametrize("row", range(9))
def test_each_trajectory_costs_what_the_paper_says(shared, row):
    """The expected cost E of the optimal trajectory for each aversion to risk, within a cent in 100."""
    expected = shared.case("published.almgren_chriss_2000")["expected"]["table"][row]
    fills = sold(expected["trades"])

    np.testing.assert_allclose(-fills["quantity"], expected["trades"], rtol=0, atol=0.01)
    assert expected["E"] == pytest.approx(cost_of(fills), rel=1e-6)


def test_the_uniform_sale_costs_the_printed_figure(shared):
    """0.6625 million dollars, as table 1 gives it for an equal amount each day."""
    case = shared.case("published.almgren_chriss_2000")
    naive = case["expected"]["expected"]["E_naive_musd"]

    assert naive == pytest.approx(cost_of(sold([SHARES / 5] * 5)) / 1e6, abs=case["tolerance"]["abs"] / 100)
