"""Instruments: what the settings say of each symbol, checked, and as the rules that its column starts with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import TableSource
from ml4t.backtest.state import ASSET_CLASSES, SETTLES
from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.tables import Tables

__all__ = ["Instrument", "Rules", "read_instruments", "unmet_entries"]

Row: TypeAlias = tuple[float, ...]
_SETTLES = {"future": "daily", "perpetual": "close"}
_MARGINS = ("initial_margin", "maintenance_margin", "initial_per_unit", "maintenance_per_unit")
_SHOWN = 5
_OF_ONE_SYMBOL = ("base", "root", "expires", "listed_from", "listed_to", "entity")


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What one symbol is and by which rules it trades.

    Attributes:
        symbol: The symbol, or ``*`` for every symbol without an entry of its own. An entry for ``NAME`` also holds
            for ``NAME@VENUE``.
        asset_class: ``equity`` (default), ``etf``, ``future``, ``fx``, ``crypto`` or ``perpetual``.
        settles: How value changes hands: ``value``, ``close`` or ``daily``; by default what the asset class says.
        currency: Of prices, profits and costs; the base currency by default.
        base: Of a pair of currencies: what one unit of it is, in which ``currency`` is its price.
        lot: Sizes in values, percents and targets are truncated to multiples of this, without it to whole units;
            where it is given, an explicit quantity off it is refused.
        quantity_step: After each fill a position that is a multiple of this but for the last digits of floats is made
            one; 0 turns that off.
        multiplier: Value of one unit at price 1.
        tick: Limit and stop prices are multiples of this: others are rounded to the side that is worse for the
            order, or refused with the broker's ``strict_ticks``; 0 for any price.
        allow_negative_prices: Whether limit and stop prices may be zero or below.
        initial_margin: Fraction of value that equity covers when a position is opened; that of the account by default.
        maintenance_margin: The same as long as it is held.
        initial_per_unit: An amount of ``currency`` for each unit instead of the fraction.
        maintenance_per_unit: The same as long as it is held.
        root: Of a future: the series that it belongs to.
        expires: Of a future: its last session, at whose close positions are closed.
        listed_from: First session on which it can be ordered.
        listed_to: Last session on which it can be ordered.
        entity: The company, by a name that no other has; its column stays the same whatever its ticker.
    """

    symbol: str = "*"
    asset_class: Literal["equity", "etf", "future", "fx", "crypto", "perpetual"] = "equity"
    settles: Literal["value", "close", "daily"] | None = None
    currency: str = ""
    base: str = ""
    lot: float | None = None
    quantity_step: float = 1e-9
    multiplier: float = 1.0
    tick: float = 0.0
    allow_negative_prices: bool = False
    initial_margin: float | None = None
    maintenance_margin: float | None = None
    initial_per_unit: float | None = None
    maintenance_per_unit: float | None = None
    root: str = ""
    expires: date | None = None
    listed_from: date | None = None
    listed_to: date | None = None
    entity: str = ""

    def __post_init__(self) -> None:
        """Refuse what no symbol could be."""
        above, least = (self.whole_lot, self.multiplier), (self.quantity_step, self.tick)
        if not (all(0 < size < np.inf for size in above) and all(0 <= size < np.inf for size in least)):
            raise ValueError("lot and multiplier must be above 0, quantity_step and tick at least 0, all finite")
        if self.quantity_step > self.whole_lot:
            raise ValueError(f"quantity_step {self.quantity_step:g} is above the lot {self.whole_lot:g}: lower it")
        if _is_off_grid(self.whole_lot, self.quantity_step):
            raise ValueError(
                f"lot {self.whole_lot:g} is no multiple of quantity_step {self.quantity_step:g}: "
                "give a quantity_step that divides it, or 0"
            )
        self._check_margins()
        if not self.symbol:
            raise ValueError("symbol is empty: name it")
        given = [name for name in _OF_ONE_SYMBOL if getattr(self, name)]
        if self.symbol == "*" and given:
            raise ValueError(f"{given[0]} is of one symbol: give it an entry of its own, not *")
        if self.asset_class == "fx" and not self.base and self.symbol != "*":
            raise ValueError('an fx pair names its base: EURUSD has base = "EUR", currency = "USD"')
        if self.base and self.asset_class != "fx":
            raise ValueError('base is of pairs of currencies: add asset_class = "fx"')
        if self.base and self.base == self.currency:
            raise ValueError(f"base and currency are both {self.base}: a pair has two")
        if (self.root or self.expires) and self.asset_class != "future":
            raise ValueError('root and expires are of futures: add asset_class = "future"')
        if self.listed_from and self.listed_to and self.listed_from > self.listed_to:
            raise ValueError(f"listed_from {self.listed_from} is after listed_to {self.listed_to}")

    def _check_margins(self) -> None:
        given = {name: value for name in _MARGINS if (value := getattr(self, name)) is not None}
        if wrong := [name for name, value in given.items() if not 0 <= value < np.inf]:
            raise ValueError(f"{wrong[0]} was {given[wrong[0]]}, expected a finite number of at least 0")
        for stage in ("initial", "maintenance"):
            if f"{stage}_margin" in given and f"{stage}_per_unit" in given:
                raise ValueError(f"{stage}_margin and {stage}_per_unit were both given: one takes the other's place")
        for kind in ("margin", "per_unit"):
            first, later = given.get(f"initial_{kind}"), given.get(f"maintenance_{kind}")
            if first is not None and later is not None and later > first:
                raise ValueError(f"maintenance_{kind} {later:g} is above initial_{kind} {first:g}: lower it")

    @property
    def whole_lot(self) -> float:
        """The lot that sizes are truncated to."""
        return 1.0 if self.lot is None else self.lot

    def rules(self, currencies: Sequence[str], account: int) -> Row:
        """Return what ``RunState.add_symbols`` takes.

        Args:
            currencies: Those of the run, the base currency first.
            account: Number of the account that trades it.
        """
        stated, negative = float(self.lot is not None), float(self.allow_negative_prices)
        currency = currencies.index(self.currency) if self.currency else 0
        settles = self.settles or _SETTLES.get(self.asset_class, "value")
        kinds = (ASSET_CLASSES.index(self.asset_class), SETTLES.index(settles))
        margins = (np.nan if (value := getattr(self, name)) is None else value for name in _MARGINS)
        sizes = (self.quantity_step, self.whole_lot, self.multiplier, self.tick)
        return (*sizes, stated, negative, currency, account, *kinds, *margins)


