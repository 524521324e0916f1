"""Round trips, first in first out, from the fills and from what corporate actions did to positions."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
import polars as pl

from ml4t.backtest import state as tables
from ml4t.backtest.state import LEDGER_KINDS
from ml4t_backtest_portfolio_standard import lots
from ml4t_backtest_portfolio_standard.accounting import Record, round_to_step
from ml4t_backtest_portfolio_standard.compiling import columns, keep
from ml4t_backtest_portfolio_standard.lots import FINE, FIRST, LAST, LOT, LOTS, NEWEST, TRIP, TRIPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["find_trips", "gains", "trips_frame"]

_FILL, _MERGER, _SPIN_OFF = (LEDGER_KINDS.index(kind) for kind in ("fill", "merger", "spin-off"))
_SCALES: Final = tuple(LEDGER_KINDS.index(kind) for kind in ("split", "stock-dividend"))
_ALIKE: Final = 1e-9


def find_trips(state: RunState) -> NDArray[np.void]:
    """Return a TRIP row for each pair of an entry and an exit, then those still open, in order of entry."""
    walk = _Walk(state)
    ledger = state.ledger.rows()
    changes = np.flatnonzero((ledger["quantity"] != 0.0) | (ledger["kind"] == _SPIN_OFF))
    if len(changes):
        walk.take_changes(ledger, changes)
    walk.take_fills(state.fills.count)
    return walk.finish()


class _Walk:
    """Goes through fills and changes of positions by actions in the order of the ledger.

    Args:
        state: The run's columns.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._fills, count, symbols = state.fills.rows(), state.fills.count, len(state.symbols)
        ledger = state.ledger.rows()
        changes = int(((ledger["quantity"] != 0.0) | (ledger["kind"] == _SPIN_OFF)).sum())
        self._lots = np.zeros(count + 2 * changes + 1, LOT)
        self._trips = np.zeros(2 * count + 6 * changes + 1, TRIP)
        self._counts = np.zeros(2, np.int64)
        self._chains = np.full((3, symbols), -1, np.int64)
        self._chains[NEWEST] = count + np.arange(symbols)
        self._jump = np.arange(count + symbols)
        self._reached = np.full((2, count + symbols), np.nan)
        self._done = 0
        self._rows_of: list[NDArray[np.int64]] = []

    def take_fills(self, stop: int) -> None:
        """Pair the fills up to a row."""
        own = (self._lots, self._trips, self._counts, self._chains, self._jump, self._reached)
        _compile_pairing()(self._state.fills.data, self._done, stop, self._state.instruments, *own)
        self._done = stop

    def take_changes(self, ledger: NDArray[np.void], changes: NDArray[np.int64]) -> None:
        """Go through the fills up to the last change of a position by an action, and through these changes.

        Args:
            ledger: LEDGER rows of the run.
            changes: int64 (n,), the rows of it that changed lots.
        """
        order = np.argsort(self._fills["symbol"], kind="stable")
        ends = np.searchsorted(self._fills["symbol"][order], np.arange(len(self._state.symbols) + 1))
        self._rows_of = [order[first:last] for first, last in pairwise(ends)]
        fills_before = np.cumsum(ledger["kind"] == _FILL)
        place = 0
        while place < len(changes):
            row = ledger[changes[place]]
            self.take_fills(int(fills_before[changes[place]]))
            after = ledger[changes[place + 1]] if place + 1 < len(changes) else None
            place += self._change(row, after)

    def finish(self) -> NDArray[np.void]:
        """Append what is open and return all trips."""
        found = self._lots[: self._counts[LOTS]]
        for n in np.flatnonzero(found["quantity"] != 0.0).tolist():
            lot, trip = self._lots[n], self._trips[self._counts[TRIPS]]
            self._counts[TRIPS] += 1
            _compile_steps()[2](self._lots, n, self._jump, self._reached)
            position = self._state.positions[lot["symbol"]]
            for name in ("symbol", "account", "quantity"):
                trip[name] = lot[name]
            trip["entry_time"], trip["entry_order_id"], trip["entry_price"] = lot["time"], lot["order_id"], lot["price"]
            trip["exit_order_id"], trip["exit_price"], trip["is_open"] = -1, np.nan, 1
            trip["entry_commission"] = lot["commission"] * abs(lot["quantity"] / lot["whole"])
            trip["high"], trip["low"] = np.fmax(lot["high"], position["high"]), np.fmin(lot["low"], position["low"])
        return self._trips[: self._counts[TRIPS]]

    # --- changes by actions -----------------------------------------------------------------------------

    def _change(self, row: Record, after: Record | None) -> int:
        """Take one change, or two that belong together; return how many they were."""
        symbol, quantity, price = int(row["symbol"]), float(row["quantity"]), float(row["price"])
        if row["kind"] in _SCALES:
            held = self._held(symbol)
            if held:
                self._convert(symbol, symbol, (held + quantity) / held, 0.0, held + quantity)
            return 1
        if row["kind"] == _SPIN_OFF:
            for n in self._places(symbol):
                _compile_steps()[2](self._lots, n, self._jump, self._reached)
                for name in ("price", "high", "low"):
                    self._lots[n][name] -= price
            assert after is not None  # the portfolio writes what is given up and what is received together
            self._trade(int(after["symbol"]), float(after["quantity"]), float(after["price"]), after)
            return 2
        if row["kind"] == _MERGER and after is not None and self._is_receipt(row, after):
            self._merge(row, after)
            return 2
        self._trade(symbol, quantity, price, row)
        return 1

    def _is_receipt(self, row: Record, after: Record) -> bool:
        """Say whether a row is what was received for the one before, and no other company's merger."""
        together = after["kind"] == _MERGER and after["timestamp"] == row["timestamp"]
        if not together or row["amount"] != 0.0 or after["symbol"] == row["symbol"]:
            return False
        if (row["quantity"] > 0.0) == (after["quantity"] > 0.0):
            return False
        held = self._held(int(after["symbol"]))
        gives_up = abs(held + after["quantity"]) <= _ALIKE * abs(held)
        return not (gives_up and row["price"] != 0.0)

    def _merge(self, row: Record, after: Record) -> None:
        """Move lots to another symbol; what is held of that the other way is closed first."""
        symbol, other, cash = int(row["symbol"]), int(after["symbol"]), float(row["price"])
        received, price = float(after["quantity"]), float(after["price"])
        ratio = -received / float(row["quantity"])
        against = self._held(other)
        if against and (against > 0.0) != (received > 0.0):
            closed = received if abs(received) <= abs(against) else -against
            given = -self._held(symbol) if closed == received else -closed / ratio
            self._trade(symbol, given, price * ratio + cash, row)
            self._trade(other, closed, price, after)
            received -= closed
        self._convert(symbol, other, ratio, cash, received)

    def _convert(self, symbol: int, other: int, ratio: float, cash: float, total: float) -> None:
        """Turn each unit of the lots of a symbol into ``ratio`` of another, after ``cash`` came off its price.

        Args:
            symbol: Whose lots.
            other: What they become; may be the same.
            ratio: New units for one.
            cash: Paid for each old unit.
            total: What the lots are to sum to: the last one takes what rounding leaves.
        """
        step = self._step(other)
        moved = [self._lots[n] for n in self._places(symbol)]
        places = list(self._places(symbol))
        self._chains[FIRST, symbol] = self._chains[LAST, symbol] = -1
        for n, lot in zip(places, moved, strict=True):
            _compile_steps()[2](self._lots, n, self._jump, self._reached)
            if other != symbol:
                self._widen(lot, symbol)
            for name in ("price", "high", "low"):
                lot[name] = (lot[name] - cash) / ratio
            lot["whole"] *= ratio
            share = round_to_step(float(lot["quantity"]) * ratio, step) if n != places[-1] else total
            lot["quantity"] = round_to_step(share, step)
            total -= lot["quantity"]
            lot["symbol"], lot["node"] = other, self._chains[NEWEST, other]
            if lot["quantity"] != 0.0:
                _compile_steps()[1](self._lots, n, self._chains)

    def _trade(self, symbol: int, quantity: float, price: float, row: Record) -> None:
        """Close or open lots at a price, without an order."""
        n = int(self._counts[LOTS])
        lot = self._lots[n]
        lot["symbol"], lot["account"], lot["time"], lot["order_id"] = symbol, row["account"], row["timestamp"], -1
        lot["quantity"] = lot["whole"] = quantity
        lot["price"] = lot["high"] = lot["low"] = price
        lot["commission"], lot["node"] = 0.0, self._chains[NEWEST, symbol]
        self._widen(lot, symbol)
        step = self._step(symbol)
        tables = (self._trips, self._counts, self._chains, self._jump, self._reached)
        _compile_steps()[0](self._lots, n, step, *tables)
        if lot["quantity"] != 0.0:
            lot["high"] = lot["low"] = price
            _compile_steps()[1](self._lots, n, self._chains)
            self._counts[LOTS] += 1

    # --- parts ------------------------------------------------------------------------------------------

    def _places(self, symbol: int) -> Iterator[int]:
        n = int(self._chains[FIRST, symbol])
        while n >= 0:
            after = int(self._lots[n]["next"])
            yield n
            n = after

    def _open(self, symbol: int) -> list[Record]:
        return [self._lots[n] for n in self._places(symbol)]

    def _step(self, symbol: int) -> float:
        return min(float(self._state.instruments[symbol]["quantity_step"]), FINE)

    def _held(self, symbol: int) -> float:
        return float(sum(float(lot["quantity"]) for lot in self._open(symbol)))

    def _widen(self, lot: Any, symbol: int) -> None:
        """Count what prices have reached between the last fill of a symbol and the next one."""
        rows = self._rows_of[symbol]
        place = int(np.searchsorted(rows, self._done))
        later = self._fills[rows[place]] if place < len(rows) else self._state.positions[symbol]
        lot["high"], lot["low"] = np.fmax(lot["high"], later["high"]), np.fmin(lot["low"], later["low"])


