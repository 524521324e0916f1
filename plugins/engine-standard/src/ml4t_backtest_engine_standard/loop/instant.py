"""The phases of one instant, in one place.

    1  the clock moves; the session that closes or opens is noted
    2  corporate actions, funding, borrow, interest, settlement, on the position held strictly before
    3  working orders meet the prices formed up to now; fills are applied; with a session end its orders
    4  all rows of this instant are released
    5  marks (brought up to date when somebody asks, or at the session's close)
    6  on_fill, on_order, in the order of the run's transitions
    7  exits that risk managers ask for
    8  timers and schedules, then the strategy: on_symbols, on_signal, on_event per row, on_slice once,
       after_trading_end, before_trading_start
    9  outbox -> risk -> broker, repeated from 6 until the outbox is empty, at most 50 rounds
    10 journal

Phase 2 is the agenda (``agenda.py``) and then the portfolio's. Instants at which nothing can happen but the delivery
of rows are run through in one stretch (``idle.py``): no order works, no session opens or closes,
no timer is due, no symbol is new, and neither broker nor risk managers watch every instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ml4t.backtest.core.bus import EventBus
from ml4t.backtest.core.clock import Chunk, Clock
from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.queue import Rows
from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces.setup import Setup
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.entities import Tickers
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.context.adjusting import Adjustments
from ml4t_backtest_engine_standard.context.context import Context, OwnBook
from ml4t_backtest_engine_standard.context.outbox import ORDER, Outbox
from ml4t_backtest_engine_standard.loop.actions import CorporateActions
from ml4t_backtest_engine_standard.loop.agenda import Agenda
from ml4t_backtest_engine_standard.loop.columns import Columns
from ml4t_backtest_engine_standard.loop.continuous import ContinuousSeries
from ml4t_backtest_engine_standard.loop.delivery import EVENTS, Delivery
from ml4t_backtest_engine_standard.loop.ensemble import gather
from ml4t_backtest_engine_standard.loop.idle import deliver_idle, idle_until
from ml4t_backtest_engine_standard.loop.judging import Judging
from ml4t_backtest_engine_standard.loop.listings import Listings
from ml4t_backtest_engine_standard.loop.marks import Marks, keeper
from ml4t_backtest_engine_standard.loop.modelling import Modelling
from ml4t_backtest_engine_standard.loop.rates import Rates
from ml4t_backtest_engine_standard.loop.stretches import full_instants, signals_until
from ml4t_backtest_engine_standard.loop.tables import TableRoom
from ml4t_backtest_engine_standard.result.journal import Journal
from ml4t_backtest_engine_standard.schedule import Schedule

__all__ = ["Instants"]

# Sources that release rows at an instant: released columns, rows, first row, end.
Releases: TypeAlias = list[tuple[Released, Rows, int, int]]
# (new symbols, session that closes, session that opens) of an instant.
News: TypeAlias = tuple[list[str] | None, int | None, int | None]

MAX_ROUNDS = 50


class Instants:
    """The engine's loop over the instants of one run.

    Args:
        parts: The opened components.
        bus: The run's event bus.

    Attributes:
        start: No callback comes before this instant.
        quiet_until: Rows known up to this instant are released without callbacks.
        rows_done: Rows released so far.
        judging: Who speaks for the risk managers.
        delivery: Who is told what.
        agenda: What is to happen in phase 2 of later instants.
        marks: Brings marks and rates up to date.
        listings: Opens and ends trading of symbols.
        columns: Which company has which column.
        tables: Rows of tables, until they are known.
        models: Signal sources that compute their rows during the run.
        actions: Carries corporate actions out.
        contexts: One for each strategy.
        continuous: Series of futures; None where there are none.
        books: What the portfolio keeps for each of several strategies; None where there is one.
    """

    def __init__(self, parts: Parts, bus: EventBus) -> None:
        self.bus, self.start, self.quiet_until, self.rows_done = bus, parts.start, parts.start, 0
        self.broker, self.portfolio = parts.broker, parts.portfolio
        self.parts, self.state = parts, RunState()
        self.outbox, self.journal = Outbox(self.state), Journal(self.state)
        tickers = parts.tickers or Tickers((), parts.actions, parts.sessions)
        ends = any(source.spec.kind == "bar" for source in parts.sources)
        identify = None if tickers.plain else partial(tickers.identify, ends=ends)
        others = parts.calendars
        self.clock = Clock(parts.sources, parts.sessions, calendars=others, last=parts.end, identify=identify)
        self.columns, self.adjustments = Columns(self.state, tickers, parts.rules), Adjustments(self.state)
        self.tables = TableRoom(parts.facts, tickers, self.columns, self.state)
        self.released = [Released(each.spec, self.state, keeper(each.spec, self.state)) for each in parts.sources]
        self.state.session_opens, self.state.session_closes = parts.sessions.open, parts.sessions.close
        self.state.currencies[:] = parts.currencies
        parts.portfolio.open(self.state, parts.capital)
        parts.broker.open(self.state, parts.models, parts.portfolio)
        by_name = {each.spec.name: each for each in self.released}
        names, ages = [row.name for row in parts.accounts], [row.max_fx_age for row in parts.accounts]
        self._prices = [each for each in self.released if each.spec.kind in EVENTS]
        rates = Rates(self.state, names, ages)
        self.marks = Marks(self._prices, rates if len(parts.currencies) > 1 else None)

        self.continuous = None
        if parts.continuous:
            self.continuous = ContinuousSeries(parts.continuous, parts.instruments, parts.sessions, self.state)

        def make_context(setup: Setup, book: OwnBook | None, outbox: Outbox = self.outbox) -> Context:
            views = (parts.portfolio, self.journal, Schedule(parts.sessions), setup, self.adjustments)
            known = self.continuous.known if self.continuous else None
            more = (book, known, self.tables.facts, parts.members)
            return Context(self.state, outbox, by_name, *views, self.marks, names, *more)

        own = partial(make_context, parts.strategy_setup, None)
        self.models = Modelling(parts.sources, self.released, own, self.state, self.journal)
        self.strategy, self.contexts = gather(parts, self.state, self.outbox, make_context)
        self.context = self.contexts[0]
        self.books: Any = getattr(parts.portfolio, "books", None) if parts.books else None
        self.delivery = Delivery(bus, self.state, self.strategy, self.context, self.outbox)
        self._delay = max((each.spec.rule.latency_ns for each in self._prices if each.spec.drives), default=0)
        self.judging = Judging(parts.risk, parts.portfolio, self.state, self.outbox)
        if parts.books:
            self.judging.book, self.journal.books = -1, [book.name for book in parts.books]
        self.agenda = Agenda()
        done = (self.broker, self.portfolio, self.adjustments, self.delivery)
        self.actions = CorporateActions(self.state, self.columns, parts.currencies[0], *done)
        self.actions.enter(tickers.actions, self.agenda, self._delay)
        kept = (parts.sessions, self.agenda, self.broker, self.portfolio, self.marks.rates)
        self.listings = Listings(self.state, parts.instruments, *kept)
        self.actions.renamed = self.listings.renew

    def begin(self) -> None:
        """Call ``on_start``, before any data is visible."""
        self.delivery.doing = "on_start"
        self.strategy.on_start(self.context)

    def run(self, *, fast: bool, after: int | None = None) -> Iterator[int]:
        """Yield the instant after each one, or, with ``fast``, after each stretch of idle ones.

        Args:
            fast: Whether idle instants may be run through in stretches.
            after: Release everything up to this instant silently, then yield it once, for a resume; ``start``
                must be later.
        """
        self.delivery.listen()
        self.clock.wants_opens = self.delivery.wants_opens
        begun, self.delivery.doing = False, "batches"
        for chunk in self.clock.chunks():
            if not begun:
                begun = True
                for context in self.contexts:
                    context._schedule.queue(self.clock, self.start, context)
                self.outbox.begin = max(self.start, min(chunk.instants[0], self.clock.next_timer))
                self.agenda.take(chunk.instants[0] - 1)  # what came before all data touches nothing
                self.tables.begin(chunk.instants[0])
            self.columns.renumber(chunk)
            full = [full_instants(part) for part in chunk.sources]
            special = sorted({*chunk.opens, *chunk.closes, *chunk.new_symbols})
            place, size = 0, len(chunk.instants)
            try:
                while place < size:
                    now = chunk.instants[place]
                    if after is not None and now > after:
                        while (due := self.next_due()) <= after:
                            self._carry_out()
                            self._instant(due, [], (None, None, None), [])
                        after = None
                        yield self.state.now
                    self._carry_out()
                    while (due := self.next_due()) < now:
                        self._instant(due, [], (None, None, None), [])
                        if after is None:
                            yield self.state.now
                    stop = idle_until(self, chunk, place, special) if fast and after is None else place
                    if stop > place:
                        place = deliver_idle(self, chunk, place, stop, full[0])
                    else:
                        self._static_instant(chunk, place, full)
                        place += 1
                    if after is None:
                        yield self.state.now
            finally:
                self._log_signals(chunk, place)
            self.delivery.doing = "batches"

    def finish(self) -> None:
        """End the run: working orders end, a last equity row is taken, ``on_end`` is called."""
        self.outbox.closed = True
        self.delivery.listen(stop=True)
        now = self.state.now
        try:
            if now:
                self.delivery.doing = "broker.finish"
                self.broker.finish()
                rows = self.state.equity.rows()
                if not len(rows) or int(rows["timestamp"][-1]) != now:
                    opens = self.clock.sessions.open
                    self._sample(now, max(0, int(np.searchsorted(opens, now)) - 1))
        finally:
            self.delivery.doing = "on_end"
            self.strategy.on_end(self.context)

    # --- one instant ----------------------------------------------------------------------------------

    def _static_instant(self, chunk: Chunk, place: int, full: list[list[bool]]) -> None:
        parts: Releases = []
        complete = []
        for released, source, whole in zip(self.released, chunk.sources, full, strict=True):
            first, stop = source.bounds[place], source.bounds[place + 1]
            if stop > first:
                parts.append((released, source.rows, first, stop))
                complete.append(whole[place])
        news = (chunk.new_symbols.get(place), chunk.closes.get(place), chunk.opens.get(place))
        self._instant(chunk.instants[place], parts, news, complete)

    def _instant(self, now: int, parts: Releases, news: News, full: list[bool]) -> None:
        state, delivery = self.state, self.delivery
        added, closes, _ = news
        ending = closes
        self.clock.move(now)
        state.now = now
        if closes is not None or self.agenda.next <= now or self.portfolio.next_due() <= now:
            self.actions.holding = closes is not None or _formed(parts)
            self._pay(closes)
        if state.counters[state.WORKING] or self.broker.watches_rows:
            self.marks.fold()  # what a position has reached before a fill is known by then
            delivery.doing = "broker.match"
            for released, rows, first, stop in parts:
                if released.spec.drives and released.spec.kind in EVENTS:
                    self.broker.match(rows, first, stop)
                    if rows.event_time[first] + self._delay < now:
                        self._delay = now - int(rows.event_time[first])
            if closes is not None and state.counters[state.WORKING]:
                delivery.doing = "broker.end_session"
                self.broker.end_session(now - self._delay)
        if added:
            added = self.columns.admit(added, held=self.actions.waiting)
        if self.listings.seen < len(state.symbols):
            self.listings.admit()
        for (released, rows, first, stop), whole in zip(parts, full, strict=True):
            released.release(rows, first, stop, whole)
            self.rows_done += stop - first
            if len(self._prices) > 1:  # marks of several feeds are taken in the order of release
                released.fold()
        self.tables.update()
        if self.models.present:
            self.delivery.doing = "models"
            self.models.update(parts, ending)
        if parts:
            state.known_at = now
            if self.continuous is not None:
                self.continuous.update(parts)
        if now < self.start:
            self.actions.take_news()
        else:
            delivery.doing = "bus"
            self.bus.drain(now)
            if now <= self.quiet_until:  # what is known at the start itself belongs to the session before
                parts, news, closes = [], (None, None, news[2]), None
                self.actions.take_news()
            else:
                news = (added, *news[1:])
            self.rounds(parts, news)
        if ending in self.listings.ends:
            self._end_listings(ending)
        if closes is not None and now >= self.start:
            self._sample(now, closes)

    def _carry_out(self) -> None:
        """Carry out actions that waited for all that belonged to the instant before."""
        if self.actions.waiting:
            self.marks.fold()
            self.actions.release()

    def next_due(self) -> int:
        """Return the earliest instant at which something is due without any row."""
        if self.outbox.woken:
            self.outbox.woken = False
            for context in self.contexts:
                context._schedule.timers.take(self.clock, self.outbox.begin, context, context._schedule.before)
        return min(
            self.clock.next_timer, self.agenda.next, self.portfolio.next_due(), self.tables.next, self.models.next
        )

    def _pay(self, closes: int | None) -> None:
        """Phase 2: what is on the agenda, then what the portfolio pays and is paid."""
        self.marks.fold()
        for callback in self.agenda.take(self.state.now):
            callback()
        self.delivery.doing = "portfolio.settle"
        self.portfolio.settle(None if closes is None else int(self.clock.sessions.label[closes]))

    def _end_listings(self, row: int) -> None:
        """End what trades no longer after this session; then tell of the orders that end with it."""
        self.marks.fold()
        self.delivery.doing = "expiry"
        if self.listings.end_session(row) and self.state.now >= self.start:
            self.rounds([], None)

    def rounds(self, parts: Releases, news: News | None) -> None:
        """Go through phases 6 to 9; ``news`` is None where phase 8 is over already."""
        outbox, delivery = self.outbox, self.delivery
        for count in range(MAX_ROUNDS + 1):
            if self.books is not None:
                self.books.catch_up()
            delivery.fills_and_orders()
            if count == 0 and news is not None:
                if self.judging.exiting or (news[1] is not None and self.judging.liquidates):
                    self.marks.fold()
                    delivery.doing = "risk.exits"
                    self.judging.exits(closes=news[1] is not None)
                self._strategy_calls(parts, *news)
            if not outbox.count:
                return
            unusual, requests = outbox.unusual, outbox.take()
            self.marks.fold()  # limits in money, buying power and trailing stops begin at the marks
            delivery.doing = "risk.check"
            if self.marks.rates is not None:
                self.marks.rates.needed(requests["symbol"][requests["action"] == ORDER])
            unusual = self.judging.check(requests) or unusual
            if unusual:
                self.journal.requests(self.state.now, self.state.orders.count, requests)
            delivery.doing = "broker.submit"
            self.broker.submit(requests)
            for released, rows, first, stop in parts:
                if released.spec.drives and released.spec.kind in EVENTS:
                    self.broker.match_now(rows, first, stop)
        raise RunError(
            f"orders placed in callbacks were answered {MAX_ROUNDS} times within the instant {self.state.now} and "
            "still led to more: end the recursion in on_fill or on_order"
        )

    def _strategy_calls(self, parts: Releases, added: list[str] | None, closes: int | None, opens: int | None) -> None:
        delivery, labels = self.delivery, self.clock.sessions.label
        if self.clock.next_timer <= self.state.now:
            delivery.doing = "schedule"
            for callback in self.clock.due():
                callback()
        received, events = self.actions.take_news()
        if received or added:
            delivery.call("on_symbols", (*received, *(added or ())))
        if events:
            delivery.actions(events)
        if self.tables.news and self.state.now > self.quiet_until:
            delivery.facts(self.tables.news)
        if parts:
            delivery.rows(parts)
        if closes is not None:
            delivery.session("close", int(labels[closes]))
            delivery.call("after_trading_end")
        if opens is not None:
            for context in self.contexts:
                context._opening = opens
            delivery.session("open", int(labels[opens]))
            delivery.call("before_trading_start")
            for context in self.contexts:
                context._opening = None

    # --- journal --------------------------------------------------------------------------------------

    def _sample(self, now: int, row: int) -> None:
        self.marks.fold()
        session = int(self.clock.sessions.label[row])
        self.delivery.doing = "portfolio.sample"
        self.marks.check()
        self.portfolio.sample(now, session)
        equity = float(self.state.equity.rows()["equity"][-1])
        if not np.isfinite(equity):
            day = np.datetime64(session, "D")
            raise RunError(f"equity is {equity} at the close of session {day}: look for absurd prices or sizes")
        self.journal.sample_positions(now, session)

    def _log_signals(self, chunk: Chunk, place: int) -> None:
        """Note the signal rows released so far; only when they are all in the past."""
        for rows in signals_until(chunk, place):
            spec, columns = rows.spec, (rows.symbol, rows.known_at, rows.event_time, rows.values)
            self.journal.signal_rows(spec.name, spec.fields, *columns, valid_for=spec.valid_for, horizon=spec.horizon)


def _formed(parts: Releases) -> bool:
    """Say whether an instant releases bars, which formed before it."""
    return any(released.spec.kind == "bar" for released, *_ in parts)
