"""Tables of facts: rows that a strategy may ask for once they are known, read and put in order before the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.core.sessions import Integers, SessionTable
from ml4t.backtest.errors import DataError, InputError, RunFileError
from ml4t.backtest.interfaces import SourceSpec, TableSource
from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.intervals import is_intervals, split_intervals
from ml4t_backtest_engine_standard.assembly.stamps import (
    DAYS_HELD,
    SYMBOLS,
    find_column,
    plain_keys,
    stamp_rows,
)
from ml4t_backtest_engine_standard.assembly.tables import Tables, faults_of

__all__ = ["MEMBER", "FactTable", "Field", "FieldKind", "FoundTable", "find_tables", "read_facts"]

FieldKind: TypeAlias = Literal["number", "flag", "day", "moment", "text"]

MEMBER: Final = "member"
_STAMPS: Final = ("latency", "timezone", "calendar")
_TRUTHS: Final = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table.

    Attributes:
        kind: What its values are.
        values: Per row: float64, NaN for none, of numbers and flags; int64 ns, the smallest for none, of days and
            moments; str or None of text.
    """

    kind: FieldKind
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class FactTable:
    """The rows of one table by when they are known; nobody but the loop may look at it.

    Attributes:
        name: What strategies call it.
        symbol: Tickers; None of a market-wide table.
        event_time, known_at: int64 (n,), UTC ns.
        fields: Columns by name.
        wakes: Whether each row that becomes known is an event for strategies.
    """

    name: str
    symbol: pl.Series | None
    event_time: Integers
    known_at: Integers
    fields: Mapping[str, Field]
    wakes: bool = False


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table that the settings name, before it is read.

    Attributes:
        name: What strategies call it.
        where: Key of the setting.
        source: Reads it; None after an error, which is noted.
        latency, timezone, calendar: As in the settings.
        wakes: Whether its rows call ``on_event``.
        members: Whether it says who is a member of the universe.
    """

    name: str
    where: str
    source: TableSource | None
    latency: str | None = None
    timezone: str | None = None
    calendar: str | None = None
    wakes: bool = False
    members: bool = False


def find_tables(settings: Mapping[str, Any], tables: Tables, errors: Errors) -> list[FoundTable]:
    """Find the tables of facts that the settings name, that of the universe among them.

    Args:
        settings: The run's settings.
        tables: Finds components.
        errors: Takes what is wrong.
    """
    found: list[FoundTable] = []
    universe = dict(settings.get("universe") or {})
    members = universe.pop("table", None)
    listed = [(f"table.{place}", value) for place, value in enumerate(settings.get("table") or [])]
    if members is not None and universe:
        errors.add(f"universe.{next(iter(universe))}", "is given beside table: it belongs to that [[table]]")
    elif universe:
        members = "universe"
        listed.append(("universe", {"name": members, **universe}))
    for where, value in listed:
        own = dict(value) if isinstance(value, Mapping) else {}
        name = own.get("name")
        if not isinstance(name, str) or not name:
            errors.add(where, 'has no key "name": say what strategies call it')
            continue
        if any(each.name == name for each in found):
            errors.add(f"{where}.name", f"was {name!r}, as another table is called; choose another")
        for key in _STAMPS:
            errors.fit(own.get(key), str | None, f"{where}.{key}")
        errors.fit(own.get("wakes", False), bool, f"{where}.wakes")
        wakes = bool(own.pop("wakes", False))
        stamps = {key: own.pop(key, None) for key in _STAMPS}
        if isinstance(own.get("use"), TableSource):
            own.pop("name")
        found.append(FoundTable(name, where, tables.find(own, where), **stamps, wakes=wakes, members=name == members))
    if members is not None and not any(each.members for each in found):
        known = nearest(str(members), [each.name for each in found]) or "name one of the [[table]]s so"
        errors.add("universe.table", f"was {members!r}, which no table is called; {known}")
    return found


def read_facts(
    found: Sequence[FoundTable],
    tables: Tables,
    calendar: Callable[[str], SessionTable],
    specs: Sequence[SourceSpec],
) -> tuple[list[FactTable], list[str]]:
    """Read tables of facts.

    Args:
        found: The tables.
        tables: Reads them.
        calendar: Name of a calendar, empty for that of the run -> its sessions.
        specs: The run's feeds and signal sources.

    Returns:
        The tables; and notes.

    Raises:
        RunFileError: A table is called as a feed or signal source is.
        DataError: Everything that is wrong with their rows.
    """
    for each in found:
        if any(spec.name == each.name for spec in specs):
            raise RunFileError(f"{each.where}.name was {each.name!r}, as a feed or signal is called; choose another")
    facts, notes, problems = list[FactTable](), list[str](), list[str]()
    for each in found:
        try:
            assert each.source is not None
            rows, sessions = plain_keys(tables.read(each.source, each.where)), calendar(each.calendar or "")
            if each.members and is_intervals(rows):
                symbol, *times, member = split_intervals(rows, sessions, f"table {each.name}", each.timezone)
                facts.append(_in_order(each, symbol, times[0], times[1], {MEMBER: Field("flag", member)}))
                continue
            table, more = _read(each, rows, sessions)
            facts.append(table)
            notes += more
        except InputError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return facts, notes


def _read(found: FoundTable, rows: pl.DataFrame, sessions: SessionTable) -> tuple[FactTable, list[str]]:
    """Return the checked rows of a table; and notes."""
    where = f"table {found.name}"
    symbol = find_column(rows, SYMBOLS)
    if found.members and (symbol is None or MEMBER not in rows.columns):
        lacking = "symbol" if symbol is None else MEMBER
        remedy = "a table of members has symbol and member, or symbol, from and to; name them in columns"
        raise DataError(f"{where}: no column {lacking!r}; it has {', '.join(rows.columns)}; {remedy}")
    try:
        used, event_time, known_at = stamp_rows(rows, sessions, where, latency=found.latency, timezone=found.timezone)
    except RunFileError as error:  # of a duration
        raise DataError(*error.problems) from error
    named = None if symbol is None else rows[symbol].cast(pl.String)
    problems = [] if named is None else faults_of(named.is_null().to_numpy(), where, "has no symbol; give each row one")
    rest = [name for name in rows.columns if name not in used and name != symbol]
    if found.members:
        fields = {MEMBER: Field("flag", _truths(rows[MEMBER], where))}
        left = []
    else:
        made = {name: _field(rows[name]) for name in rest}
        fields = {name: field for name, field in made.items() if field is not None}
        left = [f"{name} ({rows[name].dtype})" for name, field in made.items() if field is None]
        if not fields:
            problems.append(f"{where}: no column of values; it has {', '.join(rows.columns)}; add at least one")
    keys = pl.DataFrame({"event_time": event_time, "known_at": known_at})
    keys = keys if named is None else keys.with_columns(symbol=named)
    twice = (
        "says something of the same symbol, event_time and known_at as another; keep one, or say which was known later"
    )
    problems += faults_of((~keys.select(pl.struct(pl.all())).to_series().is_first_distinct()).to_numpy(), where, twice)
    if problems:
        raise DataError(*problems)
    notes = (
        [f"{where}: {', '.join(left)} left out: fields are numbers, booleans, dates between 1678 and 2261, or text"]
        if left
        else []
    )
    return _in_order(found, named, event_time, known_at, fields), notes


def _in_order(
    found: FoundTable,
    symbol: pl.Series | None,
    event_time: Integers,
    known_at: Integers,
    fields: Mapping[str, Field],
) -> FactTable:
    """Return a table by when its rows are known, then by symbol and event_time, whatever order they came in."""
    named = {} if symbol is None else {"symbol": symbol}
    columns = {"known_at": known_at, **named, "event_time": event_time}
    keys = pl.DataFrame(columns).with_row_index("row").sort(*columns, maintain_order=True)
    order = keys["row"].to_numpy()
    taken = {name: Field(field.kind, field.values[order]) for name, field in fields.items()}
    ordered = None if symbol is None else symbol.gather(order)
    return FactTable(found.name, ordered, event_time[order], known_at[order], taken, found.wakes)


def _field(column: pl.Series) -> Field | None:
    """Return a column as a field; None where it is of no type that tables have."""
    dtype = column.dtype
    if dtype == pl.Boolean or dtype.is_numeric() or dtype == pl.Null:
        numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return Field("flag" if dtype == pl.Boolean else "number", numbers.astype(np.float64))
    if isinstance(dtype, pl.Date | pl.Datetime):
        if not column.dt.year().is_between(DAYS_HELD[0].year, DAYS_HELD[1].year).all():
            return None
        whole = column.dt.cast_time_unit("ns") if isinstance(dtype, pl.Datetime) else column.cast(pl.Datetime("ns"))
        stamps = whole.to_physical().fill_null(np.iinfo(np.int64).min).to_numpy()
        return Field("day" if dtype == pl.Date else "moment", stamps.astype(np.int64))
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return Field("text", np.array([*column.cast(pl.String).to_list(), None], object)[:-1])
    return None


def _truths(column: pl.Series, where: str) -> NDArray[np.float64]:
    """Return who is a member, 1 or 0; DataError where a row does not say."""
    if column.dtype == pl.String:
        column = column.str.to_lowercase().replace_strict(_TRUTHS, default=None, return_dtype=pl.Float64)
    numbers = column.cast(pl.Float64, strict=False)
    if problems := faults_of(
        (~numbers.is_in([0.0, 1.0])).fill_null(True).to_numpy(), where, "member is not true or false"
    ):
        raise DataError(*problems)
    return numbers.to_numpy().astype(np.float64)
