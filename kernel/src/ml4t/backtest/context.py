"""What a strategy is given: released columns, read-only state, and an outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.schedule import Schedule
from ml4t.backtest.core.sizing import Sizer
from ml4t.backtest.errors import LookAheadError, OrderError
from ml4t.backtest.interfaces.portfolio import Portfolio as Accounting
from ml4t.backtest.journal import Journal
from ml4t.backtest.outbox import Outbox
from ml4t.backtest.state import (
    ACCEPTED,
    ORDER_KINDS,
    PARTIAL,
    PENDING,
    REASONS,
    STATUSES,
    TIMES_IN_FORCE,
    RunState,
)

__all__ = ["Context", "Order", "Portfolio", "Position", "Session", "SignalBatch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: int) -> datetime:
    """Return UTC ns as a zone-aware datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=instant // 1000)


class Session(NamedTuple):
    """A session: its date (label) and its real open and close, zone-aware UTC."""

    date: date
    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True)
class SignalBatch:
    """One release of a signal source.

    Attributes:
        source: Name of the source.
        symbol_ids: int32 (m,), columns of ``context.symbols``.
        event_time: int64 (m,), UTC ns.
        known_at: The release, UTC ns.
        values: Name -> float64 (m,).
    """

    source: str
    symbol_ids: NDArray[np.int32]
    event_time: Ints
    known_at: int
    values: Mapping[str, Floats]


class Order:
    """A handle onto one row of the order table; always shows the present."""

    __slots__ = ("_outbox", "_state", "id")

    def __init__(self, order_id: int, state: RunState, outbox: Outbox) -> None:
        self.id = order_id
        self._state = state
        self._outbox = outbox

    def _row(self) -> NDArray[np.void]:
        if self.id < self._state.orders.count:
            return self._state.orders.data[self.id]  # type: ignore[no-any-return]  # one row of the table
        row = self._outbox.pending(self.id)
        if row is None:
            raise OrderError(f"order {self.id} is not known")
        return row

    @property
    def status(self) -> str:
        """One of ``pending, submitted, accepted, partial, filled, cancelled, expired, refused``."""
        return STATUSES[int(self._state.orders.data[self.id]["status"])] if self._seen else STATUSES[PENDING]

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return not self._seen or int(self._state.orders.data[self.id]["status"]) in (ACCEPTED, PARTIAL)

    @property
    def reason(self) -> str:
        """Why it was refused, cancelled or filled; empty while there is nothing to say."""
        return REASONS[int(self._row()["reason"])]

    @property
    def symbol(self) -> str:
        """The instrument."""
        return self._state.symbols.names[int(self._row()["symbol"])]

    @property
    def quantity(self) -> float:
        """Signed quantity asked for."""
        return float(self._row()["quantity"])

    @property
    def filled(self) -> float:
        """Signed quantity filled so far."""
        return float(self._state.orders.data[self.id]["filled"]) if self._seen else 0.0

    @property
    def tag(self) -> str:
        """The text it was given."""
        return self._state.tags[int(self._row()["tag"])]

    @property
    def _seen(self) -> bool:
        return self.id < self._state.orders.count

    def __repr__(self) -> str:
        return f"Order({self.id}, {self.symbol!r}, {self.quantity:g}, {self.status}, {self.reason!r})"


class Position(NamedTuple):
    """A position as it is now; quantities are signed, prices in the instrument's currency."""

    symbol: str
    quantity: float
    average_price: float
    mark: float
    realised: float

    @property
    def unrealised(self) -> float:
        """Profit and loss at the mark."""
        return self.quantity * (self.mark - self.average_price) if self.quantity else 0.0


