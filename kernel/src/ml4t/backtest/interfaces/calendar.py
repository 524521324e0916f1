"""When a market is open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Calendar"]


class Calendar(ABC):
    """Say when each session of a market begins and ends.

    Assembly asks once for the sessions of the run and hands them to the clock; no rule of the calendar
    is evaluated while the run goes on.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The calendar's name for messages and the manifest, such as ``XNYS``."""

    @property
    @abstractmethod
    def timezone(self) -> str:
        """The IANA zone in which session labels are local days, such as ``America/New_York``."""

    @abstractmethod
    def sessions(self, start: date, end: date) -> npt.NDArray[np.void | Any]:
        """Return the sessions whose labels lie between two dates, both included.

        Returns:
            Structured array of ``ml4t.backtest.core.sessions.SESSION_DTYPE``, labels strictly increasing.

        Raises:
            DataError: The calendar does not know these years, or is itself unknown.
        """
