"""The standard fill models name one price each."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import FillModel, Setup
from ml4t.backtest.state import MARKET, ORDER
from ml4t_backtest_fill_standard.models import NextClose, NextOpen, SameClose


@pytest.mark.parametrize(
    ("cls", "mode", "price"),
    [(NextOpen, "next-open", 10.0), (NextClose, "next-close", 11.0), (SameClose, "same-close", 11.0)],
)
def test_model_takes_the_price_of_its_name(cls, mode, price):
    """The mode says what an order waits for, the function which price it takes."""
    model = cls(cls.Config(), Setup(name=mode))
    market = np.zeros(1, MARKET)
    market["open"], market["close"] = 10.0, 11.0

    assert isinstance(model, FillModel)
    assert mode == model.mode
    assert f"at the {mode.replace('-', ' ')}" == model.describe()
    assert price == model.function(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state())


def test_missing_price_is_passed_on():
    """NaN means that nothing fills on this bar."""
    model = NextOpen(NextOpen.Config(), Setup(name="next-open"))
    market = np.zeros(1, MARKET)
    market["open"] = np.nan

    assert np.isnan(model.function(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state()))
