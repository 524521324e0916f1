"""Orders that fill in parts."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import MarketImpactModel, Setup
from ml4t.backtest.state import MARKET, ORDER


def order(cls, *fills, price=50.0, volume=1e6, plain=False, **settings):
    """Return what each partial fill of one order adds to its price, price units."""
    model = cls(cls.Config(**settings), Setup(name="impact"))
    assert isinstance(model, MarketImpactModel)
    function = getattr(model.function, "py_func", model.function) if plain else model.function
    market, orders, found = np.zeros(1, MARKET), np.zeros(1, ORDER), []
    market["price"], market["volume"], market["multiplier"] = price, volume, 1.0
    for quantity in fills:
        market["quantity"] = quantity
        with np.errstate(all="ignore"):  # as in an interpreted run
            found.append(function(orders, 0, market, model.params(), model.initial_state()))
        orders["filled"] += quantity
    return found


@pytest.fixture(scope="session", name="order")
def order_of_a_run():
    """Fill one order in parts."""
    return order
