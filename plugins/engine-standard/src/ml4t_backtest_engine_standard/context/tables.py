"""What is known of tables: rows as they were released, and the value that counts now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import InputError, LookAheadError
from ml4t_backtest_engine_standard.assembly.facts import Field, FieldKind
from ml4t_backtest_engine_standard.context.continuous import Rolling

__all__ = ["AsOf", "Duration", "Facts", "nanoseconds"]

Integers = NDArray[np.int64]
Duration: TypeAlias = str | timedelta | int
_SMALLEST: Final = 64
_NONE: Final = int(np.iinfo(np.int64).min)
_EMPTY: Final[Mapping[str, Any]] = {"number": np.nan, "flag": np.nan, "day": _NONE, "moment": _NONE, "text": None}
_TYPES: Final[Mapping[str, Any]] = {"number": np.float64, "flag": np.float64, "day": np.int64, "moment": np.int64}


class Facts:
    """The rows of one table that are known, in memory of their own; append-only.

    Args:
        name: What the strategy calls the table.
        kinds: What the values of each field are.
        market_wide: Whether rows have no symbol.

    Attributes:
        count: Rows known so far.
        tickers: What those are called that rows were about, in the order of their first rows.
        columns: Column of the run -> place in ``tickers``, int32 (n,), -1 for none.
        named: Place in ``tickers`` -> column of the very company, where it has one.
    """

    def __init__(self, name: str, kinds: Mapping[str, FieldKind], *, market_wide: bool) -> None:
        self.name, self.kinds, self.market_wide = name, dict(kinds), market_wide
        self.count = 0
        self.tickers: list[str] = []
        self.columns: NDArray[np.int32] = np.zeros(0, np.int32)
        self.named: dict[int, int] = {}
        self._who: NDArray[np.int32] = np.zeros(_SMALLEST, np.int32)
        self._times: Integers = np.zeros((2, _SMALLEST), np.int64)
        self._numbers = {name: np.zeros(_SMALLEST, _TYPES[kind]) for name, kind in kinds.items() if kind != "text"}
        self._texts: dict[str, list[str | None]] = {name: [] for name, kind in kinds.items() if kind == "text"}
        self._newest: Integers = np.zeros(0, np.int64)
        self._seen = 0
        self._waiting: Integers = np.zeros(0, np.int64)

    def add(self, who: NDArray[np.int32], times: Sequence[Integers], fields: Mapping[str, Field], rows: slice) -> None:
        """Take rows that became known.

        Args:
            who: Place in ``tickers`` of each, int32 (n,).
            times: event_time and known_at of all rows of the table, UTC ns.
            fields: All values of the table.
            rows: Those that became known.
        """
        first, stop = self.count, self.count + len(who)
        if stop > self._who.size:
            self._grow(max(stop, 2 * self._who.size))
        self._who[first:stop] = who
        for place, column in enumerate(times):
            self._times[place, first:stop] = column[rows]
        for name, column in self._numbers.items():
            column[first:stop] = fields[name].values[rows]
        for name, texts in self._texts.items():
            texts += fields[name].values[rows].tolist()
        self.count = stop

    def value(self, field: str, now: int, max_age: int | None) -> Any:
        """Return a field over the run's columns, or of a market-wide table the one value; see ``Context.asof``.

        Args:
            field: Its name.
            now: The present, UTC ns.
            max_age: Oldest event_time that counts, ns before now; None for any.
        """
        if field not in self.kinds:
            near = nearest(field, self.kinds)
            raise LookAheadError(
                f"table {self.name!r} has no field {field!r}; {near or f'it has {_listed(self.kinds)}'}"
            )
        rows = self._rows(now)
        if max_age is not None and self.count:
            rows = np.where((rows >= 0) & (now - self._times[0, rows] <= max_age), rows, -1)
        kind = self.kinds[field]
        out: Any
        if kind == "text":
            texts = self._texts[field]
            out = [texts[row] if row >= 0 else None for row in rows.tolist()]
        else:
            column = self._numbers[field]
            out = np.where(rows >= 0, column[rows], _EMPTY[kind])
            out = out.astype("datetime64[ns]") if kind in ("day", "moment") else out
        return out[0] if self.market_wide else out

    def frame(
        self, names: Sequence[str], fields: Sequence[str] | None, between: tuple[int, int], every: bool
    ) -> pl.DataFrame:
        """Return known rows; see ``Context.window``.

        Args:
            names: What the run's columns are called now.
            fields: Those wanted; None for all.
            between: First and last event_time, UTC ns.
            every: Whether versions that were restated are wanted too.
        """
        for name in fields or ():
            if name not in self.kinds:
                known = f"it has {_listed(self.kinds)}"
                raise LookAheadError(f"table {self.name!r} has no field {name!r}; {nearest(name, self.kinds) or known}")
        event_time, who = self._times[0, : self.count], self._who[: self.count]
        keep = (event_time >= between[0]) & (event_time <= between[1])
        if not every and self.count:
            order = np.lexsort((np.arange(self.count), event_time, who))
            last = np.append((np.diff(who[order]) != 0) | (np.diff(event_time[order]) != 0), True)
            newest = np.zeros(self.count, np.bool_)
            newest[order[last]] = True
            keep &= newest
        rows = np.flatnonzero(keep)
        out: dict[str, pl.Series] = {}
        if not self.market_wide:
            called = [
                names[self.named[place]] if place in self.named else own for place, own in enumerate(self.tickers)
            ]
            out["symbol"] = pl.Series([called[place] for place in who[rows].tolist()], dtype=pl.String)
        for place, name in enumerate(("event_time", "known_at")):
            out[name] = pl.Series(self._times[place, rows]).cast(pl.Datetime("ns", "UTC"))
        for name in self.kinds if fields is None else fields:
            out[name] = self._series(name, rows)
        return pl.DataFrame(out)

    def _series(self, field: str, rows: NDArray[np.intp]) -> pl.Series:
        kind = self.kinds[field]
        if kind == "text":
            texts = self._texts[field]
            return pl.Series([texts[row] for row in rows.tolist()], dtype=pl.String)
        values = pl.Series(self._numbers[field][rows])
        if kind == "number":
            return values
        if kind == "flag":
            return values.fill_nan(None).cast(pl.Boolean)
        stamps = pl.select(pl.when(values != _NONE).then(values)).to_series()
        return stamps.cast(pl.Datetime("ns", "UTC") if kind == "moment" else pl.Datetime("ns")).cast(
            pl.Datetime("ns", "UTC") if kind == "moment" else pl.Date
        )

    def _rows(self, now: int) -> Integers:
        """Return the row that counts now for each column, or for the market; -1 for none."""
        self._settle(now)
        if self.market_wide:
            return self._newest if len(self._newest) else np.full(1, -1)
        known = np.append(self._newest, -1)  # which -1 reads: nothing is said of that column
        return np.asarray(known[self.columns])

    def _settle(self, now: int) -> None:
        """Bring up to date which row counts: of those that have happened the newest, of its versions the last."""
        if self._seen == self.count and not len(self._waiting):
            return
        event_time, who = self._times[0], self._who
        rows = np.concatenate([self._waiting, np.arange(self._seen, self.count)])
        self._seen = self.count
        happened = event_time[rows] <= now
        self._waiting, rows = rows[~happened], rows[happened]
        if not len(rows):
            return
        self._newest = np.append(self._newest, np.full(len(self.tickers) - len(self._newest), -1))
        order = np.lexsort((rows, event_time[rows], who[rows]))
        rows = rows[order[np.append(np.diff(who[rows[order]]) != 0, True)]]
        places = who[rows]
        before = self._newest[places]
        newer = (before < 0) | (event_time[rows] > event_time[before])
        newer |= (event_time[rows] == event_time[before]) & (rows > before)
        self._newest[places[newer]] = rows[newer]

    def _grow(self, size: int) -> None:
        """Move to larger memory, zeroed, because memory that was used before may hold rows of the future."""
        old = self.count
        who, times = self._who, self._times
        self._who, self._times = np.zeros(size, np.int32), np.zeros((2, size), np.int64)
        self._who[:old], self._times[:, :old] = who[:old], times[:, :old]
        for name, column in self._numbers.items():
            self._numbers[name] = np.zeros(size, column.dtype)
            self._numbers[name][:old] = column[:old]


class AsOf(Rolling):
    """The part of the context that answers for tables."""

    _facts: Mapping[str, Facts]

    def asof(self, table: str, field: str, max_age: Duration | None = None, symbol: str | None = None) -> Any:
        """Return the field in the row of a table with the newest event_time known now.

        Args:
            table: Name of the table.
            field: Name of the field.
            max_age: Oldest event_time that counts, such as ``"100d"``, a timedelta, or ns; None for any.
            symbol: The symbol; None for all.

        Returns:
            Over ``symbols``: float64 (n,), NaN where nothing is known; datetime64[ns] (n,) of dates, NaT; a list of
            str or None of text. With ``symbol``, and of a market-wide table: the one value.

        Raises:
            LookAheadError: There is no such table or field.
        """
        facts = self._table(table)
        age = None if max_age is None else nanoseconds(max_age, "max_age")
        values = facts.value(field, self._state.now, age)
        if facts.market_wide or symbol is None:
            return float(values) if isinstance(values, np.floating) else values
        value = values[self.index(symbol)]
        return float(value) if isinstance(value, np.floating) else value

    def _table(self, name: str) -> Facts:
        if name not in self._facts:
            near = nearest(name, self._facts) or f"known are {_listed(self._facts) or 'none'}"
            raise LookAheadError(f"there is no table {name!r}; {near}")
        return self._facts[name]


def nanoseconds(duration: Duration, what: str) -> int:
    """Return a duration in ns; LookAheadError where it is none.

    Args:
        duration: Such as ``"3d"``, a timedelta, or ns.
        what: What it is, for the message.
    """
    if isinstance(duration, timedelta):
        return duration // timedelta(microseconds=1) * 1000
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration
    try:
        return parse_duration(duration if isinstance(duration, str) else "", what)
    except InputError as error:
        raise LookAheadError(f'{what} was {duration!r}: write a duration such as "3d", a timedelta, or ns') from error


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)
