"""A run's columns: the contract between components that may not import each other.

Every table is a NumPy structured array with one writer:

    table        one row per           written by
    INSTRUMENT   symbol                clock, PIT enforcer, corporate actions
    BOOK         symbol                broker
    ORDER        order (row = id)      broker
    TERMS        order with more to it broker (ORDER.terms names the row)
    ORDER_EVENT  transition            broker
    FILL         fill                  broker
    POSITION     symbol                portfolio
    ACCOUNT      account               portfolio
    LEDGER       cash movement         portfolio
    EQUITY       sampled instant       portfolio
    REQUEST      request of a callback context (the outbox); risk managers may change or refuse rows

Times are int64 UTC nanoseconds, prices are in the instrument's currency, quantities are signed (buy > 0).
Tables may gain fields; read them by name. Components contribute functions of these fixed shapes, plain
Python or compiled by ``numba.njit`` without a signature:

    fill_price(orders, i, market, params, state) -> float64   reference price, NaN for "not now"; market.price
                                                              holds the one that the broker found
    slippage(orders, i, market, params, state) -> float64     signed amount added to the reference price
    commission(orders, i, market, params, state) -> float64   cash cost of this fill, >= 0 is a cost
    impact(orders, i, market, params, state) -> float64       signed amount added to the reference price
    apply_fill(fills, i, instruments, positions, accounts, ledger, counters) -> float64   realised P&L
    affords(orders, i, market, commission, instruments, positions, accounts, params) -> float64   0: the fill cannot be
                                                              paid for; only of portfolios that look at fills

with ``orders`` the ORDER table, ``i`` the order's row, ``market`` a one-row MARKET array, ``params`` and
``state`` float64 arrays that belong to the model (parameters are data, never closures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACCEPTED", "ACCOUNT", "ACTIONS", "ASSET_CLASSES", "BOOK", "CANCELLED", "EQUITY", "EXPIRED", "FILL", "FILLED",
    "HELD", "INSTRUMENT", "LEDGER", "LEDGER_KINDS", "MARKET", "ORDER", "ORDER_EVENT", "ORDER_KINDS", "PARTIAL",
    "PENDING", "POSITION", "REASONS", "REFUSED", "REQUEST", "SETTLES", "STATUSES", "SUBMITTED", "TERMS",
    "TIMES_IN_FORCE", "RunState", "Symbols", "Table",
]  # fmt: skip

PENDING, SUBMITTED, ACCEPTED, PARTIAL, FILLED, CANCELLED, EXPIRED, REFUSED, HELD = range(9)
STATUSES: Final = (
    "pending", "submitted", "accepted", "partial", "filled", "cancelled", "expired", "refused", "held",
)  # fmt: skip

ORDER_KINDS: Final = ("market", "limit", "stop", "stop-limit", "trailing-stop", "trailing-stop-limit")
ACTIONS: Final = ("order", "cancel", "cancel-targets", "amend")
TIMES_IN_FORCE: Final = ("GTC", "DAY", "GTD", "IOC", "FOK", "OPG", "CLS")
# How value changes hands: with each fill; profits when a position closes; profits at each session's close.
SETTLES: Final = ("value", "close", "daily")
ASSET_CLASSES: Final = ("equity", "etf", "future", "fx", "crypto", "perpetual")
LEDGER_KINDS: Final = (
    "deposit", "fill", "commission", "split", "stock-dividend", "cash-in-lieu", "dividend", "merger", "spin-off",
    "delisting", "expiry", "variation", "borrow", "interest", "funding", "conversion", "settlement",
)  # fmt: skip

# The documented reasons of a transition; an index into this tuple is what the tables store.
REASONS: Final[tuple[str, ...]] = (
    "", "replaced-by-target", "cancelled-by-strategy", "end-of-run", "quantity-not-finite", "quantity-zero",
    "order-kind-not-supported", "time-in-force-not-supported", "no-mark", "refused-by-risk", "next-open",
    "next-close", "same-close", "unknown-order", "already-done", "fill-price-not-finite", "unknown-symbol",
    "unknown-account",
    # fills
    "next-vwap", "limit", "limit-better", "stop", "stop-gap", "at-open", "at-close", "quote", "trade",
    # transitions that end nothing
    "waits-for-parent", "parent-filled", "triggered", "amended", "changed-by-risk", "cancel-requested",
    # ends
    "one-cancels-other", "parent-ended", "remainder-of-ioc", "not-whole", "nothing-to-reduce", "day-over",
    "date-reached", "open-missed", "close-missed",
    # refusals
    "price-missing", "price-not-finite", "price-not-positive", "price-off-tick", "trail-not-positive",
    "quantity-off-lot", "quantity-too-large", "expiry-passed", "client-id-used", "group-not-one-symbol",
    "amend-not-possible",
    # accounts, instruments and corporate actions
    "no-buying-power", "short-not-allowed", "not-borrowable", "mark-too-old", "not-listed", "delisted",
    "corporate-action", "liquidation",
)  # fmt: skip


def _row(fields: str) -> np.dtype[np.void]:
    """Return the dtype of ``name:code`` pairs."""
    return np.dtype([tuple(field.split(":")) for field in fields.split()])


# quantity_step: quantities are rounded to this after each fill
# lot: order sizes are truncated to this
# mark: last known price, NaN before the first
# mark_time: event_time of the mark
# tick: limit and stop prices are multiples of this, 0 for any
# lot_stated: the settings name the lot, so quantities off it are refused
# negative: prices at or below zero are legal
# currency: an index into RunState.currencies
# account: number of the account that trades it
# asset_class, settles: indices into ASSET_CLASSES and SETTLES
# initial_margin, maintenance_margin: fractions of value, NaN for those of the account
# initial_per_unit, maintenance_per_unit: amounts of its currency for one unit, instead of a fraction; NaN for none
# ended: why nothing trades: 0 it does, 1 delisted or expired, 2 not listed now, 3 its mark is too old
INSTRUMENT: Final = _row(
    "quantity_step:f8 lot:f8 multiplier:f8 tick:f8 lot_stated:i1 negative:i1 currency:i2 account:i2 asset_class:i1 "
    "settles:i1 initial_margin:f8 maintenance_margin:f8 initial_per_unit:f8 maintenance_per_unit:f8 mark:f8 "
    "mark_time:i8 ended:i1"
)
# open_quantity: signed remainder of working market and limit orders
# target_quantity: the part of it that order_target* asked for
# first: oldest working order of the symbol, -1 for none
# last: newest
# seen_at: event_time of the newest row of the symbol that the broker met
BOOK: Final = _row("open_quantity:f8 target_quantity:f8 first:i8 last:i8 seen_at:i8")
# known_at: newest known_at the strategy had
# sequence: place in the run's one order of transitions
# next: next working or held order of the symbol, -1 for none
# submitted_at: for a held order the instant at which its parent filled
# cancelled_at: instant from which prices no longer fill it, 0 for none
# client_id: an index into RunState.client_ids, 0 for none
# commission: of all its fills
# terms: its row in TERMS, -1 for none
# counts: 1 where its remainder is part of open_quantity
# book: number of the strategy that it belongs to
ORDER: Final = _row(
    "id:i8 symbol:i4 account:i2 kind:i1 time_in_force:i1 status:i1 is_target:i1 reason:i2 tag:i4 "
    "basket:i8 quantity:f8 filled:f8 limit_price:f8 stop_price:f8 submitted_at:i8 known_at:i8 "
    "sequence:i8 next:i8 cancelled_at:i8 commission:f8 terms:i8 client_id:i4 reduce_only:i1 counts:i1 book:i2"
)
# trail_amount, trail_percent: distance of a trailing stop, 0 for none
# limit_offset: signed distance of the limit from the stop of a trailing stop-limit
# extreme: best price since a trailing stop was accepted, NaN before the first
# triggered_at: when the price that triggered its stop formed, 0 before
# expires_at: prices that form after this do not fill it, 0 for none
# group: one-cancels-other group, -1 for none
# parent: id of the order whose fills release it, -1 for none
# amended_at: from when the amended terms hold while a bar is under way, 0 for none
# next_quantity, next_limit_price, next_stop_price: these terms, next_quantity 0 for none
# active_from: prices that fill it form at or after this
# whole: its quantity before others of its group or its parent's end took from it
# ends_as: reason with which it ends once cancelled_at is past
# children, spread: 1 where others wait for its fills, where they were told of its end
# met_row, event_row: newest row that filled it, that released or triggered it (in event_phase)
# left_open, left_high, left_low: what is left of that row
# reached: 1 where its limit was reached, for rules under which that lasts
TERMS: Final = _row(
    "order_id:i8 trail_amount:f8 trail_percent:f8 limit_offset:f8 extreme:f8 triggered_at:i8 expires_at:i8 "
    "group:i8 parent:i8 amended_at:i8 next_quantity:f8 next_limit_price:f8 next_stop_price:f8 active_from:i8 "
    "whole:f8 met_row:i8 event_row:i8 left_open:f8 left_high:f8 left_low:f8 ends_as:i2 event_phase:i1 children:i1 "
    "spread:i1 reached:i1"
)
# action: an index into ACTIONS
# reason: not 0: it was refused before the broker saw it
# order_id: its own id, or the id to cancel or amend
# asked: the quantity before risk managers changed it
# tag: an index into RunState.tags; of a cancel into REASONS: how the order ends, 0 for cancelled-by-strategy
# group, parent, expires_at, trail_amount, trail_percent, limit_offset: as in TERMS (ids of this run)
# For an amendment NaN (expires_at: 0) keeps what there is.
REQUEST: Final = _row(
    "action:i1 kind:i1 time_in_force:i1 is_target:i1 symbol:i4 account:i2 reason:i2 tag:i4 "
    "order_id:i8 basket:i8 quantity:f8 limit_price:f8 stop_price:f8 known_at:i8 asked:f8 "
    "trail_amount:f8 trail_percent:f8 limit_offset:f8 expires_at:i8 group:i8 parent:i8 client_id:i4 "
    "reduce_only:i1 counts:i1 book:i2"
)
ORDER_EVENT: Final = _row("timestamp:i8 order_id:i8 sequence:i8 status:i1 reason:i2 quantity:f8 filled:f8")
# slippage: cash lost to slippage and impact, >= 0 is a cost
# maker: the order rested with a limit price and the market came to it
# high, low: extremes of the symbol's prices between its fill before and this one, NaN for none; by the portfolio
FILL: Final = _row(
    "order_id:i8 symbol:i4 account:i2 reason:i2 maker:i1 quantity:f8 price:f8 reference_price:f8 commission:f8 "
    "slippage:f8 formed_at:i8 known_at:i8 submitted_at:i8 sequence:i8 high:f8 low:f8"
)
# basis: price up to which profits are in cash already, where SETTLES is not "value"
# high, low: extremes of prices that formed after ``since``, its last fill; raised by the PIT enforcer, NaN for none
POSITION: Final = _row("quantity:f8 average_price:f8 realised:f8 commission:f8 basis:f8 high:f8 low:f8 since:i8")
# A row is the cash of one account in one currency; row = account * len(currencies) + currency. All are amounts in
# that currency, sums since the start unless said otherwise.
# currencies: number of currencies of the run
# rate: of the currency in base currency now, NaN while it is not known
# settled: the part of cash that has settled
# cash_carry, settled_carry: what rounding left out of these two, for the next change to take in
# receivable: dividends that are due and not paid
# long_realised: the part of realised that closed long positions
# dividends, interest, borrow, funding: received > 0, paid < 0; dividends count from their ex date
# converted: received from other currencies
# delays, converts: 1 where proceeds settle later, where foreign cash is exchanged at each fill
ACCOUNT: Final = _row(
    "cash:f8 realised:f8 commission:f8 slippage:f8 start_cash:f8 long_realised:f8 short_realised:f8 account:i2 "
    "currency:i2 currencies:i2 rate:f8 settled:f8 receivable:f8 dividends:f8 interest:f8 borrow:f8 funding:f8 "
    "converted:f8 delays:i1 converts:i1 cash_carry:f8 settled_carry:f8"
)
# kind: an index into LEDGER_KINDS
# amount: signed change of cash
# balance: cash afterwards
# quantity, price: signed change of the position other than by a fill, and the price it was valued at
# settled: signed change of settled cash
LEDGER: Final = _row(
    "timestamp:i8 order_id:i8 symbol:i4 account:i2 kind:i2 amount:f8 balance:f8 currency:i2 quantity:f8 price:f8 "
    "settled:f8"
)
# session: label, days since 1970-01-01
# initial_margin, maintenance_margin: what the positions require
EQUITY: Final = _row(
    "timestamp:i8 session:i8 cash:f8 equity:f8 gross_exposure:f8 net_exposure:f8 long_pnl:f8 "
    "short_pnl:f8 realised:f8 unrealised:f8 commission:f8 slippage:f8 stale_exposure:f8 receivable:f8 dividends:f8 "
    "interest:f8 borrow:f8 funding:f8 fx_pnl:f8 initial_margin:f8 maintenance_margin:f8"
)
# price: reference price of the fill under way; for commission() the price paid
# quantity: signed quantity of the fill under way
# open, high, low, close: NaN where the order may not take them; all four are the one price of a quote or trade
# volume: of the bar; of a quote the size at the order's side, of a trade its size
# vwap: NaN where the feed has no such field
# maker: 1 where the order rested with a limit price and the market came to it
MARKET: Final = _row(
    "symbol:i4 bar_start:i8 event_time:i8 known_at:i8 open:f8 high:f8 low:f8 close:f8 volume:f8 "
    "price:f8 quantity:f8 multiplier:f8 vwap:f8 maker:i8"
)

_RULES: Final = (INSTRUMENT.names or ())[:14]
# Per-symbol tables and the row every new symbol starts with.
_NEW_SYMBOL: Final = {
    "instruments": (INSTRUMENT, (1e-9, 1.0, 1.0, *(0,) * 7, *(np.nan,) * 5, 0, 0)),
    "books": (BOOK, (0.0, 0.0, -1, -1, 0)),
    "positions": (POSITION, (0.0, 0.0, 0.0, 0.0, 0.0, np.nan, np.nan, 0)),
}


class Symbols:
    """The symbols released so far, in the order in which rows first named them; append-only."""

    __slots__ = ("_ids", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def id(self, name: str) -> int:
        """Return the column of a released symbol; KeyError when no released row has named it."""
        return self._ids[name]

    def add(self, name: str) -> int:
        """Append a symbol that is not there yet and return its id."""
        self._ids[name] = len(self.names)
        self.names.append(name)
        return len(self.names) - 1

    def rename(self, symbol_id: int, name: str) -> None:
        """Give a symbol another name, which must be free; its column stays."""
        del self._ids[self.names[symbol_id]]
        self._ids[name], self.names[symbol_id] = symbol_id, name


class Table:
    """A growing structured array; the count lives in the run's counters, where compiled code moves it.

    Args:
        dtype: The row.
        counters: int64 array shared by all tables of a run.
        slot: This table's place in ``counters``.
    """

    __slots__ = ("_counters", "_slot", "data")

    def __init__(self, dtype: np.dtype[np.void], counters: NDArray[np.int64], slot: int) -> None:
        self.data: NDArray[np.void] = np.zeros(4096, dtype)
        self._counters = counters
        self._slot = slot

    @property
    def count(self) -> int:
        """Number of rows written."""
        return int(self._counters[self._slot])

    def reserve(self, rows: int) -> NDArray[np.void]:
        """Make room for ``rows`` more rows and return the whole array (which may be a new one)."""
        need = int(self._counters[self._slot]) + rows
        if need > len(self.data):
            grown = np.zeros(max(need, 16 * len(self.data)), self.data.dtype)  # untouched pages cost nothing, copies do
            # As bytes: NumPy copies structured rows field by field, five times slower.
            grown.view(np.uint8)[: self.data.nbytes] = self.data.view(np.uint8)
            self.data = grown
        return self.data

    def rows(self, start: int = 0) -> NDArray[np.void]:
        """Return a read-only view of the rows written from ``start`` on."""
        view = self.data[start : self.count]
        view.flags.writeable = False
        return view

    def restore(self, rows: NDArray[np.void]) -> None:
        """Replace the content by ``rows`` (used by resume)."""
        self._counters[self._slot] = 0
        self.reserve(len(rows))[: len(rows)] = rows
        self._counters[self._slot] = len(rows)


class RunState:
    """All columns of one run; the engine makes it, components read it and write their own tables.

    Attributes:
        counters: int64; the first places are row counts of ``orders, order_events, fills, ledger,
            equity`` in this order, then ``WORKING`` (orders that may still fill, held ones
            included), ``SEQUENCE`` (number of transitions so far, the run's one order of things) and the row
            count of ``terms``; the last four belong to the broker.
        instruments, books, positions: one row per released symbol, row = symbol id.
        accounts: one row per account and currency; of the first account in base currency row 0.
        currencies: names of the currencies; row 0 is the base currency.
        symbols: names and ids released so far.
        tags: text of order tags; row 0 is the empty tag.
        client_ids: text of client order ids; row 0 is the empty one.
        session_opens, session_closes: int64 (s,), UTC ns, of the run's sessions.
        now: the instant being processed.
        known_at: the newest ``known_at`` released so far.
    """

    ORDERS, ORDER_EVENTS, FILLS, LEDGER, EQUITY, WORKING, SEQUENCE, TERMS = range(8)

    def __init__(self) -> None:
        self.counters: NDArray[np.int64] = np.zeros(16, np.int64)
        self.orders = Table(ORDER, self.counters, self.ORDERS)
        self.order_events = Table(ORDER_EVENT, self.counters, self.ORDER_EVENTS)
        self.fills = Table(FILL, self.counters, self.FILLS)
        self.ledger = Table(LEDGER, self.counters, self.LEDGER)
        self.equity = Table(EQUITY, self.counters, self.EQUITY)
        self.terms = Table(TERMS, self.counters, self.TERMS)
        self.session_opens: NDArray[np.int64] = np.zeros(0, np.int64)
        self.session_closes: NDArray[np.int64] = np.zeros(0, np.int64)
        self.instruments: NDArray[np.void] = np.zeros(0, INSTRUMENT)
        self.books: NDArray[np.void] = np.zeros(0, BOOK)
        self.positions: NDArray[np.void] = np.zeros(0, POSITION)
        self.accounts: NDArray[np.void] = np.zeros(1, ACCOUNT)
        self.currencies: list[str] = [""]
        self.symbols = Symbols()
        self.tags: list[str] = [""]
        self.client_ids: list[str] = [""]
        self.now = 0
        self.known_at = 0

    @property
    def working(self) -> int:
        """Number of orders that may still fill."""
        return int(self.counters[self.WORKING])

    def add_symbols(self, names: list[str], rules: Mapping[str, tuple[float, ...]] | None = None) -> None:
        """Give each new symbol an id and a row in every per-symbol table.

        The arrays are exactly as long as the symbols released, so that nothing tells how many will come.

        Args:
            names: The new symbols.
            rules: Symbol, or ``*`` for the rest -> its (quantity_step, lot, multiplier, tick, lot_stated,
                negative, currency, account, asset_class, settles, initial_margin, maintenance_margin,
                initial_per_unit, maintenance_per_unit), or the first of these; not kept, because it may name
                symbols that are still to come.
        """
        for name in names:
            self.symbols.add(name)
        for attribute, (dtype, row) in _NEW_SYMBOL.items():
            fresh = np.array([row] * len(names), dtype)
            setattr(self, attribute, np.concatenate([getattr(self, attribute), fresh]))
        rules = rules or {}
        for name in names if rules else ():
            row = self.instruments[self.symbols.id(name)]
            if found := rules.get(name) or rules.get("*"):
                for column, value in zip(_RULES, found, strict=False):
                    row[column] = value
