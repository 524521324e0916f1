"""The phases of one instant, and what an idle one costs."""

import gc
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
import pytest

from ml4t.backtest import Event, Strategy
from ml4t.backtest.core.event import BarEvent, FillEvent, OrderEvent, SessionEvent, SignalEvent
from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import RiskManager


class Diary(Strategy):
    """Write down every call."""

    def __init__(self):
        self.log = []

    def note(self, context, *what):
        self.log.append((context.now.day if context.now_ns else 0, *what))

    def on_start(self, context):
        context.schedule(self.timer, "daily", at="close")
        self.note(context, "on_start", context.symbols)

    def timer(self, context):
        self.note(context, "timer")

    def before_trading_start(self, context):
        self.note(context, "before_trading_start", context.session.date.day)

    def on_symbols(self, added, context):
        self.note(context, "on_symbols", added)

    def on_signal(self, batch, context):
        self.note(context, "on_signal", batch.values["score"].tolist())

    def on_event(self, event, context):
        self.note(context, "on_event", type(event).__name__, getattr(event, "symbol", ""))

    def on_slice(self, market, context):
        self.note(context, "on_slice", market.close.tolist())
        if context.now.day == 2:
            context.order("A", 5.0)
            context.order("A", 0.0)
            self.note(context, "ordered", [order.status for order in context.open_orders()])

    def on_fill(self, fill, context):
        self.note(context, "on_fill", fill.quantity, fill.price, context.position("A").quantity)

    def on_order(self, order, context):
        self.note(context, "on_order", order.status, order.reason)

    def after_trading_end(self, context):
        self.note(context, "after_trading_end", context.session.date.day)

    def on_end(self, context):
        self.note(context, "on_end")


def two_days():
    return pl.DataFrame(
        {
            "timestamp": [date(2024, 1, 1), date(2024, 1, 2)],
            "symbol": ["A", "A"],
            "open": [9.0, 11.0],
            "close": [10.0, 12.0],
        }
    )


def scores():
    return two_days().select("timestamp", "symbol", score=pl.Series([0.5, 0.7]))


def test_the_phases_of_an_instant_are_in_order(kit):
    """Semantics, section 2: one log pins them all."""
    strategy = Diary()
    prices, signals = kit.Source(two_days()), kit.Source(scores(), name="model", kind="signal", latency="0s")
    kit.run(strategy, prices, signals)
    assert [
        (0, "on_start", ()),
        (1, "before_trading_start", 1),
        (2, "timer"),
        (2, "on_symbols", ("A",)),
        (2, "on_signal", [0.5]),
        (2, "on_event", "BarEvent", "A"),
        (2, "on_event", "SignalEvent", "A"),
        (2, "on_slice", [10.0]),
        (2, "ordered", ["pending", "pending"]),
        (2, "after_trading_end", 1),
        (2, "before_trading_start", 2),
        (2, "on_order", "refused", "quantity-zero"),
        (3, "on_fill", 5.0, 11.0, 5.0),
        (3, "timer"),
        (3, "on_signal", [0.7]),
        (3, "on_event", "BarEvent", "A"),
        (3, "on_event", "SignalEvent", "A"),
        (3, "on_slice", [12.0]),
        (3, "after_trading_end", 2),
        (3, "on_end"),
    ] == strategy.log


def test_the_bus_hears_the_same_story(kit):
    """Handlers get what callbacks get, sessions included."""
    engine = kit.engine(
        Diary(), kit.Source(two_days()), kit.Source(scores(), name="model", kind="signal", latency="0s")
    )
    heard = []
    for event_class in (BarEvent, SignalEvent, FillEvent, OrderEvent, SessionEvent):
        engine.bus.subscribe(event_class, lambda event: heard.append((event.when.day, type(event).__name__)))
    engine.run()
    story = ["BarEvent", "SignalEvent", "SessionEvent", "SessionEvent", "OrderEvent", "OrderEvent"]
    assert [(1, "SessionEvent"), *[(2, name) for name in story]] == heard[:7]
    assert [(3, name) for name in ("FillEvent", "OrderEvent", "BarEvent", "SignalEvent", "SessionEvent")] == heard[7:]


def test_opens_are_told_to_whoever_subscribes_before_the_run(kit):
    """Also where the strategy does not care for them."""
    engine, heard = kit.engine(Quiet(), kit.Source(two_days())), []
    engine.bus.subscribe(SessionEvent, lambda event: heard.append((event.when.day, event.kind, event.label.day)))
    engine.run()
    assert [(1, "open", 1), (2, "close", 1), (2, "open", 2), (3, "close", 2)] == heard


