"""Schedules: from a rule over sessions to the instants at which a callback is due."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.sessions import SessionTable, to_ns
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import RunError
from ml4t_backtest_engine_standard.timers import Timers

__all__ = ["Schedule"]

_AT = re.compile(r"(?:(open|close)(?:([+-])(\w+))?|([01]\d|2[0-3]):([0-5]\d))$")
_PERIODS: dict[str, Callable[[date], Any]] = {
    "daily": lambda day: day,
    "weekly": lambda day: day.isocalendar()[:2],
    "monthly": lambda day: (day.year, day.month),
}


class Schedule:
    """Collects what a strategy wants called when.

    Attributes:
        entries: (callback, instants, closes of their sessions; int64, ascending) in the order of registration.
        specs: (method name, rule, at, tz) of each, which a snapshot keeps.
        sessions: Sessions of the run's calendar.
        before: Called before each callback, where there are several strategies.
        timers: Calls at instants of their own.
    """

    def __init__(self, sessions: SessionTable) -> None:
        self.entries: list[tuple[Callable[[Any], None], NDArray[np.int64], NDArray[np.int64]]] = []
        self.specs: list[tuple[str, str, str, str | None]] = []
        self.sessions = sessions
        self.before: Callable[[], None] | None = None
        self.timers = Timers()

    def add(self, callback: Callable[[Any], None], rule: str, at: str, tz: str | None) -> None:
        """Register a callback; see ``Context.schedule``.

        Raises:
            RunError: The rule or the time of day is not understood.
        """
        try:
            place = _AT.match(at)
            if rule not in _PERIODS or place is None or not callable(callback):
                raise ValueError
            rows, instants = self._instants(self._rows(rule), place, tz)
        except (ValueError, KeyError, OSError, TypeError):
            raise RunError(
                f"schedule({rule!r}, at={at!r}, tz={tz!r}) is not understood: rule is one of {', '.join(_PERIODS)}, "
                "at is open, close, open+30m, close-5m or HH:MM, tz an IANA zone such as America/New_York, "
                "callback takes the context"
            ) from None
        self.entries.append((callback, instants, self.sessions.close[rows]))
        self.specs.append((getattr(callback, "__name__", repr(callback)), rule, at, tz))

    def queue(self, clock: Clock, start: int, context: object) -> None:
        """Queue what is scheduled for sessions of the data, from the start on.

        Args:
            clock: Has seen the first rows.
            start: No callback comes before this instant, UTC ns.
            context: What callbacks are given.
        """
        for callback, instants, closes in self.entries:
            first = max(np.searchsorted(closes, clock.first_close), np.searchsorted(closes, start, side="right"))
            first = max(first, np.searchsorted(instants, start))
            call = partial(callback, context)
            if self.before is not None:
                call = partial(_after, self.before, call)
            _queue_next(clock, call, instants.tolist(), int(first))

    def _rows(self, rule: str) -> list[int]:
        """Return the first session of each day, week or month."""
        days = [date(1970, 1, 1) + timedelta(days=label) for label in self.sessions.label.tolist()]
        periods = [_PERIODS[rule](day) for day in days]
        return [row for row in range(len(days)) if row == 0 or periods[row] != periods[row - 1]]

    def _instants(self, rows: list[int], place: re.Match[str], tz: str | None) -> tuple[list[int], NDArray[np.int64]]:
        """Return the sessions that have such an instant, and the instants."""
        table, (edge, sign, offset, hour, minute) = self.sessions, place.groups()
        if edge:
            shift = parse_duration(offset) * (-1 if sign == "-" else 1) if offset else 0
            return rows, np.asarray((table.open if edge == "open" else table.close)[rows] + shift)
        zone, midnight = ZoneInfo(tz or table.timezone), datetime(1970, 1, 1)
        days = [
            midnight + timedelta(days=int(label), hours=int(hour), minutes=int(minute)) for label in table.label[rows]
        ]
        one_day, opens, closes = timedelta(days=1), table.open[rows], table.close[rows]
        instants, before = (
            np.array([to_ns((day - shift).replace(tzinfo=zone)) for day in days], np.int64)
            for shift in (timedelta(0), one_day)
        )
        # An evening may belong to the session of the day after.
        instants = np.where((instants > closes) & (before >= opens), before, instants)
        inside = (opens <= instants) & (instants <= closes)
        kept = inside if 2 * inside.sum() > len(inside) else np.ones(len(inside), np.bool_)
        return [row for row, keep in zip(rows, kept.tolist(), strict=True) if keep], instants[kept]


def _after(before: Callable[[], None], callback: Callable[[], None]) -> None:
    before()
    callback()


def _queue_next(clock: Clock, callback: Callable[[], None], instants: list[int], place: int) -> None:
    def fire() -> None:
        _queue_next(clock, callback, instants, place + 1)
        callback()

    if place < len(instants):
        clock.at(instants[place], fire)
