"""Past prices as somebody would look them up today: adjusted for the actions that took effect since."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.state import RunState

__all__ = ["Adjustments", "Basis", "formed_at"]

Basis: TypeAlias = Literal["raw", "split", "total"]
Floats: TypeAlias = NDArray[np.float64]

_PRICES = ("open", "high", "low", "close", "vwap", "price", "bid", "ask")
_SIZES = ("volume", "size", "bid_size", "ask_size")


@dataclass(slots=True)
class _Stage:
    """What took effect at one instant, once per column."""

    at: int
    columns: list[int]
    ratios: list[float]
    factors: list[float]


class Adjustments:
    """What actions that took effect do to the prices before them; it knows of no other action.

    Args:
        state: The run's columns.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._split: list[_Stage] = []
        self._total: list[_Stage] = []

    def add(self, column: int, at: int, ratio: float, factor: float) -> None:
        """Note what an action does to the prices of a symbol that formed before it.

        Args:
            column: The symbol's id.
            at: When it took effect, UTC ns; not before what was noted last.
            ratio: Prices are divided by it, volumes multiplied.
            factor: For total returns prices are multiplied by it too.
        """
        for stages, own in ((self._split, 1.0), (self._total, factor)):
            if ratio == 1.0 and own == 1.0:
                continue
            if not stages or stages[-1].at != at or column in stages[-1].columns:
                stages.append(_Stage(at, [], [], []))
            stages[-1].columns.append(column)
            stages[-1].ratios.append(ratio)
            stages[-1].factors.append(own)

    def history(self, released: Released, field: str, bars: int, basis: Basis) -> Floats:
        """Return the last bars of a field, see ``Context.history``.

        Args:
            released: The feed.
            field: Name of the field.
            bars: Instants, the newest included.
            basis: What to adjust for.
        """
        raw = released.history(field, bars)
        stages = self._needed(field, basis)
        if not stages or not raw.size:
            return raw
        formed = formed_at(released, bars, raw.shape[1])
        oldest = int(formed.min(initial=np.iinfo(np.int64).max, where=formed > 0))
        stages = stages[bisect_left(stages, oldest, key=attrgetter("at")) :]
        if not stages:
            return raw
        instants = formed.max(axis=1)
        rising = bool((np.diff(instants) >= 0).all())
        together = rising and bool(((formed == instants[:, None]) | (formed == 0)).all())  # usual, and much cheaper
        out, later = raw.copy(), released.spec.kind == "bar"  # a trade of that very instant is after the action
        for stage in stages:
            if together:
                stop = int(np.searchsorted(instants, stage.at + later, side="left"))
                place: Any = (slice(0, stop), stage.columns)
                out[place] = _adjusted(out[place], field, np.array(stage.ratios), np.array(stage.factors))
                continue
            for column, ratio, factor in zip(stage.columns, stage.ratios, stage.factors, strict=True):
                place = (formed[:, column] < stage.at + later, column)
                out[place] = _adjusted(out[place], field, ratio, factor)
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
        formed, later = frame["event_time"].to_physical().to_numpy(), released.spec.kind == "bar"
        symbols = frame["symbol"].cast(pl.Enum(self._state.symbols.names)).to_physical().to_numpy()
        values = {name: frame[name].to_numpy().copy() for name in fields}
        for stage in self._total if basis == "total" else self._split:
            for column, ratio, factor in zip(stage.columns, stage.ratios, stage.factors, strict=True):
                where = (symbols == column) & (formed < stage.at + later)
                for name, own in values.items():
                    own[where] = _adjusted(own[where], name, ratio, factor)
        return frame.with_columns(**{name: pl.Series(column) for name, column in values.items()})

    def _needed(self, field: str, basis: Basis) -> list[_Stage]:
        """Return what changes a field."""
        if basis == "raw" or field not in (*_PRICES, *_SIZES):
            return []
        return self._total if basis == "total" else self._split


def _adjusted(values: Floats, field: str, ratio: Any, factor: Any) -> Floats:
    """Return values of a field adjusted; a ratio or factor of 1 changes no bit."""
    return np.asarray(values * ratio if field in _SIZES else values / ratio * factor)


def formed_at(released: Released, bars: int, width: int) -> NDArray[np.int64]:
    """Return when each value of ``released.history`` formed, int64 (bars, width), UTC ns; 0 where there is none.

    Args:
        released: The feed, asked for its history before.
        bars: Instants, the newest included.
        width: Symbols.
    """
    have = min(bars, len(released._starts))
    starts = released._starts[len(released._starts) - have :]
    place = slice(starts[0] if have else released.count, released.count)
    if have == bars and released._full_run >= bars and released._width == width:
        return released._times[0, place].reshape(bars, width)
    out = np.zeros((bars, width), np.int64)
    if have:
        lengths = np.diff([*starts, released.count])
        instants = np.repeat(np.arange(bars - have, bars), lengths)
        out[instants, released._symbol[place]] = released._times[0, place]
    return out
