"""When the rows of a table happened and were known, by the rules that sources of market data have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, Integers, SessionTable
from ml4t.backtest.core.stamps import Convention, StampRule, derive, parse_duration
from ml4t.backtest.errors import DataError

__all__ = ["DAYS_HELD", "SYMBOLS", "as_days", "check_zone", "find_column", "plain_keys", "stamp_rows"]

DAYS_HELD: Final = (date(1678, 1, 1), date(2261, 12, 31))  # first and last day that ns can hold in whole years
SYMBOLS: Final = ("symbol", "asset", "ticker")
_BARE: Final = ("timestamp", "date", "datetime", "time")
_COLUMNS: Final = 'columns = {{ event_time = "{0}" }}   # or {{ known_at = "{0}" }}'
_LATENCY: Final = 'latency = "0s"   # from event_time to when it could be known'
_ZONE: Final = 'timezone = "America/New_York"   # the zone in which they were written'


def find_column(rows: pl.DataFrame, names: Sequence[str]) -> str | None:
    """Return the first of these names that a column has."""
    return next((name for name in names if name in rows.columns), None)


def plain_keys(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose columns of tickers and stamps are called as the run calls them, whatever case they come in."""
    plain = {column: column.strip().lower().replace(" ", "_") for column in rows.columns}
    once = {column: name for column, name in plain.items() if [*plain.values()].count(name) == 1}
    groups: list[Sequence[str]] = [SYMBOLS, ("known_at",), ("event_time",)]
    if not {"known_at", "event_time"} & {*once.values()}:
        groups.append(_BARE)
    missing = [name for group in groups if not {*group} & {*rows.columns} for name in group]
    names = {column: name for column, name in once.items() if name in missing}
    return rows.rename(names)


def stamp_rows(
    rows: pl.DataFrame, sessions: SessionTable, where: str, *, latency: str | None, timezone: str | None
) -> tuple[list[str], Integers, Integers]:
    """Return which columns are stamps, and when each row happened and is known.

    Args:
        rows: Rows of a table.
        sessions: The run's calendar.
        where: What messages call the table.
        latency: From event_time, or the session's close, to when a row is known, such as ``"1d"``.
        timezone: IANA zone of naive stamps that are no session labels.

    Returns:
        Names; int64 (n,) UTC ns of event_time; the same of known_at.

    Raises:
        DataError: It is not said when rows are known, or a row has no such stamp.
    """
    stated: list[str] = [name for name in ("known_at", "event_time") if name in rows.columns]
    bare = find_column(rows, _BARE)
    used = stated or ([bare] if bare else [])
    if not used:
        remedy = 'name a column of stamps, as in columns = { known_at = "column" }'
        raise DataError(f"{where}: no column known_at or event_time; it has {', '.join(rows.columns)}; {remedy}")
    stamps = rows.select(as_days(rows[name], where, zoned=not stated) for name in used)
    naive = [name for name in used if getattr(stamps[name].dtype, "time_zone", "") is None]
    label = not stated and stamps[used[0]].dtype == pl.Date
    needed = {
        _COLUMNS.format(used[0]): not stated and not label,
        _LATENCY: latency is None and not label and "known_at" not in stated,
        _ZONE: bool(naive) and timezone is None,
    }
    if lines := [line for line, missing in needed.items() if missing]:
        raise DataError("\n    ".join([f"{where}: it is not said when its rows are known; add to this table", *lines]))
    convention: Convention = "label" if label else "known_at" if "known_at" in stated else "event_time"
    rule = StampRule(
        convention=convention,
        latency_ns=0 if latency is None else parse_duration(latency, f"{where}: latency"),
        timezone=check_zone(timezone, where) if naive else None,
        origin=where,
    )
    _, event_time, known_at = derive(rule, stamps.rename({used[0]: "timestamp"}) if label else stamps, sessions)
    return used, event_time, known_at


def as_days(column: pl.Series, where: str, *, zoned: bool = False) -> pl.Series:
    """Return stamps as dates where all are midnight: they name sessions.

    Args:
        column: Dates or datetimes.
        where: What messages call the table.
        zoned: Whether this goes for stamps with a zone too, at midnight there.

    Raises:
        DataError: They are neither.
    """
    if not isinstance(column.dtype, pl.Date | pl.Datetime):
        raise DataError(
            f"{where}: {column.name} is {column.dtype}; give dates, or moments such as 2024-03-01T14:30:00Z"
        )
    if isinstance(column.dtype, pl.Datetime) and (zoned or column.dtype.time_zone is None):
        local = column.dt.replace_time_zone(None).dt.cast_time_unit("us").to_physical()
        if (local.drop_nulls() % (DAY_NS // 1000) == 0).all():
            return column.dt.date()
    return column


def check_zone(timezone: str | None, where: str) -> str:
    """Return the name of a zone that is known; DataError for another."""
    try:
        return ZoneInfo(timezone or "").key
    except (KeyError, ValueError, OSError) as error:
        remedy = 'write an IANA name such as "America/New_York"'
        raise DataError(f'{where}: "{timezone}" is no time zone; {remedy}') from error
