"""Corporate actions: from the rows of tables to what happens when, or everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.queue import FOREVER
from ml4t.backtest.core.sessions import Integers, SessionTable
from ml4t.backtest.errors import DataError, InputError
from ml4t.backtest.interfaces import SourceSpec, TableSource
from ml4t_backtest_engine_standard.assembly.stamps import as_days
from ml4t_backtest_engine_standard.assembly.tables import NEVER, Tables, faults_of, resolve_stamps

__all__ = ["KINDS", "PlannedAction", "applied_twice", "basis_notes", "plan_actions", "read_actions"]

Mask: TypeAlias = NDArray[np.bool_]
# Kind -> figures that it cannot do without.
KINDS: Mapping[str, tuple[str, ...]] = {
    "split": ("ratio",),
    "stock-dividend": ("ratio",),
    "dividend": ("amount",),
    "merger": (),
    "spin-off": ("ratio", "new_symbol"),
    "symbol-change": ("new_symbol",),
    "delisting": (),
}
_FIGURES = ("ratio", "amount", "value")
_USED = {"merger": ("ratio", "amount"), "spin-off": ("ratio", "value"), "delisting": ("value",)}
# What prices are adjusted for already, by the basis that their feed states.
_ADJUSTED = {"split": ("split", "stock-dividend"), "total": ("split", "stock-dividend", "dividend", "spin-off")}


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One row of the actions, checked; nobody sees it before it is known.

    Attributes:
        kind: One of ``KINDS``.
        symbol: The ticker on the ex date.
        ex_date: Label of the ex session, days since 1970-01-01.
        effective_at: Its open, UTC ns.
        known_at: When it is known, UTC ns, at or before ``effective_at``.
        pay_at: When cash is paid, UTC ns; 0 for at once.
        ratio, amount, value: Figures, NaN for none.
        new_symbol, currency: Empty for none.
    """

    kind: str
    symbol: str
    ex_date: int
    effective_at: int
    known_at: int
    pay_at: int = 0
    ratio: float = np.nan
    amount: float = np.nan
    value: float = np.nan
    new_symbol: str = ""
    currency: str = ""


def read_actions(
    tables: Tables, found: Mapping[str, TableSource | None], sessions: SessionTable, specs: Sequence[SourceSpec]
) -> list[PlannedAction]:
    """Read the corporate actions of all tables.

    Args:
        tables: Reads them.
        found: Table by the key of its setting.
        sessions: The run's calendar.
        specs: The run's sources.

    Returns:
        By when they take effect, then in the order of tables and rows.

    Raises:
        DataError: Everything that is wrong with rows; or prices are adjusted for what actions would adjust.
    """
    actions, problems = list[PlannedAction](), list[str]()
    for where, table in found.items():
        try:
            actions += [] if table is None else plan_actions(tables.read(table, where), sessions, where)
        except InputError as error:
            problems += error.problems
    if problems := problems or applied_twice(actions, specs):
        raise DataError(*problems)
    return sorted(actions, key=attrgetter("effective_at"))


def plan_actions(rows: pl.DataFrame, sessions: SessionTable, where: str) -> list[PlannedAction]:
    """Check the rows of a table of corporate actions.

    Rows outside of the calendar's stretch are left out: they lie outside of every run.

    Args:
        rows: Columns as in the reference of corporate actions; others are ignored.
        sessions: The run's calendar.
        where: Key of the setting, for messages.

    Returns:
        One action per row, by when they take effect, then in the order of the rows.

    Raises:
        DataError: Everything that is wrong with them, with their rows.
    """
    if rows.is_empty():
        return []
    if lacking := [name for name in ("symbol", "kind", "ex_date") if name not in rows.columns]:
        what = f"{where}: no column {', '.join(lacking)}; it has {', '.join(rows.columns)}"
        raise DataError(f'{what}; name it, as in columns = {{ {lacking[0]} = "column" }}')
    table = _Rows(rows, sessions, where)
    table.check()
    if table.problems:
        raise DataError(*table.problems)
    return sorted(table.actions(), key=attrgetter("effective_at"))


