"""Risk managers stand between the outbox and the broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["RiskManager"]


class RiskManager(ABC):
    """Approves, changes or refuses requests before the broker sees them, and may ask for exits of its own."""

    @abstractmethod
    def check(self, requests: NDArray[np.void], state: RunState) -> None:
        """Judge one round of requests in place.

        A basket (rows of one ``basket`` number) comes whole. A changed quantity keeps its side, and 0 refuses; the
        engine keeps the one before in ``asked``, and ``changed-by-risk`` is recorded. NaN or another side is an error.
        Of an entry that was cut the engine cuts the children of the same round to the same part, in lots.

        Args:
            requests: REQUEST rows; change ``quantity``, or set ``reason`` to an index into
                ``ml4t.backtest.state.REASONS`` to refuse.
            state: The run's columns, to read.
        """

    def exits(self, state: RunState) -> NDArray[np.void] | None:
        """Return orders and cancels to be sent before the strategy is called, once an instant; None for none.

        Args:
            state: The run's columns, to read; marks are up to date.

        Returns:
            REQUEST rows. Of an order ``symbol``, ``quantity``, ``tag`` and, for other kinds than market, the
            prices count; of a cancel ``order_id`` and ``tag``, the reason with which the order ends. The engine
            sets the rest. Every risk manager judges them like any other.
        """
        return None
