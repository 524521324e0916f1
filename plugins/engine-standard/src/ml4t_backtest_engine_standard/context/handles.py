"""Handles: small views of the run's columns that a strategy holds and asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.state import (
    ACCEPTED,
    HELD,
    ORDER_KINDS,
    PARTIAL,
    PENDING,
    REASONS,
    REFUSED,
    STATUSES,
    TIMES_IN_FORCE,
    RunState,
)
from ml4t_backtest_engine_standard.context.outbox import Outbox, blank_requests

__all__ = ["EPOCH", "Order", "to_datetime"]

Floats = NDArray[np.float64]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: int) -> datetime:
    """Return UTC ns as a zone-aware datetime, cut to microseconds."""
    return EPOCH + timedelta(microseconds=instant // 1000)


class Order:
    """A handle onto one order; always shows the present.

    Attributes:
        id: Number of the order within the run.
        change: Reason of the transition that ``on_order`` tells of; empty for any other handle.
    """

    __slots__ = ("_outbox", "_state", "change", "id")

    def __init__(self, order_id: int, state: RunState, outbox: Outbox, change: str = "") -> None:
        self.id, self.change = order_id, change
        self._state = state
        self._outbox = outbox

    def _row(self) -> NDArray[np.void]:
        """Return its row in ORDER, or its request, or, of an id that nobody has, that of a refused request."""
        if self._seen:
            return self._state.orders.data[self.id]  # type: ignore[no-any-return]  # one row of the table
        row = self._outbox.pending(self.id)
        return _NOBODY if row is None else row

    def _term(self, name: str) -> float:
        """Return a column of TERMS, or of the request; -1 where the order has no terms."""
        row = self._row()
        if not self._seen:
            return row[name].item()  # type: ignore[no-any-return]  # numpy says Any
        place = int(row["terms"])
        return -1 if place < 0 else self._state.terms.data[name][place].item()

    @property
    def status(self) -> str:
        """One of ``pending, submitted, held, accepted, partial, filled, cancelled, expired, refused``."""
        return STATUSES[self._status]

    @property
    def _status(self) -> int:
        row = self._row()
        return int(row["status"]) if self._seen else REFUSED if row is _NOBODY else PENDING

    @property
    def is_open(self) -> bool:
        """Whether it may still fill, held orders included."""
        return self._status in (PENDING, ACCEPTED, PARTIAL, HELD)

    @property
    def is_held(self) -> bool:
        """Whether it waits for its parent to fill."""
        return self._status == HELD

    @property
    def cancel_requested(self) -> bool:
        """Whether its end was asked for; until that is certain it keeps its status."""
        row = self._row()
        if self._seen and row["cancelled_at"]:
            return True
        return self._outbox.ended(self.id, int(row["symbol"]), bool(row["is_target"]))

    @property
    def reason(self) -> str:
        """Why it was refused, cancelled or filled; empty while there is nothing to say."""
        return REASONS[int(self._row()["reason"])]

    @property
    def symbol(self) -> str:
        """The instrument."""
        place = int(self._row()["symbol"])
        return self._state.symbols.names[place] if place >= 0 else ""

    @property
    def kind(self) -> str:
        """One of ``market, limit, stop, stop-limit, trailing-stop, trailing-stop-limit``."""
        return ORDER_KINDS[int(self._row()["kind"])]

    @property
    def quantity(self) -> float:
        """Signed quantity asked for."""
        return float(self._row()["quantity"])

    @property
    def filled(self) -> float:
        """Signed quantity filled so far."""
        return float(self._state.orders.data[self.id]["filled"]) if self._seen else 0.0

    @property
    def remaining(self) -> float:
        """Signed quantity that has not filled."""
        return self.quantity - self.filled

    @property
    def average_price(self) -> float:
        """Mean price of its fills, NaN before the first."""
        fills = self._state.fills.rows()
        own = fills[fills["order_id"] == self.id]
        return float(np.average(own["price"], weights=own["quantity"])) if len(own) else np.nan

    @property
    def limit_price(self) -> float | None:
        """The limit in force; None where there is none."""
        return _price(float(self._row()["limit_price"]))

    @property
    def stop_price(self) -> float | None:
        """The stop in force, of a trailing stop its present level; None where there is none."""
        return _price(float(self._row()["stop_price"]))

    @property
    def time_in_force(self) -> str:
        """One of ``GTC, DAY, GTD, IOC, FOK, OPG, CLS``."""
        return TIMES_IN_FORCE[int(self._row()["time_in_force"])]

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself, UTC; None where that is not known."""
        instant = int(self._term("expires_at"))
        return to_datetime(instant) if 0 < instant < np.iinfo(np.int64).max else None

    @property
    def reduce_only(self) -> bool:
        """Whether it only closes what is held."""
        return bool(self._row()["reduce_only"])

    @property
    def client_id(self) -> str:
        """The name that the strategy gave it."""
        return self._state.client_ids[int(self._row()["client_id"])]

    @property
    def parent(self) -> int | None:
        """Id of the order that releases it; None where none does."""
        return _id(self._term("parent"))

    @property
    def group(self) -> int | None:
        """Id of the first order of its one-cancels-other group; None where there is none."""
        return _id(self._term("group"))

    @property
    def tag(self) -> str:
        """The text it was given."""
        return self._state.tags[int(self._row()["tag"])]

    @property
    def _seen(self) -> bool:
        return 0 <= self.id < self._state.orders.count

    def __repr__(self) -> str:
        return f"Order({self.id}, {self.symbol!r}, {self.kind}, {self.quantity:g}, {self.status}, {self.reason!r})"


def _price(value: float) -> float | None:
    return None if np.isnan(value) else value


def _id(value: float) -> int | None:
    return int(value) if value >= 0 else None


def _nobody() -> NDArray[np.void]:
    row = blank_requests(1)[0]
    row["symbol"], row["reason"], row["counts"] = -1, REASONS.index("unknown-order"), 0
    return row  # type: ignore[no-any-return]  # one row of a table


_NOBODY = _nobody()