def _is_off_grid(lot: float, step: float) -> bool:
    """Say whether a lot is no multiple of a step, by more than positions may be off."""
    return step > 0.0 and bool(abs(lot - np.rint(lot / step) * step) > 1e-9 * lot)


class Rules(Mapping[str, Row]):
    """Rules of trading by symbol, as ``RunState.add_symbols`` looks them up.

    Keys are symbols, ``symbol (entity)`` where entries share a symbol, and ``*``. What trades at the venue of an
    account has rules with or without an entry: its own, those of the name before the ``@``, those of ``*``.

    Args:
        instruments: All entries.
        currencies: Those of the run, the base currency first.
        venues: Venue of each account, empty for none.
    """

    def __init__(self, instruments: Sequence[Instrument], currencies: Sequence[str], venues: Sequence[str]) -> None:
        self._currencies = currencies
        self._accounts = {venue: number for number, venue in reversed(list(enumerate(venues))) if venue}
        self._other = next((number for number, venue in enumerate(venues) if not venue), 0)
        often = Counter(row.symbol for row in instruments)
        self._rows = {
            row.symbol if often[row.symbol] == 1 else f"{row.symbol} ({row.entity})": row for row in instruments
        }
        if self._other and "*" not in self._rows:
            self._rows["*"] = Instrument()

    def __getitem__(self, name: str) -> Row:
        row = self._rows.get(name)
        plain, _, venue = name.partition("@")
        account = self._accounts.get(venue, self._other)
        if row is None and venue in self._accounts:
            row = self._rows.get(plain) or self._rows.get("*") or Instrument()
        if row is None:
            raise KeyError(name)
        return row.rules(self._currencies, account)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows) + len(self._accounts)


