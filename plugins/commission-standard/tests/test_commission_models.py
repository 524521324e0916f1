"""What a fill costs; a minimum is charged once an order."""

import numpy as np
import pytest

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import CommissionModel, Setup
from ml4t.backtest.state import MARKET, ORDER
from ml4t_backtest_commission_standard.models import (
    NoCommission,
    PercentCommission,
    PerShareCommission,
    PerTradeCommission,
)


def costs(cls, fills, price=50.0, multiplier=1.0, **settings):
    """Return what each partial fill of one order costs."""
    model = cls(cls.Config(**settings), Setup(name="commission"))
    assert isinstance(model, CommissionModel)
    market, orders, found = np.zeros(1, MARKET), np.zeros(1, ORDER), []
    market["price"], market["multiplier"] = price, multiplier
    for quantity in fills:
        market["quantity"] = quantity
        found.append(model.function(orders, 0, market, model.params(), model.initial_state()))
        orders["filled"] += quantity
    return found


@pytest.mark.parametrize("sign", [1, -1])
def test_costs_of_whole_orders(sign):
    """Buying and selling cost the same."""
    assert [0.0] == costs(NoCommission, [sign * 100])
    assert [0.5] == costs(PerShareCommission, [sign * 100], rate=0.005)
    assert [1.0] == costs(PerShareCommission, [sign * 100], rate=0.005, minimum=1.0)
    assert [5.0] == costs(PercentCommission, [sign * 100], rate=0.001)
    assert [3.0] == costs(PerTradeCommission, [sign * 100], amount=3.0)


def test_minimum_is_charged_once_and_covers_later_fills():
    """300 shares at 0.005 are 1.50 in all, however they fill."""
    assert [1.0, 0.0, 0.5] == costs(PerShareCommission, [100, 100, 100], rate=0.005, minimum=1.0)
    assert [3.0, 0.0] == costs(PerTradeCommission, [100, 100], amount=3.0)


def test_percent_counts_multiplier_and_size_of_price():
    """A contract's value is quantity times price times multiplier, whatever the signs."""
    assert [20.0] == costs(PercentCommission, [-2], price=-40.0, multiplier=50.0, rate=0.005)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (PerShareCommission, {"rate": -0.1}),
        (PerShareCommission, {"minimum": float("nan")}),
        (PercentCommission, {"rate": float("inf")}),
        (PerTradeCommission, {"amount": -1.0}),
    ],
)
def test_impossible_rates_are_refused(cls, settings):
    """The message names the key."""
    with pytest.raises(RunFileError, match=rf"{next(iter(settings))} of commission model"):
        costs(cls, [], **settings)


def test_models_describe_themselves_with_units():
    """The header prints the settings."""
    config = PerShareCommission.Config(rate=0.005, minimum=1.0)
    described = PerShareCommission(config, Setup(name="per-share")).describe()

    assert "0.005 per share, at least 1 per order" == described
