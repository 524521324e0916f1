"""Accounting: positions, cash, profit and loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces.tables import Action
    from ml4t.backtest.state import RunState

__all__ = ["Portfolio"]


class Portfolio(ABC):
    """Writes POSITION, ACCOUNT, LEDGER and EQUITY of the run's state; nobody else does.

    Attributes:
        apply_fill: ``(fills, i, instruments, positions, accounts, ledger, counters) -> float64``; called by
            the broker's loop for each new FILL row; ledger room is reserved by the broker (two rows a fill, four
            where ACCOUNT.converts is set when it opens).
        affords, affords_params: Optional, and then both: ``(orders, i, market, commission, instruments, positions,
            accounts, params) -> float64``, 0 where the fill in ``market[0]`` (price paid, signed quantity) cannot be
            paid for; the broker asks before each fill and then ends the order as cancelled, ``no-buying-power``.
        figures: Optional: what has ``equity``, ``exposure`` and ``unrealised`` for strategies to be shown, where the
            portfolio itself holds rows that are not known yet.
    """

    apply_fill: Callable[..., float]

    @abstractmethod
    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Write the opening balance (a ledger row of kind deposit). Called before the first instant."""

    def apply_action(self, action: Action) -> None:
        """Adjust positions, lots and cash in phase 2, on the position held strictly before; see ``Broker``."""
        return None

    def next_due(self) -> int:
        """Return the next instant, UTC ns, at which ``settle`` is to be called besides session closes."""
        return 2**63 - 1

    def settle(self, session: int | None) -> None:
        """Pay what is due at ``state.now`` in phase 2: borrow, interest, funding, variation, settlement, dividends.

        Args:
            session: Label of the session that closes now, days since 1970-01-01; None where none does.
        """
        return None

    def check(self, requests: NDArray[np.void]) -> bool:
        """Judge one round of requests in place after all risk managers, by buying power, marks up to date.

        Rules are those of ``RiskManager.check``. Returns whether any request was changed or refused.
        """
        return False

    def exits(self) -> NDArray[np.void] | None:
        """Return liquidations in phase 7, as ``RiskManager.exits`` does; called at session closes, after marking."""
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        """Sentences that every result must show (``negative equity`` …)."""
        return ()

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep besides the tables: plain values and arrays."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        return None

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
