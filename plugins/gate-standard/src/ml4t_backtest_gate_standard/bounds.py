"""Which stamps have a place in time as a run keeps it, int64 ns since 1970."""

from __future__ import annotations

import polars as pl

from ml4t.backtest.core.sessions import DAY_NS

__all__ = ["BOUNDS", "has_place", "have_place", "show_stamp"]

BOUNDS = "every row needs one between 1678 and 2261"
_DAYS = 106_650  # from 1970 to 1678 and 2261
_SHOWN = 27.5002  # times as far; Python's days end with 9999-12-31


def has_place(stamps: pl.Series) -> pl.Series:
    """Return which stamps are there and near enough, Boolean (n,).

    Args:
        stamps: Date or Datetime of any unit and zone.
    """
    limit = _limit(stamps.dtype)
    return stamps.cast(pl.Int64).is_between(-limit, limit).fill_null(False)


def have_place(stamps: pl.Series) -> bool:
    """Say whether all stamps, none of which is null or goes back, are near enough."""
    limit, whole = _limit(stamps.dtype), stamps.to_physical().to_numpy()
    return bool(-limit <= whole[0] and whole[-1] <= limit)


def show_stamp(stamps: pl.Series, row: int) -> str:
    """Return a stamp as a message shows it: as a number where Python has no such year."""
    number = stamps.cast(pl.Int64)[row]
    if number is None or abs(number) <= _SHOWN * _limit(stamps.dtype):
        return str(stamps[row])
    return f"{number} {getattr(stamps.dtype, 'time_unit', 'days')} since 1970"


def _limit(dtype: pl.DataType) -> int:
    per_day = {"ns": DAY_NS, "us": DAY_NS // 10**3, "ms": DAY_NS // 10**6}
    return _DAYS * (per_day[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1)
