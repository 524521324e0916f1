"""The opened components of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ml4t.backtest.components import ComponentRef
from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.interfaces import (
    Broker,
    ExecutionModels,
    Portfolio,
    Reporter,
    RiskManager,
    Setup,
    Source,
    Strategy,
)
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.assembly.entities import Tickers

__all__ = ["Instrument", "Parts"]


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """Rules of trading one symbol.

    Attributes:
        symbol: The symbol, or ``*`` for every symbol without an entry of its own.
        lot: Sizes in values, percents and targets are truncated to multiples of this, without it to whole units;
            where it is given, an explicit quantity off it is refused.
        quantity_step: Positions are rounded to this after each fill; 0 turns rounding off.
        multiplier: Value of one unit at price 1.
        tick: Limit and stop prices are multiples of this: others are rounded to the side that is worse for the
            order, or refused with the broker's ``strict_ticks``; 0 for any price.
        allow_negative_prices: Whether limit and stop prices may be zero or below.
    """

    symbol: str = "*"
    lot: float | None = None
    quantity_step: float = 1e-9
    multiplier: float = 1.0
    tick: float = 0.0
    allow_negative_prices: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no order could have."""
        above, least = (self.whole_lot, self.multiplier), (self.quantity_step, self.tick)
        if not (all(0 < size < np.inf for size in above) and all(0 <= size < np.inf for size in least)):
            raise ValueError("lot and multiplier must be above 0, quantity_step and tick at least 0, all finite")
        if self.quantity_step > self.whole_lot:
            raise ValueError(f"quantity_step {self.quantity_step:g} is above the lot {self.whole_lot:g}: lower it")

    @property
    def whole_lot(self) -> float:
        """The lot that sizes are truncated to."""
        return 1.0 if self.lot is None else self.lot

    @property
    def rules(self) -> tuple[float, ...]:
        """What ``RunState.add_symbols`` takes."""
        stated, negative = float(self.lot is not None), float(self.allow_negative_prices)
        return (self.quantity_step, self.whole_lot, self.multiplier, self.tick, stated, negative)


@dataclass(kw_only=True)
class Parts:
    """The opened components of a run and what was found on the way.

    Attributes:
        rules: Symbol, or ``*`` for the rest -> its rules of trading (``RunState.add_symbols``).
        actions: Corporate actions by when they take effect; nobody may see one before it is known.
        tickers: Which company a ticker meant; None where every one meant one.
        tables: SHA-256 of what each table reads, by the key of its setting.
        start, end: First instant with callbacks, last instant, UTC ns.
        owners: (component, where it came from), for notes on errors.
        used: Distribution -> version of everything that takes part.
        notes: Findings that do not stop a run.
    """

    name: str
    seed: int
    sources: list[Source]
    sessions: SessionTable
    strategy: Strategy
    strategy_setup: Setup
    broker: Broker
    models: ExecutionModels
    portfolio: Portfolio
    risk: list[RiskManager]
    reporters: list[Reporter]
    capital: dict[str, float]
    rules: dict[str, tuple[float, ...]]
    start: int
    end: int
    actions: list[PlannedAction] = field(default_factory=list)
    tickers: Tickers | None = None
    tables: dict[str, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    owners: list[tuple[object, ComponentRef]] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of what each source and each table reads, by its name; asked once, while they are open."""
        return {source.spec.name: source.digest() for source in self.sources} | self.tables
