"""The phases of one instant, in one place.

    1  the clock moves; the session that closes or opens is noted
    2  corporate actions, funding, borrow, interest, settlement, on the position held strictly before
    3  working orders meet the prices formed up to now; fills are applied
    4  all rows of this instant are released
    5  marks (brought up to date when somebody asks, or at the session's close)
    6  on_fill, on_order, in the order of the run's transitions
    7  risk exits
    8  timers and schedules, then the strategy: on_symbols, on_signal, on_slice once or on_event per row, after_trading_end,
       before_trading_start
    9  outbox -> risk -> broker, repeated from 6 until the outbox is empty, at most 50 rounds
    10 journal

Phases 2 and 7 have no component that takes part yet. Instants at which nothing can happen but the delivery
of events are run through in one stretch (``_deliver_idle``): no order works, no session opens or closes,
no timer is due and no symbol is new.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np

from ml4t.backtest.assembly import Parts
from ml4t.backtest.context import Context
from ml4t.backtest.core.bus import EventBus
from ml4t.backtest.core.clock import Chunk, Clock, Rows, SourceRows
from ml4t.backtest.core.event import (
    BarEvent,
    Event,
    FillEvent,
    MarketEvent,
    OrderEvent,
    QuoteEvent,
    SessionEvent,
    SignalEvent,
    TradeEvent,
)
from ml4t.backtest.core.pit import Market, Released
from ml4t.backtest.core.schedule import Schedule
from ml4t.backtest.errors import RunError
from ml4t.backtest.handles import Order, SignalBatch
from ml4t.backtest.interfaces.broker import Broker
from ml4t.backtest.interfaces.portfolio import Portfolio
from ml4t.backtest.interfaces.risk import RiskManager
from ml4t.backtest.interfaces.strategy import Strategy
from ml4t.backtest.journal import Journal
from ml4t.backtest.outbox import Outbox
from ml4t.backtest.state import CANCELLED, EXPIRED, REASONS, REFUSED, STATUSES, RunState

__all__ = ["Instants", "wire"]

# (source, its rows, first row, end) of each source that releases rows at an instant.
Releases: TypeAlias = list[tuple[int, Rows, int, int]]
# (new symbols, session that closes, session that opens) of an instant.
News: TypeAlias = tuple[list[str] | None, int | None, int | None]

MAX_ROUNDS = 50
# Larger batches of young objects wake the garbage collector at every one (measured: twice the time a row).
_STRETCH = 512
_MARKET_KINDS = ("bar", "quote", "trade")
_EVENTS: dict[str, tuple[type[MarketEvent], tuple[str, ...]]] = {
    "bar": (BarEvent, ("open", "high", "low", "close", "volume")),
    "quote": (QuoteEvent, ("bid", "bid_size", "ask", "ask_size")),
    "trade": (TradeEvent, ("price", "size")),
}


class Instants:
    """Runs instants; the engine's loop.

    Args:
        clock, bus, state, released, broker, portfolio, risk, strategy, context, outbox, journal: The parts.
        start: Rows known before this instant are released without callbacks.

    Attributes:
        doing: The part and callback at work, for the note on an error.
        rows_done: Rows released so far.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        bus: EventBus,
        state: RunState,
        released: Sequence[Released],
        broker: Broker,
        portfolio: Portfolio,
        risk: Sequence[RiskManager],
        strategy: Strategy,
        context: Context,
        outbox: Outbox,
        journal: Journal,
        start: int = 0,
    ) -> None:
        self.clock, self.bus, self.state, self.released = clock, bus, state, list(released)
        self.broker, self.portfolio, self.risk = broker, portfolio, list(risk)
        self.strategy, self.context, self.outbox, self.journal = strategy, context, outbox, journal
        self.start = start
        self.doing = ""
        self.rows_done = 0
        self._calls = {name: _overridden(strategy, name) for name in _CALLBACKS}
        self._prices = [i for i, each in enumerate(released) if each.spec.kind in _MARKET_KINDS]
        self._fills_from = [i for i in self._prices if released[i].spec.drives]
        self._several = len(self._prices) > 1
        self._fills_seen = 0
        self._events_seen = 0
        clock.wants_opens = self._calls["before_trading_start"] is not None or bus.has_subscribers(
            SessionEvent
        )
        if self._calls["on_event"]:
            for event_class in strategy.listens_to:
                bus.subscribe(event_class, self._custom)

    def run(self, *, fast: bool, after: int | None = None) -> Iterator[int]:
        """Yield the instant after each one, or, with ``fast``, after each stretch of idle ones.

        Args:
            fast: Whether idle instants may be run through in stretches.
            after: Release everything up to this instant silently, then yield it once, for a resume; ``start``
                must be later.
        """
        begun = False
        for chunk in self.clock.chunks():
            if not begun:
                begun = True
                self._queue_schedules(max(self.start, chunk.instants[0]))
            full = [_full(part) for part in chunk.sources]
            special = sorted({*chunk.opens, *chunk.closes, *chunk.new_symbols})
            place, size = 0, len(chunk.instants)
            try:
                while place < size:
                    now = chunk.instants[place]
                    if after is not None and now > after:
                        after = None
                        yield self.state.now
                    while self.clock.next_timer < now:
                        self._instant(self.clock.next_timer, None, -1, full)
                        yield self.state.now
                    stop = self._idle_until(chunk, place, special) if fast and after is None else place
                    if stop > place:
                        place = self._deliver_idle(chunk, place, stop, full)
                    else:
                        self._instant(now, chunk, place, full)
                        place += 1
                    if after is None:
                        yield self.state.now
            finally:
                self._log_signals(chunk, place)

    @property
    def seen(self) -> tuple[int, int]:
        """Fills and order transitions that were delivered to callbacks."""
        return self._fills_seen, self._events_seen

    @seen.setter
    def seen(self, counts: tuple[int, int]) -> None:
        self._fills_seen, self._events_seen = counts

    def finish(self) -> None:
        """End the run: working orders end, a last equity row is taken, ``on_end`` is called."""
        self.outbox.closed = True
        now = self.state.now
        if now:
            self.doing = "broker.finish"
            self.broker.finish()
            rows = self.state.equity.rows()
            if not len(rows) or int(rows["timestamp"][-1]) != now:
                sessions = self.clock.sessions
                self._sample(now, max(0, int(np.searchsorted(sessions.open, now)) - 1))
        self.doing = "on_end"
        self.strategy.on_end(self.context)

    def _queue_schedules(self, begin: int) -> None:
        for callback, instants in self.context._schedule.entries:
            self._queue_next(callback, instants.tolist(), bisect_left(instants.tolist(), begin))

    def _queue_next(self, callback: Callable[[Context], None], instants: list[int], place: int) -> None:
        def fire() -> None:
            self._queue_next(callback, instants, place + 1)
            callback(self.context)

        if place < len(instants):
            self.clock.at(instants[place], fire)

    # --- one instant ----------------------------------------------------------------------------------

    def _instant(self, now: int, chunk: Chunk | None, place: int, full: list[list[bool]]) -> None:
        state, bus = self.state, self.bus
        self.clock.move(now)
        state.now = now
        parts: Releases = []
        closes = opens = None
        if chunk is not None:
            for index, source in enumerate(chunk.sources):
                first, stop = source.bounds[place], source.bounds[place + 1]
                if stop > first:
                    parts.append((index, source.rows, first, stop))
            closes, opens = chunk.closes.get(place), chunk.opens.get(place)
        if state.counters[state.WORKING]:
            self.doing = "broker.match"
            for index, rows, first, stop in parts:
                if index in self._fills_from:
                    self.broker.match(rows, first, stop)
        added = chunk.new_symbols.get(place) if chunk is not None else None
        if added:
            state.add_symbols(added)
        for index, rows, first, stop in parts:
            self.released[index].release(rows, first, stop, full[index][place])
            self.rows_done += stop - first
            if self._several:
                self.released[index].fold()
        if parts:
            state.known_at = now
        if now >= self.start:
            self.doing = "bus"
            bus.drain(now)
            self._rounds(parts, (added, closes, opens))
            if closes is not None:
                self._sample(now, closes)

    def _rounds(self, parts: Releases, news: News | None) -> None:
        """Go through phases 6 to 9; ``news`` is None where phase 8 is over already."""
        outbox, state = self.outbox, self.state
        for count in range(MAX_ROUNDS + 1):
            self._deliver_fills()
            if count == 0 and news is not None:
                self._strategy_calls(parts, *news)
            if not outbox.count:
                return
            requests = outbox.take()
            self.doing = "risk.check"
            for manager in self.risk:
                manager.check(requests, state)
            self.doing = "broker.submit"
            self.broker.submit(requests)
            for index, rows, first, stop in parts:
                if index in self._fills_from:
                    self.broker.match_now(rows, first, stop)
        raise RunError(
            f"orders placed in callbacks were answered {MAX_ROUNDS} times within the instant {state.now} and "
            "still led to more: end the recursion in on_fill or on_order"
        )

    def _strategy_calls(
        self, parts: Releases, added: list[str] | None, closes: int | None, opens: int | None
    ) -> None:
        calls, context = self._calls, self.context
        if self.clock.next_timer <= self.state.now:
            self.doing = "schedule"
            for callback in self.clock.due():
                callback()
        if added and calls["on_symbols"]:
            self._call("on_symbols", tuple(added))
        driving = []
        for index, rows, first, stop in parts:
            spec = self.released[index].spec
            if spec.kind in _MARKET_KINDS:
                if spec.drives:
                    driving.append(self.released[index])
                if spec.drives or self.bus.has_subscribers(_EVENTS[spec.kind][0]):
                    self._market_events(rows, first, stop)
            elif spec.kind == "signal":
                self._signal_rows(rows, first, stop)
        if driving and (on_slice := calls["on_slice"]):
            self.doing = "on_slice"
            on_slice(Market(self.state.now, tuple(driving)), context)
        if closes is not None:
            self._session_event("close", closes)
            if calls["after_trading_end"]:
                self._call("after_trading_end")
        if opens is not None:
            context._opening = opens
            self._session_event("open", opens)
            if calls["before_trading_start"]:
                self._call("before_trading_start")
            context._opening = None

    def _call(self, name: str, *arguments: object) -> None:
        self.doing = name
        self._calls[name](*arguments, self.context)  # type: ignore[misc]  # looked up before by the caller

    # --- events ---------------------------------------------------------------------------------------

    def _market_events(self, rows: Rows, first: int, stop: int) -> None:
        on_event = self._calls["on_event"]
        listeners = self.bus.has_subscribers(_EVENTS[rows.spec.kind][0])
        if on_event is None and not listeners:
            return
        events = self._events(rows, first, stop)
        if listeners:
            self.doing = "bus"
            self.bus.publish_all(events)
        if on_event is not None and rows.spec.drives:
            self.doing = "on_event"
            for event in events:
                on_event(event, self.context)

    def _events(self, rows: Rows, first: int, stop: int) -> Sequence[MarketEvent]:
        names, fields = self.state.symbols.names, rows.spec.fields
        cls, wanted = _EVENTS[rows.spec.kind]
        cut = slice(first, stop)
        nothing = np.full(stop - first, np.nan)
        columns: list[Any] = [
            rows.known_at[cut],
            [names[place] for place in rows.symbol[cut].tolist()],
            rows.spec.name,
            rows.event_time[cut],
        ]
        if rows.spec.kind == "bar":
            columns.append(rows.bar_start[cut])
        columns += [rows.values[fields.index(name), cut] if name in fields else nothing for name in wanted]
        return cls.bulk(*columns)

    def _signal_rows(self, rows: Rows, first: int, stop: int) -> None:
        spec, cut = rows.spec, slice(first, stop)
        if on_signal := self._calls["on_signal"]:
            self.doing = "on_signal"
            values = {name: rows.values[row, cut].copy() for row, name in enumerate(spec.fields)}
            times = rows.event_time[cut].copy()
            on_signal(
                SignalBatch(spec.name, rows.symbol[cut].copy(), times, self.state.now, values), self.context
            )
        on_event = self._calls["on_event"]
        if on_event is None and not self.bus.has_subscribers(SignalEvent):
            return
        names = self.state.symbols.names
        values_of = rows.values[:, cut].T.tolist()
        who = zip(rows.symbol[cut].tolist(), rows.event_time[cut].tolist(), values_of, strict=True)
        for symbol, event_time, values_row in who:
            named = dict(zip(spec.fields, values_row, strict=True))
            event = SignalEvent(self.state.now, spec.name, names[symbol], event_time, named)
            self.doing = "bus"
            self.bus.publish(event)
            if on_event is not None:
                self.doing = "on_event"
                on_event(event, self.context)

    def _custom(self, event: Event) -> None:
        """Hand events from the bus to the strategy; those of its feeds and signals reach it directly."""
        self._call("on_event", event)

    def _session_event(self, kind: Any, row: int) -> None:
        if self.bus.has_subscribers(SessionEvent):
            self.doing = "bus"
            label = date(1970, 1, 1) + timedelta(days=int(self.clock.sessions.label[row]))
            self.bus.publish(SessionEvent(self.state.now, kind, label))

    def _deliver_fills(self) -> None:
        """Call on_fill and on_order for what the broker did since the last time."""
        state = self.state
        fills, events = int(state.counters[state.FILLS]), int(state.counters[state.ORDER_EVENTS])
        if fills == self._fills_seen and events == self._events_seen:
            return
        first_fill, first_event = self._fills_seen, self._events_seen
        self._fills_seen, self._events_seen = fills, events
        if state.now < self.start:
            return
        if self._calls["on_fill"] or self.bus.has_subscribers(FillEvent):
            for row in state.fills.data[first_fill:fills]:
                self._one_fill(row)
        if self._calls["on_order"] or self.bus.has_subscribers(OrderEvent):
            for row in state.order_events.data[first_event:events]:
                self._one_transition(row)

    def _one_fill(self, row: Any) -> None:
        names = self.state.symbols.names
        quantity = float(row["quantity"])
        per_unit = abs(float(row["price"]) - float(row["reference_price"]))
        event = FillEvent(
            self.state.now,
            int(row["order_id"]),
            names[int(row["symbol"])],
            quantity,
            float(row["price"]),
            float(row["commission"]),
            per_unit,
            int(row["formed_at"]),
            int(row["known_at"]),
        )
        self.doing = "bus"
        self.bus.publish(event)
        if self._calls["on_fill"]:
            self._call("on_fill", event)

    def _one_transition(self, row: Any) -> None:
        order = Order(int(row["order_id"]), self.state, self.outbox)
        status, reason = STATUSES[int(row["status"])], REASONS[int(row["reason"])]
        self.doing = "bus"
        self.bus.publish(OrderEvent(self.state.now, order.id, order.symbol, status, order.quantity, reason))
        if self._calls["on_order"] and int(row["status"]) in (REFUSED, CANCELLED, EXPIRED):
            self._call("on_order", order)

    # --- idle stretches -------------------------------------------------------------------------------

    def _idle_until(self, chunk: Chunk, place: int, special: list[int]) -> int:
        """Return the end of a stretch in which only events have to be delivered; ``place`` if there is none."""
        on_event = self._calls["on_event"]
        if on_event is None or self._calls["on_slice"] or len(chunk.sources) != 1:
            return place
        spec = chunk.sources[0].rows.spec
        if (
            self.state.counters[self.state.WORKING]
            or self.outbox.count
            or not spec.drives
            or spec.kind not in _EVENTS
            or spec.fields != _EVENTS[spec.kind][1]
            or chunk.instants[place] < self.start
            or self.bus.has_subscribers(_EVENTS[spec.kind][0])
        ):
            return place
        after = bisect_left(special, place)
        stop = min(special[after] if after < len(special) else len(chunk.instants), place + _STRETCH)
        return bisect_left(chunk.instants, self.clock.next_timer, place, stop)

    def _deliver_idle(self, chunk: Chunk, place: int, stop: int, full: list[list[bool]]) -> int:
        """Deliver events of a stretch until its end or until a callback asks for something; return the place."""
        source, released = chunk.sources[0], self.released[0]
        bounds, begun = source.bounds, place
        events = self._events(source.rows, bounds[place], bounds[stop])
        state, context, outbox = self.state, self.context, self.outbox
        on_event: Callable[[Event, Context], None] = self._calls["on_event"]  # type: ignore[assignment]  # see _idle_until
        released.pending_full = all(full[0][place:stop])
        self.doing = "on_event"
        try:
            if len(events) == stop - place:
                for event in events:
                    state.now = state.known_at = event.timestamp
                    released.pending.append(event)
                    place += 1
                    on_event(event, context)
                    if outbox.count:
                        break
            else:
                row = 0
                while place < stop and not outbox.count:
                    batch = events[row : row + bounds[place + 1] - bounds[place]]
                    row += len(batch)
                    state.now = state.known_at = batch[0].timestamp
                    released.pending.extend(batch)
                    place += 1
                    for event in batch:
                        on_event(event, context)
        finally:
            released.catch_up(source.rows, bounds[begun:place], bounds[place])
            self.rows_done += bounds[place] - bounds[begun]
            self.clock.move(state.now)
        if outbox.count:
            self._rounds([(0, source.rows, bounds[place - 1], bounds[place])], None)
        return place

    # --- sessions and journal -------------------------------------------------------------------------

    def _sample(self, now: int, row: int) -> None:
        for index in self._prices:
            self.released[index].fold()
        session = int(self.clock.sessions.label[row])
        self.doing = "portfolio.sample"
        self.portfolio.sample(now, session)
        self.journal.sample_positions(now, session)

    def _log_signals(self, chunk: Chunk, place: int) -> None:
        """Note the signal rows released so far; only when they are all in the past."""
        for source in chunk.sources:
            spec, rows = source.rows.spec, source.rows.slice(0, source.bounds[place])
            if spec.kind == "signal" and len(rows):
                columns = (rows.symbol, rows.known_at, rows.event_time, rows.values)
                copies = (column.copy() for column in columns)
                self.journal.signal_rows(spec.name, spec.fields, *copies, valid_for=spec.valid_for)


