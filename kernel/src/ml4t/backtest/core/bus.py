"""Who gets which event.

The loop's thread publishes directly; other threads publish into an inbox that the loop drains
between two instants, in the order (timestamp, priority, publisher, publisher's counter).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias, TypeVar

from ml4t.backtest.core.event import Event

__all__ = ["EventBus", "Publisher", "Subscription"]

EventT = TypeVar("EventT", bound=Event)
_Handlers: TypeAlias = tuple[Callable[[Any], object], ...]
# For one class: handlers of every symbol, and for each symbol that somebody filters by, all its handlers.
_Route: TypeAlias = tuple[_Handlers, dict[str, _Handlers]]
_Letter: TypeAlias = tuple[int, int, str, int, Event]


@dataclass(frozen=True, eq=False, slots=True)
class Subscription:
    """One handler's claim on a class of events; made by `EventBus.subscribe`."""

    bus: EventBus
    event_class: type[Event]
    handler: Callable[[Any], object]
    order: tuple[int, int]
    symbols: frozenset[str] | None

    def cancel(self) -> None:
        """End it; while events are being delivered this takes effect at the next drain."""
        self.bus._change(self, add=False)


class Publisher:
    """A named door into the bus for other threads; made by `EventBus.publisher`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._counter = 0
        self._lock = Lock()
        self._letters: list[_Letter] = []

    def publish(self, event: Event) -> None:
        """Leave an event to be delivered at its timestamp, or at the next drain if that is later."""
        with self._lock:
            self._letters.append((event.timestamp, event.priority, self.name, self._counter, event))
            self._counter += 1

    def _collect(self) -> list[_Letter]:
        with self._lock:
            letters, self._letters = self._letters, []
        return letters


class EventBus:
    """Deliver events to the handlers that subscribed to their class, or to one it derives from.

    All methods but `publisher` belong to the loop's thread.

    Attributes:
        received_external: Events delivered from other threads; if any, the run cannot be reproduced.
        restamped: Those of them that came late and were given the time of their delivery.
    """

    def __init__(self) -> None:
        self.received_external = 0
        self.restamped = 0
        self._subscriptions: tuple[Subscription, ...] = ()
        # Replaced, never changed: what is being delivered keeps the snapshot that it began with.
        self._routes: dict[type[Event], _Route] = {}
        self._made = 0
        self._changes: list[tuple[Subscription, bool]] = []
        self._publishers: dict[str, Publisher] = {}
        self._held: list[_Letter] = []
        self._waiting: deque[Event] = deque()
        self._delivering = False
        self._error: Exception | None = None

    def subscribe(
        self,
        event_class: type[EventT],
        handler: Callable[[EventT], object],
        *,
        priority: int = 0,
        symbols: Collection[str] | None = None,
    ) -> Subscription:
        """Have a handler called for each event of a class and of its subclasses.

        Args:
            event_class: ``Event`` means all.
            handler: Called with the event, in the loop's thread.
            priority: Lower is called earlier; equal ones in order of subscription.
            symbols: Only events whose ``symbol`` is one of these; None for all.

        Returns:
            The subscription; in force at once, or, while events are being delivered, from the next drain.
        """
        self._made += 1
        chosen = None if symbols is None else frozenset([symbols] if isinstance(symbols, str) else symbols)
        subscription = Subscription(self, event_class, handler, (priority, self._made), chosen)
        self._change(subscription, add=True)
        return subscription

    @property
    def has_publishers(self) -> bool:
        """Whether other threads have a door into the inbox."""
        return bool(self._publishers)

    def has_subscribers(self, event_class: type[Event]) -> bool:
        """Tell whether events of this very class would reach anybody."""
        handlers, by_symbol = self._routes.get(event_class) or self._resolve(event_class)
        return bool(handlers or by_symbol)

    def publish(self, event: Event) -> None:
        """Deliver an event now; one published by a handler is delivered after the present one.

        Raises:
            Exception: The first error of a handler, once every handler had the event.
        """
        self.publish_all((event,))

    def publish_all(self, events: Iterable[Event]) -> None:
        """Deliver events in their order, as `publish` does one by one, but at less cost each."""
        if self._delivering:
            self._waiting.extend(events)
            return
        self._run(events, through_errors=False)

    def publisher(self, name: str) -> Publisher:
        """Return the door of that name for other threads, made at the first call; thread-safe."""
        return self._publishers.setdefault(name, Publisher(name))

    def drain(self, now: int) -> int:
        """Apply queued changes of subscriptions, then deliver what the inbox holds up to now.

        Args:
            now: UTC ns. An older event is restamped to it; a newer one waits for a later drain.

        Returns:
            How many events of the inbox were delivered.

        Raises:
            Exception: The first error of a handler, once all of them were delivered.
        """
        if self._changes and not self._delivering:
            changes, self._changes = self._changes, []
            for subscription, add in changes:
                self._apply(subscription, add)
        if self._delivering or not self._publishers:
            return 0
        held = self._held
        for publisher in tuple(self._publishers.values()):
            if publisher._letters:
                held += publisher._collect()
        due = [(max(letter[0], now), *letter[1:]) for letter in held if letter[0] <= now]
        self._held = [letter for letter in held if letter[0] > now]
        # Names and counters make every key unique, so that events themselves are never compared.
        due.sort()
        self.received_external += len(due)
        events = [letter[-1] for letter in due]
        for event in events:
            if event.timestamp < now:
                event.timestamp = now
                self.restamped += 1
        self._run(events, through_errors=True)
        return len(due)

    def _run(self, events: Iterable[Event], *, through_errors: bool) -> None:
        self._delivering = True
        waiting = self._waiting
        try:
            for event in events:
                self._deliver(event)
                while waiting:
                    self._deliver(waiting.popleft())
                if self._error is not None and not through_errors:
                    break
        finally:
            self._delivering = False
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _deliver(self, event: Event) -> None:
        handlers, by_symbol = self._routes.get(type(event)) or self._resolve(type(event))
        if by_symbol:
            handlers = by_symbol.get(getattr(event, "symbol", ""), handlers)
        for handler in handlers:
            try:
                handler(event)
            except Exception as error:
                self._keep(error, handler, event)

    def _keep(self, error: Exception, handler: Callable[..., object], event: Event) -> None:
        name = getattr(handler, "__qualname__", type(handler).__qualname__)
        where = f"raised by {name} on {type(event).__name__} at {event.timestamp} ({event.when.isoformat()})"
        if self._error is None:
            error.add_note(where)
            self._error = error
        elif error is not self._error:
            self._error.add_note(f"then {error!r} was {where}")

    def _change(self, subscription: Subscription, *, add: bool) -> None:
        # Behind a queued change even an idle bus queues: a later cancel must not overtake its subscription.
        if self._delivering or self._changes:
            self._changes.append((subscription, add))
        else:
            self._apply(subscription, add)

    def _apply(self, subscription: Subscription, add: bool) -> None:
        rest = [kept for kept in self._subscriptions if kept is not subscription]
        self._subscriptions = tuple(sorted(rest + [subscription] * add, key=lambda each: each.order))
        self._routes = {}

    def _resolve(self, event_class: type[Event]) -> _Route:
        fitting = [each for each in self._subscriptions if issubclass(event_class, each.event_class)]
        symbols = sorted(frozenset[str]().union(*(each.symbols or () for each in fitting)))
        everyone = tuple(each.handler for each in fitting if each.symbols is None)
        by_symbol = {
            symbol: tuple(each.handler for each in fitting if each.symbols is None or symbol in each.symbols)
            for symbol in symbols
        }
        self._routes = {**self._routes, event_class: (everyone, by_symbol)}
        return everyone, by_symbol
