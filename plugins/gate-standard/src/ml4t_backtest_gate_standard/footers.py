"""What the footers of Parquet files say of their row groups, read without the data.

The footer is a Thrift structure in the compact protocol; field numbers are those of ``parquet.thrift`` in
https://github.com/apache/parquet-format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Chunk", "RowGroup", "in_order", "read_footers"]

Struct: TypeAlias = dict[int, Any]
_DAY = 86_400_000_000_000
_INT32, _INT64, _BYTES = 1, 2, 6  # physical types
_CONVERTED = {6: _DAY, 9: 10**6, 10: 10**3}  # DATE, TIMESTAMP_MILLIS, TIMESTAMP_MICROS -> ns
_UNITS = {1: 10**6, 2: 10**3, 3: 1}
_CONTINUES, _LOW_BITS = 0x80, 0x7F


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of a row group.

    Attributes:
        offset, size: Where its compressed bytes are in the file.
        low, high: Bounds of its values: ns (dates at midnight) of stamps, bytes of text; None where nobody says.
    """

    offset: int
    size: int
    low: int | bytes | None
    high: int | bytes | None


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group: its file, its rows, and its columns by name."""

    file: Path
    rows: int
    chunks: dict[str, Chunk]


def read_footers(files: Iterable[Path]) -> list[RowGroup] | None:
    """Return the row groups of files in order; None where a footer cannot be made out (polars then says why)."""
    found: list[RowGroup] = []
    for file in files:
        try:
            found += _row_groups(file)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
    return found


def _row_groups(file: Path) -> list[RowGroup]:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        length, magic = int.from_bytes(stream.read(4), "little"), stream.read(4)
        if magic != b"PAR1" or length > size - 8:
            raise ValueError(f"{file} has no footer")
        stream.seek(size - 8 - length)
        footer = _Reader(stream.read(length)).struct()
    scales = {element[4].decode(): _scale(element) for element in footer[2]}
    groups = []
    for group in footer.get(4, []):
        chunks: dict[str, Chunk] = {}
        for column in group[1]:
            told = column[3]
            start = min(told[9], told.get(11) or told[9])
            if start < 0 or told[7] < 0 or start + told[7] > size:
                raise ValueError(f"{file} is shorter than its footer says")
            name = told[3][0].decode()
            low, high = _bounds(told, scales.get(name, 0))
            # A nested column has several chunks of one name; the gate reads none of these.
            chunks[name if name not in chunks else f"{name}/{len(chunks)}"] = Chunk(start, told[7], low, high)
        groups.append(RowGroup(file, group[3], chunks))
    return groups


def _scale(element: Struct) -> int:
    """Return how many ns a unit of a column of stamps is; 0 for what holds none."""
    logical = element.get(10, {})
    if 8 in logical:
        return _UNITS[next(iter(logical[8][2]))]
    return _DAY if 6 in logical else _CONVERTED.get(element.get(6, -1), 0)


def _bounds(told: Struct, scale: int) -> tuple[int | bytes | None, int | bytes | None]:
    statistics = told.get(12, {})
    low, high, kind = statistics.get(6), statistics.get(5), told[1]
    if low is None or high is None:
        return None, None
    if kind in (_INT32, _INT64) and scale:
        return int.from_bytes(low, "little", signed=True) * scale, int.from_bytes(high, "little", signed=True) * scale
    return (low, high) if kind == _BYTES else (None, None)


class _Reader:
    """Thrift's compact protocol as mappings of field number to value."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def struct(self) -> Struct:
        out: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            out[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        return out

    def _value(self, kind: int) -> Any:
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 8:
            return self._take(self._varint())
        if kind == 12:
            return self.struct()
        if kind in (9, 10):
            head = self._byte()
            count, inner = head >> 4, head & 15
            return [self._value(inner) for _ in range(self._varint() if count == 15 else count)]
        if kind in (1, 2, 3):
            return self._byte()
        if kind == 7:
            return self._take(8)
        raise ValueError(f"the footer has a value of type {kind}")

    def _take(self, count: int) -> bytes:
        start, self._place = self._place, self._place + count
        if self._place > len(self._data):
            raise ValueError("the footer ends too early")
        return self._data[start : self._place]

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _varint(self) -> int:
        out = shift = 0
        while True:
            byte = self._byte()
            out |= (byte & _LOW_BITS) << shift
            if byte < _CONTINUES:
                return out
            shift += 7

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)


def in_order(groups: Sequence[RowGroup], column: str) -> bool:
    """Whether no row group's stamps begin before those of the one before it end, as far as the footers say."""
    newest: int | None = None
    for chunk in (group.chunks.get(column) for group in groups if group.rows):
        if chunk is None or not isinstance(chunk.low, int) or not isinstance(chunk.high, int):
            return False
        if newest is not None and chunk.low < newest:
            return False
        newest = chunk.high
    return True
