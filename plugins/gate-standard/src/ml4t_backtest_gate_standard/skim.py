"""Whether rows are plainly in order, told with few passes over them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

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

    Every stamp is given, none goes back; where ``ties`` says no, no symbol has two rows of one stamp; every value is
    a number, prices are above zero and sizes are not negative; opens and closes lie between low and high.
    Rows that are not plain are to be looked at closely; they may be in order all the same.

    Args:
        frame: Columns ``symbol``, ``time`` and the values.
        before: The rows of the newest stamp before, columns ``symbol`` and ``#`` (their stamp).
        time: The column of stamps.
        prices, sizes, others: Names of the value columns.
        bars: Whether rows are bars.
        ties: Whether rows of one symbol may have one stamp.
    """
    values = [*prices, *sizes, *others]
    if any(frame.schema[name] != pl.Float64 for name in values) or (before is not None and not len(before)):
        return False
    symbol = pl.col("symbol") if frame.schema["symbol"] == pl.String else pl.col("symbol").to_physical()
    later, up = pl.col(time) > pl.col(time).shift(1), symbol > symbol.shift(1)
    ordered = pl.col(time) >= pl.col(time).shift(1) if ties else later | up & (pl.col(time) == pl.col(time).shift(1))
    rules = [ordered.all(), *(pl.col(name).null_count() == 0 for name in ("symbol", time, *values))]
    # NaN is greater than every number; the sum tells it from numbers, as it tells infinities.
    rules += [pl.col(name).sum().is_finite() for name in values]
    rules += [(pl.col(name) > 0).all() for name in prices] + [(pl.col(name) >= 0).all() for name in sizes]
    if bars and {"low", "high"} <= set(prices):
        rules.append((pl.col("low") <= pl.col("high")).all())
        for name in [name for name in ("open", "close") if name in prices]:
            rules += [((pl.col(name) >= pl.col("low")) & (pl.col(name) <= pl.col("high"))).all()]
    elif {"bid", "ask"} <= set(prices):
        rules.append((pl.col("bid") <= pl.col("ask")).all())
    if not frame.select(pl.all_horizontal(rules)).item():
        return False
    if before is None:
        return True
    first, newest = frame[time][0], before["#"][-1]
    if first != newest or ties:
        return bool(first >= newest)
    if frame.schema["symbol"] != before.schema["symbol"]:
        return False
    old, fresh = before["symbol"], frame["symbol"].head(1)
    if frame.schema["symbol"] != pl.String:
        old, fresh = old.to_physical(), fresh.to_physical()
    return bool((old < fresh[0]).all())
