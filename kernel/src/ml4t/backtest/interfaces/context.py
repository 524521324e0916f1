"""What a strategy is given and may ask: released columns, read-only state, and requests.

Quantities are signed, percents and weights are fractions, times are UTC. A component annotates with these types;
the engine implements them.
"""

# The body of a protocol's method is its docstring.
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

    from ml4t.backtest.interfaces.orders import Bracket, Leg, Order

    Floats = NDArray[np.float64]
    Ids = NDArray[np.int64]
    Missing = Literal["keep", "close"]
    Moment = datetime | None
    Rule = Literal["daily", "weekly", "monthly"]

__all__ = ["Context", "Market", "PortfolioView", "Position", "Session", "SignalBatch"]


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
    event_time: NDArray[np.int64]
    known_at: int
    values: Mapping[str, Floats]


class Position(NamedTuple):
    """A position as it is now; quantities are signed, prices and profits in the instrument's ``currency``."""

    symbol: str
    quantity: float
    average_price: float
    mark: float
    realised: float
    currency: str = ""
    account: str = ""
    multiplier: float = 1.0

    @property
    def unrealised(self) -> float:
        """Profit and loss at the mark."""
        return self.quantity * (self.mark - self.average_price) * self.multiplier if self.quantity else 0.0


class PortfolioView(Protocol):
    """Cash, equity, exposure and positions as known now, over all accounts; read-only, in base currency."""

    @property
    def cash(self) -> float:
        """Cash."""

    def cash_in(self, currency: str) -> float:
        """Return cash in one currency, of all accounts, in that currency."""

    @property
    def accounts(self) -> Mapping[str, Any]:
        """Each account by its name, with ``cash``, ``equity`` and ``gross_exposure``, in base currency."""

    @property
    def equity(self) -> float:
        """Cash, receivable dividends and marked positions."""

    @property
    def gross_exposure(self) -> float:
        """Sum of absolute position values."""

    @property
    def net_exposure(self) -> float:
        """Sum of signed position values."""

    @property
    def quantities(self) -> Floats:
        """Signed quantity per released symbol, float64 (n,)."""

    @property
    def positions(self) -> dict[str, Position]:
        """Positions that are not flat, by symbol, in the order of ``symbols``."""


class Market(Protocol):
    """The rows of driving feeds that became known at one instant; what ``on_slice`` is given.

    Fields of the first feed that has rows are attributes: ``market.close`` is float64 (n,), one per released
    symbol, NaN where the instant has no row; read-only. It may be asked while its callback runs; arrays stay valid.

    Attributes:
        timestamp: The instant, UTC ns.
    """

    timestamp: int

    @property
    def updated(self) -> NDArray[np.bool_]:
        """Which symbols have a row in this instant, bool (n,)."""

    def feed(self, name: str) -> Any:
        """Return the compact columns of a feed, ``symbol_ids`` and its fields; KeyError when it has no rows."""

    def __getattr__(self, name: str) -> Any: ...


