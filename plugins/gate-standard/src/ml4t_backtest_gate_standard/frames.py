"""Any frame as one long polars frame."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import FeedConfig, SignalConfig
from ml4t_backtest_gate_standard.columns import Arrangement

__all__ = ["copy_frame", "digest_frame", "is_wide", "long_frame", "own_memory", "take_frame", "unpivoted"]

_STAMPS = ("timestamp", "date", "datetime", "time", "known_at", "event_time")
_SYMBOLS = ("symbol", "asset", "ticker")
_FIELDS = {"close", "adj close", "price", "bid"}  # one of these has a frame of prices
_LEVELS = 2
_OFFSETS = {  # places that never changed their clocks since 1970
    timedelta(hours=4, minutes=30): "Asia/Kabul",
    timedelta(hours=5, minutes=30): "Asia/Kolkata",
    timedelta(hours=6, minutes=30): "Asia/Yangon",
    timedelta(hours=9, minutes=30): "Australia/Darwin",
}


def take_frame(frame: Any, config: FeedConfig | SignalConfig, *, name: str, origin: str) -> pl.DataFrame:
    """Return a copy of the columns that a source needs of a frame.

    Args:
        frame: A polars, pandas or Arrow frame, long; or a mapping of field to wide frame; for signals also one
            wide frame, whose signal is then called as ``values`` says, or as the source is.
        config: Settings of the source.
        name: Name of the source.
        origin: What to call the frame in messages.

    Raises:
        DataError: It is no such frame, or lacks columns.
    """
    long = long_frame(frame, origin)
    if isinstance(config, FeedConfig):
        _refuse_wide(long, config, origin)
    elif config.symbol is None and not config.columns and is_wide(long):
        # No value is no row: a symbol without one keeps the value that is still valid.
        long = unpivoted(long, config.values[0] if config.values else name, origin).drop_nulls().drop_nans()
    found = Arrangement(long.schema, config, origin)
    return own_memory(long.select(list(dict.fromkeys(found.columns.values()))))


def long_frame(frame: Any, origin: str) -> pl.DataFrame:
    """Return one row per symbol and stamp.

    Args:
        frame: A polars, pandas or Arrow frame, long; or a mapping of field to wide frame, each with a column
            (in pandas, an index) of stamps and one column per symbol; or a pandas frame with columns of two levels,
            fields and symbols.
        origin: What to call it in messages.

    Raises:
        DataError: It is no frame, or its wide frames have no column of stamps.
    """
    frame = _by_field(frame)
    if not isinstance(frame, Mapping):
        return to_polars(frame, origin)
    if not frame:
        raise DataError(f"{origin}: the mapping holds no frame; give a wide frame per field, at least close")
    whole: pl.DataFrame | None = None
    for name, wide in frame.items():
        _refuse_by_symbol(wide, str(name), origin)
        part = unpivoted(to_polars(wide, f"{origin}[{name!r}]"), str(name), f"{origin}[{name!r}]")
        keys = part.columns[:2]
        if whole is None:
            whole = part
            continue
        part = part.rename({keys[0]: whole.columns[0]}).cast({whole.columns[0]: whole.dtypes[0]})
        keys = part.columns[:2]
        if whole.select(keys).equals(part.select(keys)):
            whole = whole.with_columns(part[str(name)])
        else:
            whole = whole.join(part, on=keys, how="full", coalesce=True, maintain_order="left_right")
    assert whole is not None
    # A symbol has no row where no field has a value: it was not listed, or did not trade.
    empty = [pl.col(name).is_null() | pl.col(name).is_nan() for name in whole.columns[2:]]
    return whole.filter(~pl.all_horizontal(empty)).sort(whole.columns[0], maintain_order=True)


def _by_field(frame: Any) -> Any:
    """Return a pandas frame with columns of fields and symbols as a mapping; anything else as it is."""
    pandas: Any = sys.modules.get("pandas")
    if pandas is None or not isinstance(frame, pandas.DataFrame) or frame.columns.nlevels != _LEVELS:
        return frame
    levels = [frame.columns.get_level_values(level) for level in range(_LEVELS)]
    fitting = [place for place, names in enumerate(levels) if _FIELDS & {str(name).lower() for name in names}]
    if len(fitting) != 1:
        return frame
    names = levels[fitting[0]].unique()
    return {str(name): frame.xs(name, axis=1, level=fitting[0]) for name in names}


def is_wide(frame: pl.DataFrame) -> bool:
    """Say whether a frame has a column of stamps, none of symbols, and numbers in all others."""
    names = {name.lower() for name in frame.columns}
    rest = frame.drop([name for name in frame.columns if name.lower() in _STAMPS])
    numeric = all(dtype.is_numeric() for dtype in rest.schema.values())
    return not names.intersection(_SYMBOLS) and rest.width == frame.width - 1 and rest.width > 0 and numeric


def unpivoted(wide: pl.DataFrame, field: str, origin: str) -> pl.DataFrame:
    """Return a wide frame as columns of stamps, ``symbol`` and ``field``; numbers as Float64."""
    stamps = [name for name, dtype in wide.schema.items() if isinstance(dtype, pl.Date | pl.Datetime)]
    if len(stamps) != 1:
        fault = f"a wide frame has one column (or index) of stamps, this one has {', '.join(stamps) or 'none'}"
        raise DataError(f"{origin}: {fault}; its columns are {', '.join(wide.columns)}")
    free = "#".join(["", *wide.columns])  # longer than all: polars takes no name that a column has
    part = wide.unpivot(index=stamps, variable_name=free, value_name=f"{free}#")
    part.columns = [stamps[0] if stamps[0].lower() in _STAMPS else "timestamp", "symbol", field]
    part = part.with_columns(pl.col(field).cast(pl.Float64))
    return part.with_columns(pl.selectors.datetime().dt.cast_time_unit("ns"))


def to_polars(frame: Any, origin: str) -> pl.DataFrame:
    """Return a polars frame; a pandas index of stamps and symbols becomes columns.

    Raises:
        DataError: It is no frame.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    pandas: Any = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.Series):
        frame = frame.to_frame()
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return _from_pandas(frame, pandas, origin)
    if hasattr(frame, "__arrow_c_stream__"):
        try:
            return pl.DataFrame(frame)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            fault = str(error).partition("\n")[0]
            raise DataError(f"{origin}: polars cannot take it over: {fault}; cast that column before") from error
    kinds = "a polars, pandas or Arrow frame, or a mapping of field to wide frame"
    raise DataError(f"{origin}: was {type(frame).__name__}, expected {kinds}")


