"""Past prices as somebody would look them up today: adjusted for the actions that took effect since."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.state import RunState

__all__ = ["Adjustments", "Basis"]

Basis: TypeAlias = Literal["raw", "split", "total"]
Floats: TypeAlias = NDArray[np.float64]

_PRICES = ("open", "high", "low", "close", "vwap", "price", "bid", "ask")
_SIZES = ("volume", "size", "bid_size", "ask_size")


class Adjustments:
    """What actions that took effect do to the prices before them; it knows of no other action.

    Args:
        state: The run's columns.

    Attributes:
        rows: (column, UTC ns, ratio, factor) in the order in which they took effect: prices that formed up to then
            are divided by the ratio and volumes multiplied by it; for total returns prices are multiplied by the
            factor.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self.rows: list[tuple[int, int, float, float]] = []

    def history(self, released: Released, field: str, bars: int, basis: Basis) -> Floats:
        """Return the last bars of a field, see ``Context.history``.

        Args:
            released: The feed.
            field: Name of the field.
            bars: Instants, the newest included.
            basis: What to adjust for.
        """
        raw = released.history(field, bars)
        rows = self._needed(field, basis)
        if not rows or not raw.size:
            return raw
        formed = _formed_at(released, bars, raw.shape[1])
        oldest = int(formed.min(initial=np.iinfo(np.int64).max, where=formed > 0))
        rows = [row for row in rows if row[1] >= oldest]
        if not rows:
            return raw
        out = raw.copy()
        for column, at, ratio, factor in rows:
            where = formed[:, column] < at + (released.spec.kind == "bar")  # a trade of that very instant is after it
            _adjust(out, (where, column), field, ratio, factor if basis == "total" else 1.0)
        out.flags.writeable = False
        return out.view()

    def window(self, released: Released, frame: pl.DataFrame, basis: Basis) -> pl.DataFrame:
        """Return rows of a feed adjusted, see ``Context.window``.

        Args:
            released: The feed.
            frame: Columns symbol, event_time and fields.
            basis: What to adjust for.
        """
        fields = [name for name in frame.columns if self._needed(name, basis)]
        if not fields or not frame.height:
            return frame
        formed = frame["event_time"].to_physical().to_numpy()
        symbols = frame["symbol"].to_numpy()
        values = {name: frame[name].to_numpy().copy() for name in fields}
        for column, at, ratio, factor in self.rows:
            where = (symbols == self._state.symbols.names[column]) & (formed < at + (released.spec.kind == "bar"))
            for name in fields:
                _adjust(values[name], where, name, ratio, factor if basis == "total" else 1.0)
        return frame.with_columns(**{name: pl.Series(column) for name, column in values.items()})

    def _needed(self, field: str, basis: Basis) -> list[tuple[int, int, float, float]]:
        """Return what changes a field."""
        if basis == "raw" or not self.rows or field not in (*_PRICES, *_SIZES):
            return []
        return self.rows if basis == "total" else [row for row in self.rows if row[2] != 1.0]


def _adjust(out: Floats, where: Any, field: str, ratio: float, factor: float) -> None:
    """Adjust some values of a field in place."""
    if field in _SIZES:
        out[where] *= ratio
        return
    if ratio != 1.0:
        out[where] /= ratio
    if factor != 1.0:
        out[where] *= factor


def _formed_at(released: Released, bars: int, width: int) -> NDArray[np.int64]:
    """Return when each value of ``released.history`` formed, int64 (bars, width), UTC ns; 0 where there is none."""
    have = min(bars, len(released._starts))
    starts = released._starts[len(released._starts) - have :]
    place = slice(starts[0] if have else 0, released.count)
    if have == bars and released._full_run >= bars and released._width == width:
        return released._times[0, place].reshape(bars, width)
    out = np.zeros((bars, width), np.int64)
    if have:
        lengths = np.diff([*starts, released.count])
        instants = np.repeat(np.arange(bars - have, bars), lengths)
        out[instants, released._symbol[place]] = released._times[0, place]
    return out
