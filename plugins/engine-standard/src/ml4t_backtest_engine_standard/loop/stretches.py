"""The instants of a chunk as stretches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ml4t.backtest.core.clock import Chunk, SourceRows
from ml4t.backtest.core.event import MarketEvent
from ml4t.backtest.core.queue import Rows

__all__ = ["full_instants", "instants_of", "signals_until"]


def instants_of(events: Sequence[MarketEvent], bounds: list[int]) -> Iterator[Sequence[MarketEvent]]:
    """Yield the events of each instant.

    Args:
        events: Those of all instants.
        bounds: First row of each instant, and the end of the last.
    """
    for first, stop in pairwise(bounds):
        yield events[first - bounds[0] : stop - bounds[0]]


def full_instants(source: SourceRows) -> list[bool]:
    """Return per instant whether its rows are exactly the symbols 0, 1, 2 … in order."""
    rows = source.rows
    if rows.width:
        first = rows.symbol[: rows.width]
        return [bool((first == np.arange(len(first))).all())] * (len(source.bounds) - 1)
    bounds = np.array(source.bounds)
    wrong = rows.symbol != np.arange(len(rows)) - np.repeat(bounds[:-1], np.diff(bounds))
    sums = np.concatenate([[0], np.cumsum(wrong)])
    return (sums[bounds[1:]] == sums[bounds[:-1]]).tolist()  # type: ignore[no-any-return]  # numpy says Any


def signals_until(chunk: Chunk, place: int) -> Iterator[Rows]:
    """Yield copies of the rows of each signal source before an instant of a chunk, which they outlive."""
    for source in chunk.sources:
        rows = source.rows.slice(0, source.bounds[place])
        if rows.spec.kind == "signal" and len(rows):
            yield rows.take(np.arange(len(rows)))
