"""Sources of rows: market data and signals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from ml4t.backtest.core.stamps import StampRule

__all__ = ["Batch", "DataFeed", "ModelSource", "SignalSource", "Source", "SourceSpec", "Window"]

Batch: TypeAlias = "pl.DataFrame"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The stretch of event time that a run reads; both ends are inclusive dates or None for open.

    Attributes:
        first: Earliest UTC instant (ns) whose rows are needed, warm-up included.
        last: Latest UTC instant (ns) whose rows are needed.
    """

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """What a source says of its rows, fixed once it is open.

    Attributes:
        name: Name of the source in the run; what ``history(feed=)`` and ``market.feed()`` take.
        kind: What a row is.
        fields: Float64 value columns in order. For bars a subset of ``open, high, low, close, volume``
            first and any further columns after them; for quotes ``bid, bid_size, ask, ask_size``; for
            trades ``price, size``; for signals the names that ``context.signal(name)`` takes.
        rule: How stamps become bar_start, event_time and known_at.
        prices: Basis of the prices of a bar feed.
        drives: Whether ``on_slice`` is called for its rows.
        valid_for: For signals: ns for which a value stays valid; None means until the next release.
        horizon: For signals: ns after event_time up to which a value says anything; None where that is not stated.
        origin: File, glob or ``<frame>``, for messages.
        whole: Whether no batch ends within an instant; its rows are then released without waiting for the next one.
    """

    name: str
    kind: Literal["bar", "quote", "trade", "signal", "table"]
    fields: tuple[str, ...]
    rule: StampRule
    prices: Literal["raw", "split", "total"] | None = None
    drives: bool = True
    valid_for: int | None = None
    horizon: int | None = None
    origin: str = "<frame>"
    whole: bool = False


class Source(ABC):
    """Rows in time order.

    The engine calls ``open`` once before anything else (all that is wrong with the input is said there),
    then ``batches`` (perhaps again for a resume), then ``close``.
    """

    @property
    @abstractmethod
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""

    @abstractmethod
    def open(self, window: Window) -> None:
        """Check the input and fix ``spec``.

        Raises:
            DataError: Naming file, rows, what is wrong and what to do.
        """

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Yield the rows as polars frames (or anything with ``__arrow_c_stream__``).

        Columns: ``symbol`` (String, Categorical or Enum), ``timestamp`` (Date, or Datetime in any unit and
        zone) or, where the rule is ``known_at`` or ``event_time``, columns of these names; then the columns
        of ``spec.fields`` (numeric; null means unknown). Rows never go back in time; rows of one stamp may
        come in any order of symbols; a batch may end anywhere.
        """

    def digest(self) -> str:
        """SHA-256 (hex) of the input read, for the manifest; empty when the source cannot say."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run (nulls, adjusted prices …), one sentence each."""
        return ()

    def read(self) -> dict[str, int]:
        """``rows``, ``bytes_read`` and ``bytes_total``, for the manifest; empty when the source cannot say."""
        return {}

    def close(self) -> None:
        """Let go of files; called exactly once, also after an error."""
        return None


class DataFeed(Source):
    """Bars, quotes or trades."""


class SignalSource(Source):
    """Predictions and other values known at a time."""


class ModelSource(SignalSource):
    """Values that are computed during the run from what is known then; ``batches`` yields nothing.

    Attributes:
        every: When it is asked: at instants with rows of driving feeds, or once a session after its close.
        history: How many instants of each feed it looks back.
    """

    every: Literal["slice", "session"] = "slice"
    history: int = 1

    @abstractmethod
    def evaluate(self, view: Any) -> Mapping[str, NDArray[np.float64]]:
        """Return each of ``spec.fields`` over ``view.symbols``, float64 (n,), NaN where it is unknown.

        Args:
            view: The reading half of ``Context``: ``now, now_ns, session, symbols, index, universe, price, price_age,
                history, window, asof, signal, signal_age``.

        What it returns is known ``spec.rule.latency_ns`` later.
        """
