"""What stands between the columns of an input and the clock: a component of its own, of kind ``gate``.

A source of columns takes its settings from these dataclasses, gives its input to ``setup.gate`` and hands on what
the gate returns: all sources then map columns, check rows and read stamps alike.
"""

# The body of a protocol's method is its docstring.
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from ml4t.backtest.interfaces.feed import Source

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.core.sessions import SessionTable
    from ml4t.backtest.interfaces.feed import SourceSpec, Window
    from ml4t.backtest.interfaces.setup import Setup

__all__ = ["Arrangement", "CheckedSource", "FeedConfig", "Gate", "Location", "OpenRows", "SignalConfig", "SourceConfig"]


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Settings of every source that reads columns.

    Attributes:
        columns: Column of the input by the name that the run uses, as in ``{ close = "adj_close" }``; needed
            only where they differ. ``asset`` and ``ticker`` pass for ``symbol``, and ``date``, ``datetime``
            and ``time`` for ``timestamp``.
        symbol: The one symbol of an input that has no column of symbols.
        symbols: The symbols to read; all by default.
        timezone: IANA zone of naive stamps that are no session labels, such as ``America/New_York``.
        latency: From event_time (for labels: the close) to when a row is known, such as ``"250ms"``.
        sort: Whether to sort rows whose stamps go back, rather than refuse them.
        batch_rows: Rows per batch; inputs in time order are then read piece by piece. 0 reads all at once.
        calendar: Calendar whose sessions dates and midnights name, such as ``XTKS``; that of the run by default.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    symbol: str | None = None
    symbols: tuple[str, ...] = ()
    timezone: str | None = None
    latency: str | None = None
    sort: bool = False
    batch_rows: int = 0
    calendar: str = ""


@dataclass(frozen=True, kw_only=True)
class FeedConfig(SourceConfig):
    """Settings of every feed that reads columns.

    Attributes:
        bar: Length of a bar, such as ``"1d"`` or ``"5m"``; stamps that are dates mean ``"1d"``.
        stamp: Which end of its bar a stamp is; needed for intraday bars. With ``bar`` and ``stamp``, quotes and
            trades are the last ones of bars, and happened at their ends.
        prices: ``raw``, ``split`` (adjusted for splits) or ``total`` (for dividends too); raw by default.
        kind: ``bar``, ``quote`` or ``trade``; by default what the columns say.
        fields: Columns to keep beside the usual ones of the kind.
        drives: Whether ``on_slice`` is called for these rows.
        allow_negative_prices: Whether prices at or below zero are legal.
        grace: How long after their end (and latency) bars that have a ``known_at`` are waited for, such as ``"2s"``;
            those known later join the next slice.
    """

    bar: str | None = None
    stamp: Literal["open", "close"] | None = None
    prices: Literal["raw", "split", "total"] | None = None
    kind: Literal["bar", "quote", "trade"] | None = None
    fields: tuple[str, ...] = ()
    drives: bool = True
    allow_negative_prices: bool = False
    grace: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignalConfig(SourceConfig):
    """Settings of every signal source that reads columns.

    Attributes:
        values: Columns that are signals; by default every numeric column that is no key.
        valid_for: How long a value holds, such as ``"5d"``; by default until the source's next release.
        trained_through: Until when the data went that the model had seen, an ISO date or time, where there is no column
            of this name.
        horizon: How far values look ahead, such as ``"5d"``, where there is no column of this name.
        embargo: What has to lie between ``trained_through + horizon`` and the event_time of a row.
    """

    values: tuple[str, ...] = ()
    valid_for: str | None = None
    trained_through: date | datetime | None = None
    horizon: str | None = None
    embargo: str | None = None


Settings: TypeAlias = FeedConfig | SignalConfig
Place: TypeAlias = Callable[[int], str]
Location: TypeAlias = Path | str  # a local file, or the URL of another one


class Arrangement(Protocol):
    """How the columns of an input become those of a source.

    Attributes:
        times: Columns of stamps, by the names they get; the first one orders the rows.
        fields: Value columns in order.
        columns: Column of the input by the name it gets; there is no ``symbol`` where the settings name one.
    """

    times: list[str]
    fields: list[str]
    columns: dict[str, str]


