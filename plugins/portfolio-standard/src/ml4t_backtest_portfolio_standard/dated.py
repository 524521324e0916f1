"""Figures by symbol that change as time goes by; only what is known counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml4t.backtest.errors import RunFileError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DatedFigures"]

Figures = dict[str, float]


class DatedFigures:
    """The rows of a table, oldest first, and the newest of each symbol that is known by now.

    Args:
        rows: Columns ``known_at`` (Int64, UTC ns, ascending), ``symbol`` (String) and the figures (Float64).
        where: What the table is of, for messages.
        needed: Figures that no row may lack.
        optional: Figures that are taken where the table has them, NaN where it does not say.

    Raises:
        RunFileError: A column is missing, or a needed figure is not finite.
    """

    def __init__(self, rows: pl.DataFrame, where: str, needed: Sequence[str], optional: Sequence[str] = ()) -> None:
        missing = [name for name in needed if name not in rows.columns]
        if missing:
            raise RunFileError(f"{where} has no column {missing[0]}; it has {', '.join(rows.columns)}")
        for name in needed:
            wrong = np.flatnonzero(~np.isfinite(rows[name].cast(float).fill_null(np.nan).to_numpy()))
            if len(wrong):
                symbol = rows["symbol"][int(wrong[0])]
                raise RunFileError(f"{where}: {name} of {symbol} is missing or not finite in row {int(wrong[0]) + 1}")
        self.instants: list[int] = rows["known_at"].to_list()
        self._symbols: list[str] = rows["symbol"].to_list()
        taken = [*needed, *(name for name in optional if name in rows.columns)]
        self._columns: dict[str, list[Any]] = {name: rows[name].to_list() for name in taken}
        self._known: dict[str, int] = {}
        self._place = 0

    def advance(self, now: int) -> int:
        """Take in what is known at an instant, UTC ns; return how many rows that are."""
        place = self._place
        while place < len(self.instants) and self.instants[place] <= now:
            self._known[self._symbols[place]] = place
            place += 1
        self._place = place
        return place

    def newest(self, symbol: str, name: str) -> float | None:
        """Return a figure of the newest row known, None where there is no row, NaN where the row does not say."""
        row = self._known.get(symbol)
        if row is None:
            return None
        value = self._columns[name][row] if name in self._columns else None
        return float("nan") if value is None else float(value)

    def at(self, instant: int) -> list[tuple[str, Figures]]:
        """Return symbols and figures of the rows of one instant."""
        first, stop = np.searchsorted(self.instants, [instant, instant + 1]).tolist()
        return [
            (self._symbols[row], {name: float(values[row]) for name, values in self._columns.items()})
            for row in range(first, stop)
        ]
