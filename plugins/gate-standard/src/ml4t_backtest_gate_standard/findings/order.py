"""The rule of days that are written in several zones."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.judge import Looked

__all__ = ["mixed_zones"]

_HOURS = 4  # times of day that daily stamps in two zones have at most: two of each, in winter and in summer


def mixed_zones(looked: Looked) -> Iterator[Finding]:
    """Find stamps of days that are midnights in some rows and another hour in the others.

    Args:
        looked: A source, settled or not.
    """
    dtype = looked.plan.collect_schema().get("timestamp")
    if not isinstance(dtype, pl.Datetime):
        return
    local = pl.col("timestamp").dt.replace_time_zone(None)
    grouped = looked.plan.drop_nulls("timestamp").group_by(local.dt.time().alias("time")).len()
    hours = grouped.collect(engine="streaming").sort("time")
    total, midnights = int(hours["len"].sum()), int(hours.filter(pl.col("time") == pl.time(0))["len"].sum())
    if hours.height > _HOURS or not 0 < midnights < total or _several_a_day(looked):
        return
    rows = looked.plan.with_row_index("#").filter(local.dt.time() != pl.time(0)).head(3).collect()
    places = tuple(f"{looked.place(row)} ({symbol}, {stamp})" for row, symbol, stamp in _keys(rows))
    others = ", ".join(f"{time:%H:%M}" for time in hours["time"].to_list() if time.hour or time.minute)
    what = f"stamps of days are midnights in some rows and {others} in others, as if from several zones"
    remedy = "write all of them as dates, or in one zone"
    yield Finding(
        rule="mixed-zones", what=what, remedy=remedy, count=total - midnights, symbol=rows["symbol"][0], rows=places
    )


def _several_a_day(looked: Looked) -> bool:
    """Say whether a symbol has several rows of one day."""
    days = looked.plan.group_by("symbol", pl.col("timestamp").dt.replace_time_zone(None).dt.date()).len()
    return bool(days.select((pl.col("len") > 1).mean() > 0.5).collect(engine="streaming").item())


def _keys(rows: pl.DataFrame) -> Iterator[tuple[int, str, object]]:
    yield from rows.select("#", "symbol", "timestamp").iter_rows()
