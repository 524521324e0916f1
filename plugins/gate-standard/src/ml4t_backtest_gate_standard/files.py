"""The files that a setting names, and their rows by name."""

from __future__ import annotations

import difflib
import glob
import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Setup

__all__ = ["digest_files", "find_files", "place_in"]


def find_files(path: str | Sequence[str], setup: Setup) -> list[Path]:
    """Return the files that a path, a glob or a list of these stands for, globs sorted by name.

    Raises:
        DataError: A file is missing, or a glob matches none.
    """
    files: list[Path] = []
    problems: list[str] = []
    for text in [path] if isinstance(path, str) else path:
        place = setup.path(text)
        if place.is_file():
            files.append(place)
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


def place_in(files: Sequence[Path], count: Callable[[Path], int]) -> Callable[[int], str]:
    """Return a function that names a row, counted over all files, by file and row in it (from 0).

    Args:
        files: The files in the order in which they are read.
        count: Returns the number of rows of a file; called for the first row to be named.
    """

    def place(row: int) -> str:
        ends = list(accumulate(count(file) for file in files)) if len(files) > 1 else [row + 1]
        number = next(number for number, end in enumerate(ends) if row < end)
        return f"{files[number].name} row {row - (ends[number - 1] if number else 0)}"

    return place


def digest_files(files: Sequence[Path]) -> str:
    """Return the SHA-256 (hex) of a file's bytes; of several files, that of their digests in order."""
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()
