"""Slippage is signed: a buy pays more, a sale gets less."""

import numpy as np
import pytest

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Setup, SlippageModel
from ml4t.backtest.state import MARKET, ORDER
from ml4t_backtest_slippage_standard.models import (
    BasisPointSlippage,
    FixedSlippage,
    NoSlippage,
    SpreadSlippage,
)


def amount(cls, price, quantity, **settings):
    model = cls(cls.Config(**settings), Setup(name="slippage"))
    assert isinstance(model, SlippageModel)
    market = np.zeros(1, MARKET)
    market["price"], market["quantity"] = price, quantity
    return model.function(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state())


@pytest.mark.parametrize(
    ("cls", "settings", "size"),
    [
        (NoSlippage, {}, 0.0),
        (BasisPointSlippage, {"bps": 25.0}, 0.25),
        (FixedSlippage, {"amount": 0.02}, 0.02),
        (SpreadSlippage, {"spread": 0.001}, 0.05),
    ],
)
def test_slippage_is_against_the_order(cls, settings, size):
    """At a price of 100, in price units."""
    assert size == amount(cls, 100.0, 7.0, **settings)
    assert -size == amount(cls, 100.0, -7.0, **settings)


def test_negative_prices_are_worse_upwards_too():
    """A buy at -40 pays more: the size of the price counts, not its sign."""
    assert 0.4 == amount(BasisPointSlippage, -40.0, 1.0, bps=100.0)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_impossible_sizes_are_refused(value):
    """A slippage that helps the order is a mistake."""
    with pytest.raises(RunFileError, match=r"bps of slippage model slippage was .*; give a finite number >= 0"):
        amount(BasisPointSlippage, 1.0, 1.0, bps=value)


def test_models_describe_themselves_with_units():
    """The header prints the setting."""
    config = BasisPointSlippage.Config()
    assert "5 bps" == BasisPointSlippage(config, Setup(name="bps")).describe()
