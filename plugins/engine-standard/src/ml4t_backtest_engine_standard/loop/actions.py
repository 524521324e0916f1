"""Corporate actions: told when they are known, carried out when they take effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import numpy as np

from ml4t.backtest.core.event import CorporateActionEvent
from ml4t.backtest.core.sessions import EPOCH_ORDINAL
from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import Action, Broker, Portfolio
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.context.adjusting import Adjustments
from ml4t_backtest_engine_standard.loop.agenda import Agenda
from ml4t_backtest_engine_standard.loop.columns import Columns
from ml4t_backtest_engine_standard.loop.delivery import Delivery

__all__ = ["CorporateActions"]

_DELISTED = 1


class CorporateActions:
    """Carries actions out on orders, positions, marks and names, in phase 2 of the instant of their effect.

    Args:
        state: The run's columns.
        columns: Which company has which of them.
        base: Name of the base currency.
        broker, portfolio: Told of each action, in this order, before its mark changes.
        adjustments: Notes what actions do to past prices.
        delivery: Is told who is at work.

    Attributes:
        holding: Whether prices that formed before are still to come in this instant, so that actions wait for its end:
            they are carried out before the next one begins, and where none does, never.
        renamed: Told of a column and since when, UTC ns, its company has another ticker.
        added: Names of columns added since somebody took them.
        events: Actions that became known since somebody took them.
    """

    def __init__(
        self,
        state: RunState,
        columns: Columns,
        base: str,
        broker: Broker,
        portfolio: Portfolio,
        adjustments: Adjustments,
        delivery: Delivery,
    ) -> None:
        self._base = base
        self._state, self._columns, self._adjustments = state, columns, adjustments
        self._broker, self._portfolio, self._delivery = broker, portfolio, delivery
        self.holding = self._unsaid = False
        self.renamed: Callable[[int, int], None] | None = None
        self.added: list[str] = []
        self.events: list[CorporateActionEvent] = []
        self._held: list[tuple[PlannedAction, int]] = []

    @property
    def waiting(self) -> bool:
        """Whether actions wait for the end of the instant in which they take effect."""
        return bool(self._held)

    @property
    def unsaid(self) -> bool:
        """Whether orders may have changed since the strategy was last told of them, or are about to."""
        return self._unsaid or bool(self._held)

    def enter(self, actions: list[PlannedAction], agenda: Agenda, delay: int) -> None:
        """Put actions on the agenda, each for when it is known and for when it takes effect.

        Args:
            actions: In the order in which they take effect.
            agenda: Of the run.
            delay: From when a price formed to when it is known, ns: until then those before an action still come.
        """
        for action in actions:
            agenda.at(action.known_at, partial(self._tell, action))
            agenda.at(action.effective_at + delay, partial(self._take_effect, action))

    def release(self) -> None:
        """Carry out what waited for the prices of this instant."""
        held, self._held = self._held, []
        for action, other in held:
            self._apply(action, other)

    def take_news(self) -> tuple[list[str], list[CorporateActionEvent]]:
        """Return ``added`` and ``events``, and begin anew."""
        news = self.added, self.events
        self.added, self.events, self._unsaid = [], [], False
        return news

    def _tell(self, action: PlannedAction) -> None:
        column = self._columns.company(action)
        if column is None:
            return
        named = (("ratio", action.ratio), ("amount", action.amount), ("value", action.value))
        values = {name: figure for name, figure in named if figure == figure}
        symbol = self._state.symbols.names[column]
        day = date.fromordinal(EPOCH_ORDINAL + action.ex_date)
        self.events.append(CorporateActionEvent(self._state.now, symbol, action.kind, day, values))

    def _take_effect(self, planned: PlannedAction) -> None:
        other, added = self._columns.receive(planned)
        self.added += added
        if self.holding:
            self._held.append((planned, other))
        else:
            self._apply(planned, other)

    def _apply(self, planned: PlannedAction, other: int) -> None:
        column = self._columns.company(planned)
        if column is None:
            return
        self._unsaid = True
        instruments, kind = self._state.instruments, planned.kind
        action = Action(
            kind=kind,
            symbol=column,
            ratio=planned.ratio,
            amount=planned.amount,
            currency=self._currency(planned, column),
            value=planned.value,
            other=other,
            pay_at=planned.pay_at,
        )
        self._delivery.doing = "broker.apply_action"
        self._broker.apply_action(action)
        self._delivery.doing = "portfolio.apply_action"
        self._portfolio.apply_action(action)
        self._mark(action, planned.effective_at)
        if kind == "symbol-change":
            self._columns.rename(column, planned.new_symbol)
            if self.renamed is not None:
                self.renamed(column, planned.effective_at)
        elif kind in ("merger", "delisting"):
            instruments["ended"][column] = _DELISTED

    def _mark(self, action: Action, at: int) -> None:
        """Change the marks as the action says, and note what it does to prices before."""
        state, ratio, less = self._state, 1.0, 0.0
        instruments, column = state.instruments, action.symbol
        before = float(instruments["mark"][column])
        if action.kind == "split":
            ratio = action.ratio
        elif action.kind == "stock-dividend":
            ratio = 1.0 + action.ratio
        elif action.kind == "dividend":
            less = action.amount * self._rate(action)
            less = less if np.isfinite(less) else 0.0
        elif action.kind == "spin-off" and np.isfinite(action.value):
            less = action.ratio * action.value
            if np.isnan(instruments["mark"][action.other]):
                instruments["mark"][action.other], instruments["mark_time"][action.other] = action.value, state.now
        elif action.kind == "delisting" and np.isfinite(action.value):
            instruments["mark"][column] = action.value
        if ratio != 1.0:
            instruments["mark"][column] = before / ratio
        if less:
            instruments["mark"][column] = before - less
        factor = 1.0 - less / before if before > less > 0.0 else 1.0
        if ratio != 1.0 or factor != 1.0:
            self._adjustments.add(column, at, ratio, factor)

    def _rate(self, action: Action) -> float:
        """Return the rate from the action's currency to that of the instrument; NaN where it is not known."""
        own = int(self._state.instruments["currency"][action.symbol])
        if action.currency == own:
            return 1.0
        rates = self._state.accounts["rate"]
        return float(rates[action.currency]) / float(rates[own])

    def _currency(self, planned: PlannedAction, column: int) -> int:
        if not planned.currency:
            return int(self._state.instruments["currency"][column])
        currencies = self._state.currencies
        if planned.currency == self._base:
            return 0
        if planned.currency not in currencies:
            known = ", ".join(filter(None, currencies)) or "none"
            what = f"a {planned.kind} of {planned.symbol} is in {planned.currency}, the run keeps accounts in {known}"
            raise RunError(f"{what}: name the currency in capital, or take it out of the actions")
        return currencies.index(planned.currency)
