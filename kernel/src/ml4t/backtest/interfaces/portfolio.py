"""Accounting: positions, cash, profit and loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.state import RunState

__all__ = ["Portfolio"]


class Portfolio(ABC):
    """Writes POSITION, ACCOUNT, LEDGER and EQUITY of the run's state; nobody else does.

    Attributes:
        apply_fill: ``(fills, i, instruments, positions, accounts, ledger, counters) -> float64``; called by
            the broker's loop for each new FILL row; ledger room is reserved by the broker (two rows a fill).
    """

    apply_fill: Callable[..., float]

    @abstractmethod
    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Write the opening balance (a ledger row of kind deposit). Called before the first instant."""

    @abstractmethod
    def equity(self) -> float:
        """Cash plus marked positions at the marks in INSTRUMENT, in base currency."""

    @abstractmethod
    def exposure(self) -> tuple[float, float]:
        """(gross, net) value of the positions at the marks in INSTRUMENT, in base currency."""

    @abstractmethod
    def unrealised(self) -> float:
        """Profit and loss of the open positions at the marks in INSTRUMENT."""

    @abstractmethod
    def sample(self, timestamp: int, session: int) -> None:
        """Append an EQUITY row. Called at each session close, and once more at the end of the run."""

    @abstractmethod
    def trades(self) -> pl.DataFrame:
        """Round trips (FIFO) of the run so far, open ones included; columns of ``trades.parquet``."""

    @abstractmethod
    def metrics(self) -> Mapping[str, float]:
        """Figures of the run from its EQUITY, FILL and trade rows; full names, returns as fractions, counts as int."""
