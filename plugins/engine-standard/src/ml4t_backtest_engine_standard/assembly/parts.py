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

__all__ = ["Instrument", "Parts"]


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """Rules of trading one symbol.

    Attributes:
        symbol: The symbol, or ``*`` for every symbol without an entry of its own.
        lot: Order sizes are truncated to multiples of this; 1 means whole shares.
        quantity_step: Positions are rounded to this after each fill; 0 turns rounding off.
        multiplier: Value of one unit at price 1.
    """

    symbol: str = "*"
    lot: float = 1.0
    quantity_step: float = 1e-9
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Refuse sizes that no order could have."""
        if not (0 < self.lot < np.inf and 0 < self.multiplier < np.inf and 0 <= self.quantity_step < np.inf):
            raise ValueError("lot and multiplier must be above 0, quantity_step at least 0, all finite")


@dataclass(kw_only=True)
class Parts:
    """The opened components of a run and what was found on the way.

    Attributes:
        rules: Symbol, or ``*`` for the rest -> its (quantity_step, lot, multiplier).
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
    rules: dict[str, tuple[float, float, float]]
    start: int
    end: int
    header: tuple[str, ...] = ()
    owners: list[tuple[object, ComponentRef]] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of what each source reads, by its name; asked once, while they are open."""
        return {source.spec.name: source.digest() for source in self.sources}
