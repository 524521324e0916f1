"""What the settings say of a symbol beside its rules: when it is listed, when it expires, of which currencies it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, SessionTable
from ml4t.backtest.interfaces import Action, Broker, Portfolio
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.instruments import Instrument
from ml4t_backtest_engine_standard.loop.agenda import Agenda
from ml4t_backtest_engine_standard.loop.rates import Rates

__all__ = ["Listings"]

_TRADES, _EXPIRED, _NOT_LISTED = 0, 1, 2
_FOREVER = int(np.iinfo(np.int64).max)


class Listings:
    """Opens and ends trading of symbols, from when rows name them.

    Args:
        state: The run's columns.
        instruments: All entries.
        sessions: The run's calendar.
        agenda: Of the run.
        broker, portfolio: Told of expiries, in this order.
        rates: Takes pairs of currencies; None in runs of one currency.

    Attributes:
        seen: Symbols looked at so far.
        ends: Session, by its row in the calendar -> (symbol, whether it expires) of what ends with it.
    """

    def __init__(
        self,
        state: RunState,
        instruments: Sequence[Instrument],
        sessions: SessionTable,
        agenda: Agenda,
        broker: Broker,
        portfolio: Portfolio,
        rates: Rates | None,
    ) -> None:
        self._state, self._sessions, self._agenda, self._rates = state, sessions, agenda, rates
        self._broker, self._portfolio = broker, portfolio
        self._entries: dict[str, list[tuple[int, Instrument]]] = {}
        for place, row in enumerate(instruments):
            if row.base or row.expires or row.listed_from or row.listed_to:
                self._entries.setdefault(row.symbol, []).append((place, row))
        self.ends: dict[int, list[tuple[int, bool]]] = {}
        self.seen = 0

    def admit(self) -> None:
        """Take note of the symbols that are new."""
        names, first = self._state.symbols.names, self.seen
        self.seen = len(names)
        for symbol in range(first, len(names)) if self._entries else ():
            self._take(symbol, self._state.now)

    def renew(self, symbol: int, at: int) -> None:
        """Let a symbol begin anew under another name.

        Args:
            symbol: Its id.
            at: Since when it has that name, UTC ns.
        """
        if self._state.instruments["ended"][symbol] == _NOT_LISTED:
            self._state.instruments["ended"][symbol] = _TRADES
        for row, ends in self.ends.items():
            self.ends[row] = [(each, expires) for each, expires in ends if each != symbol]
        self._take(symbol, at + 1)

    def _take(self, symbol: int, at: int) -> None:
        """Take note of what the entry of a symbol says, the one that holds at an instant."""
        found = self._find(self._state.symbols.names[symbol], at)
        if found is None:
            return
        place, row = found
        if self._rates is not None and row.base:
            self._rates.add(symbol, row.base, place)
        if row.listed_from is not None:
            self._begin(symbol, row.listed_from, at)
        for day, expires in ((row.listed_to, False), (row.expires, True)):
            if day is not None:
                self._end(symbol, day, expires)

    def end_session(self, row: int) -> bool:
        """End what ends with a session, marks up to date; say whether orders may have ended with it.

        Args:
            row: The session's row in the calendar.
        """
        expired = False
        for symbol, expires in self.ends.pop(row, ()):
            instrument = self._state.instruments[symbol]
            if instrument["ended"] == _EXPIRED:
                continue
            if expires:
                expired = True
                self._expire(symbol, float(instrument["mark"]))
            self._state.instruments["ended"][symbol] = _EXPIRED if expires else _NOT_LISTED
        return expired

    def _find(self, name: str, at: int) -> tuple[int, Instrument] | None:
        """Return the entry of a symbol; of several companies with one ticker that of the session at an instant."""
        found = self._entries.get(name) or self._entries.get(name.partition("@")[0])
        ticker, _, label = name.removesuffix(")").partition(" (")
        if found is None and label:
            found = [pair for pair in self._entries.get(ticker, ()) if pair[1].entity == label]
        if not found:
            return None
        today = self._label(at)
        now = [pair for pair in found if _day(pair[1].listed_from, 0) <= today <= _day(pair[1].listed_to, _FOREVER)]
        return (now or found)[0]

    def _label(self, at: int) -> int:
        row = int(np.searchsorted(self._sessions.close, at))
        return int(self._sessions.label[row]) if row < len(self._sessions) else _FOREVER

    def _begin(self, symbol: int, day: date, at: int) -> None:
        sessions, instruments = self._sessions, self._state.instruments
        row = int(np.searchsorted(sessions.label, _day(day, 0)))
        opens = int(sessions.open[row]) if row < len(sessions) else _FOREVER
        if at >= opens:
            return
        instruments["ended"][symbol] = _NOT_LISTED

        def begin() -> None:
            if self._state.instruments["ended"][symbol] == _NOT_LISTED:
                self._state.instruments["ended"][symbol] = _TRADES

        if opens < _FOREVER:
            self._agenda.at(opens, begin)

    def _end(self, symbol: int, day: date, expires: bool) -> None:
        sessions = self._sessions
        row = int(np.searchsorted(sessions.label, _day(day, 0), side="right")) - 1
        if row < 0 or self._state.now > sessions.close[row]:
            self._state.instruments["ended"][symbol] = _EXPIRED if expires else _NOT_LISTED
        else:
            self.ends.setdefault(row, []).append((symbol, expires))

    def _expire(self, symbol: int, mark: float) -> None:
        instrument = self._state.instruments[symbol]
        action = Action(
            kind="expiry",
            symbol=symbol,
            ratio=np.nan,
            amount=np.nan,
            currency=int(instrument["currency"]),
            value=mark,
            other=-1,
            pay_at=0,
        )
        self._broker.apply_action(action)
        self._portfolio.apply_action(action)


def _day(day: date | None, otherwise: int) -> int:
    return otherwise if day is None else day.toordinal() - EPOCH_ORDINAL
