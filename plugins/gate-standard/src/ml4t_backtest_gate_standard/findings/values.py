"""Rules of values along time: volumes of nothing, and prices that stand still."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["early_rows", "stale_prices", "zero_volume"]

_STALE = 10  # bars of one close that are worth a look at least
_USUAL = 0.02  # share of unchanged closes that every price may have


def zero_volume(view: View) -> Iterator[Finding]:
    """Count bars in which nothing was traded."""
    if view.spec.kind == "bar" and "volume" in view.rows.columns:
        found = view.rows.filter(pl.col("volume") == 0)
        if found.height:
            what = "bars have a volume of zero: nothing was traded at their prices"
            remedy = "leave such bars out, or limit fills to a part of the volume (fill.volume_limit)"
            yield _finding("zero-volume", view, found, what, remedy)


def stale_prices(view: View) -> Iterator[Finding]:
    """Find runs of one close that are much longer than the symbol's own share of unchanged closes explains."""
    if view.spec.kind != "bar":
        return
    known = view.rows.filter(pl.col("close").is_finite())
    runs = (
        known.select("#", "symbol", "start", "day", "close", run=pl.struct("symbol", "close").rle_id())
        .group_by("run", maintain_order=True)
        .agg(pl.col("#", "symbol", "start", "day").first(), length=pl.len())
    )
    count, longest = pl.col("length").sum().over("symbol"), pl.col("length").max().over("symbol")
    kept = count - pl.len().over("symbol")  # closes that are those of the bar before
    share = ((kept - longest + 1) / (count - longest).clip(1)).clip(_USUAL, 0.99)
    usual = count.cast(pl.Float64).log() / -share.log()
    found = runs.filter((pl.col("length") >= _STALE) & (pl.col("length") > 3 * usual))
    if found.height:
        what = f"the close of a symbol stays the same for {_STALE} bars or more, unusually long for it"
        remedy = "leave the bars out that a vendor filled in, or ask whether it was halted"
        finding = _finding("stale-prices", view, found.sort("length", descending=True), what, remedy)
        finding.count = int(found["length"].sum())
        yield finding


def early_rows(view: View) -> Iterator[Finding]:
    """Find rows that are known before they happened, and bars that are known before they end."""
    found = view.rows.filter(pl.col("known") < pl.col("end"))
    if found.height and view.spec.kind == "signal":
        what, remedy = "known_at is before event_time", "correct known_at: nothing is known before it happened"
        yield _finding("known-too-early", view, found, what, remedy)
    elif found.height:
        what = "known_at is before the end of the bar" if view.spec.kind == "bar" else "known_at is before event_time"
        remedy = "correct the clocks of the recording, or leave known_at out and state latency"
        yield _finding("negative-latency", view, found, what, remedy)


def _finding(rule: str, view: View, found: pl.DataFrame, what: str, remedy: str) -> Finding:
    symbol = found["symbol"][0]
    return Finding(rule=rule, what=what, remedy=remedy, count=found.height, symbol=symbol, rows=view.places(found))
