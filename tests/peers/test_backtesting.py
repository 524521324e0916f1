"""Without a profile of its own: the fill rules named by each scenario do what backtesting.py 0.6.6 does."""

import pytest

PEER = "backtesting"
pytestmark = pytest.mark.peers


def test_fills_and_equity_are_those_of_backtesting_py(scenario, agrees):
    """The same day, price, size and commission, fills at one price of one day added up; the same equity."""
    agrees(scenario)
