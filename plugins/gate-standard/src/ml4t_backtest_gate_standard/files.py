"""The files that a setting names, and their rows by name."""

from __future__ import annotations

import difflib
import glob
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote, urlsplit

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Setup
from ml4t.backtest.interfaces.gate import Location, OpenRows
from ml4t_backtest_gate_standard.frames import digest_frame
from ml4t_backtest_gate_standard.rows import OpenRows as ReadRows
from ml4t_backtest_gate_standard.streamed import StreamedRows

__all__ = ["digest_files", "find_files", "partitions", "place_in"]

_LONGEST = 255  # bytes of a name
_UNKNOWN = "__HIVE_DEFAULT_PARTITION__"
_ROWS = 1_000_000  # per digest, so that digests do not depend on how batches were cut


def find_files(path: str | Sequence[str], setup: Setup, endings: Sequence[str] = ()) -> list[Location]:
    """Return the files that a path, a folder, a glob, a URL or a list of these stands for.

    Args:
        path: What the setting says. Files of a glob or folder are sorted by name; a ``file://`` URL is the file.
        setup: Says what relative paths are relative to.
        endings: Of the files that a folder stands for, at any depth, such as ``.parquet``; names that begin with
            ``.`` or ``_`` are left out. Without endings a folder stands for nothing.

    Returns:
        Local files as absolute paths or relative to the current folder; URLs as they are, whether they exist or not.

    Raises:
        DataError: A file is missing, or a glob or folder has none.
    """
    files: list[Location] = []
    problems: list[str] = []
    for text in filter(str.strip, [path] if isinstance(path, str) else path):
        if (url := urlsplit(text)).scheme == "file" and "://" in text:
            text = unquote(url.path)
        elif "://" in text:
            files.append(text)
            continue
        place = setup.path(text)
        if len(place.name.encode()) > _LONGEST:
            problems.append(f"{text[:_LONGEST]}…: no file system has names that long; correct path")
        elif place.is_file():
            files.append(place)
        elif place.is_dir() and endings:
            files += (inside := _inside(place, endings))
            none = f"this folder has no file that ends in {' or '.join(endings)}; correct path, or name its files"
            problems += [] if inside else [f"{text}: {none}"]
        elif place.is_dir():
            problems.append(f'{text}: this is a folder; name its files, as in path = "{text.rstrip("/")}/*"')
        elif found := sorted(file for file in map(Path, glob.glob(str(place), recursive=True)) if file.is_file()):
            files += found
        else:
            folder = place.parent if Path(text).is_absolute() else setup.base_dir.absolute()
            others = sorted(file.name for file in place.parent.glob("*"))
            near = [f'did you mean "{name}"' for name in difflib.get_close_matches(place.name, others, 1, 0.75)]
            problems.append(f"{text}: no such file in {folder}; {next(iter(near), 'correct path')}")
    if not files and not problems:
        problems.append("path names no file; name one, or a glob")
    if problems:
        raise DataError(*problems)
    return files


def _inside(folder: Path, endings: Sequence[str]) -> list[Path]:
    found = [file for file in folder.rglob("*") if file.name.lower().endswith(tuple(endings)) and file.is_file()]
    return sorted(file for file in found if not any(p[0] in "._" for p in file.relative_to(folder).parts))


def partitions(files: Sequence[Location]) -> list[dict[str, object]]:
    """Return what the folders ``key=value`` on the way to each file say of all its rows.

    A key whose values are all ISO dates is a date; other values are text, also where they look like numbers, as
    symbols do. ``%`` escapes are decoded; ``__HIVE_DEFAULT_PARTITION__`` is unknown.

    Returns:
        One mapping per file, all with the same keys; empty ones where no folder is named so.

    Raises:
        DataError: The files differ in their keys.
    """
    found: list[dict[str, object]] = []
    for file in files:
        parts = [part.partition("=") for part in _folders(file) if re.match(r"[A-Za-z_]\w*=", part)]
        values = {key: unquote(value) for key, _, value in parts}
        found.append({key: None if value == _UNKNOWN else value for key, value in values.items()})
    for file, here in zip(files, found, strict=True):
        if here.keys() != found[0].keys():
            keys = ["no folder key=value" if not each else ", ".join(each) for each in (found[0], here)]
            remedy = "give the files the same folders, or add `hive = false`"
            raise DataError(f"{files[0]} has {keys[0]} on its way and {file} has {keys[1]}; {remedy}")
    for key in found[0] if found else ():
        texts = {str(here[key]) for here in found if here[key] is not None}
        if texts and all(re.fullmatch(r"\d{4}-\d\d-\d\d", text) for text in texts):
            dates: dict[object, object] = {text: _date(text, key) for text in texts}
            for here in found:
                here[key] = dates.get(here[key])
    return found


def _folders(file: Location) -> Sequence[str]:
    return file.parent.parts if isinstance(file, Path) else urlsplit(file).path.split("/")[:-1]


def _date(text: str, key: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"folder {key}={text}: {text} is no date; correct its name") from error


def place_in(files: Sequence[Location], count: Callable[[Location], int]) -> Callable[[int], str]:
    """Return a function that names a row, counted over all files, by file and row in it (from 0).

    Args:
        files: The files in the order in which they are read.
        count: Returns the number of rows of a file; called for the first row to be named.
    """

    def place(row: int) -> str:
        ends = list(accumulate(count(file) for file in files)) if len(files) > 1 else [row + 1]
        number = next(number for number, end in enumerate(ends) if row < end)
        return f"{Path(files[number]).name} row {row - (ends[number - 1] if number else 0)}"

    return place


def digest_files(files: Sequence[Location], rows: OpenRows | None = None) -> str:
    """Return the SHA-256 (hex) of a file's bytes; of several files, that of their digests in order.

    Args:
        files: The files.
        rows: What was read; of URLs the columns of these rows are taken instead of bytes, of local Parquet files the
            compressed bytes of the columns and row groups that were needed.
    """
    if isinstance(rows, ReadRows | StreamedRows) and rows.extent is not None:
        return rows.extent.digest()
    if any(isinstance(file, str) for file in files):
        return "" if rows is None else _digest_rows(rows)
    digests = []
    for file in files:
        with Path(file).open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def _digest_rows(rows: OpenRows) -> str:
    whole, waiting, height = hashlib.sha256(), list[pl.DataFrame](), 0
    for batch in rows.batches():
        waiting.append(batch)
        height += batch.height
        while height >= _ROWS:
            part = pl.concat(waiting)
            whole.update(digest_frame(part.head(_ROWS)).encode())
            waiting, height = [part.slice(_ROWS)], height - _ROWS
    if waiting:
        whole.update(digest_frame(pl.concat(waiting)).encode())
    return whole.hexdigest()
