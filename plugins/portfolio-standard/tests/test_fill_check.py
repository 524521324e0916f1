"""What an account can pay for at a fill: docs/reference/accounts.md, buying power."""

import numpy as np
import pytest

from ml4t.backtest.state import ACCOUNT, INSTRUMENT, MARKET, ORDER, POSITION
from ml4t_backtest_portfolio_standard.account import Account


def can_pay(quantity, price, *, held=(0.0, 0.0), marks=(10.0, 10.0), cash=1000.0, commission=0.0, **settings):
    """Say whether an account with symbols A and B can pay for a fill in A."""
    from ml4t_backtest_portfolio_standard.fill_check import affords, fill_rules

    columns = {
        name: settings.pop(name)
        for name in ("settles", "currency", "multiplier", "initial_per_unit")
        if name in settings
    }
    settled, rate = settings.pop("settled", cash), settings.pop("rate", 1.0)
    rates, euros = settings.pop("rates", (rate, np.nan)), settings.pop("euros", 0.0)
    params = fill_rules([Account(), Account(**{"check": "fill", **settings})])
    orders, market = np.zeros(1, ORDER), np.zeros(2, MARKET)
    orders["account"], market[0]["quantity"], market[0]["price"] = 1, quantity, price
    instruments, positions = np.zeros(3, INSTRUMENT), np.zeros(3, POSITION)
    instruments["multiplier"], instruments["account"] = 1.0, (1, 1, 0)
    for name in ("initial_margin", "maintenance_margin", "initial_per_unit", "maintenance_per_unit"):
        instruments[name] = np.nan
    for name, value in columns.items():
        instruments[name] = value
    instruments["mark"] = (*marks, 1e9)
    positions["quantity"], positions["average_price"] = (*held, 1e9), 10.0
    accounts = np.zeros(4, ACCOUNT)
    accounts["currencies"], accounts["rate"] = 2, (1.0, np.nan, *rates)
    accounts[2]["cash"], accounts[2]["settled"], accounts[3]["cash"] = cash, settled, euros
    return affords(orders, 0, market, commission, instruments, positions, accounts, params) == 1.0


def test_accounts_that_look_at_no_fill_have_no_rules():
    """So that nothing is asked at fills."""
    from ml4t_backtest_portfolio_standard.fill_check import fill_rules

    assert all(fill_rules([Account(check=check)]) is None for check in ("submit", "none"))
    assert fill_rules([Account(type="unlimited", check="fill")]) is None
    assert fill_rules([Account(), Account(check="both")]) is not None


@pytest.mark.parametrize(
    ("quantity", "commission", "expected"), [(100.0, 0.0, True), (100.0, 0.01, False), (101, 0, False)]
)
def test_a_cash_account_pays_no_more_than_its_cash(quantity, commission, expected):
    """Commission included."""
    assert expected == can_pay(quantity, 10.0, type="cash", commission=commission)


def test_a_cash_account_may_look_at_settled_cash_alone():
    """With ``use_unsettled = false``."""
    assert can_pay(50.0, 10.0, type="cash", settled=499.0)
    assert not can_pay(50.0, 10.0, type="cash", settled=499.0, use_unsettled=False)
    assert can_pay(49.0, 10.0, type="cash", settled=499.0, use_unsettled=False)


@pytest.mark.parametrize(("held", "quantity", "expected"), [(5.0, -5.0, True), (5.0, -6.0, False), (0.0, -1.0, False)])
def test_a_cash_account_sells_nothing_below_zero(held, quantity, expected):
    """What it holds it may always sell."""
    assert expected == can_pay(quantity, 10.0, held=(held, 0.0), type="cash")


@pytest.mark.parametrize("quantity", [100.0, -100.0])
def test_futures_in_a_cash_account_claim_their_margin(quantity):
    """They may be sold short, and their price is not paid."""
    assert can_pay(quantity, 99.0, type="cash", settles=2, initial_per_unit=10.0)
    assert not can_pay(1.01 * quantity, 99.0, type="cash", settles=2, initial_per_unit=10.0)


def test_what_a_cash_account_holds_in_futures_is_not_there_to_buy_with():
    """Their margin stays claimed."""
    futures = {"type": "cash", "held": (0.0, 50.0), "settles": (0, 2, 0)}

    assert can_pay(75.0, 10.0, **futures)
    assert not can_pay(76.0, 10.0, **futures)


@pytest.mark.parametrize(
    ("quantity", "commission", "expected"), [(-200.0, 0.0, True), (200.0, 1.0, False), (-201, 0, False)]
)
def test_a_margin_account_carries_what_results(quantity, commission, expected):
    """Twice its equity at the marks."""
    assert expected == can_pay(quantity, 10.0, commission=commission)


