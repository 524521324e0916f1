"""The profile ``zipline`` fills as zipline-reloaded 3.2.1 does."""

import pytest

PEER = "zipline"
pytestmark = pytest.mark.peers


def test_fills_and_equity_are_those_of_zipline(scenario, agrees):
    """Order by order the same day, price, size and commission; the same equity on every day."""
    agrees(scenario)