def copy_frame(frame: Any, origin: str) -> pl.DataFrame:
    """Return a copy of a polars, pandas or Arrow frame with all its columns; ``DataError`` where it is none."""
    return own_memory(to_polars(frame, origin))


def own_memory(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a copy whose numbers and stamps lie in memory of its own.

    Polars and Arrow frames may show the memory of a NumPy array that its owner goes on to change.
    """
    return frame.select(pl.all().gather(pl.int_range(pl.len())))


def digest_frame(frame: pl.DataFrame) -> str:
    """Return the SHA-256 (hex) of a frame's names, types and values, whatever its memory looks like."""
    digest = hashlib.sha256()
    for column in frame:
        digest.update(f"{column.name} {column.dtype} {len(column)}".encode())
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            digest.update(np.ascontiguousarray(column.cast(pl.Float64).to_numpy()).data)
        elif column.dtype.is_temporal():
            digest.update(np.ascontiguousarray(column.to_physical().cast(pl.Int64).to_numpy()).data)
        elif column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            digest.update(repr(column.to_list()).encode())
        else:
            names = column.cast(pl.String).drop_nulls().unique().sort()
            digest.update("\0".join(names).encode())
            digest.update(np.ascontiguousarray(column.cast(pl.Enum(names)).to_physical().to_numpy()).data)
    return digest.hexdigest()


def _refuse_wide(frame: pl.DataFrame, config: FeedConfig, origin: str) -> None:
    """Say how to give a wide frame; which field its values are cannot be guessed."""
    long = {"symbol", "asset", "ticker", "open", "close", "price", "bid", "ask", "adj close", "adj_close"}
    if config.symbol is None and not config.columns and not long & {name.strip().lower() for name in frame.columns}:
        raise DataError(
            f"{origin}: no column symbol; where this is a wide frame, with a column per symbol, "
            'say what its values are, as in prices = {"close": frame}'
        )


def _refuse_by_symbol(frame: Any, name: str, origin: str) -> None:
    """Say how to give a mapping of symbol to frame, which would be read as one of field to wide frame."""
    names = {str(column).lower() for column in getattr(frame, "columns", ())}
    if {"open", "close"} <= names and name.lower() not in {"open", "high", "low", "close", "volume"}:
        fault = f"{name!r} holds a frame of fields, and a mapping is of field to wide frame, such as {{'close': frame}}"
        remedy = "make one long frame with a column symbol, as pandas.concat(frames, names=['symbol']) does"
        raise DataError(f"{origin}: {fault}; {remedy}")


def _from_pandas(frame: Any, pandas: Any, origin: str) -> pl.DataFrame:
    levels = range(frame.index.nlevels)
    columns: dict[str, pl.Series] = {}
    for index in [frame.index.get_level_values(level) for level in levels]:
        stamps = isinstance(index, pandas.DatetimeIndex | pandas.PeriodIndex) or index.inferred_type == "date"
        if stamps or len(levels) > 1 or (index.name is not None and str(index.name) not in frame.columns):
            name = str(index.name) if index.name is not None else "timestamp" if stamps else "symbol"
            columns[name] = _series(name, index.to_series(), pandas)
    for place, name in enumerate(frame.columns):
        if isinstance(name, tuple):
            fault = f"its columns have several levels, such as {name}"
            raise DataError(f"{origin}: {fault}; give a long frame, or a mapping of field to wide frame")
        columns[str(name)] = _series(str(name), frame.iloc[:, place], pandas)
    return pl.DataFrame(columns)


def _zone(zone: Any) -> str:
    """Return the name of a zone; polars knows fixed offsets only by the names of places."""
    offset = zone.utcoffset(None)
    if offset is None:
        return str(zone) if str(zone) in available_timezones() else "UTC"
    hours, rest = divmod(offset // timedelta(minutes=1), 60)
    if rest:
        return _OFFSETS.get(offset, "UTC")
    return f"Etc/GMT{-hours:+d}" if hours and -12 <= hours <= 14 else "UTC"  # these count westwards


def _series(name: str, column: Any, pandas: Any) -> pl.Series:
    """Copy a pandas column; through NumPy, so that pyarrow is not needed."""
    if isinstance(column.dtype, pandas.PeriodDtype):
        column = column.dt.to_timestamp()
    dtype = column.dtype
    if pandas.api.types.is_datetime64_any_dtype(dtype):
        zone = getattr(dtype, "tz", None)
        naive = column if zone is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
        stamps = pl.Series(name, naive.to_numpy("datetime64[ns]", copy=True))
        return stamps if zone is None else stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(_zone(zone))
    if pandas.api.types.is_bool_dtype(dtype) or not pandas.api.types.is_numeric_dtype(dtype):
        values = [None if pandas.isna(value) else value for value in column.astype(object)]
        return pl.Series(name, values, strict=False)
    if pandas.api.types.is_integer_dtype(dtype) and not column.hasnans:
        return pl.Series(name, column.to_numpy("int64", copy=True))
    return pl.Series(name, column.to_numpy("float64", copy=True, na_value=float("nan")))
