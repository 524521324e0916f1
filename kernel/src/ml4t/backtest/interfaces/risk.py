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
    """Approves, changes or refuses requests before the broker sees them."""

    @abstractmethod
    def check(self, requests: NDArray[np.void], state: RunState) -> None:
        """Judge one round of requests in place.

        Args:
            requests: REQUEST rows; change ``quantity``, or set ``reason`` to an index into
                ``ml4t.backtest.state.REASONS`` to refuse.
            state: The run's columns, to read.
        """