class Portfolio:
    """Cash, equity, exposure and positions as known now; read-only."""

    __slots__ = ("_accounting", "_fold", "_state")

    def __init__(self, accounting: Accounting, state: RunState, fold: Callable[[], None]) -> None:
        self._accounting = accounting
        self._state = state
        self._fold = fold

    @property
    def cash(self) -> float:
        """Cash, base currency."""
        return float(self._state.accounts["cash"].item(0))

    @property
    def equity(self) -> float:
        """Cash plus marked positions, base currency."""
        self._fold()
        return self._accounting.equity()

    @property
    def gross_exposure(self) -> float:
        """Sum of absolute position values, base currency."""
        self._fold()
        return self._accounting.exposure()[0]

    @property
    def net_exposure(self) -> float:
        """Sum of signed position values, base currency."""
        self._fold()
        return self._accounting.exposure()[1]

    @property
    def quantities(self) -> Floats:
        """Signed quantity per released symbol, float64 (n,)."""
        return self._state.positions["quantity"].copy()

    @property
    def positions(self) -> dict[str, Position]:
        """Positions that are not flat, by symbol, in the order of ``symbols``."""
        self._fold()
        held = np.flatnonzero(self._state.positions["quantity"])
        found = [self.position(int(place)) for place in held]
        return {position.symbol: position for position in found}

    def position(self, symbol_id: int) -> Position:
        """Return the position in one symbol, flat or not."""
        row, instrument = self._state.positions[symbol_id], self._state.instruments[symbol_id]
        values = (row["quantity"], row["average_price"], instrument["mark"], row["realised"])
        return Position(self._state.symbols.names[symbol_id], *(float(value) for value in values))


