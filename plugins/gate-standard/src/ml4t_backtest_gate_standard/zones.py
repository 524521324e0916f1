"""Whether all files of a source write their stamps with a zone, or all without."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import Location

__all__ = ["refuse_mixed_zones"]

_PARQUET = b"PAR1"


def refuse_mixed_zones(files: Sequence[Location], stamps: Collection[str], origin: str) -> None:
    """Refuse local Parquet and IPC files of which some have stamps with a zone and others without.

    Polars reads such files as one: those without a zone as UTC, or the others as wall-clock times.

    Args:
        files: The files, in order; URLs are not looked at.
        stamps: Columns of stamps.
        origin: What to call the files in messages.

    Raises:
        DataError: Naming a file of each kind.
    """
    local = [file for file in files if isinstance(file, Path)]
    if len(local) < 2:
        return
    zoned, naive = dict[str, Path](), dict[str, Path]()
    for file, schema in _schemas(local):
        for name in stamps:
            if isinstance(dtype := schema.get(name), pl.Datetime):
                (naive if dtype.time_zone is None else zoned).setdefault(name, file)
    for name in sorted(zoned.keys() & naive.keys()):
        fault = f"{name} has a zone in {zoned[name].name} and none in {naive[name].name}"
        raise DataError(f"{origin}: {fault}; write them alike, or make a feed of each kind")


def _schemas(files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, pl.DataType]]]:
    """Yield what footers say; files that have none may not be needed, and if they are, polars says why."""
    for file in files:
        try:
            with file.open("rb") as opened:
                is_parquet = opened.read(len(_PARQUET)) == _PARQUET
            yield file, dict(pl.read_parquet_schema(file) if is_parquet else pl.read_ipc_schema(file))
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
