"""The proof that a model had not seen what its predictions are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.sessions import DAY_NS
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import SignalConfig

__all__ = ["PROOF", "Training", "longest_horizon"]

# Columns of a signal source that are no values of it, unless the settings name them.
PROOF: Final = ("trained_through", "horizon")
_MOST: Final = 2**63 - 1
_LONGEST: Final = 2**62 - 1
_UNITS: Final = {"ns": 1, "us": 10**3, "ms": 10**6}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What has to hold of each row: ``trained_through + horizon + embargo <= event_time``.

    Attributes:
        through: Until when the data of the model went, where the settings say it; else the column does.
        horizon: How far values look ahead, ns, where the settings say it; else the column does, or it is nothing.
        embargo: What has to lie between, ns.
        timezone: IANA zone of naive stamps; None for UTC.
    """

    through: date | datetime | None
    horizon: int | None
    embargo: int
    timezone: str | None

    @classmethod
    def of(cls, config: SignalConfig, columns: dict[str, str], schema: pl.Schema, origin: str) -> Training | None:
        """Return what has to be proven; None where nothing is said of the training.

        Args:
            config: Settings of the source.
            columns: Column of the input by the name it gets.
            schema: Columns of the input.
            origin: File or frame, for messages.

        Raises:
            DataError: Something is said twice, or cannot be read.
        """
        columns = {name: column for name, column in columns.items() if name not in config.values}
        settings = {"trained_through": config.trained_through, "horizon": config.horizon}
        for name in PROOF:
            if settings[name] is not None and name in columns:
                raise DataError(f"{origin}: {name} is a setting and a column {columns[name]}; leave out the setting")
            dtype = schema[columns[name]] if name in columns else None
            fits = isinstance(dtype, pl.Date | pl.Datetime)
            if name == "horizon" and dtype is not None:
                fits = dtype.is_integer() or isinstance(dtype, pl.Duration)
            if dtype is not None and not fits:
                wanted = "durations, or whole days" if name == "horizon" else "dates or datetimes"
                raise DataError(f"{origin}: column {columns[name]} is {dtype}; {name} takes {wanted}")
        if config.trained_through is None and "trained_through" not in columns:
            if config.embargo is not None:
                fault = "embargo is given, and nothing says how long the model was trained"
                raise DataError(f"{origin}: {fault}; add `trained_through`, or leave embargo out")
            return None
        lengths = [
            0 if text is None else parse_duration(text, f"{origin}: {name}")
            for name, text in (("horizon", config.horizon), ("embargo", config.embargo))
        ]
        own = None if "horizon" in columns else lengths[0]
        return cls(through=config.trained_through, horizon=own, embargo=lengths[1], timezone=config.timezone)

    def breaches(self, frame: pl.DataFrame, time_column: str) -> tuple[NDArray[np.bool_], str]:
        """Return which rows the proof fails for, bool (n,), and what is wrong with the first of them.

        Args:
            frame: Rows of the source.
            time_column: The column that orders them; ``event_time`` counts where there is one.
        """
        happened = _days(frame["event_time" if "event_time" in frame.columns else time_column])
        given = frame["trained_through"] if self.through is None else pl.Series([self.through] * frame.height)
        through = _days(given)
        whole_day = through.dtype == pl.Date and happened.dtype != pl.Date
        ends = self._instants(through) + whole_day * DAY_NS
        horizon = _lengths(frame) if self.horizon is None else pl.Series([self.horizon] * frame.height)
        between = horizon.clip(upper_bound=_LONGEST) + min(self.embargo, _LONGEST)
        # Without a sum that wraps around, which would lie before every event.
        fits = (horizon >= 0) & (between <= _MOST - ends.clip(lower_bound=0))
        wrong = ~(fits & (ends + between <= self._instants(happened))).fill_null(False)
        first = wrong.arg_max() or 0
        ahead = "" if horizon[first] == 0 else f" and looks {_said(horizon[first])} ahead"
        what = f"its model was trained through {given[first]}{ahead}"
        what += f", with an embargo of {_said(self.embargo)}" if self.embargo else ""
        return wrong.to_numpy(), f"{what}, which is after its event_time"

    def _instants(self, stamps: pl.Series) -> pl.Series:
        """Return UTC ns; of dates the start of the UTC day."""
        if stamps.dtype == pl.Date:
            return _scaled(stamps, DAY_NS)
        if getattr(stamps.dtype, "time_zone", None) is None:
            stamps = stamps.dt.replace_time_zone(self.timezone or "UTC", ambiguous="null", non_existent="null")
        return _scaled(stamps, _UNITS[getattr(stamps.dtype, "time_unit", "ns")])


def longest_horizon(plan: pl.LazyFrame, config: SignalConfig, columns: dict[str, str], origin: str) -> int | None:
    """Return the horizon of a source, of a column the longest, ns; None where nothing says it."""
    if config.horizon is not None:
        return parse_duration(config.horizon, f"{origin}: horizon")
    if "horizon" not in columns or "horizon" in config.values:
        return None
    longest: int | None = _lengths(plan.select("horizon").collect()).max()  # type: ignore[assignment]  # of integers
    return longest


def _days(stamps: pl.Series) -> pl.Series:
    """Return stamps that are all midnight in their own zone as dates, and others as they are."""
    if not isinstance(stamps.dtype, pl.Datetime):
        return stamps
    local = stamps.dt.replace_time_zone(None)
    return local.dt.date() if (local.dt.truncate("1d") == local).all() else stamps


def _lengths(frame: pl.DataFrame) -> pl.Series:
    """Return the column of horizons, ns; whole numbers are days."""
    column = frame["horizon"]
    return _scaled(column, _UNITS[column.dtype.time_unit] if isinstance(column.dtype, pl.Duration) else DAY_NS)


def _scaled(column: pl.Series, scale: int) -> pl.Series:
    """Return whole numbers of so many ns as ns; what int64 cannot hold is the most that it can, in whole days."""
    limit = (_MOST // DAY_NS - 1) * DAY_NS // scale  # less a day, which may be added
    return column.to_physical().cast(pl.Int64, strict=False).clip(-limit, limit) * scale


def _said(length: int | None) -> str:
    """Return ns as a person says it."""
    if length is None or length < 0:
        return "an unknown time" if length is None else f"-{_said(-length)}"
    days, rest = divmod(length, DAY_NS)
    seconds = f"{rest / 10**9:g}s" if rest else ""
    return " ".join(part for part in (f"{days}d" if days else "", seconds) if part) or "0s"
