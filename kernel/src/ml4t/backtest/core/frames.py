"""From the columns of a file or frame to the checked rows of a source.

`FeedConfig` and `SignalConfig` are the settings that all sources of columns share; `open_rows` maps the
columns, keeps the run's window, checks every row, settles what the stamps mean and puts rows in time order.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias
from zoneinfo import ZoneInfo

import polars as pl

from ml4t.backtest.core.gate import RowGate
from ml4t.backtest.core.stamps import StampRule, parse_duration, resolve_stamps, zone_key
from ml4t.backtest.errors import DataError

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.feed import Window

__all__ = ["Arrangement", "FeedConfig", "OpenRows", "SignalConfig", "open_rows"]

Kind: TypeAlias = Literal["bar", "quote", "trade", "signal"]

# Per kind: the fields it has, and the first of them that it cannot do without.
_FIELDS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bar": (("open", "high", "low", "close", "volume"), ("close",)),
    "quote": (("bid", "bid_size", "ask", "ask_size"), ("bid", "ask")),
    "trade": (("price", "size"), ("price",)),
}


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
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    symbol: str | None = None
    symbols: tuple[str, ...] = ()
    timezone: str | None = None
    latency: str | None = None
    sort: bool = False
    batch_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class FeedConfig(SourceConfig):
    """Settings of every feed that reads columns.

    Attributes:
        bar: Length of a bar, such as ``"1d"`` or ``"5m"``; stamps that are dates mean ``"1d"``.
        stamp: Which end of its bar a stamp is; needed for intraday bars.
        prices: ``raw``, ``split`` (adjusted for splits) or ``total`` (for dividends too); raw by default.
        kind: ``bar``, ``quote`` or ``trade``; by default what the columns say.
        fields: Columns to keep beside the usual ones of the kind.
        drives: Whether ``on_slice`` is called for these rows.
        allow_negative_prices: Whether prices at or below zero are legal.
    """

    bar: str | None = None
    stamp: Literal["open", "close"] | None = None
    prices: Literal["raw", "split", "total"] | None = None
    kind: Literal["bar", "quote", "trade"] | None = None
    fields: tuple[str, ...] = ()
    drives: bool = True
    allow_negative_prices: bool = False


@dataclass(frozen=True, kw_only=True)
class SignalConfig(SourceConfig):
    """Settings of every signal source that reads columns.

    Attributes:
        values: Columns that are signals; by default every numeric column that is no key.
        valid_for: How long a value holds, such as ``"5d"``; by default until the source's next release.
    """

    values: tuple[str, ...] = ()
    valid_for: str | None = None


class Arrangement:
    """How the columns of an input become those of a source.

    Args:
        schema: Columns of the input.
        config: Settings of the source.
        origin: File or frame, for messages.

    Attributes:
        kind: What a row is.
        times: Columns of stamps; the first one orders the rows.
        fields: Value columns in order.
        columns: Column of the input by the name it gets; there is no ``symbol`` where the settings name one.
        notes: Columns that were taken for others, one sentence each.

    Raises:
        DataError: Columns are missing; shows the settings that would map them.
    """

    def __init__(self, schema: pl.Schema, config: FeedConfig | SignalConfig, origin: str) -> None:
        self._schema, self._mapped, self._origin = schema, config.columns, origin
        self._plain = {name.strip().lower().replace(" ", "_"): name for name in schema}
        self._problems: list[str] = []
        self.columns: dict[str, str] = {}
        self.kind: Kind = "signal"
        if config.symbol is None:
            self._need("symbol", "asset", "ticker")
        if isinstance(config, FeedConfig):
            fits: list[Kind] = [kind for kind, (_, needed) in _FIELDS.items() if all(map(self._find, needed))]
            self.kind = config.kind or (fits[0] if fits else "bar")
        known = [name for name in ("known_at", "event_time") if self._find(name)]
        self.times = known or ["timestamp"]
        if self.kind == "bar":
            self.times = ["timestamp", *[name for name in known if name == "known_at"]]
        for name in self.times:
            self._need(name, *(("date", "datetime", "time") if name == "timestamp" else ()))
        self.fields = self._values(config) if isinstance(config, SignalConfig) else self._prices(config)
        for name in self.fields:
            self._need(name)
        for name in [name for name in self._mapped if name not in self.columns and not self._problems]:
            usual = ["symbol", "timestamp", "known_at", "event_time", *_FIELDS.get(self.kind, ((), ()))[0]]
            near = [f'did you mean "{other}"' for other in difflib.get_close_matches(name, usual, 1)]
            hint = next(iter(near), "take it out, or name it in fields or values")
            self._problems.append(f"{origin}: columns.{name} is no column of a {self.kind}; {hint}")
        if self._problems:
            raise DataError(*self._problems)
        taken = [(name, column) for name, column in self.columns.items() if name != column]
        taken = [(name, column) for name, column in taken if name not in self._mapped]
        self.notes = [f"{origin}: column {column} is taken for {name}" for name, column in taken]

    def expressions(self, config: FeedConfig | SignalConfig) -> list[pl.Expr]:
        """Return what to select from the input to have the source's columns."""
        symbol = pl.lit(config.symbol, pl.String)
        if "symbol" in self.columns:
            symbol = pl.col(self.columns["symbol"])
            if not isinstance(self._schema[self.columns["symbol"]], pl.Categorical | pl.Enum):
                symbol = symbol.cast(pl.String)
        rest = [pl.col(column).alias(name) for name, column in self.columns.items() if name != "symbol"]
        return [symbol.alias("symbol"), *rest]

    def _prices(self, config: FeedConfig) -> list[str]:
        usual, needed = _FIELDS[self.kind]
        here = [name for name in usual if name in needed or self._find(name)]
        return here + [name for name in dict.fromkeys(config.fields) if name not in here]

    def _values(self, config: SignalConfig) -> list[str]:
        names = {column: name for name, column in self._mapped.items()}
        keys = set(self.columns.values())
        numeric = [name for name, dtype in self._schema.items() if dtype.is_numeric() and name not in keys]
        if not config.values and not numeric:
            self._problems.append(f"{self._origin}: no column holds numbers; it has {self._listed()}")
        return list(config.values) or [names.get(name, name) for name in numeric]

    def _find(self, name: str, *others: str) -> str | None:
        if name in self._mapped or name in self._schema:
            return self._mapped.get(name, name)
        alike = [self._plain[other] for other in (name, *others) if other in self._plain]
        return alike[0] if len(alike) == 1 and alike[0] not in self._mapped.values() else None

    def _listed(self) -> str:
        names = list(self._schema)
        return ", ".join(names[:12]) + f" and {len(names) - 12} more" * (len(names) > 12)

    def _need(self, name: str, *others: str) -> None:
        column = self._find(name, *others)
        if column is not None and column in self._schema:
            self.columns[name] = column
            return
        near = difflib.get_close_matches((column or name).lower(), list(self._plain), 1, 0.4)
        line = f'columns = {{ {name} = "{self._plain[near[0]] if near else "its name there"}" }}'
        also = '\n    or, where there is one symbol only, symbol = "ITS NAME"' if name == "symbol" else ""
        fault = f"{self._origin}: no column {column or name}; it has {self._listed()}"
        self._problems.append(f"{fault}; add to this source\n    {line}{also}")


