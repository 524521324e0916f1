"""Which column of an input is what: names are mapped, everything else is left as it is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.errors import DataError

__all__ = ["TableConfig", "rename_columns"]


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Settings of every table.

    Attributes:
        columns: Column of the input by the name that the run uses, as in ``{ ex_date = "date" }``; needed only
            where they differ.
    """

    columns: Mapping[str, str] = field(default_factory=dict)


def rename_columns(frame: pl.DataFrame, columns: Mapping[str, str], origin: str) -> pl.DataFrame:
    """Return the frame with its columns under the names that the run uses.

    Args:
        frame: The input.
        columns: Column of the input by the name it gets.
        origin: File or frame, for messages.

    Raises:
        DataError: The input has no such column.
    """
    problems = []
    for name, column in columns.items():
        if column not in frame.columns:
            near = [f"did you mean {other!r}" for other in difflib.get_close_matches(column, frame.columns, 1)]
            hint = next(iter(near), f"it has {', '.join(frame.columns)}")
            problems.append(f"{origin}: no column {column!r}, which columns.{name} asks for; {hint}")
    if problems:
        raise DataError(*problems)
    kept = [name for name in frame.columns if name not in columns and name not in columns.values()]
    return frame.select(*kept, *(pl.col(column).alias(name) for name, column in columns.items()))
