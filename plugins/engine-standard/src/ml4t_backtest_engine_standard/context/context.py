"""What a strategy is given: released columns, read-only state, and an outbox."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.errors import LookAheadError, RunError
from ml4t.backtest.interfaces.context import Position, Session
from ml4t.backtest.interfaces.portfolio import Portfolio as Accounting
from ml4t.backtest.interfaces.setup import Setup
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.facts import MEMBER
from ml4t_backtest_engine_standard.context.adjusting import Adjustments, Basis
from ml4t_backtest_engine_standard.context.continuous import Series
from ml4t_backtest_engine_standard.context.handles import to_datetime
from ml4t_backtest_engine_standard.context.history import LookingBack
from ml4t_backtest_engine_standard.context.outbox import Outbox
from ml4t_backtest_engine_standard.context.portfolio import Portfolio
from ml4t_backtest_engine_standard.context.sizing import Sizer
from ml4t_backtest_engine_standard.context.tables import Facts
from ml4t_backtest_engine_standard.loop.latest import Latest
from ml4t_backtest_engine_standard.loop.marks import Marks
from ml4t_backtest_engine_standard.result.journal import Journal
from ml4t_backtest_engine_standard.schedule import Schedule

__all__ = ["Context", "OwnBook"]

Floats = NDArray[np.float64]


class OwnBook(NamedTuple):
    """What one strategy of several has of its own: a name, accounting over columns, (books, number of this one)."""

    name: str
    accounting: Accounting
    state: RunState
    numbering: tuple[int, int]


class Context(LookingBack):
    """The strategy's view of the run.

    It holds released columns, the run's own columns and the outbox, and no engine, broker, bus or feed.
    Percents and weights are fractions; quantities are signed.

    Attributes:
        portfolio: Cash, equity, exposure and positions.
        rng: Random generator derived from the run's seed and the strategy's name.
    """

    def __init__(
        self,
        state: RunState,
        outbox: Outbox,
        released: Mapping[str, Released],
        accounting: Accounting,
        journal: Journal,
        schedule: Schedule,
        setup: Setup,
        adjustments: Adjustments,
        marks: Marks,
        accounts: Sequence[str],
        book: OwnBook | None = None,
        series: Mapping[str, tuple[Series, bool]] | None = None,
        facts: Mapping[str, Facts] | None = None,
        members: str = "",
    ) -> None:
        self.rng = setup.rng
        self._setup = setup
        self._state = state
        self._outbox = outbox
        self._released = dict(released)
        self._prices = [each for each in released.values() if each.spec.kind in ("bar", "quote", "trade")]
        self._signals = {
            field: each for each in released.values() if each.spec.kind == "signal" for field in each.spec.fields
        }
        self._journal = journal
        self._schedule = schedule
        self._adjustments = adjustments
        self._marks = marks
        self._series = dict(series or {})
        self._facts, self._members = dict(facts or {}), members
        self._bases: dict[str, Basis] = {}
        self._declared: dict[str, list[str]] = {}
        self._clients, self._tags = {}, {}
        self._opening: int | None = None
        self._book = "" if book is None else book.name
        own, columns = (accounting, state) if book is None else (book.accounting, book.state)
        own = getattr(own, "figures", own)  # a portfolio may know what is not known yet
        self._sizer = Sizer(columns, outbox, marks.fold, own.equity, marks.rates)
        if book is not None:
            self._sizer.numbering = book.numbering
        self.portfolio = Portfolio(own, columns, marks, accounts)

    if not TYPE_CHECKING:  # type checkers know what there is

        def __getattr__(self, name: str) -> Any:
            """Say where what other engines call so is, or what is near."""
            if name.startswith("_"):
                raise AttributeError(name)
            places = {"cash": "portfolio.cash", "equity": "portfolio.equity", "positions": "portfolio.positions"}
            places |= {"account": "portfolio", "broker": "portfolio", "data": "history, price or window"}
            named = [each for each in dir(type(self)) if not each.startswith("_")] + ["portfolio", "rng"]
            near = places.get(name) or next(iter(difflib.get_close_matches(name, named, 1)), "")
            hint = f"use context.{near}" if near else f"it has {', '.join(sorted(named))}"
            raise AttributeError(f"context has no {name!r}: {hint}", name=name, obj=self)

    @cached_property
    def log(self) -> Any:
        """The structlog logger bound with the strategy's name, imported at first use."""
        return self._setup.log

    @property
    def now(self) -> datetime:
        """The present, zone-aware UTC, cut to microseconds; ``now_ns`` is exact."""
        return to_datetime(self._state.now)

    @property
    def now_ns(self) -> int:
        """The present, UTC ns."""
        return self._state.now

    @property
    def session(self) -> Session | None:
        """The session that is open, or that closed last; None before the first of the calendar."""
        table = self._schedule.sessions
        row = self._opening
        if row is None:
            row = int(np.searchsorted(table.open, self._state.now, side="right")) - 1
            row -= row > 0 and int(table.close[row - 1]) == self._state.now  # where two meet: the one that ends
        if row < 0:
            return None
        label = date(1970, 1, 1) + timedelta(days=int(table.label[row]))
        return Session(label, to_datetime(int(table.open[row])), to_datetime(int(table.close[row])))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that released rows have named, in the order of their columns; append-only."""
        return tuple(self._state.symbols.names)

    @property
    def universe(self) -> NDArray[np.bool_]:
        """Which symbols are listed, members of the universe and priced now, bool (n,)."""
        self._marks.fold()
        instruments = self._state.instruments
        out = np.isfinite(instruments["mark"]) & (instruments["ended"] == 0)
        if self._members:
            out &= self.asof(self._members, MEMBER) == 1.0
        return np.asarray(out)

    def price(self, symbol: str | None = None) -> Any:
        """Return the last known price of a symbol, or of all, float64 (n,); NaN before the first."""
        self._marks.fold()
        marks = self._state.instruments["mark"]
        return marks.copy() if symbol is None else float(marks[self.index(symbol)])

    def price_age(self, symbol: str | None = None) -> Any:
        """Return ns since the last price formed, for a symbol or for all, int64 (n,)."""
        self._marks.fold()
        ages = self._state.now - self._state.instruments["mark_time"]
        return ages if symbol is None else int(ages[self.index(symbol)])

    def signal(self, name: str) -> Floats:
        """Return a signal's values known and valid now, float64 (n,), NaN where there is none."""
        released = self._signal(name)
        if released.spec.valid_for is None or not isinstance(released.take, Latest):
            return released.dense(name)
        return released.take.valid(released, name, released.spec.valid_for)

    def signal_age(self, name: str, symbol: str | Sequence[str] | None = None) -> Any:
        """Return ns since the signal's newest release; the whole run's time before the first.

        With a symbol: ns since the row that counts for it was known, -1 where none was; with several: int64 (k,).
        """
        released = self._signal(name)
        if symbol is None:
            return self._state.now - released.newest
        assert isinstance(released.take, Latest)  # as every signal source has
        since = released.take.known_since(released)
        ages = np.where(since < 0, -1, self._state.now - since)
        if isinstance(symbol, str):
            return int(ages[self.index(symbol)])
        return ages[[self.index(each) for each in symbol]]

    def signal_updated(self, name: str) -> NDArray[np.bool_]:
        """Return which symbols got a value in this very instant, bool (n,)."""
        released = self._signal(name)
        if released.newest != self._state.now:
            return np.zeros(len(self._state.symbols), np.bool_)
        return released.updated()

    def _signal(self, name: str) -> Released:
        if name not in self._signals:
            known = ", ".join(self._signals) or "none"
            raise LookAheadError(f"there is no signal {name!r}; known are {known}")
        return self._signals[name]

    def position(self, symbol: str) -> Position:
        """Return the position in a symbol, flat or not."""
        self._marks.fold()
        return self.portfolio.position(self.index(symbol))

    def schedule(
        self,
        callback: Callable[[Context], None],
        rule: Literal["daily", "weekly", "monthly"] = "daily",
        *,
        at: str = "open",
        tz: str | None = None,
    ) -> None:
        """Call a method of the strategy on the first session of each day, week or month.

        Args:
            callback: A bound method taking the context.
            rule: How often.
            at: ``open``, ``close``, either with an offset (``open+30m``, ``close-5m``), or ``HH:MM`` local.
            tz: IANA zone of ``HH:MM``; None for the calendar's.

        Raises:
            RunError: The rule is not understood, or the run is under way.
        """
        if self._state.now:
            raise RunError(f"{callback.__name__} was scheduled while the run is under way: call schedule in on_start")
        self._schedule.add(callback, rule, at, tz)

    def timer(
        self, callback: Callable[[Context], None], at: datetime | None = None, *, after: str = "", every: str = ""
    ) -> None:
        """Call a method of the strategy at an instant, or again and again from then on, whether rows arrive or not.

        Args:
            callback: A bound method taking the context.
            at: First call, with a zone; or
            after: Duration until the first call, such as ``5m``; in ``on_start`` from the first instant on.
            every: Duration from call to call; alone also until the first one.

        Raises:
            RunError: It is not said when, or when is not later than now.
        """
        self._schedule.timers.add(callback, at, after, every, self._state.now)
        self._outbox.woken = True

    def record(self, **values: float) -> None:
        """Keep named figures of this instant for the result's ``records``, which names the instant ``timestamp``."""
        if "timestamp" in values:
            raise RunError("record keeps the instant as timestamp: give the figure another name")
        named: dict[str, float | str] = {name: float(value) for name, value in values.items()}
        self._journal.record(self._state.now, {"book": self._book, **named} if self._book else named)
