"""What both sides are given: a market, its rules, and a script of requests.

Times are whole seconds since the start of the first day; prices and quantities are floats that are exact in
binary (multiples of 1/8), so that neither side has anything to round. None is a null. The text of a scenario
(``repr``) is Python that makes it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from .terms import Account, Action, Listing

DAY = 86_400


@dataclass(frozen=True)
class Bar:
    """What a symbol did from ``start`` to ``end``; known at its end."""

    symbol: str
    start: int
    end: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None = None
    vwap: float | None = None


@dataclass(frozen=True)
class Quote:
    """Best prices and sizes of both sides at ``end``."""

    symbol: str
    end: int
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None


@dataclass(frozen=True)
class Trade:
    """One trade of the market at ``end``."""

    symbol: str
    end: int
    price: float | None
    size: float | None


Row: TypeAlias = Bar | Quote | Trade


@dataclass(frozen=True)
class Feed:
    """Rows of one kind in the order of their ends; ``bar`` is the length of a bar, ``1d`` for sessions."""

    kind: str
    rows: tuple[Row, ...]
    bar: str = ""


@dataclass(frozen=True)
class FillRules:
    """The keys of a fill model, as in the page on matching."""

    market: str = "open"
    sees: str = "bar"
    limit: str = "touch"
    path: str = "pessimistic"
    trail: str = "extreme"
    children: str = "same-bar"
    volume_limit: float = 0.0
    volume_basis: str = "bar"
    beyond_limit: str = "clip"


@dataclass(frozen=True)
class Costs:
    """Slippage in basis points; commission ``per-share``, ``percent``, ``per-trade`` (its rate the amount) or none."""

    bps: float = 0.0
    commission: str = ""
    rate: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0


@dataclass(frozen=True)
class Instrument:
    """Rules of trading of every symbol; ``lot`` None is 1, and not stated."""

    lot: float | None = None
    tick: float = 0.0
    negative: bool = False


@dataclass(frozen=True)
class Place:
    """An order; ``name`` is what later requests call it by, ``parent`` the name of the order it waits for."""

    name: str
    symbol: str
    quantity: float
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    limit_offset: float | None = None
    time_in_force: str = "GTC"
    expires_at: int | None = None
    reduce_only: bool = False
    client_id: str = ""
    parent: str = ""


@dataclass(frozen=True)
class Bracket:
    """An entry ``name`` with children ``name.stop`` and ``name.target``."""

    name: str
    symbol: str
    quantity: float
    entry_limit: float | None = None
    entry_stop: float | None = None
    stop_price: float | None = None
    target_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    time_in_force: str = "GTC"


@dataclass(frozen=True)
class Oco:
    """Orders of which one cancels the others."""

    legs: tuple[Place, ...]


@dataclass(frozen=True)
class Amend:
    """New terms for an order; None keeps what there is."""

    order: str
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None


@dataclass(frozen=True)
class Cancel:
    """The end of an order, with the reason that it will have."""

    order: str
    reason: str = "cancelled-by-strategy"


Request: TypeAlias = Place | Bracket | Oco | Amend | Cancel


@dataclass(frozen=True)
class Step:
    """A request made at an instant, or, where ``at`` is text, when the order of that name first fills."""

    at: int | str
    request: Request


@dataclass(frozen=True)
class Scenario:
    """One run: ``sessions`` are (open, close), one a day.

    A symbol has one name here all its life; that it is called otherwise after a change is seen by the engine only.
    """

    feeds: tuple[Feed, ...]
    script: tuple[Step, ...]
    sessions: tuple[tuple[int, int], ...]
    rules: FillRules = field(default_factory=FillRules)
    costs: Costs = field(default_factory=Costs)
    instrument: Instrument = field(default_factory=Instrument)
    latency: int = 0
    strict_ticks: bool = False
    accounts: tuple[Account, ...] = (Account(),)
    listings: tuple[Listing, ...] = ()
    actions: tuple[Action, ...] = ()
    base: str = "USD"

    def listing(self, symbol: str) -> Listing:
        """Return the instrument of a symbol; a share where nothing is stated."""
        return next((each for each in self.listings if each.symbol == symbol), Listing(symbol))

    def currency(self, symbol: str) -> str:
        """Return the currency of a symbol's prices."""
        return self.listing(symbol).currency or self.base

    def account(self, symbol: str) -> int:
        """Return the place of the account that trades a symbol.

        "A symbol `NAME@VENUE` belongs to the account of that venue, any other to the first account without one."
        """
        venue = symbol.partition("@")[2]
        return next(place for place, each in enumerate(self.accounts) if each.venue == venue)


def names_of(request: Request) -> list[str]:
    """Return the names of the orders that a request makes, in the order of their ids."""
    match request:
        case Place():
            return [request.name]
        case Oco():
            return [leg.name for leg in request.legs]
        case Bracket():
            protects = (request.stop_price, request.trail_amount, request.trail_percent)
            stop = [f"{request.name}.stop"] if any(price is not None for price in protects) else []
            target = [f"{request.name}.target"] if request.target_price is not None else []
            return [request.name, *stop, *target]
    return []
