"""The rows of a source by groups of symbols, so many at a time that memory stays bounded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["rows_by_symbols"]


def rows_by_symbols(plan: pl.LazyFrame, most: int) -> Iterator[pl.DataFrame]:
    """Yield all rows of some symbols, then of others; the rows of a symbol stay in order.

    The input is read twice, its symbols first. Rows that are more than ``most`` go through temporary files with fast
    compression, which are removed when the iterator ends.

    Args:
        plan: Rows with a ``symbol``, none of which is null.
        most: About how many rows to yield at a time, and to hold.
    """
    sizes = plan.group_by(pl.col("symbol").cast(pl.String)).len().collect(engine="streaming").sort("symbol")
    groups = ((sizes["len"].cum_sum() - sizes["len"]) // most).rle_id().to_numpy()
    if not len(groups) or groups[-1] == 0:
        yield plan.collect()
        return
    names = pl.Enum(sizes["symbol"])
    folder = Path(tempfile.mkdtemp(prefix="ml4t-backtest-"))
    try:
        parts = plan.with_columns(pl.col("symbol").cast(pl.String).cast(names)).collect_batches(
            chunk_size=most, maintain_order=True
        )
        for number, part in enumerate(parts):
            _write(part, groups[part["symbol"].to_physical().to_numpy()], folder, number)
        for group in range(int(groups[-1]) + 1):
            files = sorted(folder.glob(f"{group}-*"), key=lambda file: int(file.name.split("-")[1]))
            rows = pl.concat([pl.read_ipc(file) for file in files])
            for file in files:
                file.unlink()
            yield rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(rows: pl.DataFrame, groups: np.ndarray[tuple[int], np.dtype[np.uint32]], folder: Path, number: int) -> None:
    """Write the rows of each group into a file ``group-number``."""
    rows = rows[np.argsort(groups, kind="stable")]
    ends = np.cumsum(np.bincount(groups))
    for group in np.unique(groups).tolist():
        start = int(ends[group - 1]) if group else 0
        rows.slice(start, int(ends[group]) - start).write_ipc(folder / f"{group}-{number}", compression="lz4")
