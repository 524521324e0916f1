"""The bus: who gets which event, and in what order."""

import threading
from dataclasses import dataclass
from datetime import date

import pytest

from ml4t.backtest.core.bus import EventBus
from ml4t.backtest.core.event import Event, MarketEvent, SessionEvent, TimerEvent, TradeEvent


@dataclass(slots=True)
class NumberEvent(Event):
    publisher: str
    number: int


@dataclass(slots=True)
class UrgentEvent(NumberEvent):
    priority = 1


def trade(symbol: str, timestamp: int = 1) -> TradeEvent:
    return TradeEvent(timestamp, symbol, "trades", timestamp, 1.0, 1.0)


def test_a_subscription_covers_subclasses_and_nothing_else():
    """Routing is by class, over the whole family."""
    bus, every, market = EventBus(), [], []
    bus.subscribe(Event, every.append)
    bus.subscribe(MarketEvent, market.append)
    events = [trade("A"), TimerEvent(1, "t"), NumberEvent(1, "p", 0)]
    bus.publish_all(events)
    assert (events, events[:1]) == (every, market)


def test_handlers_run_by_priority_then_by_subscription():
    """Lower priorities first; equal ones in the order they came."""
    bus, calls = EventBus(), []
    bus.subscribe(Event, lambda event: calls.append("second"))
    bus.subscribe(TimerEvent, lambda event: calls.append("third"))
    bus.subscribe(TimerEvent, lambda event: calls.append("first"), priority=-1)
    bus.publish(TimerEvent(1, "t"))
    assert ["first", "second", "third"] == calls


def test_a_symbol_filter_passes_only_its_symbols_and_keeps_the_order():
    """Filtered and unfiltered handlers are merged in one order; what has no symbol is filtered out."""
    bus, calls = EventBus(), []
    bus.subscribe(Event, lambda event: calls.append(("filtered", event)), symbols=["A"])
    bus.subscribe(Event, lambda event: calls.append(("all", event)))
    first, second, third = trade("A"), trade("B"), TimerEvent(1, "t")
    bus.publish_all([first, second, third])
    assert [("filtered", first), ("all", first), ("all", second), ("all", third)] == calls


def test_has_subscribers_sees_filters_subclasses_and_cancellations():
    """The loop makes no objects for a class that nobody takes."""
    bus = EventBus()
    subscription = bus.subscribe(MarketEvent, print, symbols="A")
    assert (True, False) == (bus.has_subscribers(TradeEvent), bus.has_subscribers(TimerEvent))
    subscription.cancel()
    assert not bus.has_subscribers(TradeEvent)


def test_subscribing_inside_a_handler_takes_effect_at_the_next_drain():
    """The snapshot of an event that is being delivered does not change."""
    bus, got = EventBus(), []
    bus.subscribe(SessionEvent, lambda event: bus.subscribe(TimerEvent, lambda timer: got.append(timer.name)))
    bus.publish(SessionEvent(1, "open", date(1970, 1, 1)))
    bus.publish(TimerEvent(1, "before"))
    bus.drain(1)
    bus.publish(TimerEvent(2, "after"))
    assert ["after"] == got


def test_cancelling_inside_a_handler_takes_effect_at_the_next_drain():
    """A handler that another one cancelled still gets the events up to the drain."""
    bus, got = EventBus(), []
    bus.subscribe(TimerEvent, lambda event: victim.cancel())
    victim = bus.subscribe(TimerEvent, lambda event: got.append(event.name))
    bus.publish(TimerEvent(1, "before"))
    bus.drain(1)
    bus.publish(TimerEvent(2, "after"))
    assert ["before"] == got


def test_a_subscription_made_and_cancelled_before_the_drain_never_begins():
    """A later cancel does not overtake the subscription that it cancels."""
    bus, made, got = EventBus(), [], []
    once = bus.subscribe(TimerEvent, lambda event: made.append(bus.subscribe(SessionEvent, got.append)))
    bus.publish(TimerEvent(1, "t"))
    once.cancel()
    made[0].cancel()
    bus.drain(1)
    assert not bus.has_subscribers(SessionEvent)
    assert not bus.has_subscribers(TimerEvent)


def test_an_event_published_by_a_handler_comes_after_the_present_one():
    """All handlers see events in one order, whoever publishes them."""
    bus, first, second = EventBus(), [], []

    def relay(event):
        first.append(event.name)
        if event.name == "cause":
            bus.publish(TimerEvent(1, "effect"))

    bus.subscribe(TimerEvent, relay)
    bus.subscribe(TimerEvent, lambda event: second.append(event.name))
    bus.publish_all([TimerEvent(1, "cause"), TimerEvent(1, "next")])
    assert ["cause", "effect", "next"] == first == second


