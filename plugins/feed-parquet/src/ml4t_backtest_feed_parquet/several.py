"""How several Parquet files are read as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import polars as pl

from ml4t.backtest.interfaces.gate import Location

__all__ = ["options_for"]

_Unit: TypeAlias = Literal["ns", "us", "ms"]
_FINEST: Final[tuple[_Unit, ...]] = ("ns", "us", "ms")


def options_for(files: Sequence[Location]) -> dict[str, Any]:
    """Return how the types of further files may differ from those of the first one: without loss only.

    Args:
        files: The files, in order; where stamps of local ones have several units, all are read in the finest.
    """
    casts = pl.ScanCastOptions(
        integer_cast=("upcast", "allow-float"),
        float_cast="upcast",
        datetime_cast=("millisecond-upcast", "microsecond-upcast", "convert-timezone"),
        categorical_to_string="allow",
    )
    options: dict[str, Any] = {"cast_options": casts, "extra_columns": "ignore"}
    local = [file for file in files if isinstance(file, Path)]
    if len(local) < len(files):
        return options
    units = dict[str, set[_Unit]]()
    for schema in _schemas(local):
        for name, dtype in schema.items():
            if isinstance(dtype, pl.Datetime):
                units.setdefault(name, set()).add(dtype.time_unit)
    mixed: dict[str, _Unit] = {
        name: next(unit for unit in _FINEST if unit in found) for name, found in units.items() if len(found) > 1
    }
    if mixed and (first := next(_schemas(local[:1]), None)):
        for name in mixed.keys() & first.keys():
            first[name] = pl.Datetime(mixed[name], getattr(first[name], "time_zone", None))
        options["schema"] = first
    return options


def _schemas(files: Sequence[Path]) -> Iterator[dict[str, pl.DataType]]:
    """Yield what footers say; files that have none may not be needed, and if they are, polars says why."""
    for file in files:
        try:
            yield dict(pl.read_parquet_schema(file))
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
