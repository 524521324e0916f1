"""The same scenario through the real engine, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.sessions import SESSION_DTYPE
from ml4t.backtest.interfaces import Calendar
from ml4t.backtest.plugins import PluginHost
from ml4t.backtest.state import REASONS, STATUSES

from .scenario import Amend, Bracket, Cancel, Feed, FillRules, Oco, Place, Request, Scenario, Step, names_of
from .simulator import Outcome, simulate

FIRST = date(2024, 3, 4)
_EPOCH = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
_START = int(_EPOCH.timestamp())
_NS = 1_000_000_000


class Sessions(Calendar):
    """The sessions of a scenario as a calendar."""

    def __init__(self, sessions: tuple[tuple[int, int], ...]) -> None:
        self._sessions = sessions

    @property
    def name(self) -> str:
        """The calendar's name."""
        return "ORACLE"

    @property
    def timezone(self) -> str:
        """The zone of its labels."""
        return "UTC"

    def sessions(self, start: date, end: date) -> Any:
        """Return one session a day."""
        rows = np.zeros(len(self._sessions), SESSION_DTYPE)
        rows["label"] = [(FIRST - date(1970, 1, 1)).days + day for day in range(len(rows))]
        rows["open"], rows["close"] = (np.array(self._sessions, np.int64).T + _START) * _NS
        rows["break_start"] = rows["break_end"] = np.iinfo(np.int64).min
        return rows[
            (rows["label"] >= (start - date(1970, 1, 1)).days) & (rows["label"] <= (end - date(1970, 1, 1)).days)
        ]