@dataclass(frozen=True)
class OpenRows:
    """Checked rows of one source; see ``SourceSpec`` for ``kind``, ``fields`` and ``rule``.

    Attributes:
        notes: Findings that do not stop a run.
        plan: The rows as a query, in time order.
        frame: The rows, where they were read whole.
    """

    kind: Kind
    fields: tuple[str, ...]
    rule: StampRule
    notes: tuple[str, ...]
    plan: pl.LazyFrame
    frame: pl.DataFrame | None
    batch_rows: int

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order, at most ``batch_rows`` at a time."""
        whole = [] if self.frame is None else [self.frame]
        for part in whole or self.plan.collect_batches(chunk_size=self.batch_rows):
            yield from part.iter_slices(self.batch_rows or max(1, part.height))


def open_rows(
    source: pl.LazyFrame,
    config: FeedConfig | SignalConfig,
    window: Window,
    *,
    origin: str,
    place: Callable[[int], str] | None = None,
) -> OpenRows:
    """Read, check and order the rows of an input.

    Args:
        source: The input.
        config: Settings of the source.
        window: What the run needs; days that lie outside are not read.
        origin: File or frame, for messages.
        place: Names a row by its number in ``source``; by default ``<origin> row <n>``.

    Raises:
        DataError: All that is wrong with the input, with file, row and remedy.
    """
    with _readable(origin):
        schema = source.collect_schema()
    found = Arrangement(schema, config, origin)
    feed = config if isinstance(config, FeedConfig) else FeedConfig()
    time = found.times[0]
    dtype = schema[found.columns[time]]

    if not isinstance(dtype, pl.Date | pl.Datetime):
        _settle(found, config, dtype, False, origin)
    select = found.expressions(config)
    conditions = _inside(time, dtype, window, config, origin)
    if config.symbols:
        conditions.append(pl.col("symbol").cast(pl.String).is_in(list(config.symbols)))
    plan = source.select(select).filter(pl.lit(True), *conditions)

    def place_of(row: int) -> str:
        numbered = source.with_row_index("#").select("#", *select).filter(pl.lit(True), *conditions)
        number = numbered.slice(row, 1).select("#").collect().item() if conditions else row
        return place(number) if place else f"{origin} row {number}"

    def gate_of(parts: Iterable[pl.DataFrame]) -> RowGate:
        gate = RowGate(origin=origin, kind=found.kind, time_column=time, fields=found.fields, sort=config.sort)
        gate.allow_negative, gate.place = feed.allow_negative_prices, place_of
        for part in parts:
            gate.check(part)
        return gate

    with _readable(origin):
        gate, frame = _pass_through(plan, gate_of, config)
    notes = [*found.notes]
    if frame is not None and _streams(config):
        notes.append(f"{origin}: rows are not in time order, so that they were read at once")
    if not gate.rows:
        reason = " for these symbols between start and end" if conditions else ""
        raise DataError(f"{origin}: no rows{reason}; correct the input or what is asked of it")
    gate.raise_if_any()
    if frame is not None and not gate.in_time_order:
        ties = ["symbol", *found.times[1:]] if gate.went_back and found.kind in ("bar", "signal") else []
        frame = frame.sort(time, *ties, maintain_order=True)
    settled = _settle(found, config, dtype, gate.all_midnight, origin)
    if settled.convention == "label" and dtype != pl.Date:
        # A cast takes the date in UTC, this one the date in the stamps' own zone.
        plan = plan.with_columns(pl.col(time).dt.date())
        frame = None if frame is None else frame.with_columns(pl.col(time).dt.date())
    if config.symbols:
        there = plan.select(pl.col("symbol").cast(pl.String).unique()).collect()["symbol"].to_list()
        notes += [f"{origin}: no rows of {name}" for name in config.symbols if name not in there]
    if found.kind == "bar" and feed.prices is None:
        notes.append(f'{origin}: prices are taken as raw; say so with `prices = "raw"`, or "split" or "total"')
    every_note = (*notes, *gate.notes())
    return OpenRows(found.kind, tuple(found.fields), settled, every_note, plan, frame, config.batch_rows)


def _streams(config: SourceConfig) -> bool:
    return config.batch_rows > 0 and not config.sort


def _pass_through(
    plan: pl.LazyFrame, gate_of: Callable[[Iterable[pl.DataFrame]], RowGate], config: SourceConfig
) -> tuple[RowGate, pl.DataFrame | None]:
    """Check all rows piece by piece, or at once where they cannot be read so; then they are returned too."""
    if _streams(config) and (gate := gate_of(plan.collect_batches(chunk_size=config.batch_rows))).in_time_order:
        return gate, None
    frame = plan.collect()
    return gate_of([frame]), frame


def _settle(
    found: Arrangement, config: FeedConfig | SignalConfig, dtype: pl.DataType, all_midnight: bool, origin: str
) -> StampRule:
    feed = config if isinstance(config, FeedConfig) else FeedConfig()
    return resolve_stamps(
        origin=origin,
        kind=found.kind,
        dtype=dtype,
        all_midnight=all_midnight,
        bar=feed.bar,
        stamp=feed.stamp,
        timezone=config.timezone,
        latency=config.latency,
        has_known_at="known_at" in found.times,
        has_event_time="event_time" in found.times,
    )


@contextmanager
def _readable(origin: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{origin}: cannot be read: {error}") from error


def _inside(time: str, dtype: pl.DataType, window: Window, config: SourceConfig, origin: str) -> list[pl.Expr]:
    """Return what holds for stamps of the days of a window, in the stamps' own zone."""
    if not isinstance(dtype, pl.Date | pl.Datetime):
        return []
    own, local = (dtype.time_zone, config.timezone) if isinstance(dtype, pl.Datetime) else (None, None)
    zone = ZoneInfo(own or zone_key(local or "UTC", origin))

    def midnight(instant: int, later: int) -> pl.Expr:
        day = (datetime.fromtimestamp(instant // 10**9, UTC).astimezone(zone) + timedelta(days=later)).date()
        if isinstance(dtype, pl.Date):
            return pl.lit(day)
        start = datetime(day.year, day.month, day.day, tzinfo=zone if own else UTC)
        milliseconds = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        return pl.lit(milliseconds).cast(pl.Datetime("ms", dtype.time_zone)).cast(dtype)

    latency = parse_duration(config.latency, f"{origin}: latency") if config.latency else 0
    first = [] if window.first is None else [pl.col(time) >= midnight(window.first - latency, 0)]
    return first + ([] if window.last is None else [pl.col(time) < midnight(window.last, 1)])
