"""What a fill costs; a minimum is charged once an order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_commission_standard.models import (
    NoCommission,
    PercentCommission,
    PerContractCommission,
    PerShareCommission,
    PerTradeCommission,
)

RATES = st.floats(0.0, 10.0)
AMOUNTS = st.floats(0.0, 100.0)
PARTS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6)
PRICES = st.floats(-1e6, 1e6)
SIGNS = st.sampled_from([1, -1])
EVERY_MODEL = st.one_of(
    st.just((NoCommission, {})),
    st.builds(
        lambda rate, minimum, maximum: (PerShareCommission, {"rate": rate, "minimum": minimum, "maximum": maximum}),
        RATES,
        AMOUNTS,
        st.one_of(st.none(), st.floats(0.0, 1.0)),
    ),
    st.builds(
        lambda rate, fee, minimum: (PerContractCommission, {"rate": rate, "fee": fee, "minimum": minimum}),
        RATES,
        AMOUNTS,
        AMOUNTS,
    ),
    st.builds(lambda rate, minimum: (PercentCommission, {"rate": rate, "minimum": minimum}), RATES, AMOUNTS),
    st.builds(lambda amount: (PerTradeCommission, {"amount": amount}), AMOUNTS),
)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("cls", "settings", "cost"),
    [
        (NoCommission, {}, 0.0),
        (PerShareCommission, {"rate": 0.005}, 0.5),
        (PerShareCommission, {"rate": 0.005, "minimum": 1.0}, 1.0),
        (PerContractCommission, {"rate": 0.85}, 85.0),
        (PerContractCommission, {"rate": 0.85, "fee": 1.5}, 86.5),
        (PerContractCommission, {"rate": 0.01, "fee": 1.5, "minimum": 3.0}, 3.0),
        (PercentCommission, {"rate": 0.001}, 5.0),
        (PercentCommission, {"rate": 0.001, "minimum": 9.0}, 9.0),
        (PercentCommission, {"rate": 0.001, "minimum": 4.0}, 5.0),
        (PerTradeCommission, {"amount": 3.0}, 3.0),
    ],
)
def test_costs_of_whole_orders(account, sign, cls, settings, cost):
    """100 units at 50; buying and selling cost the same."""
    assert [cost] == account(cls, **settings).order(sign * 100)


@pytest.mark.parametrize("sign", [1, -1])
def test_minimum_is_charged_once_and_covers_later_fills(account, sign):
    """300 shares at 0.005 are 1.50 in all, however they fill, bought or sold."""
    per_share = account(PerShareCommission, rate=0.005, minimum=1.0)
    percent = account(PercentCommission, rate=0.001, minimum=9.0)
    per_contract = account(PerContractCommission, rate=1.0, fee=1.5, minimum=3.0)
    per_trade = account(PerTradeCommission, amount=3.0)

    assert [1.0, 0.0, 0.5] == per_share.order(100 * sign, 100 * sign, 100 * sign)
    assert [9.0, 0.0, 6.0] == percent.order(100 * sign, 50 * sign, 150 * sign)
    assert [3.0, 0.0, 5.5] == per_contract.order(1 * sign, 0.5 * sign, 5.5 * sign)
    assert [3.0, 0.0] == per_trade.order(100 * sign, 100 * sign)


def test_a_fee_is_charged_with_the_first_fill(account):
    """zipline charges its exchange fee so."""
    assert [2.35, 0.85] == pytest.approx(account(PerContractCommission, rate=0.85, fee=1.5).order(1, 1))


def test_every_order_pays_its_own_minimum(account):
    """What one order has paid says nothing about the next."""
    broker = account(PerShareCommission, rate=0.005, minimum=1.0)

    assert [1.0] == broker.order(100)
    assert [1.0] == broker.order(100)


def test_maximum_wins_over_minimum(account):
    """Interactive Brokers' example: 10 shares at 0.20 with 1 % of the value at most cost 0.02, not 1."""
    ibkr = account(PerShareCommission, rate=0.005, minimum=1.0, maximum=0.01)

    assert [pytest.approx(0.02)] == ibkr.order(10, price=0.20)
    assert [1.0] == ibkr.order(100, price=25.0)
    assert [5.0] == ibkr.order(1_000, price=25.0)
    assert [pytest.approx(2.5)] == ibkr.order(1_000, price=0.25)
    assert [pytest.approx(2.5)] == ibkr.order(-1_000, price=-0.25)


