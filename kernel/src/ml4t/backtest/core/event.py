"""Everything that happens, as typed events.

    Event                        timestamp: the instant it is known (int, UTC ns)
    ├── SessionEvent             a market opens or closes
    ├── CorporateActionEvent     split, dividend, ...
    ├── MarketEvent              prices of one symbol, from one feed
    │   ├── BarEvent
    │   ├── QuoteEvent
    │   └── TradeEvent
    ├── SignalEvent              predictions of one symbol, from one source
    ├── FillEvent                an execution
    ├── OrderEvent               an order changed its state
    ├── TimerEvent               a schedule is due
    └── (your own)               a dataclass subclass of Event

Columns are the data, events are views of them: nothing is checked when one is made, because the
data gate has checked the columns. Events are plain mutable dataclasses, so that subclasses may add
positional fields (``Event`` has no defaulted one); nobody changes an event once it was published,
except the bus, which restamps a late one. ``event_type``, ``priority``, ``when`` and ``bulk`` are
names that a subclass must not use for a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, unique
from itertools import repeat
from typing import Any, ClassVar, Literal, Self

__all__ = [
    "BarEvent", "CorporateActionEvent", "Event", "EventType", "FillEvent", "MarketEvent", "OrderEvent",
    "QuoteEvent", "SessionEvent", "SignalEvent", "TimerEvent", "TradeEvent",
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@unique
class EventType(Enum):
    """Name the family of an event; a user-defined one is ``CUSTOM``."""

    MARKET = "market"
    SIGNAL = "signal"
    ORDER = "order"
    FILL = "fill"
    CORPORATE_ACTION = "corporate_action"
    SESSION = "session"
    TIMER = "timer"
    CUSTOM = "custom"


@dataclass
class Event:
    """Be the root of all events.

    Args:
        timestamp: The instant at which this is known, UTC nanoseconds.
    """

    __slots__ = ("_event_type", "timestamp")

    timestamp: int

    # Events of one instant are ordered by priority, as the phases of an instant are.
    priority: ClassVar[int] = 80
    _family: ClassVar[EventType] = EventType.CUSTOM

    @property
    def event_type(self) -> EventType:
        """The family of this event; a subclass may assign it in ``__post_init__``."""
        try:
            return self._event_type
        except AttributeError:
            return self._family

    @event_type.setter
    def event_type(self, value: EventType) -> None:
        self._event_type: EventType = value

    @property
    def when(self) -> datetime:
        """``timestamp`` as a zone-aware UTC datetime, cut to microseconds."""
        return _EPOCH + timedelta(microseconds=self.timestamp // 1000)

    @classmethod
    def bulk(cls, *columns: object) -> list[Self]:
        """Make one event per row of columns.

        Some 500 at a time are cheapest: more alive at once wake the garbage collector again and again.

        Args:
            *columns: One per field, in field order: a NumPy array or a list with a value per row, or
                one value for all rows (a number, a string, a date or a mapping). At least one is a
                column, and all columns have one length.

        Returns:
            The events, in row order.

        Raises:
            ValueError: The columns differ in length, or none is one.
        """
        values = [_rows(column) for column in columns]
        lengths = [len(rows) for rows in values if not isinstance(rows, repeat)]
        if len(frozenset(lengths)) != 1:
            message = f"{cls.__name__}.bulk was given columns of lengths {lengths}; give one or more of one length"
            raise ValueError(message)
        return list(map(cls, *values))


def _rows(column: object) -> Sequence[Any] | repeat[Any]:
    to_list = getattr(column, "tolist", None)
    values = to_list() if to_list else column
    return values if isinstance(values, list | tuple) else repeat(values)


@dataclass(slots=True)
class SessionEvent(Event):
    """Tell that a session opens or closes.

    Args:
        timestamp: The instant of it, UTC ns.
        kind: ``"open"`` or ``"close"``.
        label: The date that names the session.
    """

    kind: Literal["open", "close"]
    label: date

    priority: ClassVar[int] = 0
    _family: ClassVar[EventType] = EventType.SESSION


@dataclass(slots=True)
class CorporateActionEvent(Event):
    """Tell a corporate action on one symbol.

    Args:
        timestamp: When it is known, UTC ns.
        symbol: The instrument.
        kind: ``"split"``, ``"dividend"``, ...
        ex_date: The first session without the right.
        values: The figures of the action: ``{"ratio": 2.0}``, ``{"amount": 0.25}``.
    """

    symbol: str
    kind: str
    ex_date: date
    values: Mapping[str, float]

    priority: ClassVar[int] = 10
    _family: ClassVar[EventType] = EventType.CORPORATE_ACTION


@dataclass(slots=True)
class MarketEvent(Event):
    """Carry prices of one symbol; feeds deliver its subclasses, each of which has a ``price``.

    Args:
        timestamp: When it is known, UTC ns.
        symbol: The instrument.
        feed: The name of the feed.
        event_time: When it happened, UTC ns; for a bar, its end.
    """

    symbol: str
    feed: str
    event_time: int

    priority: ClassVar[int] = 20
    _family: ClassVar[EventType] = EventType.MARKET


@dataclass(slots=True)
class BarEvent(MarketEvent):
    """Carry one bar.

    Args:
        timestamp: When it is known, UTC ns.
        symbol: The instrument.
        feed: The name of the feed.
        event_time: The end of the bar, UTC ns.
        bar_start: The start of the bar, UTC ns.
        open: Price formed at ``bar_start``, quote currency; NaN where the row has none, as below.
        high: Highest price.
        low: Lowest price.
        close: Price formed at ``event_time``.
        volume: Traded units.
    """

    bar_start: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def price(self) -> float:
        """The close."""
        return self.close


@dataclass(slots=True)
class QuoteEvent(MarketEvent):
    """Carry the best bid and ask.

    Args:
        timestamp: When it is known, UTC ns.
        symbol: The instrument.
        feed: The name of the feed.
        event_time: When it was quoted, UTC ns.
        bid: Best bid, quote currency.
        bid_size: Units bid.
        ask: Best ask, quote currency.
        ask_size: Units offered.
    """

    bid: float
    bid_size: float
    ask: float
    ask_size: float

    @property
    def price(self) -> float:
        """The middle between bid and ask."""
        return (self.bid + self.ask) / 2


@dataclass(slots=True)
class TradeEvent(MarketEvent):
    """Carry one trade of the market.

    Args:
        timestamp: When it is known, UTC ns.
        symbol: The instrument.
        feed: The name of the feed.
        event_time: When it was traded, UTC ns.
        price: Quote currency.
        size: Traded units.
    """

    price: float
    size: float


@dataclass(slots=True)
class SignalEvent(Event):
    """Carry predictions for one symbol.

    Args:
        timestamp: When they are known, UTC ns.
        source: The name of the signal source.
        symbol: The instrument.
        event_time: The instant whose information they used, UTC ns.
        values: The predictions by name.
    """

    source: str
    symbol: str
    event_time: int
    values: Mapping[str, float]

    priority: ClassVar[int] = 30
    _family: ClassVar[EventType] = EventType.SIGNAL


@dataclass(slots=True)
class FillEvent(Event):
    """Confirm an execution.

    Args:
        timestamp: When it is delivered, UTC ns.
        order_id: The order it belongs to.
        symbol: The instrument.
        quantity: Signed units: positive bought, negative sold.
        price: After slippage and impact, quote currency.
        commission: Quote currency; positive is paid.
        slippage: Price difference to the reference price, quote currency a unit.
        formed_at: When its price formed, UTC ns.
        known_at: When the trader could know it, UTC ns.
    """

    order_id: int
    symbol: str
    quantity: float
    price: float
    commission: float
    slippage: float
    formed_at: int
    known_at: int

    priority: ClassVar[int] = 40
    _family: ClassVar[EventType] = EventType.FILL


@dataclass(slots=True)
class OrderEvent(Event):
    """Tell that an order changed its state.

    Args:
        timestamp: When it is known, UTC ns.
        order_id: The order.
        symbol: The instrument.
        status: The state it is in now.
        quantity: Signed units of the order.
        reason: Why, in words; empty where there is nothing to say.
    """

    order_id: int
    symbol: str
    status: str
    quantity: float
    reason: str

    priority: ClassVar[int] = 50
    _family: ClassVar[EventType] = EventType.ORDER


@dataclass(slots=True)
class TimerEvent(Event):
    """Tell that a schedule is due.

    Args:
        timestamp: The instant it was set for, UTC ns.
        name: The name of the schedule.
    """

    name: str

    priority: ClassVar[int] = 60
    _family: ClassVar[EventType] = EventType.TIMER