def read_instruments(values: Sequence[Any], tables: Tables, errors: Errors) -> tuple[list[Instrument], list[str]]:
    """Return the entries of all instruments, and notes; what is wrong is noted among the errors.

    Args:
        values: Entries: a table of keys each; or a table with ``use``, or a frame, with a row for each symbol.
        tables: Finds and reads those.
        errors: Takes every mistake.
    """
    out: list[tuple[str, Instrument]] = []
    notes: list[str] = []
    for place, value in enumerate(values):
        where = f"instruments.{place}"
        entries = {where: value}
        if not isinstance(value, Mapping) or "use" in value:
            entries, unused = _rows_of(tables.find(value, where), tables, where, errors)
            notes += unused
        for each, entry in entries.items():
            row = errors.config(Instrument, entry, where=each, owner="")
            out += [] if row is None else [(each, row)]
    _check_twice(out, errors)
    return [row for _, row in out], notes


def unmet_entries(instruments: Sequence[Instrument], names: Iterable[str]) -> list[str]:
    """Return a note where entries are of symbols that no row, and no action, has named: perhaps they are mistyped.

    Args:
        instruments: All entries.
        names: Symbols that came, companies as they are called in results; and those of actions.
    """
    met = {part for name in names for part in (name, name.partition(" (")[0], name.partition("@")[0])}
    symbols = [row.symbol for row in instruments if row.symbol != "*" and not row.entity]
    unmet = [symbol for symbol in symbols if symbol not in met]
    if not unmet:
        return []
    shown = ", ".join(unmet[:_SHOWN]) + " …" * (len(unmet) > _SHOWN)
    return [f"instruments: no row came of {len(unmet):,} of {len(symbols):,} symbols: {shown}"]


def _rows_of(
    table: TableSource | None, tables: Tables, where: str, errors: Errors
) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Return the rows of a table by where they are, and which columns are of no use."""
    if table is None:
        return {}, []
    try:
        frame = tables.read(table, where)
    except InputError as error:
        for problem in error.problems:
            errors.add(f"{where}:", problem)
        return {}, []
    known = [field.name for field in fields(Instrument)]
    unused = [name for name in frame.columns if name not in known]
    frame = frame.select(name for name in frame.columns if name in known)
    frame = frame.with_columns(pl.col(pl.Datetime).dt.date(), pl.col(pl.Float32, pl.Float64).fill_nan(None))
    rows: dict[str, Mapping[str, Any]] = {
        f"{where} row {number}": {key: value for key, value in row.items() if value is not None}
        for number, row in enumerate(frame.iter_rows(named=True))
    }
    return rows, [f"{where}: columns without a meaning are left out: {', '.join(unused)}"] if unused else []


def _check_twice(rows: Sequence[tuple[str, Instrument]], errors: Errors) -> None:
    """Note symbols that have two entries, unless these are of different companies, one after the other."""
    last: dict[str, Instrument] = {}
    for where, row in sorted(rows, key=lambda pair: (pair[1].symbol, pair[1].listed_from or date.min)):
        before = last.get(row.symbol)
        last[row.symbol] = row
        if before is None:
            continue
        what = f"gives symbol {row.symbol!r} a second time"
        if not row.entity or not before.entity or row.entity == before.entity:
            errors.add(where, f"{what}: remove one, or give both an entity, listed_from and listed_to")
        elif before.listed_to is None or row.listed_from is None or row.listed_from <= before.listed_to:
            remedy = "give listed_to of one before listed_from of the other"
            errors.add(where, f"{what} while {before.entity} has it: {remedy}")
