"""What accounts, instruments, rates and corporate actions both sides are given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Listing:
    """An instrument; what is None or empty is the account's, or the base currency.

    ``listed_from``, ``listed_to`` and ``expires`` are places of sessions; an ``fx`` pair has a ``base``.
    """

    symbol: str
    asset_class: str = "equity"
    currency: str = ""
    base: str = ""
    multiplier: float = 1.0
    initial_margin: float | None = None
    maintenance_margin: float | None = None
    initial_per_unit: float | None = None
    maintenance_per_unit: float | None = None
    listed_from: int | None = None
    listed_to: int | None = None
    expires: int | None = None


@dataclass(frozen=True)
class Rate:
    """A row of a table: of borrow (``rate``, ``available``), interest (``rate`` is debit, ``credit``) or funding."""

    symbol: str
    at: int
    rate: float
    credit: float = 0.0
    available: float | None = None


@dataclass(frozen=True)
class Account:
    """The keys of an account, as in the page on accounts; ``interest`` is (debit, credit) or rows of a table."""

    name: str = "main"
    type: str = "unlimited"
    venue: str = ""
    capital: tuple[tuple[str, float], ...] = (("USD", 1_000_000.0),)
    initial_margin: float = 0.5
    maintenance_margin: float = 0.25
    insufficient: str = "refuse"
    check: str = "submit"
    convert: str = ""
    settlement_days: int = 0
    use_unsettled: bool = True
    borrow: float | tuple[Rate, ...] = 0.0
    borrow_missing: str = "refuse"
    interest: tuple[float, float] | tuple[Rate, ...] = (0.0, 0.0)
    funding: tuple[Rate, ...] = ()
    day_count: int = 360
    margin_call: str = "note"
    max_mark_age: int = 5
    on_silence: str = "stop"


@dataclass(frozen=True)
class Action:
    """A corporate action; ``session`` and ``pay`` are places of sessions, ``known`` is an instant."""

    kind: str
    symbol: str
    session: int
    ratio: float | None = None
    amount: float | None = None
    value: float | None = None
    new_symbol: str = ""
    pay: int | None = None
    known: int | None = None
