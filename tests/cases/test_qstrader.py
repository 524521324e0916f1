"""QSTrader's published end-to-end test: 60 % and 40 %, put right every Wednesday, filled at the next open.

The synthetic prices hold every calendar day; QSTrader trades on weekdays, and so does this replica, which
decides on Wednesdays and fills on Thursdays. Its published log states whole cents.
"""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

WEIGHTS = {"ABC": 0.6, "DEF": 0.4}
CASH_BUFFER = 0.05


class SixtyForty(Strategy):
    """On Wednesdays, order what brings each symbol to its part of 95 % of equity, sales first."""

    def on_slice(self, market, context):
        if context.session.date.weekday() != 2:
            return
        budget = context.portfolio.equity * (1 - CASH_BUFFER)
        missing = {
            symbol: int(budget * weight / context.price(symbol)) - context.position(symbol).quantity
            for symbol, weight in WEIGHTS.items()
        }
        for symbol, quantity in sorted(missing.items(), key=lambda each: each[1]):
            if quantity:
                context.order(symbol, quantity)


@pytest.fixture(scope="module")
def result(shared):
    prices = shared.golden("qstrader/prices.parquet")
    return Engine(prices=prices, strategy=SixtyForty(), capital=1_000_000).run()


def test_fills_are_those_of_the_published_log(shared, result):
    """Ten fills: sessions, symbols, whole shares, and debits and credits to the cent."""
    expected = shared.golden("qstrader/sixty_forty_fills.parquet")
    # Both fill at one open. The log has sales before buys, a run goes by symbol, which changes no figure.
    fills = result.fills.with_columns(session=pl.col("timestamp").dt.date()).sort("session", "symbol")
    expected = expected.sort("session", "symbol")

    for column in ("session", "symbol", "quantity"):
        assert expected[column].to_list() == fills[column].to_list()
    np.testing.assert_allclose(fills["price"], expected["price_rounded"], rtol=0, atol=0.005)
    np.testing.assert_allclose(
        fills["quantity"] * fills["price"], expected["debit"] - expected["credit"], rtol=0, atol=0.0051
    )


def test_cash_and_holdings_end_as_published(shared, result):
    """4,674 ABC and 1,431 DEF, their values, and 49,655.32 of cash."""
    expected = shared.case("qstrader.sixty_forty")["expected"]
    held = dict(zip(result.state.symbols.names, result.state.positions["quantity"].tolist(), strict=True))
    marks = dict(zip(result.state.symbols.names, result.state.instruments["mark"].tolist(), strict=True))

    assert expected["fills"] == result.fills.height
    assert expected["final_quantity"] == held
    assert expected["final_cash"] == pytest.approx(result.equity["cash"][-1], abs=0.005)
    for symbol, value in expected["market_value"].items():
        assert value == pytest.approx(held[symbol] * marks[symbol], abs=0.005)


def test_cash_after_each_week_is_that_of_the_log(shared, result):
    """The balance at the end of each week's fills, to the cent."""
    expected = shared.golden("qstrader/sixty_forty_fills.parquet").group_by("session", maintain_order=True).last()
    ledger = result.ledger.filter(pl.col("kind") == "fill").with_columns(
        session=pl.col("timestamp").dt.date() - pl.duration(days=1)
    )
    balances = ledger.group_by("session", maintain_order=True).agg(pl.col("balance").last())

    assert expected["session"].to_list() == balances["session"].to_list()
    np.testing.assert_allclose(balances["balance"], expected["cash_balance"], rtol=0, atol=0.0051)
