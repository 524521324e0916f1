"""From the stamps of a source to when each row began, happened and could be known.

A source says once, with a `StampRule`, what its stamps mean; `derive` applies that to every batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, Integers, SessionTable
from ml4t.backtest.errors import DataError, RunFileError

__all__ = ["Convention", "StampRule", "derive", "parse_duration", "to_utc"]

Convention: TypeAlias = Literal["label", "open", "close", "known_at", "event_time"]
Derived: TypeAlias = tuple[Integers, Integers, Integers]

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_UNITS |= {"d": DAY_NS, "w": 7 * DAY_NS}
_ZONE = 'timezone = "America/New_York"   # the zone in which they were written'


@dataclass(frozen=True, kw_only=True)
class StampRule:
    """What the stamps of one source mean.

    Attributes:
        convention: ``label``: the session they name; ``open`` or ``close``: that end of the bar;
            ``known_at`` or ``event_time``: the column of that name says it.
        period_ns: Length of a bar, ns; None for what is no bar.
        latency_ns: From event_time (for labels: the close) to known_at, ns.
        timezone: IANA zone of naive stamps; None where they need none.
        midnights: Whether naive midnights in the column ``known_at`` or ``event_time`` name sessions.
        origin: The source, for messages.
        calendar: The calendar whose sessions labels name; empty for the run's.
        grace_ns: How long after the end of a bar, and latency, its slice is delivered.
    """

    convention: Convention
    period_ns: int | None = None
    latency_ns: int = 0
    timezone: str | None = None
    midnights: bool = False
    origin: str = "<frame>"
    calendar: str = ""
    grace_ns: int = 0


def parse_duration(text: str, setting: str = "") -> int:
    """Return the ns of a whole number with a unit: ns, us, ms, s, m (minutes), h, d or w.

    Args:
        text: Such as ``5m``.
        setting: Where it was set, for the message.

    Raises:
        RunFileError: The text is not of that form.
    """
    match = re.fullmatch(r"(\d{1,18})(ns|us|ms|s|m|h|d|w)", text.strip(), re.ASCII)
    length = int(match[1]) * _UNITS[match[2]] if match else 2**63
    if length >= 2**63:
        remedy = 'write a whole number and a unit, as "250ms", "5m", "1h" or "400d"'
        raise RunFileError(f'{setting} "{text}" is no duration: {remedy}'.lstrip())
    return length


def derive(rule: StampRule, frame: pl.DataFrame, sessions: SessionTable, *, first_row: int = 0) -> Derived:
    """Compute bar_start, event_time and known_at of each row.

    A label stands for its session: its open, its close, known at that close plus latency; a label that is
    no session waits for the end of that local day. A bar lasts its whole period, also over a close: trades
    after hours may be in it. What is no bar starts when it happens, unless ``bar_start`` says otherwise.

    Args:
        rule: What the stamps mean.
        frame: Rows with ``timestamp``, or ``known_at`` or ``event_time`` where the rule says so. A bar with
            ``known_at`` is known then, but never before its slice; once that is past it joins the next one.
        sessions: The source's calendar.
        first_row: Number of the first row in its source, for messages.

    Returns:
        int64 arrays (n,), UTC ns: bar_start, event_time, known_at.

    Raises:
        DataError: A stamp is null, out of range or, in its zone, ambiguous or non-existent.
    """

    def instants(name: str) -> Integers:
        stamps = frame[name].dt.date() if rule.midnights and name == rule.convention else frame[name]
        return to_utc(stamps, sessions, timezone=rule.timezone, origin=rule.origin, first_row=first_row)

    if rule.convention == "known_at":
        known_at = instants("known_at") + rule.latency_ns
        end = instants("event_time") if "event_time" in frame.columns else known_at
        return instants("bar_start") if "bar_start" in frame.columns else end, end, known_at
    if rule.convention == "event_time":
        end = instants("event_time")
        start = instants("bar_start") if "bar_start" in frame.columns else end
    elif rule.convention == "label":
        # Not cast(pl.Date), which takes the day in UTC.
        days = _integers(frame["timestamp"].dt.date(), rule.origin, first_row)
        firsts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))  # rows of one day stand together
        sizes = np.diff(firsts, append=len(days))
        start, end = (np.repeat(edge(days[firsts]), sizes) for edge in (sessions.label_open, sessions.label_close))
    else:
        stamps, period = instants("timestamp"), rule.period_ns or 0
        start, end = (stamps - period, stamps) if rule.convention == "close" else (stamps, stamps + period)
    known_at = end + delay if (delay := rule.latency_ns + rule.grace_ns) else end
    if "known_at" in frame.columns:
        known_at = np.maximum(known_at, instants("known_at"))
        if rule.convention == "label":
            close = np.append(sessions.close, 0)[np.searchsorted(sessions.close, known_at - delay)]
            known_at = np.where(known_at > end + delay, np.maximum(known_at, close + delay), known_at)
        elif rule.period_ns:
            known_at += (end + delay - known_at) % rule.period_ns
    return start, end, known_at


def to_utc(
    stamps: pl.Series, sessions: SessionTable, *, timezone: str | None, origin: str, first_row: int = 0
) -> Integers:
    """Turn dates or datetimes into UTC ns; a date is known at its session's close.

    Args:
        stamps: Date, or Datetime of any unit and zone.
        sessions: The calendar whose closes dates mean.
        timezone: IANA zone of naive datetimes.
        origin: The source, for messages.
        first_row: Number of the first row in its source, for messages.

    Raises:
        DataError: A stamp is null, out of range or, in its zone, ambiguous or non-existent.
    """
    if stamps.dtype == pl.Date:
        return sessions.label_close(_integers(stamps, origin, first_row))
    if not isinstance(stamps.dtype, pl.Datetime):
        raise DataError(f"{origin}: column {stamps.name} is {stamps.dtype}; give dates or datetimes")
    if stamps.dtype.time_zone is None:
        if timezone is None:
            raise DataError(f"{origin}: column {stamps.name} has no zone; add to this source\n    {_ZONE}")
        local, stamps = stamps, stamps.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
        if stamps.null_count() > local.null_count():
            row = (stamps.is_null() & local.is_not_null()).arg_max() or 0
            fault = f"{local[row]} happened twice or never in {timezone}; write these stamps in UTC"
            raise DataError(f"{origin} row {first_row + row}: {fault}")
    return _integers(stamps, origin, first_row)


def _integers(stamps: pl.Series, origin: str, first_row: int) -> Integers:
    """Days of dates, UTC ns of datetimes; nothing null and nothing beyond what int64 ns can hold."""
    scale = {"ns": 1, "us": 10**3, "ms": 10**6}[getattr(stamps.dtype, "time_unit", "ns")]
    limit = 106_650 * (1 if stamps.dtype == pl.Date else DAY_NS // scale)  # days, to 1678 and 2261
    whole = stamps.cast(pl.Int64)
    edges: list[Any] = [whole.min() or 0, whole.max() or 0]
    if whole.null_count() or edges[0] < -limit or edges[1] > limit:
        row = (~whole.is_between(-limit, limit).fill_null(False)).arg_max() or 0
        # Python's days end so far off, with 9999-12-31.
        shown = f"{stamps.name} is {whole[row] if abs(whole[row] or 0) > 27.5002 * limit else stamps[row]}"
        raise DataError(f"{origin} row {first_row + row}: {shown}; every row needs one between 1678 and 2261")
    return whole.to_numpy() * scale
