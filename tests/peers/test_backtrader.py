"""The profile ``backtrader`` fills as backtrader 1.9.78.123 does."""

import pytest

PEER = "backtrader"
pytestmark = pytest.mark.peers


def test_fills_and_equity_are_those_of_backtrader(scenario, agrees):
    """Order by order the same day, price, size and commission; the same equity on every day."""
    agrees(scenario)
