"""How several Parquet files are read as one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import Location

__all__ = ["options_for"]

_Unit: TypeAlias = Literal["ns", "us", "ms"]
_FINEST: Final[tuple[_Unit, ...]] = ("ns", "us", "ms")
_UNITS: Final = ("millisecond-upcast", "microsecond-upcast")
_STAMPS = ("timestamp", "date", "datetime", "time", "known_at", "event_time", "bar_start")


def options_for(files: Sequence[Location], mapped: Collection[str], origin: str) -> dict[str, Any]:
    """Return how the types of further files may differ from those of the first one: without loss only.

    Args:
        files: The files, in order.
        mapped: Columns that the settings name.
        origin: What to call them in messages.

    Raises:
        DataError: Stamps of one file have a zone and those of another have none, which polars would take for UTC.
    """
    local = [file for file in files if isinstance(file, Path)]
    whole = len(local) == len(files)
    casts = pl.ScanCastOptions(
        integer_cast=("upcast", "allow-float"),
        float_cast="upcast",
        # Without a look at the files nobody knows whether all have a zone.
        datetime_cast=(*_UNITS, "convert-timezone") if whole else _UNITS,
        categorical_to_string="allow",
    )
    options: dict[str, Any] = {"cast_options": casts, "extra_columns": "ignore"}
    if not whole:
        return options
    zoned, naive, units = dict[str, Path](), dict[str, Path](), dict[str, set[_Unit]]()
    for file, name, dtype in _datetimes(local):
        (naive if dtype.time_zone is None else zoned).setdefault(name, file)
        units.setdefault(name, set()).add(dtype.time_unit)
    for name in sorted(zoned.keys() & naive.keys()):
        if name.strip().lower() in _STAMPS or name in mapped:
            fault = f"{name} has a zone in {zoned[name].name} and none in {naive[name].name}"
            raise DataError(f"{origin}: {fault}; write them alike, or make a feed of each kind")
    mixed: dict[str, _Unit] = {
        name: next(unit for unit in _FINEST if unit in found) for name, found in units.items() if len(found) > 1
    }
    if mixed and (first := next(_schemas(local[:1]), None)):
        schema = dict(first[1])
        for name in mixed.keys() & schema.keys():
            schema[name] = pl.Datetime(mixed[name], getattr(schema[name], "time_zone", None))
        options["schema"] = schema
    return options


def _datetimes(files: Sequence[Path]) -> Iterator[tuple[Path, str, pl.Datetime]]:
    for file, schema in _schemas(files):
        for name, dtype in schema.items():
            if isinstance(dtype, pl.Datetime):
                yield file, name, dtype


def _schemas(files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, pl.DataType]]]:
    """Yield what footers say; files that have none may not be needed, and if they are, polars says why."""
    for file in files:
        try:
            yield file, dict(pl.read_parquet_schema(file))
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
