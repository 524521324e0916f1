"""Small random markets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

__all__ = ["random_market"]


def random_market(
    *,
    seed: int,
    symbols: int | Sequence[str] = 3,
    bars: int = 40,
    start: date = date(2024, 1, 1),
    minutes: int | None = None,
    missing: float = 0.0,
    null: float = 0.0,
) -> pl.DataFrame:
    """Return random bars, the same ones for the same arguments.

    Args:
        seed: Seed of the random walk.
        symbols: Names, or how many: ``AAA``, ``BAB``, ``CAC`` …
        bars: Bars per symbol before any are left out.
        start: Label of the first daily bar, or the day on which the first intraday bar begins.
        minutes: Length of an intraday bar; None for daily bars on every day of the week, as a market that
            never closes has them.
        missing: Share of bars that are left out.
        null: Share of opens that are null: bars at whose open nothing can fill.

    Returns:
        Columns symbol, timestamp (Date, or for intraday bars their end as Datetime in UTC), open, high, low,
        close (currency per unit, whole cents) and volume, sorted by timestamp, then symbol.
    """
    rng = np.random.default_rng(seed)
    names = [_name(place) for place in range(symbols)] if isinstance(symbols, int) else list(symbols)
    size = (bars, len(names))
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, size), axis=0))
    opening = close * np.exp(rng.normal(0.0, 0.01, size))
    high = np.maximum(opening, close) * (1.0 + rng.uniform(0.0, 0.01, size))
    low = np.minimum(opening, close) * (1.0 - rng.uniform(0.0, 0.01, size))
    kept = rng.uniform(size=size) >= missing
    kept[0] = True  # every symbol is there from the first bar, so that their order does not hang on the seed
    if minutes is None:
        stamps: list[date] = [start + timedelta(days=day) for day in range(bars)]
    else:
        begin = datetime(start.year, start.month, start.day, tzinfo=UTC)
        stamps = [begin + timedelta(minutes=minutes * (bar + 1)) for bar in range(bars)]
    frame = pl.DataFrame(
        {
            "symbol": names * bars,
            "timestamp": [stamp for stamp in stamps for _ in names],
            **{
                name: values.round(2).ravel()
                for name, values in (("open", opening), ("high", high), ("low", low), ("close", close))
            },
            "volume": rng.integers(1_000, 100_000, size).astype(np.float64).ravel(),
            "kept": kept.ravel(),
            "null": (rng.uniform(size=size) < null).ravel(),
        }
    )
    opens = pl.when(pl.col("null")).then(None).otherwise(pl.col("open")).alias("open")
    return frame.filter("kept").with_columns(opens).drop("kept", "null")


def _name(place: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    first, second = divmod(place, 26)
    return letters[second] + letters[first] + letters[second]