def applied_twice(actions: Sequence[PlannedAction], specs: Sequence[SourceSpec]) -> list[str]:
    """Return what is wrong where prices are adjusted already for what the actions would adjust."""
    problems = []
    for spec in specs:
        taken = sorted({action.kind for action in actions} & set(_ADJUSTED.get(spec.prices or "raw", ())))
        if taken:
            what = f'{spec.origin}: feed {spec.name!r} has prices = "{spec.prices}"'
            kinds = " and ".join(f"{kind}s" for kind in taken)
            problems.append(
                f"{what}, and actions would apply {kinds} a second time; give raw prices, or no such actions"
            )
    return problems


def basis_notes(actions: Sequence[PlannedAction], specs: Sequence[SourceSpec]) -> list[str]:
    """Return a note for each feed of split-adjusted prices where dividends are paid: they must be adjusted alike."""
    paid = any(action.kind in ("dividend", "spin-off") for action in actions)
    return [
        f"{spec.origin}: prices are adjusted for splits, and amounts of actions must be too: each share is paid them"
        for spec in specs
        if paid and spec.prices == "split"
    ]


class _Rows:
    """Columns of a table of actions and what is wrong with them."""

    def __init__(self, rows: pl.DataFrame, sessions: SessionTable, where: str) -> None:
        self._sessions, self._where, self.problems = sessions, where, list[str]()
        self._count, self._unread = rows.height, set[str]()
        self._kind, self._symbol, self._new, self._currency = (
            self._text(rows, name) for name in ("kind", "symbol", "new_symbol", "currency")
        )
        self._figures = {name: self._numbers(rows, name) for name in _FIGURES}
        self._ex_date, self._pay_date = self._days(rows, "ex_date"), self._days(rows, "pay_date")
        known = rows["known_at"] if "known_at" in rows.columns else pl.Series("known_at", [None] * rows.height, pl.Date)
        self._known_at, wrong = resolve_stamps(known, sessions, where)
        self.problems += wrong
        self._opens = self._open_of(self._ex_date)
        self._known_at = np.where(self._known_at == NEVER, self._opens, self._known_at)

    def check(self) -> None:
        """Note everything that is wrong."""
        kinds = self._kind
        self._fault(self._symbol == "", "has no symbol; name it")
        strange = ~np.isin(kinds, list(KINDS))
        named = ", ".join(repr(kind) for kind in sorted({*kinds[strange]} - {""})[:3])
        self._fault(strange, f"has no known kind{f' ({named})' if named else ''}; known are {', '.join(KINDS)}")
        for kind, needed in KINDS.items():
            for name in needed:
                missing = self._new == "" if name == "new_symbol" else np.isnan(self._figures[name])
                self._fault((kinds == kind) & missing, f"a {kind} without {name}; give one")
        given, shares = ~np.isnan(self._figures["ratio"]), self._new != ""
        merger = kinds == "merger"
        self._fault(merger & (given != shares), "a merger with only one of ratio and new_symbol; give both or neither")
        bare = ~given & ~shares & np.isnan(self._figures["amount"])
        self._fault(merger & bare, "a merger without ratio and amount; give what is received")
        for name, column in self._figures.items():
            used = np.isin(kinds, [kind for kind in KINDS if name in _USED.get(kind, KINDS[kind])])
            self._fault(used & np.isinf(column), f"{name} is infinite; correct it")
            low = column <= 0.0 if name == "ratio" else (column < 0.0) & (name == "amount")
            least = "not above 0" if name == "ratio" else "below 0"
            self._fault(used & low, f"{name} is {least}; correct it")
        self._fault(shares & (self._new == self._symbol), "new_symbol is the symbol itself; correct it")
        self._check_dates()
        self._check_twice()

    def actions(self) -> list[PlannedAction]:
        """Return the rows as actions, those outside of the calendar left out."""
        inside = np.flatnonzero(self._within(self._ex_date))
        paid = np.where(self._within(self._pay_date), self._open_of(self._pay_date), FOREVER)
        paid = np.where((self._pay_date == NEVER) | (paid == self._opens), 0, paid)
        columns: list[Any] = [self._kind, self._symbol, self._ex_date, self._opens, self._known_at, paid]
        columns += [*self._figures.values(), self._new, self._currency]
        return [PlannedAction(*row) for row in zip(*(column[inside].tolist() for column in columns), strict=True)]

    def _check_dates(self) -> None:
        if "ex_date" not in self._unread:
            self._fault(self._ex_date == NEVER, "has no ex_date; give each row one")
        for name, days in (("ex_date", self._ex_date), ("pay_date", self._pay_date)):
            strange = self._within(days) & (self._sessions.index_of_label(days) < 0)
            self._fault(strange, f"{name} is no session of calendar {self._sessions.name}; correct it")
        dated = self._within(self._ex_date)
        late = "is known after it takes effect, at the open of its ex_date; give when it was announced"
        self._fault(dated & (self._known_at > self._opens), late)
        early = (self._pay_date != NEVER) & (self._pay_date < self._ex_date)
        self._fault(early, "pay_date is before ex_date; correct it")

    def _check_twice(self) -> None:
        """Refuse rows that say the same of one symbol and session; one of them would be applied twice."""
        keys = [self._symbol, self._kind, self._ex_date, *self._figures.values(), self._new, self._currency]
        rows = pl.DataFrame({str(place): key for place, key in enumerate(keys)}).select(pl.struct(pl.all()))
        self._fault(
            ~rows.to_series().is_first_distinct().to_numpy(),
            "was given before; keep one of the rows, or add up what is paid twice",
        )

    def _fault(self, wrong: Mask, what: str) -> None:
        self.problems += faults_of(wrong, self._where, what)

    def _text(self, rows: pl.DataFrame, name: str) -> NDArray[np.object_]:
        """Return a column of text, empty where there is none."""
        if name not in rows.columns:
            return np.full(self._count, "", object)
        return np.array(rows[name].cast(pl.String).fill_null("").to_list(), object)

    def _numbers(self, rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
        """Return a column of figures, NaN where there is none."""
        if name not in rows.columns:
            return np.full(self._count, np.nan)
        numbers = rows[name].cast(pl.Float64, strict=False)
        wrong = (numbers.is_null() & rows[name].is_not_null()).to_numpy()
        self._fault(wrong, f"{name} is no number; correct it")
        return numbers.fill_null(np.nan).to_numpy()

    def _days(self, rows: pl.DataFrame, name: str) -> Integers:
        """Return a column of dates, or of midnights, as days since 1970-01-01; ``NEVER`` where there is none."""
        out = np.full(self._count, NEVER, np.int64)
        if name not in rows.columns or rows[name].null_count() == self._count:
            return out
        column = rows[name]
        if isinstance(column.dtype, pl.Datetime):
            column = as_days(column, self._where, zoned=True)
        if column.dtype != pl.Date:
            what = f"{name} is {column.dtype}, such as {column.drop_nulls()[0]!r}; give dates"
            self._fault(column.is_not_null().to_numpy(), what)
            self._unread.add(name)
            return out
        out[column.is_not_null().to_numpy()] = column.to_physical().cast(pl.Int64).drop_nulls().to_numpy()
        return out

    def _within(self, days: Integers) -> Mask:
        """Say which days lie in the stretch of the calendar."""
        labels = self._sessions.label
        return (days >= labels[0]) & (days <= labels[-1]) if len(labels) else np.zeros(self._count, np.bool_)

    def _open_of(self, days: Integers) -> Integers:
        """Return the open of each session, UTC ns; ``NEVER`` for a day that is none."""
        rows, opens = self._sessions.index_of_label(days), np.append(self._sessions.open, NEVER)
        return np.where(rows < 0, NEVER, opens[rows])