def test_a_strategy_hears_events_of_its_own_kind(kit):
    """What somebody else publishes reaches on_event of those who listen to the class."""

    @dataclass
    class Rumour(Event):
        text: str

    class Listener(Diary):
        listens_to = (Rumour,)

    strategy = Listener()
    engine = kit.engine(strategy, kit.Source(two_days()))
    at = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 10**9
    engine.bus.publisher("street").publish(Rumour(at, "buy"))
    result = engine.run()
    assert (2, "on_event", "Rumour", "") in strategy.log
    assert "not reproducible: 1 events came from other threads" in result.flags


def test_orders_answer_orders_within_an_instant(kit):
    """A refused order may be answered; fifty times, then somebody is going round in circles."""

    class Stubborn(Strategy):
        rounds = 0

        def __init__(self, patience):
            self.patience = patience

        def on_slice(self, market, context):
            if not self.rounds:
                context.order("A", 0.0)

        def on_order(self, order, context):
            self.rounds += 1
            if self.rounds < self.patience:
                context.order("A", 0.0)

    patient = Stubborn(50)
    kit.run(patient, kit.Source(two_days()))
    assert 50 == patient.rounds
    endless = Stubborn(10**9)
    with pytest.raises(
        RunError, match=r"were answered 50 times within the instant .* end the recursion in on_fill or on_order"
    ):
        kit.run(endless, kit.Source(two_days()))
    assert endless.rounds <= 51


def test_risk_managers_stand_between_outbox_and_broker(kit):
    """In their order; each sees what the one before has left."""

    class Halve(RiskManager):
        def check(self, requests, state):
            requests["quantity"] /= 2

    class Buy(Strategy):
        def on_slice(self, market, context):
            context.order("A", 8.0)

    result = kit.engine(Buy(), kit.Source(two_days()), risk=[Halve(), Halve()]).run()
    assert [2.0] == result.fills["quantity"].to_list()


class Quiet(Strategy):
    """Do nothing, by slice."""

    def on_slice(self, market, context):
        pass


class QuietEvents(Strategy):
    """Do nothing, by event."""

    def on_event(self, event, context):
        pass


@pytest.mark.parametrize("strategy", [Quiet, QuietEvents])
@pytest.mark.parametrize("by_steps", [False, True])
def test_an_idle_bar_enters_no_core(kit, strategy, by_steps):
    """Without an order neither match nor submit is called."""
    broker = kit.Broker()
    engine = kit.engine(strategy(), kit.Source(kit.minutes(500), bar="1m", stamp="open"), broker=broker)
    if by_steps:
        for _ in engine.steps():
            pass
    else:
        engine.run()
    assert [] == broker.calls


def test_the_core_is_entered_while_an_order_works(kit):
    """Once to take it, once to fill it."""

    class Once(Strategy):
        bars = 0

        def on_event(self, event, context):
            self.bars += 1
            if self.bars == 100:
                context.order(event.symbol, 1.0)

    broker = kit.Broker()
    kit.engine(Once(), kit.Source(kit.minutes(500), bar="1m", stamp="open"), broker=broker).run()
    assert ["submit", "match"] == broker.calls


class Blocks:
    """Count calls of Python functions and lasting objects while idle bars go by."""

    def __init__(self, first, last):
        self.first, self.last, self.turn, self.calls, self.blocks = first, last, 0, 0, 0

    def tick(self):
        self.turn += 1
        if self.turn == self.first:
            gc.disable()
            self.before = sys.getallocatedblocks()
            sys.setprofile(self.profile)
        elif self.turn == self.last:
            sys.setprofile(None)
            self.blocks = sys.getallocatedblocks() - self.before
            gc.enable()

    def profile(self, frame, event, argument):
        self.calls += event in ("call", "c_call")


COUNTER = {}


class CountedSlices(Strategy):
    def on_slice(self, market, context):
        COUNTER["now"].tick()


class CountedEvents(Strategy):
    def on_event(self, event, context):
        COUNTER["now"].tick()


# Calls of functions, Python's and C's, per bar: the callback and its tick are two of them.
@pytest.mark.parametrize(
    ("strategy", "by_steps", "most_calls"),
    [
        (CountedEvents, False, 6),
        (CountedEvents, True, 120),
        (CountedSlices, False, 30),
        (CountedSlices, True, 120),
    ],
)
def test_an_idle_bar_is_cheap_and_leaves_nothing(kit, strategy, by_steps, most_calls):
    """Few calls a bar, and what ten thousand bars leave behind is their places in history, no objects of their own."""
    COUNTER["now"] = counter = Blocks(1000, 11_000)
    engine = kit.engine(strategy(), kit.Source(kit.minutes(12_000), bar="1m", stamp="open"))
    if by_steps:
        for _ in engine.steps():
            pass
    else:
        engine.run()
    assert counter.calls / 10_000 < most_calls
    assert counter.blocks / 10_000 < 2.5  # the start of each instant, an integer, is kept until the block is rolled