class Scripted(Strategy):
    """Carries out a script at its instants, whoever calls; ``due`` is what is still to come."""

    def __init__(self, script: tuple[Step, ...]) -> None:
        self._script = script
        self.due: dict[int, list[Request]] = {}
        self._reactions: dict[int, list[Request]] = {}
        self._handles: dict[str, Any] = {}
        self._names: dict[str, list[Request]] = {}
        for step in script:
            if isinstance(step.at, int):
                self.due.setdefault(step.at, []).append(step.request)
            else:
                self._names.setdefault(step.at, []).append(step.request)

    def on_start(self, context):
        for at in sorted({self._clock_time(instant) for instant in self.due}):
            context.schedule(self.act, "daily", at=at, tz="UTC")

    @staticmethod
    def _clock_time(instant: int) -> str:
        minutes = instant // 60 % 1_440
        return f"{minutes // 60:02}:{minutes % 60:02}"

    def act(self, context):
        for request in self.due.pop(context.now_ns // _NS - _START, ()):
            self._ask(context, request)

    def on_slice(self, market, context):
        self.act(context)

    def before_trading_start(self, context):
        self.act(context)

    def after_trading_end(self, context):
        self.act(context)

    def on_fill(self, fill, context):
        for request in self._reactions.pop(fill.order_id, ()):
            self._ask(context, request)

    def _ask(self, context, request):
        match request:
            case Place():
                self._keep([request.name], [context.order(request.symbol, request.quantity, **self._terms(request))])
            case Oco():
                legs = [{"symbol": leg.symbol, "quantity": leg.quantity, **self._terms(leg)} for leg in request.legs]
                self._keep(names_of(request), context.oco(*legs))
            case Bracket():
                fields = ("entry_limit", "entry_stop", "stop_price", "target_price", "trail_amount", "trail_percent")
                prices = {name: getattr(request, name) for name in fields if getattr(request, name) is not None}
                made = context.bracket(request.symbol, request.quantity, time_in_force=request.time_in_force, **prices)
                self._keep(names_of(request), [each for each in made if each is not None])
            case Cancel():
                context.cancel(self._handles[request.order])
            case Amend():
                fields = ("quantity", "limit_price", "stop_price")
                terms = {name: getattr(request, name) for name in fields if getattr(request, name) is not None}
                context.amend(self._handles[request.order], **terms)

    def _keep(self, names, handles):
        for name, handle in zip(names, handles, strict=True):
            self._handles[name] = handle
            if name in self._names:
                self._reactions[handle.id] = self._names[name]

    def _terms(self, place: Place) -> dict[str, Any]:
        fields = ("limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset")
        terms = {name: getattr(place, name) for name in fields if getattr(place, name) is not None}
        if place.expires_at is not None:
            terms["expires_at"] = _EPOCH + timedelta(seconds=place.expires_at)
        if place.parent:
            terms["parent"] = self._handles[place.parent]
        if place.client_id:
            terms["client_id"] = place.client_id
        if place.reduce_only:
            terms["reduce_only"] = True
        return terms | {"time_in_force": place.time_in_force}


@cache
def _host() -> PluginHost:
    """Return the installed plugins, looked up once for all runs."""
    return PluginHost()


def engine_of(scenario: Scenario, strategy: Scripted | None = None) -> Engine:
    """Return the engine that runs a scenario."""
    rules = scenario.rules
    fill = {"use": "same-close" if rules.market == "same-close" else f"next-{rules.market}"}
    usual = vars(FillRules())
    fill |= {name: value for name, value in vars(rules).items() if name != "market" and value != usual[name]}
    broker: dict[str, Any] = {"fill": fill}
    if scenario.latency:
        broker["latency"] = f"{scenario.latency}s"
    if scenario.strict_ticks:
        broker["strict_ticks"] = True
    costs = scenario.costs
    if costs.bps:
        broker["slippage"] = {"use": "bps", "bps": costs.bps}
    if costs.commission:
        rate = "amount" if costs.commission == "per-trade" else "rate"
        broker["commission"] = {"use": costs.commission, rate: costs.rate}
        broker["commission"] |= {"minimum": costs.minimum} if costs.minimum else {}
        broker["commission"] |= {"maximum": costs.maximum} if costs.maximum else {}
    rules_of = scenario.instrument
    entry: dict[str, Any] = {"symbol": "*"} | ({"lot": rules_of.lot} if rules_of.lot else {})
    entry |= ({"tick": rules_of.tick} if rules_of.tick else {}) | (
        {"allow_negative_prices": True} if rules_of.negative else {}
    )
    return Engine(
        feed=[_feed(feed, place, rules_of.negative) for place, feed in enumerate(scenario.feeds)],
        strategy=strategy or Scripted(scenario.script),
        broker=broker,
        instruments=[entry],
        capital=1_000_000,
        reporter=[],
        start=_EPOCH,
        end=FIRST + timedelta(days=len(scenario.sessions) - 1),
        calendar=Sessions(scenario.sessions),
        host=_host(),
    )


def _feed(feed: Feed, place: int, negative: bool) -> dict[str, Any]:
    table: dict[str, Any] = {"use": "frame", "name": f"feed{place}", "kind": feed.kind}
    table |= {"allow_negative_prices": True} if negative else {}
    columns = {"symbol": [row.symbol for row in feed.rows]}
    for name in vars(feed.rows[0]):
        if name not in ("symbol", "start", "end"):
            columns[name] = [getattr(row, name) for row in feed.rows]
    frame = pl.DataFrame(columns, schema={name: pl.String if name == "symbol" else pl.Float64 for name in columns})
    if feed.kind != "bar":
        times = pl.Series("event_time", [(_START + row.end) * _NS for row in feed.rows])
        return table | {"frame": frame.with_columns(times.cast(pl.Datetime("ns", "UTC"))), "latency": "0s"}
    table |= {"bar": feed.bar, "fields": ["vwap"]}
    if feed.bar == "1d":
        labels = [FIRST + timedelta(days=row.start // 86_400) for row in feed.rows]
        return table | {"frame": frame.with_columns(pl.Series("timestamp", labels))}
    starts = pl.Series("timestamp", [(_START + row.start) * _NS for row in feed.rows]).cast(pl.Datetime("ns", "UTC"))
    return table | {"frame": frame.with_columns(starts), "stamp": "open"}


@dataclass(frozen=True)
class Real:
    """What the engine wrote down, in the simulator's terms."""

    fills: list[tuple[Any, ...]]
    transitions: list[tuple[int, int, str, str]]
    positions: dict[str, float]


def run_real(scenario: Scenario) -> Real:
    """Run a scenario through the engine."""
    strategy = Scripted(scenario.script)
    state = engine_of(scenario, strategy).run().state
    if strategy.due:
        raise LookupError(f"nobody was called at {sorted(strategy.due)}")

    def seconds(instant: Any) -> int:
        return int(instant) // _NS - _START

    fills = [
        (
            int(row["order_id"]),
            float(row["quantity"]),
            float(row["reference_price"]),
            float(row["price"]),
            float(row["commission"]),
            seconds(row["formed_at"]),
            seconds(row["known_at"]),
            REASONS[row["reason"]],
            bool(row["maker"]),
        )
        for row in state.fills.rows()
    ]
    transitions = [
        (seconds(row["timestamp"]), int(row["order_id"]), STATUSES[row["status"]], REASONS[row["reason"]])
        for row in state.order_events.rows()
    ]
    positions = {name: float(state.positions["quantity"][place]) for place, name in enumerate(state.symbols)}
    return Real(fills, transitions, positions)


def differences(scenario: Scenario) -> Iterator[str]:
    """Yield what the engine and the simulator do not agree on, worst first."""
    real, plain = run_real(scenario), simulate(scenario)
    yield from _fill_differences(real, plain)
    ids = {each[1] for each in real.transitions} | {each.order for each in plain.transitions}
    for order in sorted(ids):
        theirs = [(at, status, reason) for at, each, status, reason in real.transitions if each == order]
        ours = [(each.at, each.status, each.reason) for each in plain.transitions if each.order == order]
        for place in range(max(len(ours), len(theirs))):
            wanted, got = (rows[place] if place < len(rows) else None for rows in (ours, theirs))
            if wanted != got:
                yield f"order {order}, transition {place}: the simulator says {wanted}, the engine {got}"
                break
    for symbol, quantity in real.positions.items():
        expected = float(plain.positions.get(symbol, 0))
        if abs(expected - quantity) > 1e-9:
            yield f"position of {symbol}: the simulator says {expected}, the engine {quantity}"


def _fill_differences(real: Real, plain: Outcome) -> Iterator[str]:
    ours = [
        tuple(float(part) if not isinstance(part, (int, str)) else part for part in vars(each).values())
        for each in plain.fills
    ]
    for place in range(max(len(ours), len(real.fills))):
        wanted, got = (rows[place] if place < len(rows) else None for rows in (ours, real.fills))
        if wanted is None or got is None or not all(map(_equal, wanted, got)):
            yield f"fill {place}: the simulator says {wanted}, the engine {got}"
            return


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return bool(abs(one - other) <= 1e-9 * max(1.0, abs(one)))
    return bool(one == other)
