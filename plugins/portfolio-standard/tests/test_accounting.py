"""What fills make of positions and cash."""

import math

import numpy as np
import pytest

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_portfolio_standard.accounting import round_to_step


def test_opening_balance_is_a_deposit(make_books):
    """The ledger starts with a row of kind deposit."""
    row = make_books(cash=500.0).state.ledger.rows()[0]

    assert (0, 500.0, 500.0, -1, -1) == tuple(row[n] for n in ("kind", "amount", "balance", "order_id", "symbol"))


@pytest.mark.parametrize(
    ("capital", "message"),
    [({"USD": math.inf}, "was inf USD"), ({"EUR": 1.0}, "is in EUR, which the run does not have")],
)
def test_capital_that_cannot_be_kept_is_refused(make_books, capital, message):
    """Amounts are finite, and in a currency of the run."""
    with pytest.raises(RunFileError, match=message):
        make_books(accounts=[{"capital": capital}])


@pytest.mark.parametrize("sign", [1, -1])
def test_average_cost_through_a_position_life(make_books, sign):
    """Adding moves the average, reducing realises and keeps it, closing clears it; shorts mirror longs."""
    books = make_books()
    assert 0.0 == books.fill(sign * 10, 100.0)
    assert 0.0 == books.fill(sign * 10, 110.0)
    assert (sign * 20.0, 105.0) == books.position()
    assert sign * 5 * 15.0 == books.fill(sign * -5, 120.0)
    assert (sign * 15.0, 105.0) == books.position()
    assert sign * 15 * -5.0 == books.fill(sign * -15, 100.0)
    assert (0.0, 0.0) == books.position()
    assert 10_000.0 == books.portfolio.equity()
    assert 0.0 == books.state.accounts[0]["realised"]


def test_flip_through_zero_closes_and_opens(make_books):
    """A sale of more than is held realises on what was held and opens a short at its price."""
    books = make_books()
    books.fill(10, 100.0)

    assert 10 * 20.0 == books.fill(-25, 120.0)
    assert (-15.0, 120.0) == books.position()
    assert 15 * 20.0 == books.fill(15, 100.0)


def test_cash_and_ledger_agree(make_books):
    """Each movement leaves a row with the balance after it; commission has a row of its own."""
    books = make_books(multiplier=50.0)
    books.fill(2, 10.0, commission=3.0, slippage=1.0)
    books.fill(-1, 12.0)
    ledger = books.state.ledger.rows()

    assert [0, 1, 2, 1] == ledger["kind"].tolist()
    assert [10_000.0, -1000.0, -3.0, 600.0] == ledger["amount"].tolist()
    assert [10_000.0, 9000.0, 8997.0, 9597.0] == ledger["balance"].tolist()
    account = books.state.accounts[0]
    assert (9597.0, 100.0, 3.0, 1.0) == tuple(account[n] for n in ("cash", "realised", "commission", "slippage"))
    assert 3.0 == books.state.positions[0]["commission"]


def test_fractional_round_trips_end_flat(make_books):
    """Positions are rounded to the quantity step, so that 0.1 + 0.2 - 0.3 is nothing."""
    random = np.random.default_rng(7)
    for quantities in random.uniform(0.001, 9.0, (300, 3)).round(3):
        books = make_books()
        for quantity in quantities:
            books.fill(quantity, 10.0)
        books.fill(-np.round(quantities.sum(), 3), 10.0)
        assert (0.0, 0.0) == books.position()


def test_rounding_can_be_turned_off(make_books):
    """A step of 0 leaves quantities as they are."""
    books = make_books(quantity_step=0.0)
    for quantity in (0.1, 0.2, -0.3):
        books.fill(quantity, 10.0)

    assert 0.0 != books.position()[0]


@pytest.mark.parametrize("step", [1e-9, 1e-8, 0.001, 0.01, 0.25, 1.0, 100.0])
def test_rounding_leaves_multiples_alone(step):
    """Whole multiples of a step come out as the float that their decimal text stands for."""
    for count in (1, 3, 7, 15, 29, 100, 12345, 10**6 + 1):
        expected = float(f"{count * step:.12g}") if step < 1.0 else count * step
        assert expected == round_to_step(expected, step)
        assert -expected == round_to_step(-expected, step)


@pytest.mark.parametrize("value", [1e300, -1e300, math.inf, 2.0**60 + 2.0**10])
def test_rounding_leaves_huge_values_alone(value):
    """Beyond 2**52 steps every float is a multiple."""
    assert value == round_to_step(value, 1e-9)


def test_totals_at_the_marks(make_books):
    """Equity is cash plus marked positions; exposures, and what longs and shorts have earned."""
    books = make_books()
    books.fill(10, 100.0)
    books.fill(-4, 50.0, symbol=1)
    books.fill(-5, 110.0)
    books.state.instruments["mark"] = [120.0, 60.0]
    books.portfolio.sample(77, 3)
    row = books.state.equity.rows()[0]

    assert 10_000.0 + 50.0 + 100.0 - 40.0 == books.portfolio.equity() == row["equity"]
    assert (840.0, 360.0) == books.portfolio.exposure()
    assert 60.0 == books.portfolio.unrealised() == row["unrealised"]
    assert (150.0, -40.0) == (row["long_pnl"], row["short_pnl"])
    assert (77, 3, 50.0, 0.0) == tuple(row[n] for n in ("timestamp", "session", "realised", "stale_exposure"))


def test_position_without_a_mark_counts_at_cost_and_is_stale(make_books):
    """Before the first known price a position is taken at its average price."""
    books = make_books()
    books.fill(-10, 100.0)
    books.portfolio.sample(0, 0)
    row = books.state.equity.rows()[0]

    assert (10_000.0, 1000.0) == (row["equity"], row["stale_exposure"])
