"""Orders that fill in parts."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import CommissionModel, Setup
from ml4t.backtest.state import MARKET, ORDER


class Account:
    """One model in one run, and what it charges."""

    def __init__(self, cls, **settings):
        self.model = cls(cls.Config(**settings), Setup(name="commission"))
        assert isinstance(self.model, CommissionModel)
        self.state = self.model.initial_state()

    def order(self, *fills, price=50.0, multiplier=1.0, plain=False, **fields):
        """Return what each partial fill of a new order costs; a price per fill, or one for all."""
        function = getattr(self.model.function, "py_func", self.model.function) if plain else self.model.function
        market, orders, found = np.zeros(1, MARKET), np.zeros(1, ORDER), []
        prices = np.broadcast_to(price, len(fills))
        for name, value in {"multiplier": multiplier, **fields}.items():
            market[name] = value
        for quantity, paid in zip(fills, prices, strict=True):
            market["quantity"], market["price"] = quantity, paid
            cost = function(orders, 0, market, self.model.params(), self.state)
            orders["filled"] += quantity
            orders["commission"] += cost
            found.append(cost)
        return found


@pytest.fixture(scope="session")
def account():
    """Make a run with one commission model."""
    return Account
