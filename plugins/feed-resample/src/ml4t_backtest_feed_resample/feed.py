"""The feed of bars that are made of another feed's rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, SessionTable
from ml4t.backtest.core.stamps import StampRule, derive, parse_duration
from ml4t.backtest.errors import DataError, RunFileError
from ml4t.backtest.interfaces import DataFeed, Setup, Source, SourceSpec, Window
from ml4t_backtest_feed_resample.cutters import Cutter, SizeCutter, TimeCutter
from ml4t_backtest_feed_resample.rows import Floats, Rows

__all__ = ["ResampleConfig", "ResampleDataFeed"]

_PRICES = ("open", "high", "low", "close")
_MEASURES = ("volume", "dollar", "ticks")
_UTC_NS = pl.Datetime("ns", "UTC")


@dataclass(frozen=True, kw_only=True)
class ResampleConfig:
    """What is made of which rows.

    Attributes:
        of: The feed whose rows make the bars, a table as under ``[[feed]]``.
        every: Length of a bar, such as ``"5m"``, ``"1h"`` or ``"1d"``; a day is the session.
        volume: Volume that ends a bar; in ``of``, units of ``volume`` or ``size``.
        dollar: Price times volume that ends a bar, in the currency of the prices.
        ticks: Number of rows that end a bar.
        calendar: Calendar whose sessions bars of ``every`` heed; that of ``of`` by default, else the run's.
        grace: How long after the end of its bar a quote or trade with a ``known_at`` may be known and still belong
            to it, such as ``"2s"``.
        latency: From when a bar is complete to when it is known, beside the latency of ``of``, such as ``"250ms"``.
        drives: Whether ``on_slice`` is called for these bars.
    """

    of: Any
    every: str | None = None
    volume: float | None = None
    dollar: float | None = None
    ticks: int | None = None
    calendar: str = ""
    grace: str | None = None
    latency: str | None = None
    drives: bool = True


class ResampleDataFeed(DataFeed):
    """Make bars of the rows of another feed; no bar is released while a row of it may still come."""

    Config = ResampleConfig

    def __init__(self, config: ResampleConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        given = [name for name in ("every", *_MEASURES) if getattr(config, name) is not None]
        if len(given) != 1:
            what = f"feed {setup.name!r} is given {' and '.join(given) or 'no length of its bars'}"
            raise RunFileError(f'{what}; give one of every = "5m", volume, dollar and ticks')
        self._measure = given[0]
        self._every, self._latency, self._grace = (
            parse_duration(text, f"feed {setup.name!r}: {key}") if text else 0
            for key, text in (("every", config.every), ("latency", config.latency), ("grace", config.grace))
        )
        self._size = 0.0 if config.every else float(getattr(config, self._measure))
        if (config.every and not 0 < self._every <= DAY_NS) or (not config.every and not self._size > 0):
            value = getattr(config, self._measure)
            raise RunFileError(
                f"feed {setup.name!r}: {self._measure} is {value}; give more than nothing, and of time at most 1d"
            )
        of = {"name": f"{setup.name}.of", **config.of} if isinstance(config.of, Mapping) else config.of
        self._inner: Source | None = setup.build("feed", of, f"feed {setup.name!r}: of")
        self._fields: tuple[str, ...] = ()
        self._spec: SourceSpec | None = None
        self._sessions: SessionTable | None = None
        self._left: dict[str, int] = {}
        self._first: int | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""
        assert self._spec is not None, "open the source first"
        return self._spec

    def open(self, window: Window) -> None:
        """Open the inner feed, from the open of the session in which the window begins.

        Raises:
            DataError: Of the inner feed; or its rows do not have what the bars need.
        """
        source, first = self._source, window.first
        run = self._setup.sessions(self._config.calendar)
        if first is not None:
            row = int(np.searchsorted(run.close, first, side="right"))
            first = min(first, int(run.open[row])) if row < len(run) else first
        self._first = first
        source.open(Window(first=first, last=window.last))
        inner = source.spec
        self._sessions = self._setup.sessions(self._config.calendar or inner.rule.calendar)
        self._fields = _fields(inner)
        if self._measure in ("volume", "dollar") and "volume" not in self._fields:
            column = "size" if inner.kind == "trade" else "volume"
            raise DataError(
                f"{inner.origin}: no column {column}, which bars of {self._measure} count; map it, or use every"
            )
        self._spec = SourceSpec(
            name=self._setup.name,
            kind="bar",
            fields=self._fields,
            rule=StampRule(convention="known_at" if self._by_known else "event_time", origin=inner.origin),
            prices=inner.prices or "raw",
            drives=self._config.drives,
            origin=inner.origin,
        )

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield bars as they are complete, with the columns ``bar_start``, ``event_time`` and ``known_at``.

        Raises:
            DataError: A row reaches over the end of its bar.
        """
        numbers: dict[str, int] = {}
        cutter = self._cutter()
        for batch in self._source.batches():
            frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
            if len(frame) and len(bars := cutter.add(self._rows(frame, numbers))):
                yield self._frame(bars, numbers)
        bars, incomplete = cutter.finish()
        self._left = {
            "rows outside of sessions make no bar": cutter.outside,
            "bars were not complete when the data ended, and are left out": incomplete,
        }
        if len(bars):
            yield self._frame(bars, numbers)

    def digest(self) -> str:
        """SHA-256 (hex) of what the inner feed reads."""
        return self._source.digest()

    def read(self) -> dict[str, int]:
        """What the inner feed has read."""
        return self._source.read()

    def notes(self) -> tuple[str, ...]:
        """Findings of the inner feed; once the rows are read, what is in no bar, with its count."""
        left = [f"{self._setup.name}: {count:,} {what}" for what, count in self._left.items() if count]
        return (*self._source.notes(), *left)

    def close(self) -> None:
        """Close the inner feed."""
        self._source.close()

    @property
    def _source(self) -> Source:
        assert self._inner is not None, "a feed that could not be made is not opened"
        return self._inner

    @property
    def _by_known(self) -> bool:
        return self._source.spec.rule.convention == "known_at"

    def _cutter(self) -> Cutter:
        if not self._config.every:
            return SizeCutter(self._size, self._measure, self._fields, by_known=self._by_known)
        inner, sessions = self._source.spec, self._sessions
        assert sessions is not None, "open the source first"
        delay = self._grace if self._by_known else inner.rule.latency_ns + inner.rule.grace_ns
        return TimeCutter(
            self._every, sessions, self._fields, by_known=self._by_known, delay=delay, origin=inner.origin
        )

    def _rows(self, frame: pl.DataFrame, numbers: dict[str, int]) -> Rows:
        """Return the rows of a batch that have a price."""
        inner = self._source.spec
        start, end, known = derive(inner.rule, frame, self._setup.sessions(inner.rule.calendar))
        symbols = frame["symbol"].cast(pl.String)
        for name in symbols.unique(maintain_order=True):
            numbers.setdefault(name, len(numbers))
        symbol = symbols.replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
        columns = {name: frame[name].cast(pl.Float64).to_numpy() for name in inner.fields}
        values = np.stack([_value(columns, inner.kind, name) for name in self._fields])
        rows = Rows(symbol, start, end, known, values)
        priced = ~np.isnan(values[self._fields.index("close")])
        # Sources read whole days, which may begin within a session.
        return rows.take(priced if self._first is None else priced & (start >= self._first))

    def _frame(self, bars: Rows, numbers: dict[str, int]) -> pl.DataFrame:
        names = pl.Series("symbol", list(numbers), pl.String)
        stamps = {"bar_start": bars.start, "event_time": bars.end, "known_at": bars.known + self._latency}
        return pl.DataFrame(
            [names.gather(bars.symbol)]
            + [pl.Series(name, column).cast(_UTC_NS) for name, column in stamps.items()]
            + [pl.Series(name, column) for name, column in zip(self._fields, bars.values, strict=True)]
        )


def _fields(inner: SourceSpec) -> tuple[str, ...]:
    """Return the values of the bars that rows of this kind make."""
    if inner.kind == "bar":
        return inner.fields
    return (*_PRICES, "volume") if inner.kind == "trade" and "size" in inner.fields else _PRICES


def _value(columns: Mapping[str, Floats], kind: str, name: str) -> Floats:
    """Return what each row gives to a value of its bar."""
    if kind == "bar":
        return columns[name]
    if kind == "trade":
        return columns["size" if name == "volume" else "price"]
    return (columns["bid"] + columns["ask"]) / 2
