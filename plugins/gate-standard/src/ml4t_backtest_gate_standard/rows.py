"""From the columns of a file or frame to the checked rows of a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import SourceSpec, Window
from ml4t.backtest.interfaces.gate import FeedConfig, Location, SignalConfig, SourceConfig
from ml4t_backtest_gate_standard.checks import RowGate
from ml4t_backtest_gate_standard.columns import Arrangement
from ml4t_backtest_gate_standard.extent import Extent
from ml4t_backtest_gate_standard.findings.judge import Judge, Looked
from ml4t_backtest_gate_standard.remarks import doubts_about, reach_of, remarks_on
from ml4t_backtest_gate_standard.stamps import resolve_stamps, zone_key
from ml4t_backtest_gate_standard.streamed import StreamedRows, needs_sorting
from ml4t_backtest_gate_standard.streaming import LARGE, PIECE
from ml4t_backtest_gate_standard.training import Training, longest_horizon
from ml4t_backtest_gate_standard.zones import refuse_mixed_zones

__all__ = ["OpenRows", "open_rows"]

_EVER = -(2**62)  # what reaches back further, in ns, has no beginning
_HEAD = 1_000  # rows that say whether stamps are session labels


@dataclass(eq=False)
class OpenRows:
    """Checked rows of one source.

    Attributes:
        spec: What the source says of its rows.
        notes: Findings that do not stop a run.
        plan: The rows as a query, in time order.
        frame: The rows, where they were read whole.
        batch_rows: Rows per batch; 0 for all at once.
        extent: What is read of local Parquet files; None for other inputs.
    """

    spec: SourceSpec
    notes: tuple[str, ...]
    plan: pl.LazyFrame
    frame: pl.DataFrame | None
    batch_rows: int
    extent: Extent | None = None

    @property
    def read(self) -> dict[str, int]:
        """Rows of the row groups read, and bytes read and there; empty where that is not known."""
        return self.extent.read if self.extent else {}

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order, at most ``batch_rows`` at a time."""
        whole = [] if self.frame is None else [self.frame]
        for part in whole or self.plan.collect_batches(chunk_size=self.batch_rows):
            yield from part.iter_slices(self.batch_rows or max(1, part.height))

    def close(self) -> None:
        """Let go of nothing: there is no thread and no file."""


