"""Picks the contract of each continuous series, from bars as they are released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.queue import Rows
from ml4t.backtest.core.sessions import EPOCH_ORDINAL, SessionTable
from ml4t.backtest.errors import RunError
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.continuous import Continuous
from ml4t_backtest_engine_standard.assembly.instruments import Instrument
from ml4t_backtest_engine_standard.context.continuous import Series

__all__ = ["ContinuousSeries"]

Floats = NDArray[np.float64]


class ContinuousSeries:
    """Keeps the series of a run; a context holds what it has picked, and nobody beside this class what is to come.

    A series is of the first feed of bars that has a row of one of its contracts.

    Args:
        rules: The series.
        instruments: All entries; those with a root are contracts.
        sessions: The run's calendar.
        state: The run's columns.

    Attributes:
        known: Root -> (what is known of the series, whether prices are adjusted), for contexts.
    """

    def __init__(
        self, rules: Sequence[Continuous], instruments: Sequence[Instrument], sessions: SessionTable, state: RunState
    ) -> None:
        self._state, self._sessions = state, sessions
        self._rules = {rule.root: rule for rule in rules}
        self._roots = {row.symbol: row.root for row in instruments if row.root in self._rules}
        self._ends = {row.symbol: self._row_of(row) for row in instruments if row.root in self._rules}
        self._feeds: dict[str, str] = {}
        self._seen = 0
        self._of: dict[int, tuple[str, int]] = {}  # column -> (root, row of its last session)
        self.known: dict[str, tuple[Series, bool]] = {
            rule.root: (Series(rule.root, ratio=rule.adjust == "ratio"), rule.adjust != "none") for rule in rules
        }

    def update(self, parts: Sequence[tuple[Released, Rows, int, int]]) -> None:
        """Take over the bars of one instant, and pick the contracts anew; call it before any callback."""
        self._admit()
        for released, rows, first, stop in parts:
            if released.spec.kind != "bar":
                continue
            fresh: dict[str, dict[int, Floats]] = {}
            for place in range(first, stop):
                column = int(rows.symbol[place])
                root = self._of.get(column, ("", 0))[0]
                if root and self._feeds.setdefault(root, released.spec.name) == released.spec.name:
                    fresh.setdefault(root, {})[column] = rows.values[:, place].copy()
            for root, bars in fresh.items():
                self._take(root, released.spec.fields, bars, int(rows.event_time[first]))

    def _take(self, root: str, fields: tuple[str, ...], bars: Mapping[int, Floats], formed_at: int) -> None:
        series = self.known[root][0]
        series.hear(fields, bars, formed_at)
        if self._rules[root].roll == "volume" and "volume" not in fields:
            raise RunError(f'{root} rolls by volume, which its bars do not have: use roll = "calendar"')
        before = series.contract
        picked = self._pick(root, series)
        if before < 0 and picked in bars:
            series.add(bars[picked])
        elif before in bars:
            series.add(bars[before])
        if picked not in (before, -1):
            series.roll(picked)

    def _pick(self, root: str, series: Series) -> int:
        """Return the contract by the rule; the one before where none is left."""
        rule, session = self._rules[root], self._session()
        living = [column for column in series.known if self._of[column][1] > session]
        if rule.roll == "volume":
            least = self._of[series.contract][1] if series.contract >= 0 else 0
            living = [column for column in living if self._of[column][1] >= least]
            key = {column: (-series.volumes[column], self._of[column][1]) for column in living}
            return min(living, key=lambda column: key[column], default=series.contract)
        enough = [column for column in living if self._of[column][1] - session > rule.days]
        if enough:
            return min(enough, key=lambda column: self._of[column][1])
        return max(living, key=lambda column: self._of[column][1], default=series.contract)

    def _admit(self) -> None:
        names = self._state.symbols.names
        for column in range(self._seen, len(names)):
            name = names[column] if names[column] in self._roots else names[column].partition("@")[0]
            if name in self._roots:
                self._of[column] = (self._roots[name], self._ends[name])
        self._seen = len(names)

    def _session(self) -> int:
        """Return the row of the session that is open, or that closed last."""
        table, now = self._sessions, self._state.now
        row = int(np.searchsorted(table.open, now, side="right")) - 1
        return row - (row > 0 and int(table.close[row - 1]) == now)

    def _row_of(self, row: Instrument) -> int:
        if row.expires is None:
            return len(self._sessions)
        days = row.expires.toordinal() - EPOCH_ORDINAL
        return int(np.searchsorted(self._sessions.label, days, side="right")) - 1
