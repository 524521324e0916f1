"""Tables beside the market data: found with the other components, read once the calendar is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, Integers, SessionTable
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import TableSource
from ml4t_backtest_engine_standard.assembly.stamps import DAYS_HELD

__all__ = ["NEVER", "Tables", "faults_of", "resolve_stamps"]

# A stamp that is not there.
NEVER = int(np.iinfo(np.int64).min)
_STAMPS = ("known_at", "timestamp", "date")
_SCALE = {"ns": 1, "us": 10**3, "ms": 10**6}
_SHOWN = 5


class Tables:
    """Finds and reads the tables that the settings name.

    Args:
        build: Builds a component: (kind, table of settings, key of the setting) -> component, None after an error.

    Attributes:
        digests: SHA-256 (hex) of what was read, by the key of its setting.
    """

    def __init__(self, build: Callable[[str, Any, str], Any]) -> None:
        self._build = build
        self.digests: dict[str, str] = {}

    def find(self, value: object, where: str) -> TableSource | None:
        """Return the table that a setting stands for; None after an error, which is noted.

        Args:
            value: A table with ``use``, an instance or a class; or a frame.
            where: Key of the setting, such as ``actions.0``.
        """
        if isinstance(value, str | type | TableSource):
            return self._build("table", value, where)  # type: ignore[no-any-return]  # a component
        settings = dict(value) if isinstance(value, Mapping) else {"frame": value}
        use = settings.setdefault("use", "frame") if "frame" in settings else settings.get("use")
        if not isinstance(use, TableSource):
            settings.setdefault("name", where.partition(".")[0])
        return self._build("table", settings, where)  # type: ignore[no-any-return]  # a component

    def read(self, table: TableSource, where: str) -> pl.DataFrame:
        """Return a table's rows and note their digest.

        Raises:
            DataError: Naming file, what is wrong and what to do.
        """
        rows = table.read()
        self.digests[where] = table.digest()
        return rows

    def dated_rows(
        self, table: TableSource, where: str, sessions: SessionTable, named_by: str = "symbol"
    ) -> pl.DataFrame:
        """Return figures by symbol and when they are known, in that order.

        Args:
            table: Rows with ``symbol`` and one stamp, ``known_at``, ``timestamp`` or ``date``: a moment with a zone,
                or a date, which is known at that session's close.
            where: Key of the setting, for messages.
            sessions: The run's calendar.
            named_by: A column that passes for ``symbol`` where there is none.

        Returns:
            Columns known_at (Int64, UTC ns, ascending), symbol (String) and every column of numbers (Float64,
            unknown is NaN).

        Raises:
            DataError: A column is missing, a row has no symbol or stamp, a stamp no zone, a figure is infinite.
        """
        rows = self.read(table, where)
        if "symbol" not in rows.columns and named_by in rows.columns:
            rows = rows.rename({named_by: "symbol"})
        stamp = next((name for name in _STAMPS if name in rows.columns), None)
        if "symbol" not in rows.columns or stamp is None:
            lacking = named_by if stamp else "known_at"
            what = f"{where}: no column {lacking!r}; it has {', '.join(rows.columns)}"
            raise DataError(f'{what}; name it, as in columns = {{ {lacking} = "column" }}')
        known_at, problems = resolve_stamps(rows[stamp], sessions, where)
        symbols = rows["symbol"].cast(pl.String)
        figures = {name: rows[name].cast(pl.Float64) for name in rows.columns if rows[name].dtype.is_numeric()}
        problems += faults_of(symbols.is_null().to_numpy(), where, "has no symbol; give each row one")
        if not problems:
            problems += faults_of(known_at == NEVER, where, f"has no {stamp}; give each row one")
        for name, column in figures.items():
            wrong = column.is_infinite().fill_null(False).to_numpy()
            problems += faults_of(wrong, where, f"{name} is infinite; correct it")
        if problems:
            raise DataError(*problems)
        columns = {name: column.fill_null(np.nan) for name, column in figures.items() if name not in ("symbol", stamp)}
        return pl.DataFrame({"known_at": known_at, "symbol": symbols, **columns}).sort(
            "known_at", "symbol", maintain_order=True
        )


def resolve_stamps(column: pl.Series, sessions: SessionTable, where: str) -> tuple[Integers, list[str]]:
    """Return when the stamps of a column are, and what is wrong with them.

    Args:
        column: Dates, which mean that session's close (the end of the day where it is no session); naive midnights,
            the same; or datetimes with a zone.
        sessions: The run's calendar.
        where: Key of the setting, for messages.

    Returns:
        int64 (n,), UTC ns, ``NEVER`` where there is none; and sentences.
    """
    out = np.full(len(column), NEVER, np.int64)
    given = column.is_not_null().to_numpy()
    if not given.any():
        return out, []
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        beyond = ~column.dt.year().is_between(DAYS_HELD[0].year, DAYS_HELD[1].year).fill_null(True)
        if beyond.any():
            what = f"{column.name} lies beyond {DAYS_HELD[0]} to {DAYS_HELD[1]}; correct it, or leave the row out"
            return out, faults_of(beyond.to_numpy(), where, what)
    if isinstance(column.dtype, pl.Datetime):
        whole = column.to_physical().cast(pl.Int64) * _SCALE[column.dtype.time_unit]
        if column.dtype.time_zone is not None:
            out[given] = whole.drop_nulls().to_numpy()
            return out, []
        if (whole.drop_nulls() % DAY_NS == 0).all():
            column = column.dt.date()
    if column.dtype != pl.Date:
        what = f"has no zone in {column.name}" if isinstance(column.dtype, pl.Datetime) else f"{column.name} is none"
        remedy = "give dates, or moments such as 2024-03-01T14:30:00Z"
        return out, faults_of(given, where, f"{what} ({column.drop_nulls()[0]}); {remedy}")
    out[given] = sessions.label_close(column.to_physical().cast(pl.Int64).drop_nulls().to_numpy())
    return out, []


def faults_of(wrong: np.ndarray[Any, np.dtype[np.bool_]], where: str, what: str) -> list[str]:
    """Return one sentence that names the rows that are wrong, the first of them by number; none where none is.

    Args:
        wrong: bool (n,), one per row.
        where: Key of the setting, or the table's name.
        what: What is wrong with each, and what to do.
    """
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    numbers = ", ".join(map(str, rows[:_SHOWN].tolist())) + f" and {len(rows) - _SHOWN:,} more" * (len(rows) > _SHOWN)
    return [f"{where} row{'s' * (len(rows) > 1)} {numbers}: {what}"]
