"""What a sample of equity says, column by column."""

import numpy as np
import pytest

from ml4t_backtest_portfolio_standard.booking import post

PAYMENTS = {"dividends": ("dividend", 7.0), "interest": ("interest", -3.0), "borrow": ("borrow", -2.0)}
PAYMENTS |= {"funding": ("funding", 5.0)}


def pay(books, place):
    """Book one payment of each kind."""
    for column, (kind, amount) in PAYMENTS.items():
        books.state.accounts[place][column] += amount
        post(books.state, place, kind, amount)


def sampled(books):
    """Return the row of a sample."""
    books.portfolio.sample(0, 0)
    return books.state.equity.rows()[-1]


def test_payments_are_counted_by_kind(make_books):
    """Each in its own column, all of them in cash and equity."""
    books = make_books(cash=1000.0)
    pay(books, 0)
    row = sampled(books)

    assert {name: amount for name, (_, amount) in PAYMENTS.items()} == {name: float(row[name]) for name in PAYMENTS}
    assert (1007.0, 1007.0, 0.0) == (row["cash"], row["equity"], row["fx_pnl"])


def test_payments_in_another_currency_are_counted_once_at_their_rate(make_books):
    """What was counted keeps its rate; the cash that it left moves with the rate."""
    books = make_books(cash=1000.0, currencies=("USD", "EUR"))
    books.state.accounts["rate"][1] = 2.0
    pay(books, 1)
    first = sampled(books).copy()
    books.state.accounts["rate"][1] = 3.0
    second = sampled(books)

    for row in (first, second):
        assert {name: 2 * each for name, (_, each) in PAYMENTS.items()} == {name: float(row[name]) for name in PAYMENTS}
    assert (1014.0, 0.0) == (first["equity"], first["fx_pnl"])
    assert (1021.0, 7.0) == (second["equity"], second["fx_pnl"])


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_positions_are_valued_and_margined_in_base_currency(make_books, side):
    """Value, profit and both margins are those of the mark at the present rate."""
    books = make_books(cash=1000.0, currencies=("USD", "EUR"), currency=1, multiplier=2.0)
    books.state.accounts["rate"][1] = 4.0
    books.fill(side * 5, 10.0, commission=1.0)
    books.state.instruments["mark"][0] = 12.0
    row = sampled(books)

    value, profit = 5 * 12 * 2 * 4, 5 * 2 * 2 * 4
    assert (value, side * value, side * profit) == (row["gross_exposure"], row["net_exposure"], row["unrealised"])
    assert (value / 2, value / 4) == (row["initial_margin"], row["maintenance_margin"])
    assert (4.0, 1000.0 + side * profit - 4.0) == (row["commission"], row["equity"])
    assert side * profit == row["long_pnl" if side > 0 else "short_pnl"]


def test_a_currency_that_nobody_used_needs_no_rate(make_books):
    """Its rate may be unknown for the whole run."""
    row = sampled(make_books(cash=1000.0, currencies=("USD", "EUR")))

    assert (1000.0, 0.0) == (row["equity"], row["fx_pnl"])
    assert all(np.isfinite(row[name]) for name in row.dtype.names)