_CALLBACKS = (
    "before_trading_start",
    "on_event",
    "on_slice",
    "on_signal",
    "on_fill",
    "on_order",
    "on_symbols",
    "after_trading_end",
)


def _overridden(strategy: Strategy, name: str) -> Callable[..., Any] | None:
    """Return the strategy's own callback; None where it left the default."""
    method = getattr(type(strategy), name, None)
    return None if method is getattr(Strategy, name) else getattr(strategy, name)


def _full(source: SourceRows) -> list[bool]:
    """Return per instant whether its rows are exactly the symbols 0, 1, 2 … in order."""
    bounds = np.array(source.bounds)
    sizes = np.diff(bounds)
    wrong = source.rows.symbol != np.arange(len(source.rows)) - np.repeat(bounds[:-1], sizes)
    sums = np.concatenate([[0], np.cumsum(wrong)])
    return (sums[bounds[1:]] == sums[bounds[:-1]]).tolist()  # type: ignore[no-any-return]  # numpy says Any


def wire(parts: Parts, bus: EventBus) -> Instants:
    """Make a run's columns and the loop over its opened components."""
    state = RunState()
    rules = parts.instruments.items()
    state.rules = {name: (row.quantity_step, row.lot, row.multiplier) for name, row in rules}
    released = [Released(source.spec, state) for source in parts.sources]
    outbox, journal = Outbox(state), Journal(state)
    parts.portfolio.open(state, parts.capital)
    parts.broker.open(state, parts.models, parts.portfolio)
    setup, by_name = parts.strategy_setup, {each.spec.name: each for each in released}
    rest = (parts.portfolio, journal, Schedule(parts.sessions), setup.rng, setup.log)
    return Instants(
        clock=Clock(parts.sources, parts.sessions, last=parts.end),
        bus=bus,
        state=state,
        released=released,
        broker=parts.broker,
        portfolio=parts.portfolio,
        risk=parts.risk,
        strategy=parts.strategy,
        context=Context(state, outbox, by_name, *rest),
        outbox=outbox,
        journal=journal,
        start=parts.start,
    )