class Context:
    """The strategy's view of the run.

    It holds released columns, the run's own columns and the outbox, and no engine, broker, bus or feed.
    Percents and weights are fractions; quantities are signed.

    Attributes:
        portfolio: Cash, equity, exposure and positions.
        rng: Random generator derived from the run's seed and the strategy's name.
        log: structlog logger bound with the strategy's name.
    """

    def __init__(
        self,
        state: RunState,
        outbox: Outbox,
        released: Mapping[str, Released],
        accounting: Accounting,
        journal: Journal,
        schedule: Schedule,
        rng: np.random.Generator,
        log: Any,
    ) -> None:
        self.rng = rng
        self.log = log
        self._state = state
        self._outbox = outbox
        self._released = dict(released)
        self._prices = [each for each in released.values() if each.spec.kind in ("bar", "quote", "trade")]
        self._signals = {
            field: each for each in released.values() if each.spec.kind == "signal" for field in each.spec.fields
        }
        self._journal = journal
        self._schedule = schedule
        self._opening: int | None = None
        self._sizer = Sizer(state, outbox, self._fold, accounting.equity)
        self.portfolio = Portfolio(accounting, state, self._fold)

    def _fold(self) -> None:
        for released in self._prices:
            released.fold()

    # --- time and symbols -----------------------------------------------------------------------------

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
            row = int(np.searchsorted(table.open, self._state.now)) - 1
        if row < 0:
            return None
        label = date(1970, 1, 1) + timedelta(days=int(table.label[row]))
        return Session(label, to_datetime(int(table.open[row])), to_datetime(int(table.close[row])))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that released rows have named, in the order of their columns; append-only."""
        return tuple(self._state.symbols.names)

    def index(self, symbol: str) -> int:
        """Return the column of a symbol.

        Raises:
            OrderError: When no released row has named it yet; the nearest known one is suggested.
        """
        try:
            return self._state.symbols.id(symbol)
        except KeyError:
            near = nearest(symbol, self._state.symbols.names)
            hint = f"did you mean {near!r}?" if near else "see context.symbols"
            raise OrderError(f"symbol {symbol!r} is not known at {self.now.isoformat()}: {hint}") from None

    @property
    def universe(self) -> NDArray[np.bool_]:
        """Which symbols are priced now, bool (n,)."""
        self._fold()
        return np.isfinite(self._state.instruments["mark"])

    # --- data -----------------------------------------------------------------------------------------

    def subscribe(self, feed: str, fields: tuple[str, ...] | str | None = None, *, history: int = 1) -> None:
        """Declare how many bars of a feed ``history`` and ``window`` may reach back; use it in ``on_start``.

        Args:
            feed: Name of a feed or signal source.
            fields: Fields meant, checked against the feed; None for all.
            history: Bars (instants of that feed) to keep, the newest included.
        """
        released = self._feed(feed)
        for field in (fields,) if isinstance(fields, str) else fields or ():
            released.column(field)
        released.keep(history)

    def history(self, field: str, bars: int, *, feed: str | None = None, symbol: str | None = None) -> Floats:
        """Return the last bars of one feed, float64 (bars, n_symbols), oldest first, NaN where no bar.

        With ``symbol``: float64 (bars,). Read-only; it never changes later.
        """
        out = self._feed(feed).history(field, bars)
        return out if symbol is None else out[:, self.index(symbol)]

    def window(
        self,
        feed: str,
        fields: tuple[str, ...] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> pl.DataFrame:
        """Return kept released rows of a feed as a frame: symbol, event_time, known_at, fields.

        Args:
            feed: Name of a feed or signal source; ``subscribe(history=)`` says how many instants are kept.
            fields: Fields; None for all.
            since, until: Bounds on event_time, inclusive, zone-aware; None for open.
        """
        released = self._feed(feed)
        first = 0 if since is None else _to_ns(since)
        last = self._state.now if until is None else _to_ns(until)
        return released.window(fields or released.spec.fields, first, last)

    def price(self, symbol: str | None = None) -> Any:
        """Return the last known price of a symbol, or of all, float64 (n,); NaN before the first."""
        self._fold()
        marks = self._state.instruments["mark"]
        return marks.copy() if symbol is None else float(marks[self.index(symbol)])

    def price_age(self, symbol: str | None = None) -> Any:
        """Return ns since the last price formed, for a symbol or for all, int64 (n,)."""
        self._fold()
        ages = self._state.now - self._state.instruments["mark_time"]
        return ages if symbol is None else int(ages[self.index(symbol)])

    def signal(self, name: str) -> Floats:
        """Return a signal's values known and valid now, float64 (n,), NaN where there is none."""
        return self._signal(name).dense(name)

    def signal_age(self, name: str) -> int:
        """Return ns since the signal's newest release; the whole run's time before the first."""
        return self._state.now - self._signal(name).newest

    def signal_updated(self, name: str) -> NDArray[np.bool_]:
        """Return which symbols got a value in this very instant, bool (n,)."""
        released = self._signal(name)
        if released.newest != self._state.now:
            return np.zeros(len(self._state.symbols), np.bool_)
        return released.updated()

    def _feed(self, name: str | None) -> Released:
        if name is None:
            return self._prices[0]
        if name not in self._released:
            known = ", ".join(self._released)
            raise LookAheadError(f"there is no feed or signal source {name!r}; there are {known}")
        return self._released[name]

    def _signal(self, name: str) -> Released:
        if name not in self._signals:
            known = ", ".join(self._signals) or "none"
            raise LookAheadError(f"there is no signal {name!r}; there are {known}")
        return self._signals[name]

    # --- orders ---------------------------------------------------------------------------------------

    def position(self, symbol: str) -> Position:
        """Return the position in a symbol, flat or not."""
        place = self.index(symbol)
        self._fold()
        return self.portfolio.position(place)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return orders that may still fill, those still in the outbox included, oldest first."""
        place = None if symbol is None else self.index(symbol)
        rows = self._state.orders.rows()
        live = (rows["status"] == ACCEPTED) | (rows["status"] == PARTIAL)
        if place is not None:
            live &= rows["symbol"] == place
        ids = [*np.flatnonzero(live).tolist(), *self._outbox.pending_ids(place)]
        return [Order(each, self._state, self._outbox) for each in ids]

    def order(
        self,
        symbol: str,
        quantity: float,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: str = "GTC",
        tag: str = "",
    ) -> Order:
        """Ask for a signed quantity; a market order unless a price is given.

        Returns:
            A handle whose ``status`` and ``reason`` tell what became of it.
        """
        kind = ORDER_KINDS.index(
            "market"
            if limit_price is None and stop_price is None
            else "limit"
            if stop_price is None
            else "stop"
            if limit_price is None
            else "stop-limit"
        )
        if time_in_force not in TIMES_IN_FORCE:
            raise OrderError(f"time_in_force {time_in_force!r} is not one of {', '.join(TIMES_IN_FORCE)}")
        ids = self._outbox.place(
            np.array([self.index(symbol)]),
            np.array([float(quantity)]),
            kind=kind,
            time_in_force=TIMES_IN_FORCE.index(time_in_force),
            limit_price=np.nan if limit_price is None else limit_price,
            stop_price=np.nan if stop_price is None else stop_price,
            tag=self._tag(tag),
        )
        return Order(int(ids[0]), self._state, self._outbox)

    def order_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for a signed value in base currency at the mark; None when it truncates to nothing."""
        return self._one("value", symbol, value, tag)

    def order_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for a signed fraction of equity at the mark; None when it truncates to nothing."""
        return self._one("percent", symbol, percent, tag)

    def order_target(self, symbol: str, quantity: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a quantity, open market and limit orders counted; None if nothing is."""
        return self._one("target_quantity", symbol, quantity, tag)

    def order_target_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a value in base currency at the mark; None if nothing is."""
        return self._one("target_value", symbol, value, tag)

    def order_target_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a fraction of equity at the mark; None if nothing is."""
        return self._one("target_percent", symbol, percent, tag)

    def order_quantities(self, quantities: ArrayLike, *, tag: str = "") -> Ints:
        """Ask for signed quantities over ``symbols``; NaN and 0 ask for nothing.

        Returns:
            Order ids, int64 (n,), -1 where nothing was asked for.
        """
        return self._basket("quantity", quantities, "keep", tag)

    def order_target_quantities(
        self, quantities: ArrayLike, *, missing: Literal["keep", "close"] = "keep", tag: str = ""
    ) -> Ints:
        """Ask for what is missing to target quantities over ``symbols``.

        Args:
            quantities: float64 (n,); NaN keeps a symbol as it is, 0 closes it.
            missing: ``close`` closes every NaN.
            tag: Text kept with the orders.

        Returns:
            Order ids, int64 (n,), -1 where no order was needed.
        """
        return self._basket("target_quantity", quantities, missing, tag)

    def order_target_weights(
        self, weights: ArrayLike, *, missing: Literal["keep", "close"] = "keep", tag: str = ""
    ) -> Ints:
        """Ask for what is missing to target weights (fractions of equity) over ``symbols``; as above."""
        return self._basket("target_percent", weights, missing, tag)

    def cancel(self, order: Order | int) -> None:
        """Ask for the end of an order; one that is done already stays as it is, with the reason recorded."""
        handle = order if isinstance(order, Order) else Order(int(order), self._state, self._outbox)
        row = handle._row()
        remainder = handle.quantity - handle.filled if handle.is_open else 0.0
        self._outbox.cancel(handle.id, int(row["symbol"]), remainder, bool(row["is_target"]))

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask for the end of every open order, or of those of one symbol."""
        for order in self.open_orders(symbol):
            self.cancel(order)

    def _one(self, kind: str, symbol: str, amount: float, tag: str) -> Order | None:
        place = self.index(symbol)
        ids = self._sizer.place(kind, np.array([place]), np.array([float(amount)]), self._tag(tag))
        return None if ids[0] < 0 else Order(int(ids[0]), self._state, self._outbox)

    def _basket(self, kind: str, amounts: ArrayLike, missing: str, tag: str) -> Ints:
        asked = np.array(amounts, np.float64)
        if asked.shape != (len(self._state.symbols),):
            raise OrderError(
                f"a vector of shape {asked.shape} was given for {len(self._state.symbols)} symbols: "
                "give one value per symbol of context.symbols"
            )
        if np.isinf(asked).any():
            bad = ", ".join(self._state.symbols.names[place] for place in np.flatnonzero(np.isinf(asked))[:5])
            raise OrderError(f"infinite amounts were asked for {bad}: give numbers, or NaN for no change")
        if missing == "close":
            asked[np.isnan(asked)] = 0.0
        elif missing != "keep":
            raise OrderError(f"missing={missing!r} is not one of keep, close")
        ids = self._sizer.place(kind, np.arange(len(asked)), asked, self._tag(tag), basket=True)
        self._journal.target(self._state.now, kind, asked, ids)
        return ids

    def _tag(self, text: str) -> int:
        if not text:
            return 0
        tags = self._state.tags
        if text not in tags:
            tags.append(text)
        return tags.index(text)

    # --- the rest -------------------------------------------------------------------------------------

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
        """
        self._schedule.add(callback, rule, at, tz)

    def record(self, **values: float) -> None:
        """Keep named figures of this instant for the result's ``records``."""
        self._journal.record(self._state.now, {name: float(value) for name, value in values.items()})


def _to_ns(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise LookAheadError(f"{moment.isoformat()} has no time zone: give a zone-aware datetime")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000

