"""The stretch of time that a run covers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np

from ml4t.backtest.core.sessions import DAY_NS, SessionTable, to_ns
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import InputError, RunFileError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_engine_standard.assembly.stamps import DAYS_HELD

__all__ = ["Span", "find_window"]

# Sessions are looked up in this stretch unless the run's own dates lie outside of it.
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2040, 12, 31)


class Span(NamedTuple):
    """Sessions of the run's calendar, the rows that it needs, and its first and last instant, UTC ns."""

    sessions: SessionTable
    window: Window
    start: int
    end: int


def find_window(settings: Mapping[str, Any], where: str, calendar: Any) -> Span:
    """Look up the sessions of a run, and which rows it needs.

    Args:
        settings: The run's settings.
        where: File of the settings, for messages.
        calendar: The calendar of the run.

    Raises:
        RunFileError: The calendar does not know these years, or start is not before end.
    """
    start, end, warmup = (settings.get(key) for key in ("start", "end", "warmup"))
    first, last = _day(start, _FIRST_DAY), _day(end, _LAST_DAY)
    for key, day in (("start", first), ("end", last)):
        if not DAYS_HELD[0] <= day <= DAYS_HELD[1]:
            within = f"a run lies between {DAYS_HELD[0]} and {DAYS_HELD[1]}"
            raise RunFileError(f"{where}: {key} is {settings[key]}: {within}; correct it, or leave it out")
    try:
        rows = calendar.sessions(min(first, _FIRST_DAY), max(last, _LAST_DAY))
    except InputError as error:
        raise RunFileError(f"{where}: clock.calendar: {error}") from error
    sessions = SessionTable(rows, timezone=calendar.timezone, name=calendar.name)
    begin = 0 if start is None else _instant(start, sessions, last=False)
    finish = np.iinfo(np.int64).max if end is None else _instant(end, sessions, last=True)
    if begin >= finish:
        raise RunFileError(f"{where}: start {start} is not before end {end}")
    earliest = begin - (parse_duration(warmup, f"{where}: warmup") if warmup else 0)
    window = Window(first=None if start is None else earliest, last=None if end is None else int(finish))
    return Span(sessions, window, begin, int(finish))


def _day(value: date | datetime | None, default: date) -> date:
    return default if value is None else value.date() if isinstance(value, datetime) else value


def _instant(value: date | datetime, sessions: SessionTable, *, last: bool) -> int:
    """Return the open of the first session on or after a day, or the close of the last on or before it."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise RunFileError(f"{value.isoformat()} has no time zone: write a date, or add an offset")
        return to_ns(value)
    days = value.toordinal() - date(1970, 1, 1).toordinal()
    if last:
        row = int(np.searchsorted(sessions.label, days, side="right")) - 1
        return int(sessions.close[row]) if row >= 0 else 0
    row = int(np.searchsorted(sessions.label, days))
    return int(sessions.open[row]) if row < len(sessions) else days * DAY_NS
