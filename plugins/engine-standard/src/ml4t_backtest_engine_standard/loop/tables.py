"""Tables of facts: their rows wait here until they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from ml4t.backtest.core.event import SignalEvent
from ml4t.backtest.core.queue import FOREVER
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.entities import Tickers
from ml4t_backtest_engine_standard.assembly.facts import FactTable, Field, FieldKind
from ml4t_backtest_engine_standard.context.tables import Facts
from ml4t_backtest_engine_standard.loop.columns import Columns

__all__ = ["TableRoom"]

# Name of a company -> its columns, and whether each is called exactly so.
Columned: TypeAlias = dict[str, list[tuple[int, bool]]]


class TableRoom:
    """Hands rows of tables over when they are known; no strategy may reach it.

    Args:
        tables: All rows, each table by when they are known.
        tickers: Which company a ticker means.
        columns: Which company has which column.
        state: The run's columns.

    Attributes:
        next: Instant of the earliest row that waits, UTC ns; the end of time where there is none, or no data yet.
        facts: What is known of each table, by its name.
        news: An event for each row of this instant, of the tables that wake strategies.
    """

    def __init__(self, tables: Sequence[FactTable], tickers: Tickers, columns: Columns, state: RunState) -> None:
        self._state, self._columns = state, columns
        self._queues = [_Queue(table, tickers) for table in tables]
        self.facts: dict[str, Facts] = {queue.facts.name: queue.facts for queue in self._queues}
        self.next = FOREVER
        self.news: list[SignalEvent] = []
        self._seen = 0
        self._keys: Columned = {}

    def begin(self, instant: int) -> None:
        """Say when the first rows of feeds are known: rows of tables that are known before come with them."""
        if self._queues:
            self.next = max(instant, min(queue.next for queue in self._queues))

    def update(self) -> None:
        """Release what is known now, and let it find the columns that there are now."""
        if not self._queues:
            return
        state = self._state
        if self.news:
            self.news = []
        fresh = self._new_columns() if self._seen < len(state.symbols) else []
        for queue in self._queues:
            if fresh:
                queue.add_columns(fresh)
            if self.next <= state.now and queue.release(state.now, self._keys):
                state.known_at = state.now
                self.news += queue.events(state)
        if self.next <= state.now:
            self.next = min((queue.next for queue in self._queues), default=FOREVER)

    def _new_columns(self) -> list[tuple[str, int]]:
        """Return the columns that are new, with whose they are."""
        fresh = list(zip(self._columns.keys(self._seen), range(self._seen, len(self._state.symbols)), strict=True))
        self._seen = len(self._state.symbols)
        for key, column in fresh:
            self._keys.setdefault(key, []).append((column, True))
            if "@" in key:
                self._keys.setdefault(_plain(key), []).append((column, False))
        return fresh


class _Queue:
    """The rows of one table, those to come and those that are known."""

    def __init__(self, table: FactTable, tickers: Tickers) -> None:
        self._table, self._begun, self._place = table, 0, 0
        kinds: dict[str, FieldKind] = {name: field.kind for name, field in table.fields.items()}
        self.facts = Facts(table.name, kinds, market_wide=table.symbol is None)
        everything = pl.Series([""] * len(table.known_at), dtype=pl.String)
        self._symbols = keys = everything if table.symbol is None else table.symbol
        if not tickers.plain:
            keys = tickers.identify(keys, table.event_time)
        self._keys = keys.unique().sort().to_list()
        self._codes = keys.cast(pl.Enum(self._keys)).to_physical().to_numpy()
        self._entity = np.full(len(self._keys), -1, np.int32)  # of each key, once a row of it is known
        self._ids: dict[str, int] = {}

    @property
    def next(self) -> int:
        """When the next row is known, UTC ns."""
        known_at = self._table.known_at
        return int(known_at[self._place]) if self._place < len(known_at) else FOREVER

    def add_columns(self, fresh: Sequence[tuple[str, int]]) -> None:
        """Say which of the companies that rows were about have the new columns; of venues those of their ticker."""
        facts = self.facts
        found = [self._ids.get(key, self._ids.get(_plain(key), -1)) for key, _ in fresh]
        facts.columns = np.append(facts.columns, np.array(found, np.int32))
        facts.named |= {self._ids[key]: column for key, column in fresh if key in self._ids}

    def release(self, now: int, columns: Columned) -> bool:
        """Hand over the rows known up to now; say whether there were any.

        Args:
            now: The present, UTC ns.
            columns: Columns of a company by its key, and by its ticker without the venue.
        """
        table, first = self._table, self._place
        stop = int(np.searchsorted(table.known_at, now, side="right"))
        if stop == first:
            return False
        self._begun, self._place = first, stop
        codes = self._codes[first:stop]
        fresh, where = np.unique(codes[self._entity[codes] < 0], return_index=True)
        rows = np.flatnonzero(self._entity[codes] < 0)[where] + first
        for row, code in sorted(zip(rows.tolist(), fresh.tolist(), strict=True)):
            self._admit(self._keys[code], code, self._symbols[row], columns)
        self.facts.add(self._entity[codes], (table.event_time, table.known_at), table.fields, slice(first, stop))
        return True

    def events(self, state: RunState) -> list[SignalEvent]:
        """Return an event for each row that was handed over last, where this table wakes strategies."""
        table, facts = self._table, self.facts
        if not table.wakes:
            return []
        out = []
        for row in range(self._begun, self._place):
            entity = int(self._entity[self._codes[row]])
            named = facts.named.get(entity)
            symbol = facts.tickers[entity] if named is None else state.symbols.names[named]
            values = {name: _plain_value(field, row) for name, field in table.fields.items()}
            out.append(SignalEvent(state.now, table.name, symbol, int(table.event_time[row]), values))
        return out

    def _admit(self, key: str, code: int, ticker: str, columns: Columned) -> None:
        """Give a company that rows are about for the first time a place, and the columns that it has."""
        facts = self.facts
        entity = self._ids[key] = self._entity[code] = len(facts.tickers)
        facts.tickers.append(ticker)
        for column, own in columns.get(key, ()):
            if own or facts.columns[column] < 0:
                facts.columns[column] = entity
            if own:
                facts.named[entity] = column


def _plain_value(field: Field, row: int) -> Any:
    """Return a value as ``Context.asof`` would: a float, a datetime64[ns], a str or None."""
    value = field.values[row]
    if field.kind == "text":
        return value
    return float(value) if field.kind in ("number", "flag") else np.datetime64(int(value), "ns")


def _plain(key: str) -> str:
    """Return a ticker without its venue."""
    return key.partition("@")[0]
