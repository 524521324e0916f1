"""Handles: small views of the run's columns that a strategy holds and asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import OrderError
from ml4t.backtest.interfaces.context import Position
from ml4t.backtest.interfaces.portfolio import Portfolio as Accounting
from ml4t.backtest.state import ACCEPTED, PARTIAL, PENDING, REASONS, STATUSES, RunState
from ml4t_backtest_engine_standard.context.outbox import Outbox

__all__ = ["EPOCH", "Order", "Portfolio", "to_datetime"]

Floats = NDArray[np.float64]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: int) -> datetime:
    """Return UTC ns as a zone-aware datetime, cut to microseconds."""
    return EPOCH + timedelta(microseconds=instant // 1000)


class Order:
    """A handle onto one row of the order table; always shows the present."""

    __slots__ = ("_outbox", "_state", "id")

    def __init__(self, order_id: int, state: RunState, outbox: Outbox) -> None:
        self.id = order_id
        self._state = state
        self._outbox = outbox

    def _row(self) -> NDArray[np.void]:
        if self._seen:
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
        return 0 <= self.id < self._state.orders.count

    def __repr__(self) -> str:
        return f"Order({self.id}, {self.symbol!r}, {self.quantity:g}, {self.status}, {self.reason!r})"


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
