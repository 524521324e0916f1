"""The table over CSV files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Setup, TableSource
from ml4t.backtest.interfaces.gate import Location
from ml4t_backtest_table_standard.columns import TableConfig, rename_columns

__all__ = ["CSVTable", "CSVTableConfig"]

# Columns that stay text whatever they look like, and columns of stamps; all others are numbers, booleans or dates
# where every value is one.
_TEXT = (
    "symbol", "asset", "ticker", "kind", "new_symbol", "currency", "entity", "root", "base", "asset_class", "settles",
    "account",
)  # fmt: skip
_STAMPS = (
    "timestamp", "date", "datetime", "known_at", "event_time", "ex_date", "pay_date", "listed_from", "listed_to",
    "expires", "from", "to", "since", "until", "from_known_at", "to_known_at", "since_known_at", "until_known_at",
)  # fmt: skip
_FORMS = ("%Y-%m-%d", "%Y%m%d")
_FRACTIONS = {".%f": "%.f", "%f": "%6f"}  # of strftime, as polars writes them
_MOMENTS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


@dataclass(frozen=True, kw_only=True)
class CSVTableConfig(TableConfig):
    """What a CSV table reads.

    Attributes:
        path: A file, a folder, a glob such as ``actions/*.csv``, a URL, or a list of these; ``.gz`` and ``.zst`` are
            unpacked.
        separator: The character between two values.
        date_format: How dates, or moments, are written, in the terms of ``strftime``, such as ``"%d.%m.%Y"``;
            ISO 8601 needs none.
        null_values: What stands for "unknown" beside nothing at all.
    """

    path: str | tuple[str, ...]
    separator: str = ","
    date_format: str | None = None
    null_values: tuple[str, ...] = ("NaN", "nan", "null", "None")


class CSVTable(TableSource):
    """The rows of CSV files, in the order of the files; the same rows as those of a Parquet file with that content."""

    Config = CSVTableConfig

    def __init__(self, config: CSVTableConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate

    def read(self) -> pl.DataFrame:
        """Return all rows, stamps and numbers parsed.

        Raises:
            DataError: A file is missing or no such CSV, lacks a mapped column, or has a stamp that cannot be read.
        """
        return pl.concat([self._read(file) for file in self._files], how="diagonal_relaxed")

    def digest(self) -> str:
        """SHA-256 (hex) of the files' bytes; of URLs, that of the columns."""
        return self._gate.digest_files(self._files) or self._gate.digest_frame(self.read())

    @property
    def _files(self) -> list[Location]:
        return self._gate.find_files(self._config.path, self._setup, (".csv", ".csv.gz", ".csv.zst"))

    def _read(self, file: Location) -> pl.DataFrame:
        nulls, origin = ["", *self._config.null_values], Path(file).name
        try:
            text = pl.read_csv(
                file, separator=self._config.separator, infer_schema=False, null_values=nulls, glob=False
            )
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DataError(f"{origin}: cannot be read as CSV: {error}") from error
        frame = rename_columns(text, self._config.columns, origin).with_columns(pl.all().str.strip_chars())
        plain = {name: name.strip().lower().replace(" ", "_") for name in frame.columns}
        stamps = [self._stamps(frame[name], origin) for name in frame.columns if plain[name] in _STAMPS]
        rest = [name for name in frame.columns if plain[name] not in (*_STAMPS, *_TEXT)]
        return frame.with_columns(*stamps, *(_values(frame[name]) for name in rest))

    def _stamps(self, text: pl.Series, origin: str) -> pl.Series:
        """Return the dates, or the datetimes, that a column spells."""
        form = self._config.date_format
        # Of a form with a time of day a date would be what is left of a moment: known hours too early.
        timed = form is not None and re.search(r"%[HIMSfsTRrcXpz+]", form.replace("%%", "")) is not None
        forms = _FORMS if form is None or timed else (form,)
        plain = text.str.replace("T", " ", literal=True).str.replace("Z$", "+00:00")
        readings = [text.str.to_date(form, strict=False) for form in forms]
        years = plain.str.slice(0, 4).cast(pl.Int32, strict=False)
        unit: Literal["us", "ns"] = "ns" if years.is_between(1678, 2261).all() else "us"  # others would wrap around
        readings += [plain.str.to_datetime(f"{form}%z", time_unit=unit, strict=False) for form in _MOMENTS]
        readings += [plain.str.to_datetime(form, time_unit=unit, strict=False) for form in _MOMENTS]
        if form is not None and timed:
            python = re.sub(r"%%|\.?%f", lambda found: _FRACTIONS.get(found[0], found[0]), form)
            readings.insert(0, text.str.to_datetime(python, time_unit="us", strict=False))
        found = next((each for each in readings if each.null_count() == text.null_count()), None)
        if found is not None:
            return found
        best = min(readings, key=pl.Series.null_count)
        row = (best.is_null() & text.is_not_null()).arg_max() or 0
        remedy = 'write all of a column alike, as 2024-03-01 or 2024-03-01T14:30:00Z, or say date_format = "%d.%m.%Y"'
        raise DataError(f"{origin} row {row}: {text.name} is {text[row]!r}, which is no such stamp; {remedy}")


def _values(text: pl.Series) -> pl.Series:
    """Return the numbers, booleans or ISO dates that a column spells; the text itself where some are none of these."""
    readings = [
        text.cast(pl.Float64, strict=False),
        text.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean),
        text.str.to_date("%Y-%m-%d", strict=False),
    ]
    return next((each for each in readings if each.null_count() == text.null_count()), text)
