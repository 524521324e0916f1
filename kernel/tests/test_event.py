"""Events: typed, ordered, cheap to make and open to users' own."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from ml4t.backtest.core.event import (
    BarEvent,
    CorporateActionEvent,
    Event,
    EventType,
    FillEvent,
    MarketEvent,
    OrderEvent,
    QuoteEvent,
    SessionEvent,
    SignalEvent,
    TimerEvent,
    TradeEvent,
)

NOON = 1_709_294_400_000_000_000  # 2024-03-01T12:00:00Z


@dataclass
class CustomEvent(Event):
    custom_field: Any

    def __post_init__(self):
        self.event_type = EventType.CUSTOM


@dataclass(slots=True)
class SlottedEvent(Event):
    custom_field: Any

    def __post_init__(self):
        self.event_type = EventType.TIMER


@pytest.mark.parametrize(
    ("event", "event_type"),
    [
        (SessionEvent(1, "open", date(2024, 3, 1)), EventType.SESSION),
        (CorporateActionEvent(1, "A", "split", date(2024, 3, 1), {"ratio": 2.0}), EventType.CORPORATE_ACTION),
        (MarketEvent(1, "A", "prices", 1), EventType.MARKET),
        (BarEvent(1, "A", "prices", 1, 0, 1.0, 1.0, 1.0, 1.0, 5.0), EventType.MARKET),
        (SignalEvent(1, "model", "A", 1, {"score": 0.5}), EventType.SIGNAL),
        (FillEvent(1, 7, "A", 10.0, 9.5, 0.1, 0.0, 1, 1), EventType.FILL),
        (OrderEvent(1, 7, "A", "accepted", 10.0, ""), EventType.ORDER),
        (TimerEvent(1, "rebalance"), EventType.TIMER),
        (Event(1), EventType.CUSTOM),
    ],
)
def test_each_class_names_its_family(event, event_type):
    """``event_type`` needs no argument."""
    assert event_type == event.event_type


def test_a_users_dataclass_takes_positional_fields_and_assigns_its_type():
    """The documented snippet runs verbatim, timestamp first."""
    event = CustomEvent(NOON, {"a": 1})
    assert (NOON, {"a": 1}, EventType.CUSTOM) == (event.timestamp, event.custom_field, event.event_type)


def test_a_users_slotted_dataclass_has_no_dictionary():
    """``@dataclass(slots=True)`` works too and is as small as the kernel's own."""
    event = SlottedEvent(NOON, 3)
    assert (3, EventType.TIMER, False) == (event.custom_field, event.event_type, hasattr(event, "__dict__"))


def test_a_users_market_event_may_have_a_price_field():
    """No attribute of ``MarketEvent`` turns into the default of a field."""

    @dataclass
    class AuctionEvent(MarketEvent):
        price: float
        imbalance: float

    event = AuctionEvent(1, "A", "auctions", 1, 9.0, 5.0)
    assert (9.0, 5.0) == (event.price, event.imbalance)


def test_when_is_zone_aware_utc():
    """The user's surface has zone-aware datetimes, cut to microseconds."""
    assert datetime(2024, 3, 1, 12, tzinfo=UTC) == Event(NOON + 999).when
    assert UTC == Event(NOON).when.tzinfo


def test_price_is_close_middle_or_trade():
    """Each market event has one price that stands for it."""
    bar = BarEvent(1, "A", "prices", 1, 0, 1.0, 2.0, 3.0, 4.0, 5.0)
    quote = QuoteEvent(1, "A", "quotes", 1, 9.0, 100.0, 10.0, 100.0)
    trade = TradeEvent(1, "A", "trades", 1, 9.25, 100.0)
    assert (4.0, 9.5, 9.25) == (bar.price, quote.price, trade.price)


def test_priorities_follow_the_phases_of_an_instant():
    """Sessions, actions, rows, fills, orders, timers, then users' own."""
    rows = [SessionEvent, CorporateActionEvent, MarketEvent, SignalEvent]
    phases = [*rows, FillEvent, OrderEvent, TimerEvent, Event]
    priorities = [phase.priority for phase in phases]
    assert sorted(priorities) == priorities
    assert len(phases) == len(frozenset(priorities))


def test_bulk_makes_one_event_per_row_with_plain_python_values():
    """Columns become fields in order, scalars are repeated, NumPy scalars do not survive."""
    times = np.array([10, 20])
    prices = np.array([1.5, 2.5])
    events = TradeEvent.bulk(times, ["A", "B"], "trades", times, prices, np.float64(100.0))
    assert [
        TradeEvent(10, "A", "trades", 10, 1.5, 100.0),
        TradeEvent(20, "B", "trades", 20, 2.5, 100.0),
    ] == events
    assert (int, float, float) == (type(events[0].timestamp), type(events[0].price), type(events[0].size))


def test_bulk_refuses_columns_of_different_lengths():
    """A short column would silently drop rows."""
    with pytest.raises(ValueError, match=r"TradeEvent.bulk was given columns of lengths \[2, 1\]"):
        TradeEvent.bulk(np.array([1, 2]), ["A"], "trades", 1, 1.0, 1.0)


def test_bulk_refuses_scalars_alone():
    """With no column there is no number of rows."""
    with pytest.raises(ValueError, match="give one or more"):
        TradeEvent.bulk(1, "A", "trades", 1, 1.0, 1.0)
