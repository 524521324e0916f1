"""Inputs that are larger than memory and not in time order: sorted through temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.footers import RowGroup
from ml4t_backtest_gate_standard.streaming import PIECE

__all__ = ["ROW", "bucket_edges", "sort_through_files"]

ROW = "#row"  # column with each row's number in the source, for messages
_BUCKET = 500_000  # rows sorted at a time
_HELD = 500_000  # rows in memory before they are written
_POINTS = 32
_FIRST, _LAST = -9 * 10**18, 9 * 10**18  # ns that int64 holds with some room; later rows are refused as they come


def bucket_edges(groups: Sequence[RowGroup], column: str) -> NDArray[np.int64]:
    """Return instants (ns) that cut the rows into buckets of about equal size, as the footers have it."""
    points, weights = [], []
    for group in groups:
        chunk = group.chunks.get(column)
        if chunk is not None and isinstance(chunk.low, int) and isinstance(chunk.high, int):
            low, high = (min(max(edge, _FIRST), _LAST) for edge in (chunk.low, chunk.high))
            points.append(np.linspace(low, high, _POINTS).astype(np.int64))
            weights.append(np.full(_POINTS, group.rows / _POINTS))
    if not points:
        return np.zeros(0, np.int64)
    stamps, sizes = np.concatenate(points), np.concatenate(weights)
    order = np.argsort(stamps, kind="stable")
    filled = np.cumsum(sizes[order])
    marks = np.arange(_BUCKET, filled[-1], _BUCKET)
    return np.unique(stamps[order][np.searchsorted(filled, marks)])


def sort_through_files(
    pieces: Iterator[pl.DataFrame],
    *,
    time: str,
    keys: Sequence[str],
    edges: NDArray[np.int64],
    gone_back: Callable[[pl.DataFrame, int], DataError] | None,
) -> Iterator[pl.DataFrame]:
    """Yield the rows in the order of ``keys``, bucket by bucket of time.

    Args:
        pieces: The rows in source order, with their numbers in the column ``ROW``.
        time: The first of the keys.
        keys: What orders the rows; equal ones keep the source's order.
        edges: See ``bucket_edges``.
        gone_back: Makes the error for a row (of a piece, by its place) whose symbol has gone back; None where
            a symbol may.
    """
    folder = Path(tempfile.mkdtemp(prefix="ml4t-backtest-"))
    try:
        count = _write(pieces, folder, time, edges, gone_back)
        for bucket in range(len(edges) + 1):
            files = [file for flush in range(count) if (file := folder / f"{bucket}-{flush}").exists()]
            if not files:
                continue
            rows = pl.concat([pl.read_ipc(file) for file in files])
            for file in files:
                file.unlink()
            rows = rows.sort(keys, maintain_order=True)
            yield from rows.iter_slices(PIECE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(
    pieces: Iterator[pl.DataFrame],
    folder: Path,
    time: str,
    edges: NDArray[np.int64],
    gone_back: Callable[[pl.DataFrame, int], DataError] | None,
) -> int:
    """Write the rows of each bucket into files ``bucket-flush``; return the number of flushes."""
    held: list[pl.DataFrame] = []
    newest: dict[str, int] = {}
    flushes = 0

    def flush() -> None:
        rows = pl.concat(held)
        held.clear()
        buckets = np.searchsorted(edges, _stamps(rows, time), side="right")
        rows = rows[np.argsort(buckets, kind="stable")]
        ends = np.cumsum(np.bincount(buckets, minlength=len(edges) + 1))
        for bucket in np.unique(buckets).tolist():
            start = int(ends[bucket - 1]) if bucket else 0
            part = rows.slice(start, int(ends[bucket]) - start)
            part.write_ipc(folder / f"{bucket}-{flushes}", compression="lz4")

    for piece in pieces:
        if gone_back is not None and (row := _first_back(piece["symbol"], _stamps(piece, time), newest)) is not None:
            raise gone_back(piece, row)
        held.append(piece)
        if sum(part.height for part in held) >= _HELD:
            flush()
            flushes += 1
    if held:
        flush()
    return flushes + 1


def _stamps(rows: pl.DataFrame, time: str) -> NDArray[np.int64]:
    return rows[time].cast(pl.Datetime("ns")).to_physical().to_numpy()


def _first_back(symbols: pl.Series, stamps: NDArray[np.int64], newest: dict[str, int]) -> int | None:
    """Return the first row that is older than an earlier one of its symbol; keep each symbol's newest stamp."""
    rows = pl.DataFrame({"symbol": symbols, "stamp": stamps}).with_row_index("row")
    each = rows.group_by("symbol", maintain_order=True).agg(
        first=pl.col("stamp").first(), last=pl.col("stamp").last(), back=(pl.col("stamp").diff() < 0).any()
    )
    faults: list[int] = []
    for symbol, first, last, back in each.iter_rows():
        before = int(newest.get(symbol, first) or 0)
        if back or first < before:
            own = rows.filter(pl.col("symbol").cast(pl.String) == symbol)
            reached = np.maximum.accumulate(np.append(np.int64(before), own["stamp"].to_numpy()))[:-1]
            faults.append(int(own["row"][int((own["stamp"].to_numpy() < reached).argmax())]))
        newest[symbol] = last
    return min(faults, default=None)
