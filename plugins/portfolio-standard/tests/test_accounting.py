"""What fills make of positions and cash."""

import math

import numpy as np
import pytest

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.state import EQUITY, LEDGER_KINDS, SETTLES
from ml4t_backtest_portfolio_standard.accounting import round_to_step
from ml4t_backtest_portfolio_standard.totals import TOTALS


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


@pytest.mark.parametrize("step", [1e-9, 0.2])
def test_quantities_between_two_steps_stay_what_was_paid_for(make_books, step):
    """Rounding them would give away what they cost."""
    books = make_books(quantity_step=step)
    for quantity in (1 / 3, 1 / 7, -0.05):
        books.fill(quantity, 60_000.0)

    assert 1 / 3 + 1 / 7 - 0.05 == books.position()[0]
    books.fill(-books.position()[0], 60_000.0)
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


def rows_of(books, *columns):
    """Return columns of the ledger after the deposits, kinds as words."""
    rows = [row for row in books.state.ledger.rows() if LEDGER_KINDS[row["kind"]] != "deposit"]
    return [tuple(LEDGER_KINDS[row[n]] if n == "kind" else row[n].item() for n in columns) for row in rows]


@pytest.mark.parametrize("settles", ["close", "daily"])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_does_not_settle_by_value_pays_profits_only(make_books, settles, sign):
    """Opening and adding move nothing, closing pays closed x (price - average price) x multiplier."""
    books = make_books(settles=SETTLES.index(settles), multiplier=50.0)
    books.fill(sign * 2, 10.0, commission=1.0)
    books.fill(sign * 2, 12.0)
    books.fill(sign * -3, 15.0)
    books.fill(sign * -2, 9.0)
    books.state.instruments["mark"] = 8.0

    closed = [sign * 3 * 4.0 * 50.0, sign * -2.0 * 50.0]
    assert [0.0, 0.0, *closed] == [amount for kind, amount in rows_of(books, "kind", "amount") if kind == "fill"]
    assert (sign * -1.0, 9.0) == books.position()
    assert 10_000.0 - 1.0 + sum(closed) + sign * 50.0 == books.portfolio.equity()


def test_what_settles_daily_is_paid_at_each_sample(make_books):
    """Variation at the mark of the close; average price, realised and unrealised are those of trading."""
    books = make_books(settles=SETTLES.index("daily"), multiplier=5.0)
    books.fill(4, 10.0)
    for session, mark in enumerate([12.0, 12.0, 11.0]):
        books.state.instruments["mark"] = mark
        books.portfolio.sample(session, session)
    books.fill(-4, 13.0)
    books.portfolio.sample(9, 9)
    rows = books.state.equity.rows()

    assert [40.0, -20.0] == [amount for kind, amount in rows_of(books, "kind", "amount") if kind == "variation"]
    assert [10_040.0, 10_040.0, 10_020.0, 10_060.0] == rows["cash"].tolist() == rows["equity"].tolist()
    assert [40.0, 40.0, 20.0, 0.0] == rows["unrealised"].tolist()
    assert [0.0, 0.0, 0.0, 60.0] == rows["realised"].tolist()


def test_proceeds_settle_later_where_the_account_says_so(make_books):
    """Purchases and commission come out of settled cash at once; what a sale brings waits."""
    books = make_books(accounts=[{"settlement_days": 1}])
    books.fill(10, 100.0)
    books.fill(-10, 110.0, commission=2.0)

    assert [-1000.0, 0.0, -2.0] == [settled for (settled,) in rows_of(books, "settled")]
    account = books.state.accounts[0]
    assert (10_098.0, 8998.0) == (account["cash"], account["settled"])


def test_profits_that_are_paid_at_closing_settle_at_once(make_books):
    """Settlement is of what settles by value."""
    books = make_books(accounts=[{"settlement_days": 1}], settles=SETTLES.index("close"))
    books.fill(10, 100.0)
    books.fill(-10, 110.0)

    assert 10_100.0 == books.state.accounts[0]["settled"]


