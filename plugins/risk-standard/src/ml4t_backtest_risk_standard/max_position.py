"""No position larger than a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import ACTIONS, HELD, PARTIAL, REASONS, RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["MaxPosition"]

_ORDER, _CANCEL, _CANCEL_TARGETS, _AMEND = range(len(ACTIONS))
_OPEN: Final = (*range(1, PARTIAL + 1), HELD)
_REFUSED, _NO_MARK = REASONS.index("refused-by-risk"), REASONS.index("no-mark")
_DUST = 1e-9  # lots


class MaxPosition(RiskManager):
    """Cuts or refuses orders that would take a position beyond a limit, long or short.

    An order is judged by the position that there would be if it and all market and limit orders before it filled.
    Stops, children and legs are judged the same way, but what comes after them does not count on them. An order that
    takes a position back towards zero passes, also where the position is beyond the limit already.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The limit, the same for each symbol; give one of the three.

        Attributes:
            units: Largest position in units of the instrument, > 0. Default none.
            value: Largest position at the last price, in base currency, > 0. Default none.
            fraction: Largest position as a fraction of equity, > 0. Default none.
            action: ``cut`` what is too much, to whole lots, or ``refuse`` the order.
        """

        units: float | None = None
        value: float | None = None
        fraction: float | None = None
        action: Literal["cut", "refuse"] = "cut"

    def __init__(self, config: Config, setup: Setup) -> None:
        limits = {"units": config.units, "value": config.value, "fraction": config.fraction}
        given = [(key, value) for key, value in limits.items() if value is not None]
        if len(given) != 1:
            named = " and ".join(key for key, _ in given) or "none"
            raise RunFileError(
                f"risk manager {setup.name} needs one limit: as units, value or fraction (of equity); there was {named}"
            )
        self._unit, self._limit = given[0]
        if not 0.0 < self._limit < np.inf:
            raise RunFileError(f"{self._unit} of risk manager {setup.name} was {self._limit}; give a finite number > 0")
        self._cuts = config.action == "cut"

    def check(self, requests: NDArray[np.void], state: RunState) -> None:
        """Cut or refuse what goes too far; cancels pass."""
        limits = self._limits(state).tolist()
        lots = state.instruments["lot"].tolist()
        ahead = (state.positions["quantity"] + state.books["open_quantity"]).tolist()
        of_targets = state.books["target_quantity"].tolist()
        columns = ("action", "symbol", "quantity", "reason", "reduce_only", "counts", "is_target", "order_id", "parent")
        for row, values in enumerate(zip(*(requests[name].tolist() for name in columns), strict=True)):
            action, symbol, quantity, reason, reduces, counts, is_target, order_id, parent = values
            if reason or not 0 <= symbol < len(limits):
                continue
            if action == _CANCEL_TARGETS:
                ahead[symbol] -= of_targets[symbol]
                of_targets[symbol] = 0.0
            elif action == _CANCEL:
                ahead[symbol] -= self._open_part(state, order_id)
            elif action == _AMEND:
                change = self._change(state, order_id, quantity)
                if self._fitting(change, ahead[symbol], limits[symbol], lots[symbol]) != change:
                    requests["reason"][row] = _REFUSED
                else:
                    ahead[symbol] += change
            elif not reduces and np.isfinite(quantity):
                fits = self._fitting(quantity, ahead[symbol], limits[symbol], lots[symbol])
                if fits == 0.0 or (fits != quantity and not self._cuts):
                    requests["reason"][row] = _NO_MARK if np.isnan(limits[symbol]) else _REFUSED
                    continue
                if fits != quantity:
                    requests["quantity"][row] = fits
                # An entry does not count for targets, but its children stand on it.
                if counts or (parent < 0 and requests["group"][row] < 0 and requests["kind"][row] < 2):
                    ahead[symbol] += fits
                    of_targets[symbol] += fits * is_target

    def _limits(self, state: RunState) -> NDArray[np.float64]:
        """Return the largest position of each symbol in units, float64 (n,), NaN where there is no price."""
        if self._unit == "units":
            return np.full(len(state.symbols), self._limit)
        instruments, positions = state.instruments, state.positions
        unit = instruments["mark"] * instruments["multiplier"]
        value = self._limit
        if self._unit == "fraction":
            held = np.flatnonzero(positions["quantity"])
            marks = instruments["mark"][held]
            marks = np.where(np.isnan(marks), positions["average_price"][held], marks)
            worth = positions["quantity"][held] * marks * instruments["multiplier"][held]
            value *= max(0.0, float(state.accounts["cash"].sum() + worth.sum()))
        with np.errstate(all="ignore"):
            limits = value / np.abs(unit)
        return np.where(np.isfinite(limits), limits, np.nan)

    @staticmethod
    def _fitting(quantity: float, ahead: float, limit: float, lot: float) -> float:
        """Return the part of an order, signed and in whole lots, that the limit leaves room for."""
        side = 1.0 if quantity > 0.0 else -1.0
        before, size = ahead * side, abs(quantity)
        if before + size <= max(0.0, limit) or before + size <= abs(before):  # towards zero, or within
            return quantity
        room = limit - before
        if not room > 0.0:  # NaN, where the symbol has no price
            return 0.0
        if size <= room * (1.0 + 1e-12):
            return quantity
        return float(side * np.floor(room / lot + _DUST) * lot)

    @staticmethod
    def _open_part(state: RunState, order_id: int) -> float:
        orders = state.orders.rows()
        if not 0 <= order_id < len(orders) or not orders["counts"][order_id] or orders["status"][order_id] not in _OPEN:
            return 0.0
        return float(orders["quantity"][order_id] - orders["filled"][order_id])

    @staticmethod
    def _change(state: RunState, order_id: int, quantity: float) -> float:
        orders = state.orders.rows()
        if not 0 <= order_id < len(orders) or not np.isfinite(quantity):
            return 0.0
        return float(quantity - orders["quantity"][order_id])
