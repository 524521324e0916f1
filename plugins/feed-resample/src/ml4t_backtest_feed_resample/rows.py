"""Rows of the feed that is resampled, and the bars that groups of them make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Integers", "Rows", "fold"]

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in order, each with what it says of its bar.

    Attributes:
        symbol: int64 (n,), number of the symbol.
        start, end, known: int64 (n,), UTC ns.
        values: float64 (n_fields, n).
    """

    symbol: Integers
    start: Integers
    end: Integers
    known: Integers
    values: Floats

    @classmethod
    def empty(cls, fields: int) -> Rows:
        """Return no rows of so many fields."""
        none = np.zeros(0, np.int64)
        return cls(none, none, none, none, np.zeros((fields, 0)))

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Rows:
        """Return the rows at these places, or where a mask holds."""
        times = self.start[places], self.end[places], self.known[places]
        return Rows(self.symbol[places], *times, self.values[:, places])

    def join(self, other: Rows) -> Rows:
        """Return these rows and then the other's."""
        if not len(self):
            return other
        start, end = np.append(self.start, other.start), np.append(self.end, other.end)
        symbol, known = np.append(self.symbol, other.symbol), np.append(self.known, other.known)
        return Rows(symbol, start, end, known, np.concatenate([self.values, other.values], axis=1))


def fold(rows: Rows, firsts: Integers, fields: tuple[str, ...]) -> Rows:
    """Make one bar of each group of rows.

    Args:
        rows: Rows, those of one group together and in order.
        firsts: Place of each group's first row, ascending from 0.
        fields: Names of the values.

    Returns:
        A row per group: it starts with the first row and ends with the last; known when all of its rows are.
    """
    lasts = np.append(firsts[1:], len(rows)) - 1
    values = np.empty((len(fields), len(firsts)))
    for place, name in enumerate(fields):
        column = rows.values[place]
        if name == "open":
            values[place] = column[firsts]
        elif name == "high":
            values[place] = np.fmax.reduceat(column, firsts)
        elif name == "low":
            values[place] = np.fmin.reduceat(column, firsts)
        elif name == "volume":
            unknown = np.isnan(column)
            values[place] = np.add.reduceat(np.where(unknown, 0.0, column), firsts)
            values[place, np.logical_and.reduceat(unknown, firsts)] = np.nan
        else:
            values[place] = column[lasts]
    known = np.maximum.reduceat(rows.known, firsts)
    return Rows(rows.symbol[firsts], rows.start[firsts], rows.end[lasts], known, values)
