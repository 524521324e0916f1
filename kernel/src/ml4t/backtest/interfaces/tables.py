"""Tables beside the market data: corporate actions, dated rates, instruments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Action", "TableSource"]


class TableSource(ABC):
    """A table that is read whole before a run; what its columns mean is for those who ask for it."""

    @abstractmethod
    def read(self) -> pl.DataFrame:
        """Return the rows; DataError naming file, what is wrong and what to do."""

    def digest(self) -> str:
        """SHA-256 (hex) of the input read, for the manifest; empty when the source cannot say."""
        return ""


@dataclass(frozen=True, slots=True)
class Action:
    """One corporate action at the instant at which it takes effect.

    Attributes:
        kind: ``split, stock-dividend, dividend, merger, spin-off, symbol-change, delisting`` or ``expiry``.
        symbol: The instrument's id.
        ratio: New units for one old one; of a spin-off and a merger units of ``other``, NaN for none.
        amount: Cash for one unit, in ``currency``; NaN for none.
        currency: An index into ``RunState.currencies``.
        value: Price of one unit that the action states (of a delisting, of a unit of ``other``); NaN for none.
        other: Id of the instrument that is received; -1 for none.
        pay_at: When cash is paid, UTC ns; 0 for at once.
    """

    kind: str
    symbol: int
    ratio: float
    amount: float
    currency: int
    value: float
    other: int
    pay_at: int
