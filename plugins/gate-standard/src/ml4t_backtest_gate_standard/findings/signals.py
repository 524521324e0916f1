"""The rule of signals that go with the past: IC of each signal with returns around ``known_at``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["LAGS", "information", "signal_leaks"]

LAGS = tuple(range(-5, 6))  # bars; 1 is the first bar that begins when the signal is known
_BREADTH = 5  # symbols of one moment that are ranked against each other; fewer are ranked over time
_MOMENTS = 30  # needed for a judgement
_SIGNIFICANT = 5.0  # standard errors: of 11 lags of 1,000 signals of noise none is
_PERFECT = 0.6  # no forecast of the next return is that good


def information(signals: pl.DataFrame, value: str, prices: pl.DataFrame) -> tuple[NDArray[np.float64], int]:
    """Return how well the ranks of a signal go with those of the returns around it.

    Args:
        signals: Columns ``symbol``, ``known`` (Int64, UTC ns) and the value.
        value: Name of the value.
        prices: Columns ``symbol``, ``end`` (Int64, UTC ns) and ``close``.

    Returns:
        float64 (2, 11): the information coefficient at each of ``LAGS``, NaN where there is none, and its size in
        standard errors; and the number of moments.
    """
    names = pl.Enum(sorted({*signals["symbol"].cast(pl.String), *prices["symbol"].cast(pl.String)}))
    bars = (
        prices.filter((pl.col("close") > 0) & pl.col("close").is_finite())
        .with_columns(pl.col("symbol").cast(pl.String).cast(names))
        .sort("end")
    )
    past = (pl.col("close") / pl.col("close").shift(1).over("symbol")).log()
    bars = bars.with_columns(past=past.fill_nan(None))
    bars = bars.with_columns(
        **{f"lag{lag}": pl.col("past").shift(-lag).over("symbol") for lag in LAGS}, known=pl.col("end")
    ).drop("past", "close", "end")
    rows = signals.filter(pl.col(value).is_finite()).with_columns(pl.col("symbol").cast(pl.String).cast(names))
    rows = rows.select("symbol", "known", value).sort("known")
    joined = rows.join_asof(bars.sort("known"), on="known", by="symbol", strategy="backward", check_sortedness=False)
    moments = joined["known"].n_unique()
    broad = joined.height >= _BREADTH * moments
    ranked = "known" if broad else "symbol"
    results = np.full((2, len(LAGS)), np.nan)
    for place, lag in enumerate(LAGS):
        pairs = joined.select("known", "symbol", x=value, y=f"lag{lag}").drop_nulls()
        ranks = pairs.with_columns(pl.col("x", "y").rank().over(ranked))
        by = ranks.group_by(ranked).agg(ic=pl.corr("x", "y"), n=pl.len()).filter(pl.col("ic").is_finite())
        many = by.height if broad else pairs["known"].n_unique()
        if many < _MOMENTS or by.is_empty():
            continue
        weighted = by.select((pl.col("ic") * pl.col("n")).sum() / pl.col("n").sum()).item()
        spread = by["ic"].std() if broad else 1.0
        error = max(float(spread or 0.0), 1e-9) / np.sqrt(many)  # type: ignore[arg-type]  # of floats
        results[:, place] = weighted, weighted / error
    return results, moments


def signal_leaks(view: View, prices: pl.DataFrame) -> Iterator[Finding]:
    """Find signals whose information peaks at returns that were over, or is too good for a forecast."""
    for value in view.spec.fields:
        found, _ = information(view.rows, value, prices)
        sizes, errors = np.abs(found)
        if np.isnan(sizes).all():
            continue
        peak = int(np.nanargmax(sizes))
        lag, ic = LAGS[peak], found[0, peak]
        later = np.nanmax(np.append(sizes[LAGS.index(1) :], 0.0))
        margin = 3 * sizes[peak] / max(errors[peak], 1e-9)
        if errors[peak] < _SIGNIFICANT:
            continue
        if lag <= 0 and sizes[peak] - later > margin:
            what = f"{value} goes best with a return that was over when it was known: IC {ic:.2f} at lag {lag}"
            remedy = "shift known_at if it is wrong; a value made of past returns does so by design"
        elif lag > 0 and sizes[peak] > _PERFECT:
            what = f"{value} goes too well with what follows: IC {ic:.2f} at lag {lag}"
            remedy = "look for the future among its inputs, and at known_at"
        else:
            continue
        yield Finding(rule="signal-leak", what=what, remedy=remedy)