class Context(Protocol):
    """The strategy's view of the run.

    It holds released columns, the run's own columns and the outbox, and no engine, broker, bus or feed.

    Attributes:
        rng: Random generator derived from the run's seed and the strategy's name.
    """

    rng: np.random.Generator

    @property
    def log(self) -> Any:
        """The structlog logger bound with the strategy's name."""

    @property
    def portfolio(self) -> PortfolioView:
        """Cash, equity, exposure and positions."""

    @property
    def now(self) -> datetime:
        """The present, zone-aware UTC, cut to microseconds; ``now_ns`` is exact."""

    @property
    def now_ns(self) -> int:
        """The present, UTC ns."""

    @property
    def session(self) -> Session | None:
        """The session that is open, or that closed last; None before the first of the calendar."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that released rows have named, in the order of their columns; append-only."""

    @property
    def universe(self) -> NDArray[np.bool_]:
        """Which symbols are listed, members of the run's universe and priced now, bool (n,)."""

    def index(self, symbol: str) -> int:
        """Return the column of a symbol; OrderError when no released row has named it yet."""

    def subscribe(self, feed: str, fields: Any = None, *, history: int = 1, adjust: Any = None) -> None:
        """Declare how many bars of a feed ``history`` and ``window`` may reach back; use it in ``on_start``.

        ``fields``, a name or a tuple of names, are the only ones that both may read; None for all. ``adjust`` says what
        both are adjusted for as of now: ``"split"``, the default for raw prices, ``"total"`` or ``"raw"``.
        """

    def history(
        self, field: str, bars: int, *, feed: Any = None, symbol: Any = None, adjust: Any = None, fill: Any = None
    ) -> Floats:
        """Return the last bars of one feed, float64 (bars, n_symbols) or (bars,), oldest first, NaN where no bar.

        Args:
            field: Name of the field.
            bars: Bars of that feed, the newest included.
            feed: Name of a feed or signal source; None for the first feed.
            symbol: The only symbol wanted; None for all.
            adjust: As for ``subscribe``; None for what was said there.
            fill: How old a value may be that stands for a missing one: bars, or a duration such as ``"3d"``.
        """

    def history_frame(self, field: str, bars: int, *, feed: Any = None, adjust: Any = None, fill: Any = None) -> Any:
        """Return ``history`` as a polars frame: ``timestamp``, the end of each bar, and a column per symbol."""

    def window(
        self, feed: str, fields: Any = None, *, since: Moment = None, until: Moment = None, versions: Any = "newest"
    ) -> pl.DataFrame:
        """Return released rows of a feed or table: symbol, event_time, known_at, fields; the bounds are inclusive.

        Args:
            feed: A feed or signal source, of which ``subscribe(history=)`` says how much is kept; or a table, of
                which every row known now is.
            fields: A name or a tuple of names; None for all.
            since, until: Bounds on event_time, zone-aware; None for open.
            versions: Of a table ``"newest"``: the newest row of each symbol and event_time; ``"all"``: each row.
        """

    def asof(self, table: str, field: str, max_age: Any = None, symbol: str | None = None) -> Any:
        """Return the field in the row of a table with the newest event_time known now.

        Over ``symbols``: float64 (n,), NaN where nothing is known; datetime64[ns] (n,) of dates; a list of str or None
        of text. With ``symbol``, and of a table without symbols: the one value. Rows whose event_time is older than
        ``max_age`` (a duration, a timedelta or ns) do not count. LookAheadError for an unknown table or field.
        """

    def price(self, symbol: str | None = None) -> Any:
        """Return the last known price of a symbol, or of all, float64 (n,); NaN before the first."""

    def price_age(self, symbol: str | None = None) -> Any:
        """Return ns since the last price formed, for a symbol or for all, int64 (n,)."""

    def signal(self, name: str) -> Floats:
        """Return a signal's values known and valid now, float64 (n,), NaN where there is none."""

    def signal_age(self, name: str, symbol: Any = None) -> Any:
        """Return ns since the signal's newest release; the whole run's time before the first.

        With a symbol: ns since the row that counts for it was known, -1 where none was; with several: int64 (k,).
        """

    def signal_updated(self, name: str) -> NDArray[np.bool_]:
        """Return which symbols got a value in this very instant, bool (n,)."""

    def position(self, symbol: str) -> Position:
        """Return the position in a symbol, flat or not."""

    def open_orders(self, symbol: str | None = None) -> Sequence[Order]:
        """Return orders that may still fill, oldest first.

        Those in the outbox and held ones are included, those whose end was asked for are not.
        """

    def order(
        self, symbol: str, quantity: float, *, limit_price: float | None = None, stop_price: float | None = None,
        trail_amount: float | None = None, trail_percent: float | None = None, limit_offset: float | None = None,
        time_in_force: str = "GTC", expires_at: date | None = None, reduce_only: bool = False, client_id: str = "",
        parent: Any = None, tag: str = "",
    ) -> Order:  # fmt: skip
        """Ask for a signed quantity; a market order unless a price or a trail is given. ``OrderTerms`` has the rest."""

    def bracket(
        self, symbol: str, quantity: float, *, entry_limit: float | None = None, entry_stop: float | None = None,
        target_price: float | None = None, stop_price: float | None = None, trail_amount: float | None = None,
        trail_percent: float | None = None, time_in_force: str = "GTC", expires_at: date | None = None, tag: str = "",
    ) -> Bracket:  # fmt: skip
        """Ask for an entry, a protective stop and a target; the latter two wait for it and cancel each other.

        Args:
            symbol: The instrument.
            quantity: Signed quantity of the entry; its children are of the other side.
            entry_limit, entry_stop: Prices of the entry; a market order where both are None.
            target_price: Limit of the target; None for no target.
            stop_price, trail_amount, trail_percent: Of the protective stop, as for ``order``; None for no stop.
            time_in_force, expires_at: Of the entry; its children are GTC.
            tag: Text kept with each.
        """

    def oco(self, *legs: Leg) -> Sequence[Order]:
        """Ask for orders of one symbol of which a fill reduces, and any other end cancels, the rest."""

    def amend(
        self, order: Any, *, quantity: float | None = None, limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> None:  # fmt: skip
        """Ask for new terms of an order (handle or id), for prices that form from now on; None keeps a term."""

    def order_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for a signed value in base currency at the mark; None when it truncates to nothing."""

    def order_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for a signed fraction of equity at the mark; None when it truncates to nothing."""

    def order_target(self, symbol: str, quantity: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a quantity, open market and limit orders counted; None if nothing is."""

    def order_target_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a value in base currency at the mark; None if nothing is."""

    def order_target_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a fraction of equity at the mark; None if nothing is."""

    def order_quantities(self, quantities: ArrayLike, *, tag: str = "") -> Ids:
        """Ask for signed quantities over ``symbols``; NaN and 0 ask for nothing; order ids, -1 for none."""

    def order_target_quantities(self, quantities: ArrayLike, *, missing: Missing = "keep", tag: str = "") -> Ids:
        """Ask for what is missing to target quantities over ``symbols``; order ids, -1 for none.

        NaN keeps a symbol as it is, 0 closes it; ``missing="close"`` closes every NaN.
        """

    def order_target_weights(self, weights: ArrayLike, *, missing: Missing = "keep", tag: str = "") -> Ids:
        """Ask for what is missing to target weights (fractions of equity) over ``symbols``; as above."""

    def cancel(self, order: Any) -> None:
        """Ask for the end of an order (handle or id) for prices that form from now on; a refusal is recorded."""

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask for the end of every open order, or of those of one symbol."""

    def schedule(
        self, callback: Callable[[Any], None], rule: Rule = "daily", *, at: str = "open", tz: str | None = None
    ) -> None:
        """Call a method of the strategy on the first session of each day, week or month; use it in ``on_start``.

        Args:
            callback: A bound method taking the context.
            rule: How often.
            at: ``open``, ``close``, either with an offset (``open+30m``, ``close-5m``), or ``HH:MM`` local.
            tz: IANA zone of ``HH:MM``; None for the calendar's.
        """

    def timer(self, callback: Callable[[Any], None], at: Any = None, *, after: str = "", every: str = "") -> None:
        """Call a method of the strategy at an instant, or again and again from then on, whether rows arrive or not.

        Args:
            callback: A bound method taking the context.
            at: First call, a datetime with a zone; or
            after: Duration until the first call, such as ``5m``; in ``on_start`` from the first instant on.
            every: Duration from call to call; alone also until the first one.
        """

    def record(self, **values: float) -> None:
        """Keep named figures of this instant for the result's ``records``, which names the instant ``timestamp``."""
