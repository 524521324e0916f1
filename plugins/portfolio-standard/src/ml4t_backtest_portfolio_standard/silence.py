"""Silence: symbols whose last price is too old, and what becomes of positions in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["Silence"]

_BARS: Final = 5  # the fewest bars of a feed that are no silence, where its bars are longer than a session
_FOREVER: Final = 2**63 - 1
_TRADES, _ENDED, _TOO_OLD = 0, 1, 3


class Silence:
    """Notes at each session's close which marks are too old, and closes positions by the account's policy.

    How long a bar of a symbol is is learnt: it is the fewest sessions that lay between two of its prices. With one
    price nothing is known of it, and nothing is too old.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.
        close_position: Closes the position of a symbol at a price, as a delisting does.
    """

    def __init__(
        self, state: RunState, accounts: Sequence[Account], close_position: Callable[[int, float], None]
    ) -> None:
        self._state, self._accounts, self._close_position = state, accounts, close_position
        self._ages = np.array([account.max_mark_age for account in accounts], np.int64)
        self._marked = np.zeros(0, np.int64)  # mark_time at the last look
        self._session = np.zeros(0, np.int64)  # in which that was seen first
        self._bar = np.zeros(0)  # sessions, inf while it is not known
        self._learns = True
        self._row = -1  # the session that closes
        self._quiet: dict[int, int] = {}  # symbols that are too old, and their mark_time

    def oldest(self) -> int:
        """Return up to when a mark is too old at this close, UTC ns; the end of time where a full look is due."""
        state = self._state
        closes = state.session_closes
        if self._row < 0:
            self._row = max(int(np.searchsorted(closes, state.now, side="right")) - 1, 0)
        while self._row + 1 < len(closes) and closes[self._row + 1] <= state.now:
            self._row += 1
        if self._learns or self._quiet or len(self._ages) > 1 or len(state.symbols) != len(self._marked):
            return _FOREVER
        last = self._row - int(self._ages[0]) - 1
        return int(closes[last]) if last >= 0 else -1

    def listen(self) -> list[int]:
        """Look at all marks, at a session's close, after ``oldest``; return symbols whose working orders end.

        Raises:
            RunError: A position has had no price for too long, and the account's policy is ``stop``.
        """
        state, session = self._state, self._row
        marked = state.instruments["mark_time"]
        self._learn(session, marked)
        old = self._too_old(session, marked)
        if not self._quiet and not old.any():
            return []
        self._wake(old)
        closed = []
        for symbol in np.flatnonzero(old).tolist():
            instrument = state.instruments[symbol]
            if instrument["ended"] == _TRADES:
                instrument["ended"] = _TOO_OLD
            self._quiet[symbol] = int(marked[symbol])
            if state.positions[symbol]["quantity"] != 0.0 and instrument["ended"] != _ENDED and self._end(symbol):
                closed.append(symbol)
        return closed

    def hear(self) -> None:
        """Let symbols trade again that have a new price since the last close."""
        if self._quiet:
            self._wake(np.ones(len(self._state.symbols), np.bool_))

    def _wake(self, old: NDArray[np.bool_]) -> None:
        """Let symbols trade again that are not old any more, or have a new price."""
        instruments = self._state.instruments
        for symbol, marked in list(self._quiet.items()):
            if not old[symbol] or instruments[symbol]["mark_time"] != marked:
                del self._quiet[symbol]
                if instruments[symbol]["ended"] == _TOO_OLD:
                    instruments[symbol]["ended"] = _TRADES

    def _learn(self, session: int, marked: NDArray[np.int64]) -> None:
        grown = len(marked) - len(self._marked)
        if grown:
            self._marked = np.append(self._marked, np.zeros(grown, np.int64))
            self._session = np.append(self._session, np.zeros(grown, np.int64))
            self._bar = np.append(self._bar, np.full(grown, np.inf))
            self._learns = True
        if not self._learns:
            return
        moved = marked != self._marked
        again = moved & (self._marked != 0)
        self._bar[again] = np.minimum(self._bar[again], session - self._session[again])
        self._marked[moved] = marked[moved]
        self._session[moved] = session
        self._learns = bool((self._bar > 1.0).any())

    def _too_old(self, session: int, marked: NDArray[np.int64]) -> NDArray[np.bool_]:
        closes = self._state.session_closes
        longest = self._ages[self._state.instruments["account"]].astype(float)
        long_bars = self._bar > 1.0
        longest[long_bars] = np.maximum(longest, _BARS * self._bar)[long_bars]
        found: NDArray[np.bool_] = session - np.searchsorted(closes, marked, side="left") > longest
        return found

    def _end(self, symbol: int) -> bool:
        """Close a position as its account wants it; say whether it was closed."""
        state = self._state
        instrument, name = state.instruments[symbol], state.symbols.names[symbol]
        account = self._accounts[int(instrument["account"])]
        if account.on_silence == "hold":
            return False
        if account.on_silence == "stop":
            last, now = (
                np.datetime64(int(each), "ns").astype("M8[D]") for each in (instrument["mark_time"], state.now)
            )
            raise RunError(
                f"{name} has had no price since {last}, more than {account.max_mark_age} sessions before {now}, and "
                f"account {account.name} holds {state.positions[symbol]['quantity']:g} of it: give its delisting as "
                f"a corporate action, or set on_silence of the account to hold, last or zero"
            )
        self._close_position(symbol, float(instrument["mark"]) if account.on_silence == "last" else 0.0)
        return True

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        columns = {"marked": self._marked, "session": self._session, "bar": self._bar}
        return {**columns, "learns": self._learns, "quiet": dict(self._quiet)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._marked, self._session, self._bar = state["marked"], state["session"], state["bar"]
        self._learns, self._quiet = state["learns"], dict(state["quiet"])
