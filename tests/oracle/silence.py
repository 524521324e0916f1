"""What becomes of a symbol without prices. Quotations are from the page on accounts, "Silence"."""

from __future__ import annotations

from itertools import pairwise

from .accounts import NOTHING
from .actions import close_at
from .desk import Desk


class TooSilentError(Exception):
    """A position has had no price for too long, and the run ends."""


def listen(desk: Desk, session: int) -> list[str]:
    """Look for silence at a session's close, after marking; return the symbols whose positions it closed."""
    closed = []
    desk.silent = {symbol for symbol in desk.priced if symbol not in desk.gone and _is_too_old(desk, symbol, session)}
    for symbol in sorted(desk.silent, key=desk.column):
        account = desk.scenario.accounts[desk.scenario.account(symbol)]
        if not desk.accounts.quantity(symbol) or account.on_silence == "hold":
            continue
        if account.on_silence == "stop":
            raise TooSilentError(symbol)
        close_at(desk, symbol, desk.marks[symbol] if account.on_silence == "last" else NOTHING, "delisting")
        closed.append(symbol)
    return closed


def note_prices(desk: Desk, session: int) -> None:
    """Note the sessions that have a price of a symbol."""
    for symbol, formed in desk.marked_at.items():
        sessions = desk.priced.setdefault(symbol, [])
        of = desk.session_of(formed)
        if of <= session and of not in sessions:
            sessions.append(of)


def _is_too_old(desk: Desk, symbol: str, session: int) -> bool:
    """Whether "the last price is older than `max_mark_age` sessions (5; at least five bars of its feed)"."""
    sessions = desk.priced[symbol]
    if len(sessions) < 2:
        return False
    bar = min(later - earlier for earlier, later in pairwise(sessions))
    longest = desk.scenario.accounts[desk.scenario.account(symbol)].max_mark_age
    return session - sessions[-1] > (max(longest, 5 * bar) if bar > 1 else longest)
