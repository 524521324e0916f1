"""Settlement: proceeds of sales are cash at once, and settled some sessions later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml4t.backtest.state import LEDGER_KINDS
from ml4t_backtest_portfolio_standard.booking import post

if TYPE_CHECKING:
    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["Settlement"]

_FILL = LEDGER_KINDS.index("fill")
_CONVERSION = LEDGER_KINDS.index("conversion")
_DUST = 1e-9  # of what was converted nothing waits in its first currency


class Settlement:
    """Settles what fills have brought at the close of the N-th session after the fill's session.

    What has not settled is read from the ledger: rows of fills whose ``settled`` is not their ``amount``.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.
    """

    def __init__(self, state: RunState, accounts: Sequence[Account]) -> None:
        self._state = state
        self._days = [account.settlement_days for account in accounts]
        self._active = any(self._days)
        self._rows_seen = self._fills_seen = 0
        self._pending: dict[tuple[int, int], float] = {}  # by session due and row of ACCOUNT

    def settle(self) -> None:
        """Settle what is due at the close of the session that closes now."""
        if not self._active:
            return
        self._look()
        state = self._state
        session = int(np.searchsorted(state.session_closes, state.now, side="right")) - 1
        for due, place in sorted(key for key in self._pending if key[0] <= session):
            amount = self._pending.pop((due, place))
            if abs(amount) > _DUST:
                post(state, place, "settlement", 0.0, settled=amount)

    def _look(self) -> None:
        """Note what rows of the ledger since the last look have still to settle."""
        state = self._state
        fills = state.fills.data
        for row in state.ledger.rows(self._rows_seen):
            waiting = float(row["amount"] - row["settled"])
            if row["kind"] not in (_FILL, _CONVERSION) or waiting == 0.0:
                continue
            while not (
                fills[self._fills_seen]["order_id"] == row["order_id"]
                and fills[self._fills_seen]["known_at"] == row["timestamp"]
            ):
                self._fills_seen += 1
            session = self._session_of(fills[self._fills_seen])
            number = int(row["account"])
            key = (session + self._days[number], number * len(state.currencies) + int(row["currency"]))
            self._pending[key] = self._pending.get(key, 0.0) + waiting
        self._rows_seen = state.ledger.count

    def _session_of(self, fill: np.void) -> int:
        """Return the session in which a fill's price formed.

        Where a session begins as the one before ends, a price of that instant is the open of a bar that is known
        later, or it ended with the bar that was known at once.
        """
        closes = self._state.session_closes
        formed_at = fill["formed_at"]
        session = int(np.searchsorted(self._state.session_opens, formed_at, side="right")) - 1
        ended = session > 0 and closes[session - 1] == formed_at and fill["known_at"] == formed_at
        return session - 1 if ended else session

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {"seen": (self._rows_seen, self._fills_seen), "pending": dict(self._pending)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._rows_seen, self._fills_seen = state["seen"]
        self._pending = dict(state["pending"])
