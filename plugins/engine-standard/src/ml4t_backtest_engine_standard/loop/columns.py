"""The columns of a run: which company has which number, and what it is called now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ml4t.backtest.core.clock import Chunk
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.assembly.entities import Tickers

__all__ = ["Columns"]


class Columns:
    """Gives companies their columns, from rows that name them and from actions that hand them out.

    The clock numbers what rows name, ahead of the present; where actions add columns in between, its numbers are
    put into those of the run, chunk by chunk.

    Args:
        state: The run's columns.
        tickers: Which company a ticker means.
        rules: Rules of trading by symbol, by ``symbol (entity)`` where entries share a symbol.
    """

    def __init__(self, state: RunState, tickers: Tickers, rules: Mapping[str, tuple[float, ...]]) -> None:
        self._state, self._tickers, self._rules = state, tickers, rules
        self._ids: dict[str, int] = {}
        # What is going to be: nobody beside this class may look at it.
        self._coming: dict[str, int] = {}
        self._numbers: list[int] = []
        self._giving = [action for action in tickers.actions if action.kind in ("merger", "spin-off")]
        self._giving = [action for action in self._giving if action.new_symbol]
        self._given = 0

    def renumber(self, chunk: Chunk) -> None:
        """Put the clock's numbers of symbols in a chunk into those of the run."""
        if not self._giving:
            return
        for place in sorted(chunk.new_symbols):
            self._give_until(chunk.instants[place])
            fresh = []
            for key in chunk.new_symbols[place]:
                if key not in self._coming:
                    self._coming[key] = len(self._coming)
                    fresh.append(key)
                self._numbers.append(self._coming[key])
            chunk.new_symbols[place] = fresh
        self._give_until(chunk.instants[-1])
        numbers = np.array(self._numbers, np.int32)
        if (numbers != np.arange(len(numbers))).any():
            for source in chunk.sources:
                source.rows.symbol = numbers[source.rows.symbol]

    def _give_until(self, instant: int) -> None:
        """Note the columns that actions add up to an instant, before its rows."""
        while self._given < len(self._giving) and self._giving[self._given].effective_at <= instant:
            action = self._giving[self._given]
            self._given += 1
            if any(key in self._coming for key in self._tickers.meant(action)):
                self._coming.setdefault(self._received(action), len(self._coming))

    def admit(self, keys: Sequence[str], *, held: bool = False) -> list[str]:
        """Give columns to companies that rows name for the first time; return what they are called.

        Args:
            keys: The companies.
            held: Whether actions of this instant wait for its end: names are those before them.
        """
        if self._tickers.plain:
            self._ids |= {key: len(self._ids) + place for place, key in enumerate(keys)}
            self._state.add_symbols(list(keys), self._rules)
            return list(keys)
        return [self._add(key, held=held) for key in keys]

    def receive(self, action: PlannedAction) -> tuple[int, list[str]]:
        """Return the column of what an action hands out, -1 for none, and the names of columns that this added."""
        if not action.new_symbol or action.kind not in ("merger", "spin-off"):
            return -1, []
        key = self._received(action)
        if key in self._ids:
            return self._ids[key], []
        if not any(each in self._ids for each in self._tickers.meant(action)):
            return -1, []
        return len(self._ids), [self._add(key)]

    def keys(self, first: int) -> list[str]:
        """Return whose the columns are from one on, in their order."""
        return list(self._ids)[first:]

    def find(self, ticker: str, instant: int) -> int | None:
        """Return the column of the company of a row of this ticker that formed at an instant; None where none is."""
        return self._ids.get(self._tickers.key(ticker, instant))

    def company(self, action: PlannedAction) -> int | None:
        """Return the column of the company that an action is of; None where there is none, or it trades no more."""
        for key in self._tickers.meant(action):
            column = self._ids.get(key)
            if column is not None and self._state.instruments["ended"][column] != 1:
                return column
        return None

    def rename(self, column: int, ticker: str) -> None:
        """Give a column the ticker that its company has from now on."""
        if self._state.symbols.names[column] != ticker:
            self._free(ticker)
            self._state.symbols.rename(column, ticker)

    def _add(self, key: str, *, held: bool = False) -> str:
        state, now = self._state, self._state.now
        ticker = name = self._tickers.name(key, now - held)
        if self._tickers.key(ticker, now + 1) != key and self._tickers.key(ticker, now + 1) in self._ids:
            name = self._tickers.former_name(key, ticker)
        self._free(name)
        rules = self._rules.get(f"{ticker} ({self._tickers.entity(key)})") or self._rules.get(ticker)
        rules = rules or self._rules.get("*")
        self._ids[key] = len(state.symbols)
        state.add_symbols([name], {name: rules} if rules else None)
        return name

    def _free(self, name: str) -> None:
        """Call the company that had a ticker otherwise."""
        symbols = self._state.symbols
        if name in symbols:
            column = symbols.id(name)
            key = next(key for key, each in self._ids.items() if each == column)
            symbols.rename(column, self._tickers.former_name(key, name))

    def _received(self, action: PlannedAction) -> str:
        return self._tickers.key(action.new_symbol, action.effective_at + 1)
