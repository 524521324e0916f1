"""The rows of an input that is too large to be read before the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import SourceSpec
from ml4t_backtest_gate_standard.bounds import BOUNDS, has_place, show_stamp
from ml4t_backtest_gate_standard.checks import RowGate
from ml4t_backtest_gate_standard.extent import Extent
from ml4t_backtest_gate_standard.footers import in_order
from ml4t_backtest_gate_standard.spill import ROW, bucket_edges, sort_through_files
from ml4t_backtest_gate_standard.streaming import BATCH, PIECE, Prefetch, check_pieces, cut_at_instants

__all__ = ["StreamedRows", "needs_sorting"]


def needs_sorting(extent: Extent, plan: pl.LazyFrame, column: str, time: str, *, sort: bool) -> bool:
    """Whether rows have to be put in time order, as the settings, the footers and the first rows have it.

    Args:
        extent: What is read of the files.
        plan: The rows.
        column: Column of the files that orders them.
        time: Its name in ``plan``.
        sort: Whether the settings ask for it.
    """
    return sort or not in_order(extent.groups, column) or not plan.select(time).head(PIECE).collect()[time].is_sorted()


@dataclass(eq=False)
class StreamedRows:
    """Rows of one source that are checked while they flow.

    Attributes:
        spec: What the source says of its rows.
        plan: The rows as a query, in the order of the files.
        extent: What is read of the files.
        gate_of: Makes what checks the rows; takes what names a row by its number among those checked.
        place_of: Names a row of ``plan`` by its number.
        said: What is known to be worth a note before the rows are.
        keys: What orders the rows, the column of stamps first.
        stamps: The column of the files that orders the rows.
        spills: Whether the rows have to be put in time order.
        sort: Whether the stamps of a symbol may go back.
        labels: Whether stamps are midnights that name sessions.
        symbols: Symbols that are wanted; empty for all.
        batch_rows: Rows per batch; 0 for as many as are good.
    """

    spec: SourceSpec
    plan: pl.LazyFrame
    extent: Extent
    gate_of: Callable[[Callable[[int], str]], RowGate]
    place_of: Callable[[int], str]
    said: Sequence[str]
    keys: Sequence[str]
    stamps: str
    spills: bool = False
    sort: bool = False
    labels: bool = False
    symbols: Sequence[str] = ()
    batch_rows: int = 0
    _unseen: set[str] = field(default_factory=set)
    _gate: RowGate | None = None
    _ahead: Prefetch[pl.DataFrame] | None = None

    @property
    def read(self) -> dict[str, int]:
        """Rows of the row groups read, and bytes read and there."""
        return self.extent.read

    @property
    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run; complete once the rows are through."""
        notes = [*self.said, *(self._gate.notes() if self._gate else ())]
        if self.spills:
            how = "and too many to sort in memory, so that they are sorted through temporary files"
            notes.insert(0, f"{self.spec.origin}: rows are not in time order, {how}")
        if self._gate is not None and (missing := [name for name in self.symbols if name in self._unseen]):
            notes.append(f"{self.spec.origin}: no rows of {', '.join(missing)}")
        return tuple(notes)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order, made ahead on a thread that begins with the first one asked for."""
        if self._ahead is not None:
            self._ahead.close()
        self.extent.begin()
        self._unseen = set(self.symbols)
        self._ahead = Prefetch(self._checked)
        yield from self._ahead

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what is read of the files."""
        return self.extent.digest()

    def close(self) -> None:
        """End the threads and remove temporary files."""
        if self._ahead is not None:
            self._ahead.close()
        self.extent.close()

    def _checked(self) -> Iterator[pl.DataFrame]:
        numbers: list[pl.DataFrame] = []
        place = self.place_of if not self.spills else lambda row: self.place_of(_number(numbers, row))
        gate = self._gate = self.gate_of(place)
        gate.sort |= self.spills  # which looks for symbols that go back by itself
        pieces = self._sorted(gate, numbers) if self.spills else self._pieces(self.plan)
        time = self.keys[0]
        rows = self.batch_rows or BATCH
        checked = check_pieces(pieces, gate, labels=self.labels)
        if self.spec.whole:
            checked = cut_at_instants(checked, time, rows)
        for piece in checked:
            if self._unseen:
                self._unseen -= set(piece["symbol"].unique().cast(pl.String))
            out = piece if piece.schema["symbol"] == pl.Categorical else piece.cast({"symbol": pl.Categorical})
            if self.labels:  # a cast takes the date in UTC, this one the date in the stamps' own zone
                out = out.with_columns(pl.col(time).dt.date())
            yield from [out] if self.spec.whole else out.iter_slices(rows)

    def _pieces(self, plan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        batches = plan.collect_batches(chunk_size=PIECE, maintain_order=True)
        try:
            yield from (batch for batch in batches if batch.height)
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            fault = str(error).split("\n")[0]
            raise DataError(f"{self.spec.origin}: cannot be read: {fault}") from error
        self.extent.check_unchanged()

    def _numbered(self) -> Iterator[pl.DataFrame]:
        """Yield the rows with their numbers, as long as every stamp has a place in time."""
        time = self.keys[0]
        for piece in self._pieces(self.plan.with_row_index(ROW)):
            if not (placed := has_place(piece[time])).all():
                row = (~placed).arg_max() or 0
                stamp = show_stamp(piece[time], row)
                key = f"{self.place_of(piece[ROW][row])} ({piece['symbol'][row]}, {stamp})"
                raise DataError(f"{key}: {time} is {stamp}; {BOUNDS}")
            yield piece

    def _sorted(self, gate: RowGate, numbers: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        time = self.keys[0]

        def gone_back(piece: pl.DataFrame, row: int) -> DataError:
            key = f"{self.place_of(piece[ROW][row])} ({piece['symbol'][row]}, {piece[time][row]})"
            return DataError(f"{key}: the stamps of this symbol go back; sort the rows, or add `sort = true`")

        edges = bucket_edges(self.extent.groups, self.stamps)
        back = None if self.sort else gone_back
        for piece in sort_through_files(self._numbered(), time=time, keys=self.keys, edges=edges, gone_back=back):
            # Rows of the piece before may be named too, as the first of two that are equal.
            numbers[:] = [*numbers[-1:], pl.DataFrame({ROW: piece[ROW], "#": range(gate.rows, gate.rows + len(piece))})]
            yield piece.drop(ROW)


def _number(numbers: Sequence[pl.DataFrame], row: int) -> int:
    """Return the number in the files of a row by its number among those checked."""
    return next(int(part[ROW][row - part["#"][0]]) for part in numbers if row <= part["#"][-1])
