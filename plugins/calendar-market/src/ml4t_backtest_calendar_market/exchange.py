"""Ask pandas-market-calendars; the one module of this plugin that loads pandas."""

from __future__ import annotations

import difflib
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandas_market_calendars as market_calendars

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK, SESSION_DTYPE
from ml4t.backtest.errors import DataError
from ml4t_backtest_calendar_market.store import Stored

__all__ = ["compute"]


def compute(name: str, first: int, last: int) -> Stored:
    """Compute the sessions of whole years.

    Args:
        name: A calendar of pandas-market-calendars.
        first: First year.
        last: Last year, included.

    Raises:
        DataError: The calendar is unknown, or does not know these years.
    """
    known = market_calendars.get_calendar_names()
    if name not in known:
        folded = {each.casefold(): each for each in known}
        near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3)]
        meant = f"did you mean {' or '.join(near)}" if near else 'write an exchange code such as "XNYS"'
        raise DataError(f'pandas-market-calendars has no calendar "{name}"; {meant}')
    try:
        with warnings.catch_warnings():
            # Deprecations between these libraries, which no user can act on, and breaks that were given up,
            # which are left out below from that day on.
            warnings.simplefilter("ignore")
            calendar = market_calendars.get_calendar(name)
            schedule: Any = calendar.schedule(f"{first}-01-01", f"{last}-12-31")
    except (ValueError, KeyError, OverflowError, NotImplementedError) as error:
        years = f"{first} to {last}"
        message = f"pandas-market-calendars cannot give calendar {name} for {years}: {error}"
        raise DataError(f"{message}; correct start and end") from error
    sessions = np.full(len(schedule), NO_BREAK, SESSION_DTYPE)
    sessions["label"] = schedule.index.to_numpy().astype("datetime64[D]").astype(np.int64)
    for field, column in (("open", "market_open"), ("close", "market_close")):
        sessions[field] = _utc_ns(schedule[column])
    if "break_start" in schedule:
        begin, end = _utc_ns(schedule["break_start"]), _utc_ns(schedule["break_end"])
        # On a half day the library moves what is left of the break to the close.
        real = (begin != NO_BREAK) & (begin < end) & (end < sessions["close"])
        if until := calendar.discontinued_market_times.get("break_start"):
            real &= sessions["label"] < until.toordinal() - EPOCH_ORDINAL
        sessions["break_start"][real], sessions["break_end"][real] = begin[real], end[real]
    return Stored(sessions, str(calendar.tz))


def _utc_ns(times: pd.Series) -> npt.NDArray[np.int64]:
    # Not-a-time becomes the smallest integer, which is NO_BREAK.
    instants = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    return np.asarray(instants.astype(np.int64))
