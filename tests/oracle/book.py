"""What the simulator writes down: orders, fills and transitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

OPEN_STATES = ("accepted", "partial")
FINAL_STATES = ("filled", "cancelled", "expired", "refused")


@dataclass
class Order:
    """One order; sizes are above 0, ``side`` is 1 for buys and -1 for sells.

    Attributes:
        begins: Prices that formed before this are not for it (`from`).
        level: Where a trailing stop stands now; None before a price is known.
        part: What its parent's fills allow it to fill, of ``original``; None for an order without a parent.
        triggered: Whether its stop was reached in an earlier row, or earlier in this one.
        pending: Amended terms that hold from ``amended_at`` on.
        done: Whether it can do nothing more in the row under way.
        was_held: Whether it has waited for its parent.
        released: Whether its parent's fill released it in the row under way.
        events: (price, phase) of what released and triggered it in the row under way: it sees what is left.
        day: The session that a DAY, OPG or CLS order is of, once known.
        opening: When the session of an OPG order opens.
        closing: When the session of a CLS order closes.
        emptied_by: Why it ends where amended terms leave nothing of it.
    """

    id: int
    name: str
    symbol: str
    side: int
    size: Decimal
    kind: str
    submitted_at: int
    begins: int
    limit: Decimal | None = None
    stop: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    limit_offset: Decimal | None = None
    time_in_force: str = "GTC"
    expires_at: int | None = None
    reduce_only: bool = False
    client_id: str = ""
    parent: Order | None = None
    group: list[Order] = field(default_factory=list)
    children: list[Order] = field(default_factory=list)
    original: Decimal = Decimal(0)
    status: str = "pending"
    filled: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    level: Decimal | None = None
    triggered: bool = False
    cancelled_at: int | None = None
    asked_to_end: bool = False
    ends_as: str = "cancelled-by-strategy"
    amended_at: int | None = None
    pending: dict[str, Decimal] = field(default_factory=dict)
    done: bool = False
    was_held: bool = False
    released: bool = False
    events: list[tuple[Decimal, int]] = field(default_factory=list)
    triggered_in_row: bool = False
    day: int | None = None
    opening: int | None = None
    closing: int | None = None
    emptied_by: str = "cancelled-by-strategy"

    @property
    def remaining(self) -> Decimal:
        """What has not filled."""
        return self.size - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it may fill."""
        return self.status in OPEN_STATES

    @property
    def is_over(self) -> bool:
        """Whether its state is final."""
        return self.status in FINAL_STATES

    @property
    def others(self) -> list[Order]:
        """The rest of its group, oldest first."""
        return [each for each in self.group if each is not self]

    @property
    def trails(self) -> bool:
        """Whether it is a trailing stop."""
        return self.trail_amount is not None or self.trail_percent is not None

    def adopt(self) -> None:
        """Let amended terms hold."""
        assert self.amended_at is not None
        self.begins = max(self.begins, self.amended_at)
        self.original += self.pending.get("size", self.size) - self.size
        for name, value in self.pending.items():
            setattr(self, name, value)
        self.pending, self.amended_at = {}, None


@dataclass(frozen=True)
class Transition:
    """What became of an order and when."""

    at: int
    order: int
    status: str
    reason: str


@dataclass(frozen=True)
class Fill:
    """What traded; ``quantity`` is signed."""

    order: int
    quantity: Decimal
    reference: Decimal
    price: Decimal
    commission: Decimal
    formed_at: int
    known_at: int
    reason: str
    maker: bool