def convert(make_books, rate, commission=2.0):
    """Buy 10 at 20 EUR on an account that converts at fills."""
    books = make_books(accounts=[{"convert": "at-fill"}], currencies=("USD", "EUR"), currency=1)
    books.state.accounts["rate"][1] = rate
    books.fill(10, 20.0, commission=commission)
    return books


def test_conversion_exchanges_the_net_of_a_fill(make_books):
    """Price and commission in one pair of rows, at the rate of the instant."""
    books = convert(make_books, 1.25)

    assert [
        ("fill", 1, -200.0, -200.0, -200.0),
        ("commission", 1, -2.0, -202.0, -2.0),
        ("conversion", 1, 202.0, 0.0, 202.0),
        ("conversion", 0, -252.5, 9747.5, -252.5),
    ] == rows_of(books, "kind", "currency", "amount", "balance", "settled")
    assert [-252.5, 202.0] == books.state.accounts["converted"].tolist()


def test_cash_without_a_rate_is_not_exchanged(make_books):
    """It stays a loan until somebody asks for the rate."""
    assert ["fill", "commission"] == [kind for (kind,) in rows_of(convert(make_books, math.nan), "kind")]


def test_base_currency_is_not_exchanged(make_books):
    """There is nothing to exchange."""
    books = make_books(accounts=[{"convert": "at-fill"}], currencies=("USD", "EUR"))
    books.fill(10, 20.0)

    assert ["fill"] == [kind for (kind,) in rows_of(books, "kind")]


def test_accounts_and_currencies_have_rows_of_their_own(make_books):
    """Row = account x currencies + currency; results are at the rate of the sample."""
    accounts = [{"capital": {"USD": 100.0}}, {"name": "two", "capital": {"USD": 50.0, "EUR": 40.0}}]
    books = make_books(accounts=accounts, currencies=("USD", "EUR"), account=(0, 1), currency=(0, 1))
    books.state.accounts["rate"] = [1.0, 1.5, 1.0, 1.5]
    books.portfolio.sample(0, 0)
    books.fill(2, 10.0, symbol=1, commission=1.0)
    books.state.accounts["rate"] = [1.0, 2.0, 1.0, 2.0]
    books.state.instruments["mark"] = 12.0
    books.portfolio.sample(1, 1)
    before, after = books.state.equity.rows()

    assert [100.0, 0.0, 50.0, 19.0] == books.state.accounts["cash"].tolist()
    assert (150.0 + 40.0 * 1.5, 0.0) == (before["equity"], before["fx_pnl"])
    assert 150.0 + (19.0 + 24.0) * 2.0 == after["equity"]
    assert (8.0, 2.0, 40.0 * 0.5) == (after["unrealised"], after["commission"], after["fx_pnl"])


def test_a_currency_without_money_needs_no_rate(make_books):
    """Equity is never NaN for a currency that nobody holds."""
    books = make_books(currencies=("USD", "EUR"))
    books.portfolio.sample(0, 0)

    assert 10_000.0 == books.state.equity.rows()["equity"][0]


def test_a_mark_from_before_the_session_is_stale(make_books):
    """What was priced within the session is not."""
    books = make_books()
    books.fill(1, 10.0)
    books.fill(-2, 10.0, symbol=1)
    books.state.session_opens, books.state.session_closes = np.array([100]), np.array([200])
    books.state.instruments["mark"], books.state.instruments["mark_time"] = 10.0, [150, 99]
    books.portfolio.sample(200, 0)

    assert 20.0 == books.state.equity.rows()["stale_exposure"][0]


def test_a_fill_takes_over_what_prices_have_reached(make_books):
    """And the next stretch begins with it."""
    books = make_books()
    books.fill(1, 10.0, at=5)
    books.see(12.0, 6)
    books.see(9.0, 7)
    books.fill(1, 10.0, at=8)
    first, second = books.state.fills.rows()
    position = books.state.positions[0]

    assert math.isnan(first["high"])
    assert (12.0, 9.0) == (second["high"], second["low"])
    assert 8 == position["since"]
    assert math.isnan(position["high"])


def test_sums_are_in_the_order_of_the_equity_table():
    """A sample writes them into a row as they come."""
    assert EQUITY.names[2:] == TOTALS
