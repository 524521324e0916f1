"""The rule of prices that jump by the ratio of a split that nobody told the run of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["unadjusted_splits"]

_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0)
_NEAR = 0.10  # how far a jump may lie from a ratio, in logarithms; in quiet symbols less
_QUIET = 0.03
_SMALL = 0.01  # how far one may lie from three for two, which falls after bad news resemble
_USUAL = 4.0  # times the symbol's usual move that prices may have moved beside the split
_LARGE = 12.0  # times the symbol's usual move that a jump has to be
_LEAST = 0.3  # size of a jump that is worth a look
_SIDE = 4  # bars on either side of a jump that show where the price is
_FEW = 4  # symbols of a day that say nothing of a market
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
    rows = view.rows.filter((pl.col("close") > 0) & pl.col("close").is_finite())
    price = rows["close"].to_numpy()
    opens = rows["open"].to_numpy() if "open" in rows.columns else price
    codes, days = rows["symbol"].to_physical().to_numpy(), rows["day"].to_physical().to_numpy()
    new = 1 + np.flatnonzero((codes[1:] == codes[:-1]) & (days[1:] != days[:-1]))
    before, after = price[new - 1], np.where((opens > 0) & np.isfinite(opens), opens, price)[new]
    jump = np.log(before) - np.log(after)
    moved = pl.DataFrame({"code": codes[new], "moved": np.abs(np.log(before) - np.log(price[new]))})
    usual = np.maximum(moved.select(pl.col("moved").median().over("code"))["moved"].to_numpy() * 1.4826, 0.002)
    large = pl.DataFrame({"day": days[new], "large": np.abs(jump) > _LEAST})
    share = large.select(share=pl.col("large").mean().over("day"), wide=pl.len().over("day"))
    alone = (share["share"].to_numpy() <= _TOGETHER) | (share["wide"].to_numpy() <= _FEW)
    maybe = np.flatnonzero((np.abs(jump) > _LEAST) & (np.abs(jump) > _LARGE * usual) & alone)
    far = np.abs(np.abs(jump[maybe])[:, None] - np.log(_RATIOS))
    nearest = far.argmin(axis=1)
    allowed = np.clip(_USUAL * usual[maybe], _QUIET, _NEAR)
    allowed[nearest == _RATIOS.index(1.5)] = _SMALL
    near = far.min(axis=1, initial=np.inf) < allowed
    stays = np.array([_stays(price, codes, int(row), size) for row, size in zip(new[maybe], jump[maybe], strict=True)])
    kept = near & stays.astype(bool)
    ratio = np.array(_RATIOS)[nearest[kept]]
    size = jump[maybe[kept]]
    found: pl.DataFrame = rows[new[maybe[kept]]]
    return found.with_columns(size=pl.Series(np.abs(size)), ratio=pl.Series(np.where(size > 0, ratio, 1 / ratio)))


def _stays(price: NDArray[np.float64], codes: NDArray[np.uint32], row: int, jump: float) -> bool:
    """Say whether the bars from a row on lie a jump away from the bars before it, not only one of them."""
    around = np.arange(max(row - _SIDE, 0), min(row + _SIDE, len(price)))
    around = around[codes[around] == codes[row]]
    level = np.log(price[around])
    return bool(abs(np.median(level[around < row]) - np.median(level[around >= row]) - jump) < _LEAST)
