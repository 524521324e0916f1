"""The rule of prices that jump by the ratio of a split that nobody told the run of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["unadjusted_splits"]

_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0)
_NEAR = 0.10  # how far a jump may lie from a ratio, in logarithms; in quiet symbols less
_QUIET = 0.03
_USUAL = 4.0  # times the symbol's usual move that prices may have moved beside the split
_LARGE = 12.0  # times the symbol's usual move that a jump has to be
_TOGETHER = 0.3  # share of symbols that jump on one day when it is the market, or the input, that jumps
_DAYS = 3  # between a jump and the action that explains it
_KINDS = ("split", "stock-dividend", "spin-off", "merger", "symbol-change", "delisting")


def unadjusted_splits(view: View, actions: pl.DataFrame) -> Iterator[Finding]:
    """Find jumps from one session to the next that are near the ratio of a split, stay, and are nobody else's.

    Args:
        view: Rows of bars.
        actions: Columns ``symbol``, ``kind`` and ``ex_date`` (Date) of what happened to symbols.
    """
    if view.spec.kind != "bar":
        return
    found = _jumps(view)
    known = actions.filter(pl.col("kind").is_in(_KINDS))
    told = (
        found.select("#", pl.col("symbol").cast(pl.String), "day")
        .join(known.select("symbol", "ex_date"), on="symbol")
        .filter((pl.col("day") - pl.col("ex_date")).dt.total_days().abs() <= _DAYS)
    )
    found = found.join(told.select("#").unique(), on="#", how="anti").sort("size", descending=True)
    if found.height:
        places = view.places(found)
        ratios = [f"{ratio:g} for 1" if ratio > 1 else f"1 for {1 / ratio:g}" for ratio in found["ratio"].head(3)]
        what = "the price jumps by the ratio of a split, which no action of the run tells of"
        remedy = "give [[actions]] with the split, or split-adjusted prices; a fall of that size is no fault"
        rows = tuple(f"{place} like {ratio}" for place, ratio in zip(places, ratios, strict=True))
        yield Finding(
            rule="unadjusted-split", what=what, remedy=remedy, count=found.height, symbol=found["symbol"][0], rows=rows
        )


def _jumps(view: View) -> pl.DataFrame:
    """Return first bars of sessions whose price is a ratio away from that of the bar before, and stays there."""
    price = pl.col("close")
    opens = pl.col("open") if "open" in view.rows.columns else price
    rows = view.rows.filter(price > 0).with_columns(
        first=pl.when(opens > 0).then(opens).otherwise(price),
        new=pl.col("day") != pl.col("day").shift(1).over("symbol"),
    )
    later = [price.shift(-ahead).over("symbol") for ahead in (1, 2, 3)]
    earlier = [price.shift(ago).over("symbol") for ago in (1, 2, 3, 4)]
    rows = rows.with_columns(
        before=price.shift(1).over("symbol"),
        level=pl.concat_list(earlier).list.drop_nulls().list.median(),
        after=pl.concat_list(price, *later).list.drop_nulls().list.median(),
    ).filter(pl.col("new"))
    rows = rows.with_columns(jump=(pl.col("before") / pl.col("first")).log(), moved=(pl.col("before") / price).log())
    usual = (pl.col("moved").abs().median().over("symbol") * 1.4826).clip(0.002)
    nearest = [math.log(ratio) for ratio in _RATIOS]
    far = [(pl.col("jump").abs() - ratio).abs() for ratio in nearest]
    size = pl.concat_list(far).list.arg_min()
    near = pl.min_horizontal(far)
    stays = ((pl.col("level") / pl.col("after")).log() - pl.col("jump")).abs() < 0.3
    rows = rows.with_columns(size=pl.col("jump").abs(), usual=usual, near=near, place=size, stays=stays)
    large = (pl.col("size") > 0.3).mean().over("day")
    wide = pl.len().over("day") > 4
    allowed = (_USUAL * pl.col("usual")).clip(_QUIET, _NEAR)
    found = rows.filter(
        (pl.col("size") > 0.3)
        & (pl.col("size") > _LARGE * pl.col("usual"))
        & (pl.col("near") < allowed)
        & pl.col("stays")
        & ~(wide & (large > _TOGETHER))
    )
    ratio = pl.col("place").replace_strict(dict(enumerate(_RATIOS)), return_dtype=pl.Float64)
    return found.with_columns(ratio=pl.when(pl.col("jump") > 0).then(ratio).otherwise(1 / ratio))