def open_rows(
    source: pl.LazyFrame,
    config: FeedConfig | SignalConfig,
    window: Window,
    *,
    name: str,
    origin: str,
    place: Callable[[int], str] | None = None,
    files: Sequence[Location] = (),
    stream: bool | None = None,
    judge: Judge | None = None,
) -> OpenRows | StreamedRows:
    """Read, check and order the rows of an input.

    Args:
        source: The input.
        config: Settings of the source.
        window: What the run needs; days that lie outside are not read.
        name: Name of the source in the run.
        origin: File or frame, for messages.
        place: Names a row by its number in ``source``; by default ``<origin> row <n>``.
        files: The Parquet or IPC files that the input is made of, in order.
        stream: Whether rows of local files are checked while the run goes on; None where there are many.
        judge: How severe each fault is, and who keeps what is found.

    Raises:
        DataError: All that is wrong with the input, with file, row and remedy.
    """
    judge = judge or Judge()
    with _readable(origin):
        schema = source.collect_schema()
    found = Arrangement(schema, config, origin)
    feed = config if isinstance(config, FeedConfig) else FeedConfig()
    refuse_mixed_zones(files, [found.columns[name] for name in found.times], origin)
    time = found.times[0]
    dtype = schema[found.columns[time]]

    if not isinstance(dtype, pl.Date | pl.Datetime):
        _settle(found, config, dtype, False, origin)
    training = None
    if isinstance(config, SignalConfig):
        training = Training.of(config, found.columns, schema, origin)
    select = found.expressions(config)
    conditions, edges = _wanted(found, schema, window, config, origin)
    if config.symbols:
        conditions.append(pl.col("symbol").cast(pl.String).is_in(list(config.symbols)))
    extent = _extent(files, found, config, edges)
    needed = extent.cut(source) if extent else source
    plan = needed.select(select).filter(pl.lit(True), *conditions)

    def place_of(row: int) -> str:
        numbered = source.with_row_index("#").select("#", *select).filter(pl.lit(True), *conditions)
        number = numbered.slice(row, 1).select("#").collect().item() if conditions else row
        return place(number) if place else f"{origin} row {number}"

    def new_gate(place: Callable[[int], str]) -> RowGate:
        gate = RowGate(origin=origin, kind=found.kind, time_column=time, fields=found.fields, sort=config.sort)
        gate.allow_negative, gate.place, gate.judge = feed.allow_negative_prices, place, judge
        gate.training = training
        return gate

    def gate_of(parts: Iterable[pl.DataFrame]) -> RowGate:
        gate = new_gate(place_of)
        for part in parts:
            gate.check(part)
        return gate

    large = extent is not None and extent.rows > LARGE if stream is None else stream and extent is not None
    if extent is not None and large and not judge.survey:
        with _readable(origin):
            head = gate_of([plan.head(_HEAD).collect()])
            stamps = found.columns[time]
            spills = needs_sorting(extent, plan, stamps, time, sort=config.sort)
        head.raise_if_any()
        if head.rows:  # else what follows says why
            settled = _settle(found, config, dtype, head.all_midnight, origin)
            whole = settled.convention in ("open", "close") and len(found.times) == 1
            return StreamedRows(
                spec=replace(_spec(found, settled, config, plan, name, origin), whole=whole),
                plan=plan,
                extent=extent,
                gate_of=lambda place: judge.follow(new_gate(place), name),
                place_of=place_of,
                said=[*found.notes, *remarks_on(found, config, origin)],
                keys=[time, "symbol", *found.times[1:]] if found.kind in ("bar", "signal") else [time],
                stamps=stamps,
                spills=spills,
                sort=config.sort,
                labels=settled.convention == "label" and dtype != pl.Date,
                symbols=config.symbols,
                batch_rows=config.batch_rows,
            )
    with _readable(origin):
        gate, frame = _pass_through(plan, gate_of, PIECE if large and judge.survey else config.batch_rows, config.sort)
    if not gate.rows:
        with _readable(origin):
            reach = reach_of(source, found.columns, time) if conditions else ""
        reason = f" for these symbols between start and end{reach}" if conditions else ""
        raise DataError(f"{origin}: no rows{reason}; correct the input or what is asked of it")
    gate.report(name)
    looked = Looked(name, origin, source, plan, place_of, symbols=config.symbols)
    if judge.survey:
        judge.looked.append(looked)
    else:
        gate.raise_if_any()
    if frame is not None and not gate.in_time_order:
        ties = ["symbol", *found.times[1:]] if gate.went_back and found.kind in ("bar", "signal") else []
        frame = frame.sort(time, *ties, maintain_order=True)
    settled = _settle(found, config, dtype, gate.all_midnight, origin)
    if settled.convention == "label" and dtype != pl.Date:
        # A cast takes the date in UTC, this one the date in the stamps' own zone.
        plan = plan.with_columns(pl.col(time).dt.date())
        frame = None if frame is None else frame.with_columns(pl.col(time).dt.date())
    notes = list(found.notes)
    if frame is not None and config.batch_rows and not config.sort:
        notes.append(f"{origin}: rows are not in time order, so that they were read at once")
    if config.symbols:
        there = plan.select(pl.col("symbol").cast(pl.String).unique()).collect()["symbol"].to_list()
        if missing := [name for name in config.symbols if name not in there]:
            notes.append(f"{origin}: no rows of {', '.join(missing)}")
    notes += [*remarks_on(found, config, origin), *doubts_about(gate, settled, plan, time), *gate.notes()]
    looked.spec = _spec(found, settled, config, plan, name, origin)
    return OpenRows(looked.spec, tuple(notes), plan, frame, config.batch_rows, extent)


def _extent(
    files: Sequence[Location], found: Arrangement, config: SourceConfig, edges: tuple[int | None, int | None]
) -> Extent | None:
    """Return what is read of Parquet files; None where they are elsewhere or there are none."""
    columns = found.columns
    first, last = (None if edge is None else edge - found.shift for edge in edges)
    symbols = (columns["symbol"], config.symbols) if config.symbols and "symbol" in columns else None
    return Extent.of(files, columns.values(), columns[found.times[0]], (first, last), symbols)


