"""What a currency is worth in the base currency. Quotations are from the page on instruments."""

from __future__ import annotations

from decimal import Decimal

from .scenario import Scenario


class MissingRateError(Exception):
    """A rate that is needed is not known."""


class Rates:
    """The rates that the marks of pairs make.

    "Marks of pairs are the run's rates: of a currency in base currency the mark of the pair, or one over that of
    the reverse pair, or two pairs by way of one third currency, direct first."
    """

    def __init__(self, scenario: Scenario, marks: dict[str, Decimal]) -> None:
        self._base, self._marks = scenario.base, marks
        self._pairs = [each for each in scenario.listings if each.asset_class == "fx"]

    def of(self, currency: str) -> Decimal:
        """Return a rate; MissingRateError where it is not known: "It is never taken as 1"."""
        found = self.known(currency)
        if found is None:
            raise MissingRateError(currency)
        return found

    def known(self, currency: str) -> Decimal | None:
        """Return a rate, None where it is not known."""
        if currency in ("", self._base):
            return Decimal(1)
        direct = self._between(currency, self._base)
        if direct is not None:
            return direct
        thirds = sorted({pair.base for pair in self._pairs} | {pair.currency or self._base for pair in self._pairs})
        for third in thirds:
            first, second = self._between(currency, third), self._between(third, self._base)
            if first is not None and second is not None:
                return first * second
        return None

    def _between(self, one: str, other: str) -> Decimal | None:
        for base, quoted, turned in ((one, other, False), (other, one, True)):
            for pair in self._pairs:
                if pair.base == base and (pair.currency or self._base) == quoted and pair.symbol in self._marks:
                    mark = self._marks[pair.symbol]
                    return 1 / mark if turned else mark
        return None
