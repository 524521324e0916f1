"""From the text of a CSV file to typed columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import FeedConfig, Gate, Location

__all__ = ["CSVFeedConfig", "parse_numbers", "parse_stamps", "read_frame"]

_FIRST = 1000  # rows that say what is a number
_FRACTIONS = {".%f": "%.f", "%f": "%6f"}
_EPOCHS: dict[int, Literal["s", "ms", "us", "ns"]] = {10: "s", 13: "ms", 16: "us", 19: "ns"}


@dataclass(frozen=True, kw_only=True)
class CSVFeedConfig(FeedConfig):
    """What a CSV feed reads, beside the settings of every feed that reads columns.

    Attributes:
        path: A file, a folder (its files that end in ``.csv``, ``.csv.gz`` or ``.csv.zst``, at any depth), a glob
            such as ``prices/*.csv``, a URL, or a list of these; ``.gz`` and ``.zst`` are unpacked.
        symbol_from: ``column``, or ``filename``: the name of each file, without its ending, is its symbol.
        hive: Whether folders ``key=value`` on the way to the files are columns of their rows.
        storage_options: How URLs are opened, such as ``{ aws_region = "eu-west-1" }``; run files are kept with the
            results, so that keys belong into the environment.
        separator: The character between two values.
        decimal_comma: Whether numbers are written as ``1,5``; the separator is then ``;`` or a tab.
        header: Names of the columns of files that have no line of names.
        stamp_from: Columns that make up the stamp, joined by a space, such as a date and a time of day.
        encoding: How text is encoded, such as ``latin-1``.
        date_format: How stamps are written, in the terms of ``strftime``, such as ``"%d.%m.%Y"``; ISO 8601
            and epoch seconds, milliseconds, microseconds or nanoseconds need none.
        null_values: What stands for "unknown" beside nothing at all.
        skip_rows: Lines before the header.
    """

    path: str | tuple[str, ...]
    symbol_from: Literal["column", "filename"] = "column"
    hive: bool = True
    storage_options: Mapping[str, str] = field(default_factory=dict)
    separator: str = ","
    decimal_comma: bool = False
    header: tuple[str, ...] = ()
    stamp_from: tuple[str, ...] = ()
    encoding: str = "utf8"
    date_format: str | None = None
    null_values: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "None")
    skip_rows: int = 0


def read_frame(file: Location, config: CSVFeedConfig, gate: Gate, constants: Mapping[str, object]) -> pl.DataFrame:
    """Read the columns of a file that a run needs, stamps and numbers parsed.

    Args:
        file: The file, or its URL.
        config: The dialect, and which columns are needed.
        gate: Says which column is what.
        constants: Columns that have one value in all rows of the file, beside those in it.

    Raises:
        DataError: The file is no such CSV, lacks columns, or has a stamp that cannot be read.
    """
    origin = Path(file).name
    fixed = {name: None if value is None else str(value) for name, value in constants.items()}
    if config.symbol_from == "filename":
        fixed["symbol"] = re.sub(r"(\.(csv|tsv|txt))?(\.(gz|zst))?$", "", origin, flags=re.IGNORECASE)
    try:
        names = _names(file, config)
        if missing := [name for name in config.stamp_from if name not in names]:
            fault = f"no column {', '.join(missing)}, which stamp_from asks for; it has {', '.join(names)}"
            raise DataError(f"{origin}: {fault}")
        extra = [name for name in (*fixed, *(["timestamp"] if config.stamp_from else [])) if name not in names]
        found = gate.arrange(pl.Schema(dict.fromkeys([*names, *extra], pl.Float64())), config, origin)
        needed = {*found.columns.values(), *config.stamp_from} - fixed.keys()
        keys = {found.columns.get("symbol"), *(found.columns[name] for name in found.times), *config.stamp_from}
        if twice := [name for name in names if re.sub(r"_duplicated_\d+$", "", name) in needed and name not in needed]:
            name = twice[0].rpartition("_duplicated_")[0]
            raise DataError(f"{origin}: two columns are called {name}; rename one of them, or name all with header")
        frame = _without_blank_lines(_read(file, config, names, needed, keys))
    except (OSError, LookupError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        fault = str(error).partition("\n")[0]
        if "more fields" in fault and (long := _long_line(file, config)):
            raise DataError(f"{origin} {long}; take out what is too much, or quote what holds a separator") from error
        raise DataError(f"{origin}: cannot be read as CSV: {fault}") from error
    wanted = [name for name in fixed if name in found.columns.values()]
    frame = frame.with_columns(pl.lit(fixed[name], pl.String).alias(name) for name in wanted)
    if config.stamp_from:
        frame = frame.with_columns(pl.concat_str(config.stamp_from, separator=" ").alias("timestamp"))
    if "symbol" in found.columns:
        frame = frame.with_columns(pl.col(found.columns["symbol"]).str.strip_chars())
    for name in found.times:
        column = found.columns[name]
        frame = frame.with_columns(parse_stamps(frame[column], None if column in fixed else config.date_format, origin))
    for name in found.fields:
        column = found.columns[name]
        if frame[column].dtype == pl.String:
            frame = frame.with_columns(parse_numbers(frame[column], config.null_values, config.decimal_comma))
    return frame


def _dialect(config: CSVFeedConfig) -> dict[str, Any]:
    return {
        "separator": config.separator,
        "skip_rows": config.skip_rows,
        "has_header": not config.header,
        "encoding": config.encoding,
        "glob": False,  # what a path stands for was found before
        "storage_options": dict(config.storage_options) or None,
    }


def _names(file: Location, config: CSVFeedConfig) -> list[str]:
    """Return the names of the columns that a file has, or that the settings give them."""
    if not config.header:
        names = pl.read_csv(file, n_rows=0, **_dialect(config)).columns
        if len(names) == 1 and (others := [repr(each)[1:-1] for each in ",;\t|" if each in names[0]]):
            fault = f"its line of names has no {config.separator!r}; it has {others[0]!r}"
            raise DataError(f'{Path(file).name}: {fault}; add separator = "{others[0]}"')
        return names
    if twice := [name for name in config.header if config.header.count(name) > 1]:
        raise DataError(f"{Path(file).name}: header names {twice[0]} twice; give each column a name of its own")
    count = pl.read_csv(file, n_rows=1, infer_schema=False, **_dialect(config)).width
    if count != len(config.header):
        fault = f"its lines have {count} values and header names {len(config.header)}"
        remedy = "name every column" if count > 1 else 'state separator, as in separator = ";"'
        raise DataError(f"{Path(file).name}: {fault}; {remedy}")
    return list(config.header)


def _read(
    file: Location, config: CSVFeedConfig, names: list[str], needed: set[str], texts: set[str | None]
) -> pl.DataFrame:
    """Return the needed columns: ``texts``, and all where names come from the settings, as they are written."""
    chosen = [name for name in names if name in needed]
    if config.header:
        places = [names.index(name) for name in chosen]
        frame = pl.read_csv(file, columns=places, infer_schema=False, **_dialect(config))
        return frame.rename(dict(zip(frame.columns, chosen, strict=True)))
    options: dict[str, Any] = {
        "decimal_comma": config.decimal_comma,
        "columns": chosen,
        "schema_overrides": {name: pl.String for name in chosen if name in texts},
        **_dialect(config),
    }
    try:
        return pl.read_csv(file, infer_schema_length=_FIRST, **options)
    except pl.exceptions.ComputeError:
        # A later row is of another type; to look at all of them takes ten times as long.
        return pl.read_csv(file, infer_schema_length=None, **options)


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows up to the last one that holds anything."""
    blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    if blank.all():
        return frame.clear()
    return frame.head(frame.height - (blank.reverse().arg_min() or 0)) if blank.any() else frame


def _long_line(file: Location, config: CSVFeedConfig) -> str:
    """Return the first row that has more values than columns have names, in words; nothing where none is found."""
    whole = {"separator": "\0", "quote_char": None, "has_header": False, "infer_schema": False}

    def values(line: str) -> int:
        return len(next(csv.reader([line], delimiter=config.separator)))

    try:
        lines = pl.read_csv(file, new_columns=["line"], **{**_dialect(config), **whole})["line"].fill_null("")
        count = len(config.header) or values(lines[0])
        for row in (lines.str.count_matches(config.separator, literal=True) >= count).arg_true():
            if (found := values(lines[row])) > count:
                return f"row {row - (not config.header)}: {found} values for {count} columns"
    except (OSError, csv.Error, StopIteration, pl.exceptions.PolarsError):
        return ""  # what the first reader said is then all that is known
    return ""


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
        # Python's %f is what polars calls %.f or %6f; its own %f counts ns, so that .5 would be 5 ns.
        date_format = re.sub(r"%%|\.?%f", lambda found: _FRACTIONS.get(found[0], found[0]), date_format)
        has_time = re.search(r"%[HIMSfsTRrcX+]|%\.f", date_format) is not None
        kind = pl.Datetime("ns") if has_time else pl.Date()
        stamps = text.str.strptime(kind, date_format, strict=False)
        years = text.str.strptime(pl.Datetime("us"), date_format, strict=False).dt.year() if has_time else None
    elif first.isdecimal() and len(first) in _EPOCHS:
        unit = _EPOCHS[len(first)]
        stamps = pl.select(pl.from_epoch(text.cast(pl.Int64, strict=False), unit)).to_series()
        years = stamps.dt.year()
        stamps = stamps.cast(pl.Datetime("ns"), strict=False).dt.replace_time_zone("UTC")
    elif len(first) <= 10:
        stamps, years = text.str.to_date("%Y%m%d" if first.isdecimal() else "%Y-%m-%d", strict=False), None
    else:
        zoned = re.search(r"(Z|[+-]\d\d:?\d\d)$", first) is not None
        plain = text.str.replace("T", " ", literal=True).str.replace("Z$", "+00:00")
        seconds = "%H:%M:%S%.f" if first.count(":") - (first[-3:-2] == ":" and zoned) > 1 else "%H:%M"
        form = f"%Y-%m-%d {seconds}{'%z' if zoned else ''}"
        stamps = plain.str.to_datetime(form, time_unit="ns", strict=False)
        years = plain.str.slice(0, 4).cast(pl.Int32, strict=False).set(stamps.is_null(), None)
    # Datetimes that int64 ns cannot hold wrap around to other years without a word.
    if years is not None and (beyond := ~years.is_between(1678, 2261)).any():
        row = beyond.arg_max() or 0
        raise DataError(f"{origin} row {row}: {text.name} is {text[row]!r}; every row needs one between 1678 and 2261")
    if (strange := stamps.is_null() & text.is_not_null()).any():
        row = strange.arg_max() or 0
        form = f" of the form of the first one ({first!r})" * (text[row] != first)
        fault = f"{text.name} is {text[row]!r}, which is no stamp{form}"
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