def test_the_first_error_is_raised_after_all_handlers_had_the_event():
    """It keeps its type and gains a note with handler, event class and timestamp."""
    bus, got = EventBus(), []

    def fail(event):
        raise ZeroDivisionError("no volume")

    bus.subscribe(TimerEvent, fail)
    bus.subscribe(TimerEvent, lambda event: [][1])
    bus.subscribe(TimerEvent, got.append)
    with pytest.raises(ZeroDivisionError, match="no volume") as caught:
        bus.publish(TimerEvent(60_000_000_000, "t"))
    assert 1 == len(got)
    assert "fail on TimerEvent at 60000000000 (1970-01-01T00:01:00+00:00)" in caught.value.__notes__[0]
    assert "IndexError" in caught.value.__notes__[1]
    bus.subscribe(SessionEvent, got.append)
    bus.publish(trade("A"))
    assert 1 == len(got)


def test_an_error_in_a_drain_is_raised_after_the_whole_inbox():
    """Nothing that other threads published gets lost."""
    bus, got = EventBus(), []

    def fail_at_zero(event):
        got.append(event.number)
        return 1 / event.number

    bus.subscribe(NumberEvent, fail_at_zero)
    door = bus.publisher("p")
    for number in range(3):
        door.publish(NumberEvent(5, "p", number))
    with pytest.raises(ZeroDivisionError):
        bus.drain(5)
    assert [0, 1, 2] == got
    assert 0 == bus.drain(5)


def test_the_inbox_is_ordered_by_time_priority_publisher_and_counter():
    """Whatever order threads came in; a late event counts as one of now."""
    bus, got = EventBus(), []
    bus.subscribe(NumberEvent, lambda event: got.append((event.publisher, event.number)))
    for name in ("b", "a"):
        door = bus.publisher(name)
        door.publish(NumberEvent(9, name, 0))
        door.publish(NumberEvent(8, name, 1))
        door.publish(UrgentEvent(9, name, 2))
        door.publish(NumberEvent(10, name, 3))
    assert (6, 2) == (bus.drain(9), bus.drain(10))
    assert [("a", 2), ("b", 2), ("a", 0), ("a", 1), ("b", 0), ("b", 1), ("a", 3), ("b", 3)] == got


def test_a_late_event_is_restamped_and_counted():
    """Time does not go back; the run is marked as not reproducible."""
    bus, got = EventBus(), []
    bus.subscribe(NumberEvent, lambda event: got.append((event.timestamp, event.number)))
    door = bus.publisher("p")
    door.publish(NumberEvent(10, "p", 0))
    door.publish(NumberEvent(7, "p", 1))
    assert 2 == bus.drain(10)
    assert ([(10, 0), (10, 1)], 1, 2) == (got, bus.restamped, bus.received_external)


def test_an_event_from_the_future_waits_for_its_time():
    """The inbox is no way around the clock."""
    bus, got = EventBus(), []
    bus.subscribe(NumberEvent, lambda event: got.append(event.number))
    bus.publisher("p").publish(NumberEvent(11, "p", 0))
    assert (0, []) == (bus.drain(10), got)
    assert (1, [0]) == (bus.drain(11), got)
    assert (1, 0) == (bus.received_external, bus.restamped)


def test_one_name_is_one_publisher():
    """Names and counters give each event its place, so two doors cannot share a name."""
    bus = EventBus()
    assert bus.publisher("p") is bus.publisher("p")


def test_sixteen_threads_lose_and_double_nothing():
    """16 x 100,000 events, drained while they are published: all, once, each publisher's in its order."""
    bus, threads, per_thread = EventBus(), 16, 100_000
    last = [-1] * threads
    out_of_order = []

    def take(event):
        publisher = int(event.publisher)
        if event.number != last[publisher] + 1:
            out_of_order.append(event)
        last[publisher] = event.number

    bus.subscribe(NumberEvent, take)
    barrier = threading.Barrier(threads + 1)

    def publish(index):
        door = bus.publisher(f"{index:02}")
        name = door.name
        barrier.wait()
        for number in range(per_thread):
            door.publish(NumberEvent(1, name, number))

    workers = [threading.Thread(target=publish, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    delivered = 0
    while any(worker.is_alive() for worker in workers):
        delivered += bus.drain(1)
    delivered += bus.drain(1)
    assert threads * per_thread == delivered == bus.received_external
    assert [per_thread - 1] * threads == last
    assert [] == out_of_order


def test_one_drain_of_many_threads_has_the_documented_order():
    """Publishers that are done before the drain are delivered in one exact order."""
    bus, got = EventBus(), []

    def take(event):
        got.append((event.timestamp, event.priority, event.publisher, event.number))

    def publish(index):
        door = bus.publisher(f"{index:02}")
        for number in range(1000):
            kind = UrgentEvent if number % 7 == 0 else NumberEvent
            door.publish(kind(1 + number % 5, door.name, number))

    bus.subscribe(NumberEvent, take)
    workers = [threading.Thread(target=publish, args=(index,)) for index in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [3200] * 5 == [bus.drain(now) for now in range(1, 6)]
    assert sorted(got) == got
