"""The same scenario through the real engine, and what differs."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.sessions import SESSION_DTYPE
from ml4t.backtest.interfaces import Calendar
from ml4t.backtest.plugins import PluginHost

from .scenario import Amend, Bracket, Cancel, Feed, FillRules, Oco, Place, Request, Scenario, names_of
from .settings import EPOCH, FIRST, ticker_at, ticker_of, world_of

_START = int(EPOCH.timestamp())
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

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, script = scenario, scenario.script
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
        def named(symbol):
            return ticker_at(self._scenario, symbol, context.now_ns // _NS - _START)

        match request:
            case Place():
                terms = self._terms(request)
                self._keep([request.name], [context.order(named(request.symbol), request.quantity, **terms)])
            case Oco():
                legs = [
                    {"symbol": named(leg.symbol), "quantity": leg.quantity, **self._terms(leg)} for leg in request.legs
                ]
                self._keep(names_of(request), context.oco(*legs))
            case Bracket():
                fields = ("entry_limit", "entry_stop", "stop_price", "target_price", "trail_amount", "trail_percent")
                prices = {name: getattr(request, name) for name in fields if getattr(request, name) is not None}
                force = request.time_in_force
                made = context.bracket(named(request.symbol), request.quantity, time_in_force=force, **prices)
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
            terms["expires_at"] = EPOCH + timedelta(seconds=place.expires_at)
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
    return Engine(
        feed=[_feed(scenario, feed, place) for place, feed in enumerate(scenario.feeds)],
        strategy=strategy or Scripted(scenario),
        broker=broker,
        reporter=[],
        start=EPOCH,
        end=FIRST + timedelta(days=len(scenario.sessions) - 1),
        calendar=Sessions(scenario.sessions),
        host=_host(),
        **world_of(scenario),
    )


def _feed(scenario: Scenario, feed: Feed, place: int) -> dict[str, Any]:
    table: dict[str, Any] = {"use": "frame", "name": f"feed{place}", "kind": feed.kind}
    table |= {"allow_negative_prices": True} if scenario.instrument.negative else {}
    columns: dict[str, Any] = {"symbol": [ticker_of(scenario, row) for row in feed.rows]}
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
