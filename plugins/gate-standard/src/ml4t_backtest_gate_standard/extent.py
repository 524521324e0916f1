"""Which parts of Parquet files a source reads, how many bytes these are, and their digest."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.footers import RowGroup, read_footers

__all__ = ["Extent"]

_PART = 1 << 22  # bytes hashed at a time


class Extent:
    """The row groups and columns that settings leave of Parquet files.

    Args:
        groups: All row groups of the files, in order.
        columns: Columns of the files that the source needs.
        stamps: The column that orders rows.
        edges: First instant that is needed and the one after the last, in ns of the column; None where open.
        symbols: Column and names of the symbols that are wanted; None where all are.

    Attributes:
        groups: Row groups in which a wanted row may be.
        rows: Rows of these.
        bytes_read: Compressed bytes of the needed columns of these row groups.
        bytes_total: Size of the files.
    """

    def __init__(
        self,
        groups: Sequence[RowGroup],
        columns: Iterable[str],
        stamps: str,
        edges: tuple[int | None, int | None],
        symbols: tuple[str, Sequence[str]] | None = None,
    ) -> None:
        wanted = [_may_have(group, stamps, edges, symbols) for group in groups]
        self.groups = [group for group, keep in zip(groups, wanted, strict=True) if keep]
        self.rows = sum(group.rows for group in self.groups)
        self._columns = frozenset(columns)
        first = wanted.index(True) if self.groups else 0
        last = len(wanted) - wanted[::-1].index(True) if self.groups else 0
        self._start, self._length = (sum(group.rows for group in part) for part in (groups[:first], groups[first:last]))
        self.bytes_read = sum(size for _, size in self._spans())
        self._states = {file: _state(file) for file in dict.fromkeys(group.file for group in groups)}
        self.bytes_total = sum(size for size, _ in self._states.values())
        self._digest = hashlib.sha256()
        self._thread: threading.Thread | None = None
        self._stopped, self._whole = threading.Event(), False
        self._fault: OSError | None = None

    @classmethod
    def of(
        cls,
        files: Sequence[object],
        columns: Iterable[str],
        stamps: str,
        edges: tuple[int | None, int | None],
        symbols: tuple[str, Sequence[str]] | None,
    ) -> Extent | None:
        """Return the extent of local files; None where there is another one, or a footer cannot be made out."""
        local = [file for file in files if isinstance(file, Path)]
        if not local or len(local) < len(files) or (groups := read_footers(local)) is None:
            return None
        return cls(groups, columns, stamps, edges, symbols)

    @property
    def read(self) -> dict[str, int]:
        """What the manifest says of it: rows of the row groups read, bytes read, and bytes there are."""
        return {"rows": self.rows, "bytes_read": self.bytes_read, "bytes_total": self.bytes_total}

    def cut(self, source: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows from the first needed row group to the last; those between are left to the predicate."""
        return source.slice(self._start, self._length)

    def begin(self) -> None:
        """Begin to hash, on a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._hash, name="digest", daemon=True)
            self._thread.start()

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the compressed bytes, in the order of the files; waits for the thread.

        It is empty where ``close`` was called before all was hashed.

        Raises:
            DataError: A file is no longer what it was when it was opened.
        """
        self.begin()
        assert self._thread is not None
        self._thread.join()
        self.check_unchanged()
        if self._fault is not None:
            raise DataError(f"{self._fault.filename}: cannot be hashed: {self._fault.strerror}") from self._fault
        return "" if self._stopped.is_set() and not self._whole else self._digest.hexdigest()

    def check_unchanged(self) -> None:
        """Raise ``DataError`` where the size or the time of change of a file is not that of when it was opened."""
        for file, state in self._states.items():
            if _state(file) != state:
                what = "was changed" if file.is_file() else "was removed"
                raise DataError(f"{file.name}: {what} while the run went on; run again, and leave it as it is")

    def close(self) -> None:
        """End the thread, also before all is hashed."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _hash(self) -> None:
        try:
            self._whole = self._hash_files()
        except OSError as error:  # raised again where the digest is asked for
            self._fault = error

    def _hash_files(self) -> bool:
        """Hash all spans of the files; return whether nothing stopped it."""
        memory = memoryview(bytearray(_PART))
        for file, spans in groupby(self._spans_of_files(), key=lambda span: span[0]):
            with file.open("rb", buffering=0) as stream:
                for _, start, size in spans:
                    stream.seek(start)
                    while size > 0 and not self._stopped.is_set():
                        count = stream.readinto(memory[: min(size, _PART)])
                        if not count:
                            break
                        self._digest.update(memory[:count])
                        size -= count
        return not self._stopped.is_set()

    def _spans_of_files(self) -> Iterator[tuple[Path, int, int]]:
        """Yield file, start and size of what is read, chunks that touch each other as one."""
        open_: tuple[Path, int, int] | None = None
        for group in self.groups:
            for name, chunk in group.chunks.items():
                if name not in self._columns:
                    continue
                if open_ is not None and open_[0] == group.file and open_[1] + open_[2] == chunk.offset:
                    open_ = (group.file, open_[1], open_[2] + chunk.size)
                    continue
                if open_ is not None:
                    yield open_
                open_ = (group.file, chunk.offset, chunk.size)
        if open_ is not None:
            yield open_

    def _spans(self) -> Iterator[tuple[int, int]]:
        for _, start, size in self._spans_of_files():
            yield start, size


def _state(file: Path) -> tuple[int, int]:
    """Return size in bytes and time of change in ns of a file; of one that is gone, what no file has."""
    try:
        found = file.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _may_have(
    group: RowGroup,
    stamps: str,
    edges: tuple[int | None, int | None],
    symbols: tuple[str, Sequence[str]] | None,
) -> bool:
    chunk = group.chunks.get(stamps)
    first, last = edges
    if chunk is not None and first is not None and isinstance(chunk.high, int) and chunk.high < first:
        return False
    if chunk is not None and last is not None and isinstance(chunk.low, int) and chunk.low >= last:
        return False
    if symbols is None or (chunk := group.chunks.get(symbols[0])) is None:
        return True
    low, high = chunk.low, chunk.high
    if not isinstance(low, bytes) or not isinstance(high, bytes):
        return True
    return any(low <= name.encode() <= high for name in symbols[1])