class OpenRows(Protocol):
    """Checked rows of one source: its ``spec``, findings that do not stop a run, and how much was ``read``."""

    spec: SourceSpec

    @property
    def notes(self) -> tuple[str, ...]:
        """Findings, one sentence each; complete once the rows are through."""

    @property
    def read(self) -> dict[str, int]:
        """``rows``, ``bytes_read`` and ``bytes_total``; empty where that is not known."""

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order, at most ``batch_rows`` at a time."""

    def close(self) -> None:
        """End threads and remove temporary files."""


class Gate(Protocol):
    """Checks that all sources share.

    It is made with the table ``[gate]`` of the run file and ``survey``: whether all findings are wanted, so that no
    row is refused. Every method raises DataError: file, rows, what is wrong, what to do.
    """

    def open_rows(
        self,
        source: pl.LazyFrame,
        config: Settings,
        window: Window,
        *,
        name: str,
        origin: str,
        place: Place | None = None,
        files: Sequence[Location] = (),
        stream: bool | None = None,
    ) -> OpenRows:
        """Map the columns of an input, keep the run's window, check every row and put rows in time order.

        Args:
            source: The input.
            config: Settings of the source.
            window: What the run needs; days that lie outside are not read.
            name: Name of the source in the run.
            origin: File or frame, for messages.
            place: Names a row by its number in ``source``; by default ``<origin> row <n>``.
            files: The Parquet or IPC files of the input, in order; of Parquet only needed row groups are then read.
            stream: Whether rows of local files are checked while the run goes on; None where they are many.
        """

    def arrange(self, schema: pl.Schema, config: Settings, origin: str) -> Arrangement:
        """Say which columns of an input a source needs, by the rules of ``open_rows``."""

    def take_frame(self, frame: object, config: Settings, *, name: str, origin: str) -> pl.DataFrame:
        """Copy the needed columns of a polars, pandas or Arrow frame, or of a mapping of field to wide frame."""

    def copy_frame(self, frame: object, origin: str) -> pl.DataFrame:
        """Copy a polars, pandas or Arrow frame with all its columns; ``origin`` is what messages call it."""

    def digest_frame(self, frame: pl.DataFrame) -> str:
        """Return the SHA-256 (hex) of a frame's names, types and values, whatever its memory looks like."""

    def find_files(self, path: str | Sequence[str], setup: Setup, endings: Sequence[str] = ()) -> list[Location]:
        """Return the files that a path, folder (files with ``endings``), glob, URL or a list of these stands for."""

    def partitions(self, files: Sequence[Location]) -> list[dict[str, object]]:
        """Return what the folders ``key=value`` on the way to each file say of its rows; the same keys for all."""

    def place_in(self, files: Sequence[Location], count: Callable[[Location], int]) -> Place:
        """Return a function that names a row by file and row in it; ``count`` says how many a file has."""

    def digest_files(self, files: Sequence[Location], rows: OpenRows | None = None) -> str:
        """Return the SHA-256 (hex) of the files' bytes; of URLs, that of the columns of the rows read."""

    def findings(
        self, sessions: Mapping[str, SessionTable], actions: pl.DataFrame, refused: Mapping[str, Sequence[str]]
    ) -> pl.DataFrame:
        """Return what was found in the sources opened so far, the worst first.

        Args:
            sessions: By the name of their calendar, as sources give it; ``""`` for those of the run. For a survey only.
            actions: Columns ``symbol``, ``kind`` and ``ex_date`` (Date) of the run's corporate actions; for a survey.
            refused: What was wrong with sources that could not be opened, by their name.

        Returns:
            rule, severity (``error``, ``warning`` or ``note``), source, file, symbol, count, rows (the first few, as
            text), what, remedy.
        """


class CheckedSource(Source):
    """A source of columns: ``open`` gives its input to the gate and keeps what that returns; the rest follows.

    Put it before ``DataFeed`` or ``SignalSource`` among the bases.

    Attributes:
        rows: What ``setup.gate.open_rows`` returned; None before ``open`` and after ``close``.
    """

    rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""
        return self._opened.spec

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order."""
        return self._opened.batches()

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run, one sentence each."""
        return self._opened.notes

    def read(self) -> dict[str, int]:
        """Rows and bytes read, and bytes there are."""
        return self._opened.read

    def close(self) -> None:
        """Let go of the rows."""
        if self.rows is not None:
            self.rows.close()
        self.rows = None

    @property
    def _opened(self) -> OpenRows:
        assert self.rows is not None, "open the source first"
        return self.rows