def gains(state: RunState, trips: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the profit of each trip before commission, in its instrument's currency; of open ones at the mark."""
    instruments = state.instruments[trips["symbol"]]
    mark = np.where(np.isfinite(instruments["mark"]), instruments["mark"], trips["entry_price"])
    price = np.where(trips["is_open"] != 0, mark, trips["exit_price"])
    gain: NDArray[np.float64] = trips["quantity"] * (price - trips["entry_price"]) * instruments["multiplier"]
    return gain


def _words(vocabulary: Sequence[str], codes: NDArray[Any]) -> pl.Series:
    return pl.Series(vocabulary, dtype=pl.String).gather(pl.Series(codes.astype(np.int64)))


def trips_frame(state: RunState, trips: NDArray[np.void]) -> pl.DataFrame:
    """Return the columns of ``trades.parquet``; see ``PortfolioAccounting.trades``."""
    instruments = state.instruments[trips["symbol"]]
    is_open = trips["is_open"] != 0
    mark = np.where(is_open, instruments["mark"], np.nan)
    size = trips["quantity"] * instruments["multiplier"]
    best = size * (np.fmax(trips["high"], mark) - trips["entry_price"])
    worst = size * (np.fmin(trips["low"], mark) - trips["entry_price"])
    is_long = trips["quantity"] > 0.0
    frame = pl.DataFrame(
        {
            "symbol": _words(state.symbols.names, trips["symbol"]),
            "side": _words(["short", "long"], is_long),
            "quantity": np.abs(trips["quantity"]),
            "entry_time": trips["entry_time"],
            "exit_time": trips["exit_time"],
            "entry_price": trips["entry_price"],
            "exit_price": trips["exit_price"],
            "pnl": gains(state, trips),
            "commission": trips["entry_commission"] + trips["exit_commission"],
            "entry_order_id": trips["entry_order_id"],
            "exit_order_id": trips["exit_order_id"],
            "account": trips["account"].astype(np.int16),
            "is_open": is_open,
            "mfe": np.fmax(best, worst) + 0.0,
            "mae": np.fmin(best, worst) + 0.0,
            "currency": _words(state.currencies, instruments["currency"]),
        }
    )
    instant = pl.Datetime("ns", "UTC")
    closed = [pl.when(~pl.col("is_open")).then(name).alias(name) for name in ("exit_time", "exit_price")]
    orders = [pl.when(pl.col(name) >= 0).then(name).alias(name) for name in ("entry_order_id", "exit_order_id")]
    times = [pl.col(name).cast(instant) for name in ("entry_time", "exit_time")]
    return frame.with_columns(*closed, *orders).with_columns(times)


@cache
def _compile_steps() -> tuple[Callable[..., None], ...]:
    kept, trips = columns(LOT), columns(TRIP)
    integers, chains, reached = numba.int64[::1], numba.int64[:, ::1], numba.float64[:, ::1]
    nothing, number = numba.void, numba.int64
    return (
        keep(lots.close_lots, nothing, kept, number, numba.float64, trips, integers, chains, integers, reached),
        keep(lots.queue, nothing, kept, number, chains),
        keep(lots.see, nothing, kept, number, integers, reached),
    )


@cache
def _compile_pairing() -> Callable[..., None]:
    fills, instruments, kept, trips = map(columns, (tables.FILL, tables.INSTRUMENT, LOT, TRIP))
    integers, chains, reached = numba.int64[::1], numba.int64[:, ::1], numba.float64[:, ::1]
    rest = (kept, trips, integers, chains, integers, reached)
    return keep(lots.pair_fills, numba.void, fills, numba.int64, numba.int64, instruments, *rest)