def test_a_maximum_of_nothing_is_a_maximum(account):
    """It is not the same as none."""
    assert [0.0] == account(PerShareCommission, rate=0.005, minimum=1.0, maximum=0.0).order(100)


def test_nothing_is_paid_back_where_the_maximum_falls(account):
    """1 % of 1,000 at 0.30 was paid; at 0.10 all 1,500 would owe less."""
    ibkr = account(PerShareCommission, rate=0.005, maximum=0.01)

    assert [pytest.approx(3.0), 0.0] == ibkr.order(1_000, 500, price=[0.30, 0.10])


def test_values_add_up_at_changing_prices(account):
    """Without a minimum, or once it is passed, each fill pays for its own value."""
    assert [5.0, 6.0] == account(PercentCommission, rate=0.001).order(100, 100, price=[50.0, 60.0])
    assert [5.0, 6.0] == account(PercentCommission, rate=0.001, minimum=4.0).order(100, 100, price=[50.0, 60.0])


def test_percent_counts_multiplier_and_size_of_price(account):
    """A contract's value is quantity times price times multiplier, whatever the signs."""
    assert [20.0] == account(PercentCommission, rate=0.005).order(-2, price=-40.0, multiplier=50.0)
    assert [20.0] == account(PercentCommission, rate=0.005, minimum=3.0).order(-2, price=-40.0, multiplier=50.0)


@given(
    chosen=EVERY_MODEL,
    parts=PARTS,
    price=PRICES,
    multiplier=st.sampled_from([1.0, 50.0]),
    sign=st.sampled_from([1, -1]),
)
def test_an_order_costs_the_same_in_parts_and_whole(account, chosen, parts, price, multiplier, sign):
    """At one price; no part is paid back, and the interpreter charges the same to the bit."""
    cls, settings = chosen
    fills = [sign * part for part in parts]
    costs = account(cls, **settings).order(*fills, price=price, multiplier=multiplier)
    interpreted = account(cls, **settings).order(*fills, price=price, multiplier=multiplier, plain=True)
    whole = account(cls, **settings).order(sum(fills), price=price, multiplier=multiplier)

    assert pytest.approx(whole[0], rel=1e-12, abs=1e-12) == sum(costs)
    assert all(0.0 <= cost < float("inf") for cost in costs)
    assert np.array(costs).tobytes() == np.array(interpreted, np.float64).tobytes()


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (PerShareCommission, {"rate": -0.1}),
        (PerShareCommission, {"minimum": float("nan")}),
        (PerShareCommission, {"maximum": -0.01}),
        (PerContractCommission, {"rate": -0.1}),
        (PerContractCommission, {"fee": float("inf"), "rate": 1.0}),
        (PerContractCommission, {"minimum": -1.0, "rate": 1.0}),
        (PercentCommission, {"rate": float("inf")}),
        (PercentCommission, {"minimum": -1.0, "rate": 0.1}),
        (PerTradeCommission, {"amount": -1.0}),
    ],
)
def test_impossible_rates_are_refused(account, cls, settings):
    """The message names the key."""
    with pytest.raises(RunFileError, match=rf"^{next(iter(settings))} of commission model commission was .*>= 0$"):
        account(cls, **settings)


@pytest.mark.parametrize(
    ("cls", "settings", "phrase"),
    [
        (NoCommission, {}, "none"),
        (PerShareCommission, {"minimum": 1.0}, "0.005 per share, at least 1 per order"),
        (
            PerShareCommission,
            {"minimum": 1.0, "maximum": 0.01},
            "0.005 per share, at least 1 per order, at most 1 % of its value",
        ),
        (PerContractCommission, {"rate": 0.85}, "0.85 per contract"),
        (
            PerContractCommission,
            {"rate": 0.85, "fee": 1.5, "minimum": 3.0},
            "0.85 per contract and 1.5 per order, at least 3 per order",
        ),
        (PercentCommission, {"rate": 0.001}, "10 bps of value"),
        (PercentCommission, {"rate": 0.001, "minimum": 5.0}, "10 bps of value, at least 5 per order"),
        (PerTradeCommission, {"amount": 3.0}, "3 per order"),
    ],
)
def test_models_describe_themselves_with_units(account, cls, settings, phrase):
    """The header prints the settings."""
    assert phrase == account(cls, **settings).model.describe()
