"""From the text of a CSV file to typed columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import FeedConfig, Gate

__all__ = ["CSVFeedConfig", "parse_numbers", "parse_stamps", "read_frame"]

_EPOCHS: dict[int, Literal["s", "ms", "us", "ns"]] = {10: "s", 13: "ms", 16: "us", 19: "ns"}


@dataclass(frozen=True, kw_only=True)
class CSVFeedConfig(FeedConfig):
    """What a CSV feed reads, beside the settings of every feed that reads columns.

    Attributes:
        path: A file, a glob such as ``prices/*.csv``, or a list of these; ``.gz`` and ``.zst`` are unpacked.
        symbol_from: ``column``, or ``filename``: the name of each file, up to its first dot, is its symbol.
        separator: The character between two values.
        decimal_comma: Whether numbers are written as ``1,5``; the separator is then ``;`` or a tab.
        date_format: How stamps are written, in the terms of ``strftime``, such as ``"%d.%m.%Y"``; ISO 8601
            and epoch seconds, milliseconds, microseconds or nanoseconds need none.
        null_values: What stands for "unknown" beside nothing at all.
        skip_rows: Lines before the header.
    """

    path: str | tuple[str, ...]
    symbol_from: Literal["column", "filename"] = "column"
    separator: str = ","
    decimal_comma: bool = False
    date_format: str | None = None
    null_values: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "None")
    skip_rows: int = 0


def read_frame(file: Path, config: CSVFeedConfig, gate: Gate) -> pl.DataFrame:
    """Read the columns of a file that a run needs, stamps and numbers parsed.

    Raises:
        DataError: The file is no such CSV, lacks columns, or has a stamp that cannot be read.
    """
    skip, comma = config.skip_rows, config.decimal_comma
    try:
        names = pl.read_csv(file, separator=config.separator, skip_rows=skip, n_rows=0).columns
        schema = pl.Schema(dict.fromkeys(names, pl.Float64()))
        if config.symbol_from == "filename":
            schema["symbol"] = pl.Float64()
        found = gate.arrange(schema, config, file.name)
        keys = {found.columns.get("symbol"), *(found.columns[name] for name in found.times)}
        frame = pl.read_csv(
            file,
            separator=config.separator,
            skip_rows=skip,
            decimal_comma=comma,
            columns=[name for name in names if name in found.columns.values()],
            schema_overrides=dict.fromkeys([name for name in names if name in keys], pl.String),
            infer_schema_length=None,
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file.name}: cannot be read as CSV: {error}") from error
    if config.symbol_from == "filename":
        symbol = re.sub(r"(\.(csv|tsv|txt))?(\.(gz|zst))?$", "", file.name, flags=re.IGNORECASE)
        frame = frame.with_columns(symbol=pl.lit(symbol))
    for name in found.times:
        column = found.columns[name]
        frame = frame.with_columns(parse_stamps(frame[column], config.date_format, file.name))
    for name in found.fields:
        column = found.columns[name]
        if frame[column].dtype == pl.String:
            frame = frame.with_columns(parse_numbers(frame[column], config.null_values, comma))
    return frame


def parse_stamps(text: pl.Series, date_format: str | None, origin: str) -> pl.Series:
    """Return the dates, or the datetimes (ns), that a column spells.

    Args:
        text: Strings; null where there is nothing.
        date_format: As of ``strftime``; None for ISO 8601 and for epochs, told apart by their first value.
        origin: The file, for messages.

    Raises:
        DataError: A value is not of that form; names the row.
    """
    text = text.str.strip_chars()
    first = next(iter(text.drop_nulls().head(1)), "")
    if date_format is not None:
        has_time = re.search(r"%[HIMSfsTRrcX+]|%\.f", date_format) is not None
        kind = pl.Datetime("ns") if has_time else pl.Date()
        stamps = text.str.strptime(kind, date_format, strict=False)
    elif first.isdecimal() and len(first) in _EPOCHS:
        unit = _EPOCHS[len(first)]
        stamps = pl.select(pl.from_epoch(text.cast(pl.Int64, strict=False), unit)).to_series()
        stamps = stamps.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    elif len(first) <= 10:
        stamps = text.str.to_date("%Y%m%d" if first.isdecimal() else "%Y-%m-%d", strict=False)
    else:
        zoned = re.search(r"(Z|[+-]\d\d:?\d\d)$", first) is not None
        plain = text.str.replace("T", " ", literal=True).str.replace("Z$", "+00:00")
        seconds = "%H:%M:%S%.f" if first.count(":") - (first[-3:-2] == ":" and zoned) > 1 else "%H:%M"
        form = f"%Y-%m-%d {seconds}{'%z' if zoned else ''}"
        stamps = plain.str.to_datetime(form, time_unit="ns", strict=False)
    if (strange := stamps.is_null() & text.is_not_null()).any():
        row = strange.arg_max() or 0
        fault = f"{text.name} is {text[row]!r}, which is no stamp of the form of the first one ({first!r})"
        remedy = 'correct it, or say the form, as in date_format = "%d.%m.%Y"'
        raise DataError(f"{origin} row {row}: {fault}; {remedy}")
    return stamps.alias(text.name)


def parse_numbers(text: pl.Series, null_values: tuple[str, ...], decimal_comma: bool) -> pl.Series:
    """Return the numbers that a column spells; the text itself, less unknowns, where some are none."""
    plain = text.str.strip_chars()
    plain = plain.set(plain.is_in(list(null_values)), None)
    dotted = plain.str.replace(",", ".", literal=True) if decimal_comma else plain
    numbers = dotted.cast(pl.Float64, strict=False)
    return plain if (numbers.is_null() & plain.is_not_null()).any() else numbers
