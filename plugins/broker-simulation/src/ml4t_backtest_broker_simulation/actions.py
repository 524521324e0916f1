"""What corporate actions do to working orders, in plain Python: they are rare, and no order meets a price here.

Transitions are written as the core writes them; what an end means for children and groups is left to the core.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.state import ACCEPTED, CANCELLED, HELD, PARTIAL, REASONS
from ml4t_backtest_broker_simulation.compile import plain
from ml4t_backtest_broker_simulation.core import off_grid, on_grid
from ml4t_backtest_broker_simulation.layout import TRAILING_STOP
from ml4t_backtest_broker_simulation.volume import SEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces.tables import Action
    from ml4t.backtest.state import RunState

__all__ = ["end_orders", "end_reason", "restate_orders", "scale_volumes", "units_for_one"]

_CORPORATE_ACTION: Final = REASONS.index("corporate-action")
# Kinds of actions that end orders -> the reason with which these end.
_ENDS: Final = {
    "merger": _CORPORATE_ACTION,
    "delisting": _CORPORATE_ACTION,
    "expiry": REASONS.index("delisted"),
}
_ROUNDED: Final = 1.0 + 1e-15  # what a product of floats may be off by, of many lots
_LIVE: Final = (ACCEPTED, PARTIAL, HELD)
_on_grid = plain(on_grid)
_off_grid = plain(off_grid)


def units_for_one(action: Action) -> float:
    """Return how many units an old one becomes; 1 for actions that leave quantities and prices of orders alone."""
    if action.kind == "split":
        return action.ratio
    return 1.0 + action.ratio if action.kind == "stock-dividend" else 1.0


def end_reason(action: Action) -> int:
    """Return the reason with which an action ends working orders, 0 where it does not."""
    return _ENDS.get(action.kind, 0)


def end_orders(state: RunState, symbol: int, reason: int) -> None:
    """Cancel all working and held orders of a symbol; they still stand in its list."""
    for i in list(_orders_of(state, symbol)):
        _end(state, i, reason)
    _count_again(state, symbol)


def restate_orders(state: RunState, symbol: int, ratio: float, restated: dict[int, float]) -> bool:
    """Count the orders of a symbol in new units.

    Args:
        state: The run's columns.
        symbol: Symbol id.
        ratio: New units for one old one.
        restated: Order id -> what its ``filled`` has gained in all, beside its fills; added to here.

    Returns:
        Whether an order ended because nothing was left of it; it still stands in the symbol's list.
    """
    ended = []
    for i in list(_orders_of(state, symbol)):
        order = state.orders.data[i]
        filled = float(order["filled"])
        if _restate(state, i, ratio):
            _note(state, i, int(order["status"]), _CORPORATE_ACTION)
        else:
            ended.append(i)
        if filled != 0.0:
            restated[i] = restated.get(i, 0.0) + float(order["filled"]) - filled
    for i in ended:
        _end(state, i, _CORPORATE_ACTION)
    _count_again(state, symbol)
    return bool(ended)


def scale_volumes(kept: NDArray[np.float64], symbol: int, ratio: float) -> None:
    """Count the volumes that a feed has shown of a symbol in new units; see ``volume`` for the rows."""
    if symbol < kept.shape[1]:
        seen = kept[SEEN, symbol]
        kept[:, symbol] *= ratio
        kept[SEEN, symbol] = seen


def _orders_of(state: RunState, symbol: int) -> Iterator[int]:
    """Yield the ids of the orders of a symbol that have not ended, oldest first."""
    i = int(state.books[symbol]["first"])
    while i >= 0:
        following = int(state.orders.data[i]["next"])
        if state.orders.data[i]["status"] in _LIVE:
            yield i
        i = following


def _restate(state: RunState, i: int, ratio: float) -> bool:
    """Count one order in new units; say whether anything is left of it."""
    order = state.orders.data[i]
    instrument = state.instruments[order["symbol"]]
    tick, buys = float(instrument["tick"]), bool(order["quantity"] > 0.0)
    before, filled = float(order["quantity"]), float(order["filled"])
    after = _to_step(filled * ratio, float(instrument["quantity_step"]))
    left = _remainder(before - filled, ratio, instrument)
    order["filled"] = after
    order["quantity"] = after + left if left else after or before * ratio
    order["limit_price"] = _worse_tick(float(order["limit_price"]) / ratio, tick, buys)
    stop = float(order["stop_price"]) / ratio
    order["stop_price"] = stop if order["kind"] >= TRAILING_STOP else _worse_tick(stop, tick, not buys)
    if order["terms"] >= 0:
        terms = state.terms.data[order["terms"]]
        terms["whole"] = order["quantity"] + (float(terms["whole"]) - before) * ratio
        for name in ("trail_amount", "limit_offset", "extreme"):
            terms[name] /= ratio
        if terms["next_quantity"] != 0.0:
            _restate_amendment(order, terms, instrument, ratio, filled)
    return left != 0.0


def _restate_amendment(order: Any, terms: Any, instrument: Any, ratio: float, filled: float) -> None:
    """Count new terms that are under way in new units; where they leave nothing, the order ends when they hold."""
    tick, buys = float(instrument["tick"]), bool(order["quantity"] > 0.0)
    left = _remainder(float(terms["next_quantity"]) - filled, ratio, instrument)
    if left == 0.0:
        order["counts"], order["cancelled_at"], terms["ends_as"] = 0, terms["amended_at"], _CORPORATE_ACTION
        terms["next_quantity"], terms["amended_at"] = 0.0, 0
        return
    terms["next_quantity"] = order["filled"] + left
    terms["next_limit_price"] = _worse_tick(float(terms["next_limit_price"]) / ratio, tick, buys)
    terms["next_stop_price"] = _worse_tick(float(terms["next_stop_price"]) / ratio, tick, not buys)


def _remainder(left: float, ratio: float, instrument: Any) -> float:
    """Return a signed remainder in new units: what was whole lots is cut to whole lots."""
    lot = float(instrument["lot"])
    if not lot > 0.0 or _off_grid(left, lot):
        return _to_step(left * ratio, float(instrument["quantity_step"]))
    count = np.floor(abs(left) * ratio / lot * _ROUNDED + 1e-9)
    return float(np.copysign(_on_grid(count, lot, abs(left) * ratio), left)) if count else 0.0


def _to_step(value: float, step: float) -> float:
    return float(_on_grid(np.floor(value / step + 0.5), step, value)) if step > 0.0 else value


def _worse_tick(price: float, tick: float, down: bool) -> float:
    if not _off_grid(price, tick):
        return price
    return float(_on_grid((np.floor if down else np.ceil)(price / tick), tick, price))


def _end(state: RunState, i: int, reason: int) -> None:
    state.counters[state.WORKING] -= 1
    _note(state, i, CANCELLED, reason)


def _note(state: RunState, i: int, status: int, reason: int) -> None:
    """Move an order to a status (perhaps the same) and record it."""
    order, counters = state.orders.data[i], state.counters
    order["status"], order["reason"] = status, reason
    event = state.order_events.reserve(1)[state.order_events.count]
    event["timestamp"], event["order_id"], event["sequence"] = state.now, i, counters[state.SEQUENCE]
    event["status"], event["reason"] = status, reason
    event["quantity"], event["filled"] = order["quantity"], order["filled"]
    counters[state.ORDER_EVENTS] += 1
    counters[state.SEQUENCE] += 1


def _count_again(state: RunState, symbol: int) -> None:
    """Write what waits in the book of a symbol."""
    book = state.books[symbol]
    book["open_quantity"] = book["target_quantity"] = 0.0
    for i in _orders_of(state, symbol):
        order = state.orders.data[i]
        if order["counts"] != 0:
            book["open_quantity"] += order["quantity"] - order["filled"]
            if order["is_target"] != 0:
                book["target_quantity"] += order["quantity"] - order["filled"]
