"""Settings of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Account"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account; see the reference of accounts for what each rule does.

    Attributes:
        name: Its name in messages. Default ``main``.
        venue: It trades symbols named ``SYMBOL@VENUE``; without one those of no other account.
        type: ``margin`` (default), ``cash`` or ``unlimited``.
        capital: Currency -> amount at the start; the run's where there is one account.
        initial_margin: Fraction of a position's value that equity has to cover when it is opened. Default 0.5.
        maintenance_margin: The same as long as it is held. Default 0.25.
        check: When buying power is looked at: ``submit`` (default), ``fill``, ``both`` or ``none``.
        insufficient: What becomes of requests without it: ``refuse`` (default) or ``scale``.
        use_unsettled: Whether a cash account buys with proceeds that have not settled. Default true.
        settlement_days: Sessions after which a fill's cash has settled. Default 0.
        short_proceeds: Whether proceeds of short sales are ``usable`` (default) or ``held``, without interest.
        borrow: Yearly rate paid for short positions, or rows by symbol. Default 0.
        borrow_missing: What a symbol without a row means: ``refuse`` (default) or ``allow``.
        interest: Yearly rates ``debit`` and ``credit``, or rows by currency. Default none.
        funding: Rows by symbol. Default none.
        day_count: Days of a year for borrow and interest. Default 360.
        margin_call: ``liquidate`` (default), ``stop`` or ``note``.
        convert: Whether what fills move in other currencies is exchanged ``at-fill`` or kept (``none``, default).
        max_mark_age: Sessions after which a last price is too old. Default 5.
        on_silence: What becomes of a position then: ``stop`` (default), ``hold``, ``last`` or ``zero``.
        max_fx_age: Sessions after which a rate is too old. Default 5.
    """

    name: str = "main"
    venue: str = ""
    type: Literal["margin", "cash", "unlimited"] = "margin"
    capital: Mapping[str, float] | None = None
    initial_margin: float = 0.5
    maintenance_margin: float = 0.25
    check: Literal["submit", "fill", "both", "none"] = "submit"
    insufficient: Literal["refuse", "scale"] = "refuse"
    use_unsettled: bool = True
    settlement_days: int = 0
    short_proceeds: Literal["usable", "held"] = "usable"
    borrow: Any = 0.0
    borrow_missing: Literal["refuse", "allow"] = "refuse"
    interest: Any = None
    funding: Any = None
    day_count: int = 360
    margin_call: Literal["liquidate", "stop", "note"] = "liquidate"
    convert: Literal["none", "at-fill"] = "none"
    max_mark_age: int = 5
    on_silence: Literal["stop", "hold", "last", "zero"] = "stop"
    max_fx_age: int = 5

    def __post_init__(self) -> None:
        """Refuse what no account could have."""
        if not self.name:
            raise ValueError("name is empty: give the account one")
        least = {"settlement_days": 0, "day_count": 1, "max_mark_age": 0, "max_fx_age": 0}
        if wrong := [name for name, bound in least.items() if getattr(self, name) < bound]:
            raise ValueError(f"{wrong[0]} was {getattr(self, wrong[0])}, expected at least {least[wrong[0]]}")
        for name in ("initial_margin", "maintenance_margin"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} was {getattr(self, name)}, expected a finite fraction of at least 0")
        if self.maintenance_margin > self.initial_margin:
            what = f"maintenance_margin {self.maintenance_margin:g} is above initial_margin {self.initial_margin:g}"
            raise ValueError(f"{what}: lower it")
        self._check_rates()

    def _check_rates(self) -> None:
        table = "a table with symbol, a stamp and rate"
        if isinstance(self.borrow, Mapping):
            raise ValueError(f"borrow was {self.borrow!r}, expected a yearly rate such as 0.003, or {table}")
        if isinstance(self.funding, Mapping | int | float):
            raise ValueError(f"funding was {self.funding!r}, expected {table}")
        if isinstance(self.interest, int | float):
            raise ValueError(f"interest was {self.interest!r}, expected {{ debit = 0.06, credit = 0.02 }}, or a table")
