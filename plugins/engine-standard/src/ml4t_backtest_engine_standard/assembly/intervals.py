"""Membership as intervals: each becomes a row that opens it and one that closes it, known each at its own time."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.sessions import Integers, SessionTable
from ml4t.backtest.core.stamps import to_utc
from ml4t.backtest.errors import DataError
from ml4t_backtest_engine_standard.assembly.stamps import DAYS_HELD, SYMBOLS, as_days, check_zone, find_column
from ml4t_backtest_engine_standard.assembly.tables import faults_of

__all__ = ["is_intervals", "split_intervals"]

_FIRST: Final = ("from", "since")
_LAST: Final = ("to", "until")
_ALWAYS: Final = -(2**62)  # before all data, and far enough from the smallest int64 to compute ages
_NEVER: Final = int(np.iinfo(np.int64).max)


def is_intervals(rows: pl.DataFrame) -> bool:
    """Say whether rows are intervals rather than facts."""
    return find_column(rows, (*_FIRST, *_LAST)) is not None and "member" not in rows.columns


def split_intervals(
    rows: pl.DataFrame, sessions: SessionTable, where: str, timezone: str | None
) -> tuple[pl.Series, Integers, Integers, NDArray[np.float64]]:
    """Return a row for each edge of each interval.

    Args:
        rows: ``symbol``, ``from`` or ``since``, ``to`` or ``until`` (dates, the last one included, or moments), and
            perhaps when each edge was known.
        sessions: The run's calendar.
        where: What messages call the table.
        timezone: IANA zone of naive moments.

    Returns:
        Tickers; event_time and known_at, int64 (n,), UTC ns; and whether it is a member since, float64 (n,), 1 or 0.

    Raises:
        DataError: A row has no symbol or ends before it begins, or intervals of one symbol overlap.
    """
    symbol = find_column(rows, SYMBOLS)
    if symbol is None:
        raise DataError(f"{where}: no column 'symbol'; it has {', '.join(rows.columns)}; name it in columns")
    names = rows[symbol].cast(pl.String)
    first, last = find_column(rows, _FIRST), find_column(rows, _LAST)
    begin, of_days = _edge(rows, first, sessions, where, timezone)
    end, to_days = _edge(rows, last, sessions, where, timezone, begin)
    known = [
        _known(rows, (f"{first}_known_at", "known_at"), begin, sessions, where, timezone),
        _known(rows, (f"{last}_known_at", "known_at"), end, sessions, where, timezone),
    ]
    problems = faults_of(names.is_null().to_numpy(), where, "has no symbol; give each row one")
    problems += faults_of(begin >= end, where, f"{last} is before {first}; correct it")
    order = (
        pl.DataFrame({"symbol": names, "begin": begin}).with_row_index("row").sort("symbol", "begin")["row"].to_numpy()
    )
    same = names.gather(order).eq_missing(names.gather(order).shift(1)).to_numpy()
    overlap = np.zeros(len(rows), np.bool_)
    overlap[order[1:]] = same[1:] & (begin[order[1:]] < end[order[:-1]])
    remedy = f"give the last day as a member in {last}, not the first day after, or make one row of them"
    problems += faults_of(overlap, where, f"begins before the interval before it ended; {remedy}")
    if problems:
        raise DataError(*problems)
    followed = np.zeros(len(rows), np.bool_)  # where one interval ends as the next begins there is no edge
    reach = _next_open(end, sessions) if of_days and to_days else end
    goes_on = (begin[order[1:]] <= reach[order[:-1]]) & (known[0][order[1:]] <= begin[order[1:]])
    followed[order[:-1]] = same[1:] & goes_on
    closing = (end != _NEVER) & ~followed
    closed = np.flatnonzero(closing)
    event_time = np.concatenate([begin, end[closed]])
    known_at = np.concatenate([known[0], known[1][closed]])
    member = np.concatenate([np.ones(len(rows)), np.zeros(len(closed))])
    return pl.concat([names, names.gather(closed)]), event_time, known_at, member


def _edge(
    rows: pl.DataFrame,
    name: str | None,
    sessions: SessionTable,
    where: str,
    timezone: str | None,
    begin: Integers | None = None,
) -> tuple[Integers, bool]:
    """Return when each interval begins or, with its ``begin``, ends, UTC ns; and whether these were dates."""
    out = np.full(len(rows), _ALWAYS if begin is None else _NEVER, np.int64)
    if name is None or rows[name].null_count() == len(rows):
        return out, True
    column = as_days(rows[name], where)
    years = column.dt.year()
    out[(years < DAYS_HELD[0].year).fill_null(False).to_numpy()] = _ALWAYS
    out[(years > DAYS_HELD[1].year).fill_null(False).to_numpy()] = _NEVER  # 9999-12-31 stands for no end in databases
    held = years.is_between(DAYS_HELD[0].year, DAYS_HELD[1].year).fill_null(False)
    column, given = column.filter(held), held.to_numpy()
    if column.dtype != pl.Date:
        out[given] = to_utc(column, sessions, timezone=_zone(column, timezone, where), origin=where)
        return out, False
    days = column.to_physical().cast(pl.Int64).to_numpy()
    out[given] = sessions.label_open(days) if begin is None else _last_close(days, begin[given], sessions)
    return out, True


def _last_close(days: Integers, begin: Integers, sessions: SessionTable) -> Integers:
    """Return when each last day is over: of one without a session at the close of the session before, if it counts."""
    before = np.searchsorted(sessions.label, days, "right") - 1
    close = np.append(sessions.close, _ALWAYS)[before]  # -1, no session before, reads the last
    ends: Integers = np.where(close > begin, close, sessions.label_close(days))
    return ends


def _next_open(end: Integers, sessions: SessionTable) -> Integers:
    """Return the first open at or after each end: what begins there goes on, as no session lies in between."""
    opens = np.append(sessions.open, _NEVER)
    reached: Integers = np.maximum(opens[np.searchsorted(sessions.open, end)], end)
    return reached


def _known(
    rows: pl.DataFrame,
    names: tuple[str, ...],
    edge: Integers,
    sessions: SessionTable,
    where: str,
    timezone: str | None,
) -> Integers:
    """Return when each edge is known: as the first of these columns says, where it does, else with the edge."""
    name = find_column(rows, names)
    if name is None or rows[name].null_count() == len(rows):
        return edge
    column = as_days(rows[name], where)
    given, out = column.is_not_null().to_numpy(), edge.copy()
    column = column.drop_nulls()
    out[given] = to_utc(column, sessions, timezone=_zone(column, timezone, where), origin=where)
    return out


def _zone(column: pl.Series, timezone: str | None, where: str) -> str | None:
    """Return the zone of naive moments; None where there are none, or nothing was said."""
    naive = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is None
    return check_zone(timezone, where) if naive and timezone is not None else None
