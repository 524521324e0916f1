"""The rows of one source with what their stamps mean, for rules that look at more than a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, SessionTable
from ml4t.backtest.core.stamps import derive
from ml4t.backtest.interfaces import SourceSpec
from ml4t_backtest_gate_standard.findings.groups import rows_by_symbols
from ml4t_backtest_gate_standard.findings.judge import Looked

__all__ = ["View", "views"]

_STAMPS = ("timestamp", "known_at", "event_time", "bar_start")
_CHUNK = 2_000_000  # rows looked at together


@dataclass(frozen=True, slots=True)
class View:
    """Rows of some symbols of one source, all that the source has of them.

    Attributes:
        rows: By symbol, then by time: ``#`` (number in the input), ``symbol``, ``start``, ``end``, ``known`` (Int64,
            UTC ns; ``known`` as the rows state it, before any clamp), ``session`` (Int64, row of the calendar, -1
            outside), ``day`` (Date, that of the session, or the local one) and the value columns (Float64).
        spec: What the source says of its rows.
        sessions: The source's calendar.
        expected: Rows of the calendar in which the source is expected to have rows, ascending.
        looked: Names rows.
    """

    rows: pl.DataFrame
    spec: SourceSpec
    sessions: SessionTable
    expected: pl.Series
    looked: Looked

    @property
    def intraday(self) -> bool:
        """Whether a session may have several rows of a symbol."""
        return self.spec.rule.convention != "label" and (self.spec.rule.period_ns or 0) < DAY_NS

    def places(self, rows: pl.DataFrame, limit: int = 3) -> tuple[str, ...]:
        """Name the first of some rows, by input row, symbol and moment."""
        moment = pl.from_epoch("start", "ns").dt.strftime("%FT%TZ") if self.intraday else pl.col("day")
        shown = rows.head(limit).select("#", "symbol", moment)
        return tuple(f"{self.looked.place(number)} ({symbol}, {at})" for number, symbol, at in shown.iter_rows())


def views(looked: Looked, sessions: SessionTable) -> Iterator[View]:
    """Yield the rows of a source, so many symbols at a time that memory stays bounded.

    Args:
        looked: A source that was settled.
        sessions: Its calendar.

    Raises:
        DataError: A stamp is out of range or, in its zone, ambiguous or non-existent.
    """
    assert looked.spec is not None, "only sources that were settled are looked at"
    plan = looked.plan.with_row_index("#").drop_nulls(["symbol", _first(looked.plan)])
    expected = None
    for part in rows_by_symbols(plan, _CHUNK):
        rows = _meant(part, looked.spec, sessions)
        if expected is None:
            expected = _expected(rows, sessions)
        yield View(rows, looked.spec, sessions, expected, looked)


def _first(plan: pl.LazyFrame) -> str:
    names = plan.collect_schema().names()
    return next(name for name in _STAMPS if name in names)


def _meant(frame: pl.DataFrame, spec: SourceSpec, sessions: SessionTable) -> pl.DataFrame:
    """Return the rows with what their stamps mean, by symbol and time."""
    start, end, known = derive(spec.rule, frame, sessions)
    if spec.kind == "bar" and "known_at" in frame.columns:
        stated = replace(spec.rule, convention="known_at", latency_ns=0)
        known = derive(stated, frame.select("known_at"), sessions)[2]
    label = spec.rule.convention == "label"
    session = sessions.index_of_label(_days(frame["timestamp"])) if label else _inside(start, end, sessions)
    names = pl.Enum(frame["symbol"].unique().cast(pl.String).sort())
    rows = frame.select(
        "#",
        pl.col("symbol").cast(pl.String).cast(names),
        pl.Series("start", start),
        pl.Series("end", end),
        pl.Series("known", known),
        pl.Series("session", session),
        *[_number(frame[name]) for name in spec.fields],
    )
    labels = pl.Series(np.append(sessions.label, 0)[session]).cast(pl.Int32).cast(pl.Date)
    local = frame["timestamp"].dt.date() if label else _local_day(rows["start"], sessions.timezone)
    day = pl.select(pl.when(pl.Series(session >= 0)).then(labels).otherwise(local).alias("day")).to_series()
    codes = rows["symbol"].to_physical().to_numpy()
    ordered = bool((np.diff(end) >= 0).all())
    order = np.argsort(codes, kind="stable") if ordered else np.lexsort((end, codes))
    return rows.with_columns(day)[order]


def _number(column: pl.Series) -> pl.Expr:
    plain = column if column.dtype.is_numeric() else column.cast(pl.String)
    return pl.lit(plain.cast(pl.Float64, strict=False)).alias(column.name)


def _days(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return column.dt.date().to_physical().cast(pl.Int64).to_numpy()


def _local_day(instants: pl.Series, timezone: str) -> pl.Series:
    return pl.from_epoch(instants, "ns").dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date()


def _inside(
    start: np.ndarray[tuple[int], np.dtype[np.int64]],
    end: np.ndarray[tuple[int], np.dtype[np.int64]],
    sessions: SessionTable,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the session that each row overlaps, -1 for none; an instant may be that of a close or an open."""
    points = start == end
    row = np.where(points, np.searchsorted(sessions.close, start), np.searchsorted(sessions.close, start, "right"))
    opens = np.append(sessions.open, np.iinfo(np.int64).max)[row]
    inside = (opens < end) | (points & (opens == end))
    pauses, ends = (np.append(sessions.data[name], 0)[row] for name in ("break_start", "break_end"))
    resting = (pauses > 0) & (start >= pauses) & (end <= ends) & ~(points & ((start == pauses) | (end == ends)))
    return np.where(inside & ~resting, row, -1)


def _expected(rows: pl.DataFrame, sessions: SessionTable) -> pl.Series:
    """Return the sessions in which rows are expected; where nobody named an exchange, those with any row."""
    seen = rows["session"].unique().sort()
    seen = seen.filter(seen >= 0)
    if sessions.name == "24/7" or seen.is_empty():
        return seen
    return pl.Series("session", np.arange(seen[0], seen[-1] + 1))
