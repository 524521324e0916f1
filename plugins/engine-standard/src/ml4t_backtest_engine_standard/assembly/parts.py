"""The opened components of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from ml4t.backtest.components import ComponentRef
from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.interfaces import (
    Broker,
    ExecutionModels,
    Gate,
    Portfolio,
    Reporter,
    RiskManager,
    Setup,
    Source,
    Strategy,
)
from ml4t_backtest_engine_standard.assembly.accounts import Account
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.assembly.books import Book
from ml4t_backtest_engine_standard.assembly.continuous import Continuous
from ml4t_backtest_engine_standard.assembly.entities import Tickers
from ml4t_backtest_engine_standard.assembly.facts import FactTable
from ml4t_backtest_engine_standard.assembly.instruments import Instrument, Rules

__all__ = ["Parts"]


@dataclass(kw_only=True)
class Parts:
    """The opened components of a run and what was found on the way.

    Attributes:
        strategy: What decides; of several the first.
        books: The strategies, where there are several.
        calendars: Sessions of calendars that sources name beside the run's, by name.
        capital: Currency -> amount at the start, summed over accounts.
        accounts: The accounts, by number.
        currencies: Names of the run's currencies, the base currency first.
        instruments: All entries of instruments.
        continuous: Series of futures.
        rules: Symbol, or ``*`` for the rest -> its rules of trading (``RunState.add_symbols``).
        actions: Corporate actions by when they take effect; nobody may see one before it is known.
        tickers: Which company a ticker meant; None where every one meant one.
        facts: Tables of facts; nobody may see a row before it is known.
        members: Which of them says who is a member of the universe; empty for none.
        tables: SHA-256 of what each table reads, by the key of its setting.
        gate: What the sources were given to check their rows.
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
    accounts: list[Account]
    currencies: list[str]
    instruments: list[Instrument]
    rules: Rules
    gate: Gate
    start: int
    end: int
    calendars: dict[str, SessionTable] = field(default_factory=dict)
    books: list[Book] = field(default_factory=list)
    continuous: list[Continuous] = field(default_factory=list)
    actions: list[PlannedAction] = field(default_factory=list)
    tickers: Tickers | None = None
    facts: list[FactTable] = field(default_factory=list)
    members: str = ""
    tables: dict[str, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    owners: list[tuple[object, ComponentRef]] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of what each source and each table reads, by its name; asked once, while they are open."""
        return {source.spec.name: source.digest() for source in self.sources} | self.tables
