"""Whether rows are plainly in order, told with few passes over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["is_plain"]


def is_plain(
    frame: pl.DataFrame,
    before: pl.DataFrame | None,
    *,
    time: str,
    prices: Sequence[str],
    sizes: Sequence[str],
    others: Sequence[str],
    bars: bool,
    ties: bool,
) -> bool:
    """Say whether nothing can be wrong with rows and nothing about them is worth a note.

    Every symbol and stamp is given, no stamp goes back; where ``ties`` says no, no symbol has two rows of one stamp;
    every value is a number, prices are above zero and sizes are not negative; opens and closes lie between low and
    high. Rows that are not plain are to be looked at closely; they may be in order all the same.

    Args:
        frame: Columns ``symbol``, ``time`` and the values.
        before: The rows of the newest stamp before, columns ``symbol`` and ``#`` (their stamp).
        time: The column of stamps.
        prices, sizes, others: Names of the value columns.
        bars: Whether rows are bars.
        ties: Whether rows of one symbol may have one stamp.
    """
    schema = frame.schema
    names = [*prices, *sizes, *others]
    if any(schema[name] != pl.Float64 for name in names) or (before is not None and not len(before)):
        return False
    if any(frame[name].null_count() for name in ("symbol", time, *names)) or (frame["symbol"] == "").any():
        return False
    if not frame[time].is_sorted():
        return False
    if not ties and not _each_once(frame[time], frame["symbol"]):
        return False
    pairs: list[tuple[str, str]] = []
    if bars and {"low", "high"} <= {*prices}:
        inner = [name for name in ("open", "close") if name in prices]
        pairs = [*(("low", name) for name in inner), *((name, "high") for name in inner)] or [("low", "high")]
    elif {"bid", "ask"} <= {*prices}:
        pairs = [("bid", "ask")]
    values = {name: frame[name].to_numpy() for name in names}
    lower, upper = {one for one, _ in pairs}, {other for _, other in pairs}
    # What lies between two others is above zero as the lower one is, and a number as the upper one is.
    if not (
        all((values[one] <= values[other]).all() for one, other in pairs)
        and all((values[name] > 0).all() for name in prices if name not in upper)
        and all((values[name] >= 0).all() for name in sizes)
        and all(_is_finite(values[name]) for name in names if name not in lower)
    ):
        return False
    if before is None:
        return True
    first, newest = frame[time][0], before["#"][-1]
    if first != newest or ties:
        return bool(first >= newest)
    if schema["symbol"] != before.schema["symbol"]:
        return False
    old, fresh = before["symbol"], frame["symbol"].head(1)
    if schema["symbol"] != pl.String:
        old, fresh = old.to_physical(), fresh.to_physical()
    return bool((old < fresh[0]).all())


def _each_once(stamps: pl.Series, symbol: pl.Series) -> bool:
    """Say whether the symbols of each stamp ascend; stamps do not go back."""
    if symbol.dtype == pl.String:
        up = (symbol > symbol.shift(1)).to_numpy()[1:]
    else:
        codes = symbol.to_physical().to_numpy()
        up = codes[1:] > codes[:-1]
    instants = stamps.to_physical().to_numpy()
    return bool(((instants[1:] > instants[:-1]) | up).all())


def _is_finite(values: NDArray[np.float64]) -> bool:
    """Say whether all are numbers, as their sum is one; a sum that overflows says no."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))
