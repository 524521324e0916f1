"""How much of an order may fill on a row.

``Run.volumes`` keeps of each symbol and this feed, by row: the volume of the row before for buying and for
selling orders, that of the newest row, event_time of the newest row, and what was taken of it on each side.
A quote has a size on each side; of a bar or trade both are one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_broker_simulation.core import compiled, whole_lots
from ml4t_backtest_broker_simulation.family import child_part
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    FOK,
    OWN_VOLUME,
    PARTIAL,
    QUOTES,
    SOURCE,
    VOLUME_LIMIT,
    VOLUME_RULE,
    Run,
)

__all__ = ["VOLUMES", "amount", "note_volume", "take_volume"]

BEFORE: Final = 0
NEWEST: Final = 2
SEEN: Final = 4
TAKEN: Final = 5
VOLUMES: Final = 7


@compiled
def note_volume(run: Run, symbol: int) -> None:
    """Take note of the volume of the row in ``market[1]``; the same row met at once again is known."""
    kept, raw = run.volumes, run.market[1]
    if run.setup[AT_ONCE] != 0 and kept[SEEN, symbol] == raw["event_time"]:
        return
    for side in range(2):
        kept[BEFORE + side, symbol] = kept[NEWEST + side, symbol]
        kept[TAKEN + side, symbol] = 0.0
    kept[NEWEST, symbol] = raw["vwap"] if run.setup[SOURCE] == QUOTES else raw["volume"]
    kept[NEWEST + 1, symbol] = raw["volume"]
    kept[SEEN, symbol] = raw["event_time"]


@compiled
def volume_left(run: Run, symbol: int, buys: bool) -> float:
    """Return what orders of one side may still take of the row."""
    kept = run.volumes
    side = 0 if buys else 1
    volume = kept[(NEWEST if run.setup[VOLUME_RULE] == 1 else BEFORE) + side, symbol]
    if not volume > 0.0 or not np.isfinite(volume):
        return 0.0
    cap = whole_lots(run.numbers[VOLUME_LIMIT] * volume, run.instruments[symbol]["lot"])
    taken = 0.0 if run.setup[OWN_VOLUME] != 0 else float(kept[TAKEN + side, symbol])
    return max(0.0, cap - taken)


@compiled
def take_volume(run: Run, symbol: int, quantity: float) -> None:
    """Note that an order has taken its part of the row."""
    if run.setup[VOLUME_RULE] == 0:
        return
    if quantity > 0.0 or run.setup[SOURCE] != QUOTES:
        run.volumes[TAKEN, symbol] += abs(quantity)
    if quantity < 0.0 or run.setup[SOURCE] != QUOTES:
        run.volumes[TAKEN + 1, symbol] += abs(quantity)


@compiled
def amount(run: Run, i: int) -> float:
    """Return the signed quantity that would fill now, 0 for none."""
    order = run.orders[i]
    buys = order["quantity"] > 0.0
    left = abs(order["quantity"] - order["filled"])
    most = left
    row = order["terms"]
    if row >= 0:
        parent = run.terms[row]["parent"]
        if parent >= 0 and run.orders[parent]["status"] == PARTIAL:
            most = min(most, child_part(run, i) - abs(order["filled"]))
        if order["reduce_only"] != 0:
            most = min(most, abs(run.positions[order["symbol"]]["quantity"]))
    if run.setup[VOLUME_RULE] != 0:
        most = min(most, volume_left(run, order["symbol"], buys))
    if not most > 0.0 or (order["time_in_force"] == FOK and most < left):
        return 0.0
    return float(most) if buys else -float(most)