def _spec(
    found: Arrangement,
    rule: StampRule,
    config: FeedConfig | SignalConfig,
    plan: pl.LazyFrame,
    name: str,
    origin: str,
) -> SourceSpec:
    fields = tuple(found.fields)
    if isinstance(config, SignalConfig):
        valid_for = None if config.valid_for is None else parse_duration(config.valid_for, f"{origin}: valid_for")
        spec = SourceSpec(name=name, kind="signal", fields=fields, rule=rule, drives=False, origin=origin)
        return replace(spec, valid_for=valid_for, horizon=longest_horizon(plan, config, found.columns, origin))
    prices = (config.prices or "raw") if found.kind == "bar" else None
    return SourceSpec(
        name=name, kind=found.kind, fields=fields, rule=rule, prices=prices, drives=config.drives, origin=origin
    )


def _pass_through(
    plan: pl.LazyFrame, gate_of: Callable[[Iterable[pl.DataFrame]], RowGate], batch_rows: int, sort: bool
) -> tuple[RowGate, pl.DataFrame | None]:
    """Check all rows piece by piece, or at once where they cannot be read so; then they are returned too."""
    if batch_rows and not sort and (gate := gate_of(plan.collect_batches(chunk_size=batch_rows))).in_time_order:
        return gate, None
    frame = plan.collect()
    return gate_of([frame]), frame


def _settle(
    found: Arrangement, config: FeedConfig | SignalConfig, dtype: pl.DataType, all_midnight: bool, origin: str
) -> StampRule:
    feed = config if isinstance(config, FeedConfig) else FeedConfig()
    rule = resolve_stamps(
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
    grace = parse_duration(feed.grace, f"{origin}: grace") if feed.grace else 0
    return replace(rule, calendar=config.calendar, grace_ns=grace)


@contextmanager
def _readable(origin: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        # What follows are hints for code, or the page that a web server sent.
        fault = re.split(r"\n|, hint: |, consider passing ", str(error))[0]
        if "PAR1" in fault and re.search(r"\.(csv|tsv|txt)\b", origin, re.IGNORECASE):
            fault += '; use = "csv" reads text'
        raise DataError(f"{origin}: cannot be read: {fault}") from error


def _wanted(
    found: Arrangement, schema: pl.Schema, window: Window, config: SourceConfig, origin: str
) -> tuple[list[pl.Expr], tuple[int | None, int | None]]:
    """Return what holds for the rows that a run needs, and between which instants their stamps are."""
    time = found.times[0]
    dtype = schema[found.columns[time]]
    edges = _edges(dtype, window, config, origin)
    conditions = _inside(time, dtype, edges)
    if "known_at" in found.times[1:] and edges[0] is not None:  # what is late may be needed, however old it is
        known = schema[found.columns["known_at"]]
        first, _ = _edges(known, window, config, origin)
        late = _inside("known_at", known, (first, None))
        conditions[0] = pl.any_horizontal(conditions[0], *late)
        edges = (None, edges[1])
    return conditions, edges


def _edges(dtype: pl.DataType, window: Window, config: SourceConfig, origin: str) -> tuple[int | None, int | None]:
    """Return the first midnight of a window and the one after it, in the stamps' own zone, as ns of the stamps."""
    if not isinstance(dtype, pl.Date | pl.Datetime):
        return None, None
    own, local = (dtype.time_zone, config.timezone) if isinstance(dtype, pl.Datetime) else (None, None)
    zone = ZoneInfo(own or zone_key(local or "UTC", origin))

    def midnight(instant: int, later: int) -> int:
        day = (datetime.fromtimestamp(instant // 10**9, UTC).astimezone(zone) + timedelta(days=later)).date()
        start = datetime(day.year, day.month, day.day, tzinfo=zone if own else UTC)
        return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) * 10**6

    delays = {"latency": config.latency}
    if isinstance(config, FeedConfig):
        delays["grace"] = config.grace
    if isinstance(config, SignalConfig):
        delays["valid_for"] = config.valid_for  # what was known before, and still holds
    delay = sum(parse_duration(text, f"{origin}: {key}") for key, text in delays.items() if text)
    first = None
    if window.first is not None and window.first - delay > _EVER:
        first = midnight(window.first - delay, 0)
    return first, None if window.last is None else midnight(window.last, 1)


def _inside(time: str, dtype: pl.DataType, edges: tuple[int | None, int | None]) -> list[pl.Expr]:
    """Return what holds for stamps between two edges, the second one left out."""

    def literal(edge: int) -> pl.Expr:
        zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
        return pl.lit(edge // 10**6).cast(pl.Datetime("ms", zone)).cast(dtype)

    first, last = edges
    conditions = [] if first is None else [pl.col(time) >= literal(first)]
    return conditions + ([] if last is None else [pl.col(time) < literal(last)])
