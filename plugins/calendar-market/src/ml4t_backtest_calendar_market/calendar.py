"""The sessions of an exchange, from pandas-market-calendars or from the cache of an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ml4t.backtest.core.sessions import EPOCH_ORDINAL
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.calendar import Calendar
from ml4t_backtest_calendar_market.store import SessionStore, Stored

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import Setup

__all__ = ["MarketCalendar"]

_FIRST_YEAR, _LAST_YEAR = 1900, 2100


class MarketCalendar(Calendar):
    """Give the sessions of one exchange, with holidays, half days, breaks and daylight saving.

    Whole years are computed with pandas-market-calendars once and kept in the user's cache; a run that
    finds them there loads no pandas.

    Args:
        config: Which exchange.
        setup: Surroundings; not used.

    Raises:
        DataError: At the first use, when no such calendar is known.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Choose the exchange.

        Attributes:
            name: An exchange's code (MIC) or another name that pandas-market-calendars knows: ``XNYS``,
                ``XLON``, ``XHKG``, ``CMES``, ``CME_Equity``, ``24/7``. Upper and lower case matter.
        """

        name: str

    def __init__(self, config: Config, setup: Setup | None = None) -> None:
        self.config = config
        self._store = SessionStore(config.name)
        self._stored: Stored | None = None

    @property
    def name(self) -> str:
        """The name given, such as ``XNYS``."""
        return self.config.name

    @property
    def timezone(self) -> str:
        """The exchange's IANA zone."""
        stored = self._stored or self._store.any()
        return stored.timezone if stored else self._years(2020, 2020).timezone

    def sessions(self, start: date, end: date) -> npt.NDArray[Any]:
        """Return the sessions labelled start to end, both included, as rows of ``SESSION_DTYPE``.

        Raises:
            DataError: The calendar is unknown, or does not know these years.
        """
        if end < start or start.year < _FIRST_YEAR or end.year > _LAST_YEAR:
            years = f"{_FIRST_YEAR} to {_LAST_YEAR}"
            raise DataError(
                f"calendar {self.name}: {start} to {end} is no window within {years}; correct start and end"
            )
        found = self._years(start.year, end.year).sessions
        first, last = (day.toordinal() - EPOCH_ORDINAL for day in (start, end))
        return found[(found["label"] >= first) & (found["label"] <= last)]

    def _years(self, first: int, last: int) -> Stored:
        stored = self._store.read(first, last)
        if stored is None:
            # Loads pandas, which takes longer than all the rest of a small run.
            from ml4t_backtest_calendar_market.exchange import compute

            stored = compute(self.name, first, last)
            self._store.write(first, last, stored)
        self._stored = stored
        return stored
