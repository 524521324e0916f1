"""The broker: takes requests, keeps working orders, makes fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml4t.backtest.core.clock import Rows
    from ml4t.backtest.interfaces.models import ExecutionModels
    from ml4t.backtest.interfaces.portfolio import Portfolio
    from ml4t.backtest.interfaces.tables import Action
    from ml4t.backtest.state import RunState

__all__ = ["Broker"]


class Broker(ABC):
    """Writes ORDER, ORDER_EVENT, FILL and BOOK of the run's state; nobody else does.

    The engine calls ``open`` once, then ``match`` at each instant with price rows while orders are working,
    and ``submit`` with each round of requests.

    Attributes:
        watches_rows: Whether ``match`` is called with each price row, even while no order works.
    """

    watches_rows: bool = False

    @classmethod
    def defaults(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what holds where a run names nothing else: models by kind, keys of the broker, ``account``."""
        return {}

    @abstractmethod
    def open(self, state: RunState, models: ExecutionModels, portfolio: Portfolio) -> None:
        """Get ready: compile or load the core, allocate. Called before the first instant."""

    @abstractmethod
    def submit(self, requests: NDArray[np.void]) -> None:
        """Accept or refuse requests in order at ``state.now``; each leaves at least one ORDER_EVENT row.

        Args:
            requests: REQUEST rows in the order in which the strategy made them; a row with a reason was
                refused by a risk manager and is recorded as such. Order ids are consecutive: the k-th order
                request of the run has id k, accepted or not.
        """

    @abstractmethod
    def match(self, rows: Rows, start: int, stop: int) -> None:
        """Let working orders meet the price rows ``start:stop``, which become known at ``state.now``.

        Rows are in symbol-name order within their source. Fills are applied to the portfolio at once.
        """

    def match_now(self, rows: Rows, start: int, stop: int) -> None:
        """Called right after ``submit`` with this instant's rows, for models that fill at the same close."""
        return None

    def apply_action(self, action: Action) -> None:
        """Adjust or end working orders of a symbol in phase 2, before the portfolio adjusts the position."""
        return None

    def end_session(self, shown: int) -> None:
        """Called at each session's close, after matching: what ends with the session ends.

        Args:
            shown: UTC ns; all prices that formed up to it are known. Before now where a feed has a latency.
        """
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        """Sentences that every header and result must show (``fills at the same close`` …)."""
        return ()

    def describe(self) -> dict[str, str]:
        """Rules in force for the run's header: name -> phrase."""
        return {}

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep besides the tables: plain values and arrays."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        return None

    def finish(self) -> None:
        """End of the run, at ``state.now``: working orders end as cancelled with reason ``end-of-run``."""
        return None
