"""What a strategy asks for with an order, and the handle that it gets.

Quantities are signed, prices are in the instrument's currency, times are UTC.
"""

# The body of a protocol's method is its docstring.
# pyright: reportReturnType=false

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple, Protocol, Required, TypedDict

__all__ = ["Bracket", "Leg", "Order", "OrderTerms"]


class OrderTerms(TypedDict, total=False):
    """What ``Context.order`` takes besides symbol and quantity; all of it optional.

    Prices and trails are positive, in the instrument's currency; None means "none of this", NaN is refused.

    Attributes:
        limit_price, stop_price: Prices; a market order has neither. Beside a trail ``stop_price`` is its first level.
        trail_amount, trail_percent: Distance of a trailing stop: an amount, or a fraction of the price.
        limit_offset: Signed; makes a trailing stop one whose limit is its level plus this.
        time_in_force: ``GTC, DAY, GTD, IOC, FOK, OPG, CLS``.
        expires_at: End of a GTD order: zone-aware, or a date for that session's close.
        reduce_only: Whether it may only close what is held.
        client_id: A name of your own, to be used once in a run.
        parent: Handle or id of the order whose fills release this one.
        tag: Text kept with the order.
    """

    limit_price: float | None
    stop_price: float | None
    trail_amount: float | None
    trail_percent: float | None
    limit_offset: float | None
    time_in_force: str
    expires_at: date | None
    reduce_only: bool
    client_id: str
    parent: Any
    tag: str


class Leg(OrderTerms):
    """One order of ``Context.oco``: what ``order`` takes, as a dict."""

    symbol: Required[str]
    quantity: Required[float]


class Order(Protocol):
    """A handle onto one order; always shows the present.

    Attributes:
        id: Number of the order within the run.
        change: Reason of the transition that ``on_order`` tells of; empty for any other handle.
    """

    id: int
    change: str

    @property
    def status(self) -> str:
        """One of ``pending, submitted, held, accepted, partial, filled, cancelled, expired, refused``."""

    @property
    def is_open(self) -> bool:
        """Whether it may still fill, held orders included."""

    @property
    def is_held(self) -> bool:
        """Whether it waits for its parent to fill."""

    @property
    def cancel_requested(self) -> bool:
        """Whether its end was asked for; until that is certain it keeps its status."""

    @property
    def reason(self) -> str:
        """Why it was refused, cancelled or filled; empty while there is nothing to say."""

    @property
    def symbol(self) -> str:
        """The instrument."""

    @property
    def kind(self) -> str:
        """One of ``market, limit, stop, stop-limit, trailing-stop, trailing-stop-limit``."""

    @property
    def quantity(self) -> float:
        """Signed quantity asked for."""

    @property
    def filled(self) -> float:
        """Signed quantity filled so far."""

    @property
    def remaining(self) -> float:
        """Signed quantity that has not filled."""

    @property
    def average_price(self) -> float:
        """Mean price of its fills, NaN before the first."""

    @property
    def limit_price(self) -> float | None:
        """The limit in force; None where there is none."""

    @property
    def stop_price(self) -> float | None:
        """The stop in force, of a trailing stop its present level; None where there is none."""

    @property
    def time_in_force(self) -> str:
        """One of ``GTC, DAY, GTD, IOC, FOK, OPG, CLS``."""

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself, UTC; None where that is not known."""

    @property
    def reduce_only(self) -> bool:
        """Whether it only closes what is held."""

    @property
    def client_id(self) -> str:
        """The name that the strategy gave it."""

    @property
    def parent(self) -> int | None:
        """Id of the order that releases it; None where none does."""

    @property
    def group(self) -> int | None:
        """Id of the first order of its one-cancels-other group; None where there is none."""

    @property
    def tag(self) -> str:
        """The text it was given."""


class Bracket(NamedTuple):
    """Handles of a bracket's orders; a child that was not asked for is None."""

    entry: Order
    stop: Order | None
    target: Order | None
