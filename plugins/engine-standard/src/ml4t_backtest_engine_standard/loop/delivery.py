"""Phases 6 and 8 of an instant: what became known goes to the strategy's callbacks and to the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.bus import EventBus, Subscription
from ml4t.backtest.core.event import (
    BarEvent,
    CorporateActionEvent,
    Event,
    FillEvent,
    MarketEvent,
    OrderEvent,
    QuoteEvent,
    SessionEvent,
    SignalEvent,
    TradeEvent,
)
from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.queue import Rows
from ml4t.backtest.interfaces.context import SignalBatch
from ml4t.backtest.interfaces.strategy import Strategy
from ml4t.backtest.state import CANCELLED, EXPIRED, REASONS, REFUSED, STATUSES, RunState
from ml4t_backtest_engine_standard.context.context import Context
from ml4t_backtest_engine_standard.context.handles import Order
from ml4t_backtest_engine_standard.context.market import Market
from ml4t_backtest_engine_standard.context.outbox import Outbox
from ml4t_backtest_engine_standard.loop.ensemble import Ensemble, own_method

__all__ = ["EVENTS", "Delivery"]

# Kind of feed -> its event and the fields that the event carries.
EVENTS: dict[str, tuple[type[MarketEvent], tuple[str, ...]]] = {
    "bar": (BarEvent, ("open", "high", "low", "close", "volume")),
    "quote": (QuoteEvent, ("bid", "bid_size", "ask", "ask_size")),
    "trade": (TradeEvent, ("price", "size")),
}
_FILL_KEYS = ("order_id", "quantity", "price", "commission", "formed_at", "known_at")
# Transitions that end nothing, and that a strategy is told of all the same.
_CHANGES = {
    "changed-by-risk", "parent-filled", "triggered", "amended", "cancel-requested", "one-cancels-other", "parent-ended",
    "corporate-action",
}  # fmt: skip
_Tell: TypeAlias = Callable[[dict[str, Any]], None]
_CALLBACKS = (
    "before_trading_start", "on_event", "on_slice", "on_signal", "on_fill", "on_order", "on_symbols",
    "after_trading_end",
)  # fmt: skip


class Delivery:
    """Makes events of released rows and of what the broker did, for whoever wants them, and for nobody else.

    Attributes:
        calls: Name of a callback -> the strategy's own method, None where it left the default.
        doing: The callback or component at work, for the note on an error.
        fills_seen, events_seen: Fills and order transitions delivered so far.
    """

    def __init__(self, bus: EventBus, state: RunState, strategy: Strategy, context: Context, outbox: Outbox) -> None:
        self.bus, self.state, self.context, self.outbox = bus, state, context, outbox
        self.calls = {name: own_method(strategy, name) for name in _CALLBACKS}
        self._hear = strategy.hear if isinstance(strategy, Ensemble) else None
        self.doing = ""
        self.fills_seen = self.events_seen = 0
        self._wanted = strategy.listens_to if self.calls["on_event"] else ()
        self._subscriptions: list[Subscription] = []

    def listen(self, *, stop: bool = False) -> None:
        """Begin to hand over events that the strategy listens to, or stop: the bus outlives the run."""
        for subscription in self._subscriptions:
            subscription.cancel()
        self._subscriptions = [] if stop else [self.bus.subscribe(each, self._from_bus) for each in self._wanted]

    @property
    def wants_opens(self) -> bool:
        """Whether anybody is to be told of session opens."""
        return self.calls["before_trading_start"] is not None or self.bus.has_subscribers(SessionEvent)

    def call(self, name: str, *arguments: object) -> None:
        """Call one of the strategy's own callbacks, if it has it."""
        method = self.calls[name]
        if method is not None:
            self.doing = name
            method(*arguments, self.context)

    def rows(self, parts: Sequence[tuple[Released, Rows, int, int]]) -> None:
        """Deliver the rows of one instant: on_signal, then events of all rows, then on_slice once."""
        for released, rows, first, stop in parts:
            if self.calls["on_signal"] and released.spec.kind == "signal":
                self.call("on_signal", self._signal_batch(rows, first, stop))
        driving = []
        on_event = self.calls["on_event"]
        for released, rows, first, stop in parts:
            spec = released.spec
            if spec.kind == "signal":
                if on_event is not None or self.bus.has_subscribers(SignalEvent):
                    self._deliver(SignalEvent, self._signal_events(rows, first, stop), True)
            elif spec.kind in EVENTS:
                event_class = EVENTS[spec.kind][0]
                if spec.drives:
                    driving.append(released)
                if (on_event is not None and spec.drives) or self.bus.has_subscribers(event_class):
                    self._deliver(event_class, self.market_events(rows, first, stop), spec.drives)
        if driving and (on_slice := self.calls["on_slice"]):
            self.doing = "on_slice"
            on_slice(Market(self.state.now, tuple(driving)), self.context)

    def actions(self, events: Sequence[CorporateActionEvent]) -> None:
        """Deliver corporate actions that became known."""
        self._deliver(CorporateActionEvent, events, not any(issubclass(CorporateActionEvent, e) for e in self._wanted))

    def facts(self, events: Sequence[SignalEvent]) -> None:
        """Deliver rows of tables that wake strategies."""
        self._deliver(SignalEvent, events, True)

    def _deliver(self, event_class: type[Event], events: Iterable[Event], to_strategy: bool) -> None:
        if self.bus.has_subscribers(event_class):
            self.doing = "bus"
            self.bus.publish_all(events)
        if to_strategy and (on_event := self.calls["on_event"]):
            self.doing = "on_event"
            for event in events:
                on_event(event, self.context)

    def _from_bus(self, event: Event) -> None:
        """Hand over an event that the strategy listens to; those of its own feeds reach it directly."""
        if self._hear is not None:
            self.doing = "on_event"
            self._hear(event)
        else:
            self.call("on_event", event)

    def market_events(self, rows: Rows, first: int, stop: int) -> Sequence[MarketEvent]:
        """Make one event per row, in order."""
        names, fields, cut = self.state.symbols.names, rows.spec.fields, slice(first, stop)
        event_class, wanted = EVENTS[rows.spec.kind]
        symbols = [names[place] for place in rows.symbol[cut].tolist()]
        columns: list[Any] = [rows.known_at[cut], symbols, rows.spec.name, rows.event_time[cut]]
        columns += [rows.bar_start[cut]] if rows.spec.kind == "bar" else []
        columns += [rows.values[fields.index(name), cut] if name in fields else np.nan for name in wanted]
        return event_class.bulk(*columns)

    def _signal_batch(self, rows: Rows, first: int, stop: int) -> SignalBatch:
        spec, cut = rows.spec, slice(first, stop)
        values = {name: rows.values[row, cut].copy() for row, name in enumerate(spec.fields)}
        columns = (rows.symbol[cut].copy(), rows.event_time[cut].copy())
        return SignalBatch(spec.name, *columns, self.state.now, values)

    def _signal_events(self, rows: Rows, first: int, stop: int) -> list[SignalEvent]:
        names, cut = self.state.symbols.names, slice(first, stop)
        values = [dict(zip(rows.spec.fields, row, strict=True)) for row in rows.values[:, cut].T.tolist()]
        who = zip(rows.symbol[cut].tolist(), rows.event_time[cut].tolist(), values, strict=True)
        now, source = self.state.now, rows.spec.name
        return [SignalEvent(now, source, names[symbol], time, named) for symbol, time, named in who]

    def session(self, kind: Any, label: int) -> None:
        """Tell that a session opened or closed."""
        if self.bus.has_subscribers(SessionEvent):
            self.doing = "bus"
            self.bus.publish(SessionEvent(self.state.now, kind, date(1970, 1, 1) + timedelta(days=label)))

    def fills_and_orders(self) -> None:
        """Call on_fill and on_order for what the broker did since the last time, in the order in which it did."""
        state, wanted = self.state, []
        first_fill, self.fills_seen = self.fills_seen, int(state.counters[state.FILLS])
        first_event, self.events_seen = self.events_seen, int(state.counters[state.ORDER_EVENTS])
        if first_fill < self.fills_seen and (self.calls["on_fill"] or self.bus.has_subscribers(FillEvent)):
            wanted += _named(state.fills.data[first_fill : self.fills_seen], 0, self._fill)
        if first_event < self.events_seen and (self.calls["on_order"] or self.bus.has_subscribers(OrderEvent)):
            wanted += _named(state.order_events.data[first_event : self.events_seen], 1, self._transition)
        for _, _, tell, row in sorted(wanted, key=itemgetter(0, 1)):  # a fill comes before what it makes of its order
            tell(row)

    def _fill(self, row: dict[str, Any]) -> None:
        event = FillEvent(
            timestamp=self.state.now,
            symbol=self.state.symbols.names[row["symbol"]],
            slippage=abs(row["price"] - row["reference_price"]),
            **{key: row[key] for key in _FILL_KEYS},
        )
        self.doing = "bus"
        self.bus.publish(event)
        self.call("on_fill", event)

    def _transition(self, row: dict[str, Any]) -> None:
        status, reason = STATUSES[row["status"]], REASONS[row["reason"]]
        order = Order(row["order_id"], self.state, self.outbox, reason)
        self.doing = "bus"
        self.bus.publish(OrderEvent(self.state.now, order.id, order.symbol, status, order.quantity, reason))
        if row["status"] in (REFUSED, CANCELLED, EXPIRED) or reason in _CHANGES:
            self.call("on_order", order)


def _named(rows: NDArray[np.void], place: int, tell: _Tell) -> list[tuple[int, int, _Tell, dict[str, Any]]]:
    """Return each row as (sequence, place among what has this sequence, who tells of it, fields)."""
    names = rows.dtype.names or ()
    fields = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    return [(row["sequence"], place, tell, row) for row in fields]
