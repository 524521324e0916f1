"""Marks and rates, brought up to date when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from ml4t.backtest.core.pit import Released
from ml4t_backtest_engine_standard.loop.rates import Rates

__all__ = ["Marks"]


class Marks:
    """Takes over what price feeds have released.

    Args:
        prices: Price feeds, in run-file order.
        rates: Rates of exchange; None in runs of one currency.

    Attributes:
        rates: As given.
    """

    __slots__ = ("_prices", "rates")

    def __init__(self, prices: Sequence[Released], rates: Rates | None) -> None:
        self._prices, self.rates = tuple(prices), rates

    def fold(self) -> None:
        """Bring marks, and the rates that they make, up to date."""
        for released in self._prices:
            released.fold()
        if self.rates is not None:
            self.rates.update()

    def check(self) -> None:
        """Stop the run where a balance or a position is in a currency without a rate."""
        if self.rates is not None:
            self.rates.check()
