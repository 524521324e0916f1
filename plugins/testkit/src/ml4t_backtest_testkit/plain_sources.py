"""Sources and a calendar of plain Python, for tests of what reads them: the clock, the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.sessions import NO_BREAK, SESSION_DTYPE, to_ns
from ml4t.backtest.core.stamps import Convention, StampRule, parse_duration
from ml4t.backtest.interfaces import Calendar, DataFeed, SourceSpec, Window

__all__ = ["HandCalendar", "PlainSource", "daily_bars", "minute_bars"]

_KEYS = ("symbol", "timestamp", "known_at", "event_time")


class PlainSource(DataFeed):
    """Rows of a frame as they are, of any kind; nothing is checked.

    Args:
        frame: ``symbol``, a column of stamps (``timestamp``, ``known_at`` or ``event_time``), and values.
        name: Name of the source.
        kind: What a row is.
        bar: Length of a bar; midnights in ``timestamp`` are labels where it is ``1d``.
        stamp: Which end of an intraday bar its stamp is.
        latency: From event_time to when a row is known.
        batch: Rows per batch; 0 for one batch.
        fields: Value columns; by default all that are no keys.
        drives: Whether ``on_slice`` is called for these rows.
        valid_for: For signals: ns for which a value stays valid.

    Attributes:
        opened: The windows with which it was opened.
        closed: How often it was closed.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        *,
        name: str = "prices",
        kind: Literal["bar", "quote", "trade", "signal"] = "bar",
        bar: str = "1d",
        stamp: Literal["open", "close"] = "open",
        latency: str = "0s",
        batch: int = 0,
        fields: tuple[str, ...] | None = None,
        drives: bool = True,
        valid_for: int | None = None,
    ) -> None:
        self.frame, self.batch, self.closed = frame, batch, 0
        self.opened: list[Window] = []
        named = [column for column in ("known_at", "event_time") if column in frame.columns and kind != "bar"]
        convention: Convention = stamp
        if named:
            convention = "known_at" if "known_at" in named else "event_time"
        elif bar == "1d" and (frame["timestamp"] == frame["timestamp"].dt.truncate("1d")).all():
            convention = "label"
        period = parse_duration(bar) if kind == "bar" else None
        self._spec = SourceSpec(
            name=name,
            kind=kind,
            fields=fields or tuple(column for column in frame.columns if column not in _KEYS),
            rule=StampRule(convention=convention, period_ns=period, latency_ns=parse_duration(latency), origin=name),
            drives=drives and kind != "signal",
            valid_for=valid_for,
        )

    @property
    def spec(self) -> SourceSpec:
        """The description, also before ``open``."""
        return self._spec

    def open(self, window: Window) -> None:
        """Note the window."""
        self.opened.append(window)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows."""
        yield from self.frame.iter_slices(self.batch or max(1, len(self.frame)))

    def digest(self) -> str:
        """SHA-256 (hex) of the rows as text."""
        return hashlib.sha256(self.frame.write_csv().encode()).hexdigest()

    def close(self) -> None:
        """Count the call."""
        self.closed += 1


class HandCalendar(Calendar):
    """Sessions written by hand.

    Args:
        *sessions: (label, open, close) as ISO 8601 texts, the latter two with an offset.

    Attributes:
        rows: They, as the table that ``sessions`` returns.
    """

    name, timezone = "HAND", "America/New_York"

    def __init__(self, *sessions: tuple[str, str, str]) -> None:
        epoch = date(1970, 1, 1)
        rows = [
            ((date.fromisoformat(label) - epoch).days, *(to_ns(datetime.fromisoformat(edge)) for edge in edges))
            for label, *edges in sessions
        ]
        self.rows = np.array([(*row, NO_BREAK, NO_BREAK) for row in rows], SESSION_DTYPE)

    def sessions(self, start: date, end: date) -> NDArray[Any]:
        """Return all of them, whatever the dates."""
        return self.rows


def daily_bars(
    days: int = 20, symbols: Sequence[str] = ("A", "B", "C"), seed: int = 1, first: date = date(2024, 1, 1)
) -> pl.DataFrame:
    """Return daily bars of a random walk, long, in order of day and symbol; every day is one."""
    rng = np.random.default_rng(seed)
    rows = [(first + timedelta(days=day), symbol) for day in range(days) for symbol in symbols]
    close = np.exp(rng.normal(0, 0.02, len(rows)).cumsum()) * 100
    return pl.DataFrame({"timestamp": [row[0] for row in rows], "symbol": [row[1] for row in rows]}).with_columns(
        open=pl.Series(close * 0.99),
        high=pl.Series(close * 1.02),
        low=pl.Series(close * 0.98),
        close=pl.Series(close),
        volume=pl.lit(1000.0),
    )


def minute_bars(
    bars: int = 50,
    symbols: Sequence[str] = ("A",),
    seed: int = 1,
    first: datetime = datetime(2024, 1, 2, 14, 30, tzinfo=UTC),
) -> pl.DataFrame:
    """Return minute bars of a random walk, stamped at their open."""
    frame = daily_bars(bars, symbols, seed)
    stamps = [first + timedelta(minutes=place // len(symbols)) for place in range(len(frame))]
    return frame.with_columns(timestamp=pl.Series(stamps))
