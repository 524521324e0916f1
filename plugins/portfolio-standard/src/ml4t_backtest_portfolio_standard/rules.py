"""What accounts may do and what they are charged, in one object for the portfolio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml4t_backtest_portfolio_standard.borrowing import Borrowing
from ml4t_backtest_portfolio_standard.buying_power import BuyingPower, rules_of
from ml4t_backtest_portfolio_standard.margin_call import MarginCalls, cancels_of
from ml4t_backtest_portfolio_standard.payments import Payments
from ml4t_backtest_portfolio_standard.settlement import Settlement
from ml4t_backtest_portfolio_standard.silence import Silence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["AccountRules"]


class AccountRules:
    """Buying power, payments, settlement, silence and margin calls of all accounts of a run.

    Args:
        state: The run's columns, with a row of ACCOUNT per account and currency.
        accounts: Settings by number of account.
        close_position: Closes the position of a symbol at a price, as a delisting does.
    """

    def __init__(
        self, state: RunState, accounts: Sequence[Account], close_position: Callable[[int, float], None]
    ) -> None:
        borrowing = Borrowing(state, accounts)
        self._state = state
        self._payments = Payments(state, accounts, borrowing)
        self._settlement = Settlement(state, accounts)
        self._power = BuyingPower(state, accounts, borrowing)
        self._silence = Silence(state, accounts, close_position)
        self._calls = MarginCalls(state, accounts, rules_of(accounts))

    @property
    def next_due(self) -> int:
        """The next instant of funding, UTC ns."""
        return self._payments.next_due

    @property
    def flags(self) -> tuple[str, ...]:
        """Sentences about margin calls and losses."""
        return self._calls.flags

    def settle(self, session: int | None) -> None:
        """Pay funding, borrow and interest, then settle; see ``Portfolio.settle``."""
        self._payments.settle(session)
        if session is not None:
            self._settlement.settle()

    def check(self, requests: NDArray[np.void]) -> bool:
        """Judge one round by buying power; see ``Portfolio.check``."""
        self._silence.hear()
        return self._power.check(requests)

    def exits(self) -> NDArray[np.void] | None:
        """Return what silence and margin calls ask for; see ``Portfolio.exits``."""
        oldest = self._silence.oldest()
        if not self._calls.look(oldest):
            return None
        silent = self._silence.listen()
        if silent:
            self._calls.look(oldest)  # without what was closed
        called = self._calls.exits(self._payments.label)
        wanted = np.concatenate([cancels_of(self._state, silent), called]) if silent else called
        return wanted if len(wanted) else None

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {
            "label": self._payments.label,
            "settlement": self._settlement.get_state(),
            "silence": self._silence.get_state(),
            "calls": self._calls.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._payments.label = state["label"]
        self._settlement.set_state(state["settlement"])
        self._silence.set_state(state["silence"])
        self._calls.set_state(state["calls"])
