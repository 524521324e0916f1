"""Settle once per source what its stamps mean, or say which line is missing."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from ml4t.backtest.core.sessions import DAY_NS
from ml4t.backtest.core.stamps import Convention, StampRule, parse_duration
from ml4t.backtest.errors import DataError

__all__ = ["resolve_stamps", "zone_key"]

# The lines of a run file that say what stamps mean.
_BAR = 'bar = "5m"   # the length of one bar'
_STAMP = 'stamp = "open"   # or "close": which end of its bar a stamp is'
_COLUMNS = 'columns = { event_time = "timestamp" }   # or { known_at = "timestamp" }'
_LATENCY = 'latency = "0s"   # from event_time to when it could be known'
_ZONE = 'timezone = "America/New_York"   # the zone in which they were written'


def resolve_stamps(
    *,
    origin: str,
    kind: Literal["bar", "quote", "trade", "signal", "table"],
    dtype: pl.DataType,
    all_midnight: bool,
    bar: str | None = None,
    stamp: Literal["open", "close"] | None = None,
    timezone: str | None = None,
    latency: str | None = None,
    has_known_at: bool = False,
    has_event_time: bool = False,
) -> StampRule:
    """Settle what the stamps of a source mean.

    Args:
        origin: The file or frame, for messages.
        kind: What a row is.
        dtype: Type of the column that holds the stamps: for bars ``timestamp``; else ``known_at`` where
            there is one, or ``event_time``, or ``timestamp``.
        all_midnight: Whether every stamp of the whole source is midnight in its own zone.
        bar: Length of a bar, such as ``"1d"`` or ``"5m"``.
        stamp: Which end of a bar its stamp is.
        timezone: IANA zone of naive stamps.
        latency: From event_time, or the label's close, to when a row is known.
        has_known_at: Whether the source has a column ``known_at``.
        has_event_time: Whether the source has a column ``event_time``; of bars, ``bar_start`` too.

    Raises:
        DataError: The stamps could be taken in several ways; the message holds the lines to add.
    """
    if not isinstance(dtype, pl.Date | pl.Datetime):
        raise DataError(f"{origin}: stamps are {dtype}; give dates, or datetimes, {_made_of(dtype)}")
    period = parse_duration(bar, f"{origin}: bar") if bar is not None else None
    naive = isinstance(dtype, pl.Datetime) and dtype.time_zone is None
    if kind in ("quote", "trade") and has_event_time and bar is not None and stamp is not None:
        latency = latency or "0s"  # the last of a bar happened at its end
    label = isinstance(dtype, pl.Date) or (all_midnight and (period is None or period >= DAY_NS))
    convention: Convention = "label" if label else stamp or "open"
    if has_event_time or (has_known_at and kind != "bar"):
        convention = "known_at" if has_known_at and kind != "bar" else "event_time"
    bare, stated = convention in ("open", "close"), convention in ("known_at", "event_time")
    midnights = stated and naive and all_midnight
    zoned = naive and convention != "label" and not midnights
    needed = {
        _BAR: bare and kind == "bar" and not period,
        _STAMP: bare and kind == "bar" and not stamp,
        _COLUMNS: bare and kind != "bar",
        _LATENCY: latency is None and kind != "bar" and (bare or convention == "event_time"),
        _ZONE: zoned and timezone is None,
    }
    if lines := [line for line, missing in needed.items() if missing]:
        message = f"{origin}: it is not said when its rows are known; add to this {kind} source"
        raise DataError("\n    ".join([message, *lines]))
    if kind == "bar" and convention == "label" and (stamp is not None or period not in (None, DAY_NS)):
        message = f"{origin}: dates and midnights are session labels, whose bar is the session; take out `stamp`"
        raise DataError(f'{message} and write\n    bar = "1d"')
    return StampRule(
        convention=convention,
        period_ns=period or DAY_NS if kind == "bar" and not stated else None,
        latency_ns=parse_duration(latency, f"{origin}: latency") if latency is not None else 0,
        timezone=zone_key(timezone, origin) if zoned else None,
        midnights=midnights,
        origin=origin,
    )


def _made_of(dtype: pl.DataType) -> str:
    """Say how columns of another type become stamps; only their owner knows what they count."""
    if dtype.is_integer():
        return 'as pl.from_epoch("timestamp", "ns") makes of nanoseconds since 1970 ("us", "ms", "s": the others)'
    if dtype == pl.String:
        return 'as pl.col("timestamp").str.to_date() or .str.to_datetime(time_zone="UTC") makes of text'
    return "such as 2024-03-01 or 2024-03-01T14:30:00Z"


def zone_key(timezone: str | None, origin: str) -> str:
    """Return the name of a zone that is known; ``DataError`` for another."""
    try:
        return ZoneInfo(timezone or "").key
    except (KeyError, ValueError, OSError) as error:
        message = f'{origin}: "{timezone}" is no time zone; write an IANA name such as "America/New_York"'
        raise DataError(message) from error