def test_all_positions_of_the_account_claim_margin():
    """And worth counts to equity: 1000 in cash and 300 short of B at 10 are worth 700."""
    assert can_pay(110.0, 10.0, held=(0.0, -30.0))
    assert not can_pay(111.0, 10.0, held=(0.0, -30.0))


def test_a_fill_through_zero_is_judged_by_what_results():
    """It does more than reduce."""
    assert can_pay(-300.0, 10.0, held=(150.0, 0.0), cash=-500.0 + 250.0)
    assert can_pay(-650.0, 10.0, held=(150.0, 0.0))
    assert not can_pay(-651.0, 10.0, held=(150.0, 0.0))


@pytest.mark.parametrize("account", ["cash", "margin"])
def test_without_equity_only_reducing_fills_pass(account):
    """Equity is -50 here."""
    loss = {"held": (50.0, 0.0), "cash": -550.0, "type": account}

    assert can_pay(-50.0, 10.0, **loss)
    assert not can_pay(1.0, 0.001, **loss)


def test_an_unlimited_account_always_pays():
    """Beside one that is asked."""
    from ml4t_backtest_portfolio_standard.fill_check import affords, fill_rules

    params = fill_rules([Account(type="unlimited", check="fill"), Account(check="fill")])
    orders, market, positions = np.zeros(1, ORDER), np.zeros(2, MARKET), np.zeros(1, POSITION)
    market["quantity"] = market["price"] = 1e9

    assert 1.0 == affords(orders, 0, market, 0.0, np.zeros(1, INSTRUMENT), positions, np.zeros(2, ACCOUNT), params)


def test_without_a_mark_the_price_of_the_fill_is_one():
    """Other positions are worth their average price."""
    nowhere = (np.nan, np.nan)

    assert can_pay(200.0, 10.0, marks=nowhere)
    assert not can_pay(201.0, 10.0, marks=nowhere)
    assert can_pay(10.0, 30.0, held=(10.0, -10.0), cash=150.0, marks=nowhere)
    assert not can_pay(10.0, 30.0, held=(10.0, -10.0), cash=149.0, marks=nowhere)


def test_costs_are_paid_at_the_present_rate():
    """Two for one: 1,000 of the second account's currency buy 100 at 10."""
    assert can_pay(100.0, 10.0, type="cash", rate=2.0)
    assert not can_pay(100.0, 10.0, type="cash", rate=np.nan)


def test_a_symbol_that_is_not_held_needs_no_rate():
    """The rate of its currency is not known here."""
    assert can_pay(200.0, 10.0, currency=(0, 1, 0))
    assert not can_pay(200.0, 10.0, currency=(0, 1, 0), held=(0.0, 1.0))


def test_what_is_held_carries_and_claims_at_its_rate():
    """1,000 and 30 of B at 10 are 2,600 at 2; at a half, 1,000 are 500."""
    assert can_pay(230.0, 10.0, held=(0.0, 30.0), rate=2.0)
    assert not can_pay(231.0, 10.0, held=(0.0, 30.0), rate=2.0)
    assert can_pay(230.0, 10.0, held=(0.0, 30.0), rate=0.5)
    assert not can_pay(231.0, 10.0, held=(0.0, 30.0), rate=0.5)


def test_shares_in_another_currency_carry_a_loan_in_the_first():
    """300 of B at 10 are 6,000 at 2, of which 3,000 are claimed; 200 of A claim what is left."""
    loan = {"held": (0.0, 300.0), "cash": -2000.0, "rates": (1.0, 2.0), "currency": (0, 1, 0)}

    assert can_pay(200.0, 10.0, **loan)
    assert not can_pay(201.0, 10.0, **loan)


def test_a_cash_account_buys_parts_of_a_unit():
    """A purchase is no sale, however small."""
    assert can_pay(0.5, 10.0, type="cash")
    assert not can_pay(-0.5, 10.0, type="cash")


def test_cash_of_all_currencies_counts():
    """100 euros at 2 beside 1,000."""
    assert can_pay(240.0, 10.0, rates=(1.0, 2.0), euros=100.0)
    assert not can_pay(241.0, 10.0, rates=(1.0, 2.0), euros=100.0)


def test_what_is_bought_in_another_currency_is_paid_at_its_rate():
    """50 at 10 euros are 1,000 at 2; so are 49 with a commission of 10 euros."""
    abroad = {"type": "cash", "rates": (1.0, 2.0), "currency": (1, 0, 0)}

    assert can_pay(50.0, 10.0, **abroad)
    assert not can_pay(51.0, 10.0, **abroad)
    assert can_pay(49.0, 10.0, commission=10.0, **abroad)
    assert not can_pay(49.0, 10.0, commission=10.1, **abroad)
