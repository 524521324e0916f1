"""Lots of positions, first in first out: which fill closed which, and what prices were reached in between.

Compiled is what happens with each fill; what corporate actions do to lots is in ``trips``, over the same tables.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_portfolio_standard.accounting import Floats, Integers, Table, compiled, round_to_step

__all__ = [
    "FINE",
    "FIRST",
    "LAST",
    "LOT",
    "LOTS",
    "NEWEST",
    "TRIP",
    "TRIPS",
    "close_lots",
    "pair_fills",
    "queue",
    "see",
]

# quantity: signed, what is left of it
# whole: what it was, in today's units
# commission: of the whole
# high, low: extremes of prices since the entry, up to ``node``
# node: the newest fill of the symbol that high and low count, as a place in ``jump``
# next: the lot after it, -1 for none
LOT: Final = np.dtype(
    [(name, "i8") for name in ("symbol", "account", "time", "order_id", "node", "next")]
    + [(name, "f8") for name in ("quantity", "whole", "price", "commission", "high", "low")]
)
TRIP: Final = np.dtype(
    [(name, "i8") for name in ("symbol", "account", "entry_time", "exit_time", "entry_order_id", "exit_order_id")]
    + [(name, "f8") for name in ("quantity", "entry_price", "exit_price", "entry_commission", "exit_commission")]
    + [("high", "f8"), ("low", "f8"), ("is_open", "i1")]
)
# Rows of ``chains``, a column per symbol: oldest and newest open lot, -1 for none; the place of its newest fill.
FIRST, LAST, NEWEST = range(3)
# Places in ``counts``.
LOTS, TRIPS = range(2)
# Lots are rounded to this, or to a finer step: an action may leave each of them a fraction of a step.
FINE: Final = 1e-9


@compiled
def see(lots: Table, n: int, jump: Integers, reached: Floats) -> None:
    """Widen a lot's extremes by those of all fills of its symbol since it was looked at last.

    ``jump[node]`` is a later fill of the symbol, ``reached[:, node]`` the extremes up to it; chains are shortened on
    the way, so that a lot that outlives many fills stays cheap.
    """
    lot = lots[n]
    node = lot["node"]
    while jump[node] != node:
        after = jump[node]
        if jump[after] != after:
            reached[0, node] = np.fmax(reached[0, node], reached[0, after])
            reached[1, node] = np.fmin(reached[1, node], reached[1, after])
            jump[node] = jump[after]
        lot["high"] = np.fmax(lot["high"], reached[0, node])
        lot["low"] = np.fmin(lot["low"], reached[1, node])
        node = jump[node]
    lot["node"] = node


@compiled
def close_lots(
    lots: Table, n: int, step: float, trips: Table, counts: Integers, chains: Table, jump: Integers, reached: Floats
) -> None:
    """Let lot ``n`` close the oldest lots of the other side; what is left of it stays its quantity."""
    own = lots[n]
    symbol = own["symbol"]
    while own["quantity"] != 0.0 and chains[FIRST, symbol] >= 0:
        oldest = chains[FIRST, symbol]
        lot = lots[oldest]
        left = own["quantity"]
        if (lot["quantity"] > 0.0) == (left > 0.0):
            break
        part = lot["quantity"] if abs(lot["quantity"]) <= abs(left) else -left
        see(lots, oldest, jump, reached)
        trip = trips[counts[TRIPS]]
        counts[TRIPS] += 1
        trip["symbol"] = symbol
        trip["account"] = lot["account"]
        trip["entry_time"] = lot["time"]
        trip["exit_time"] = own["time"]
        trip["entry_order_id"] = lot["order_id"]
        trip["exit_order_id"] = own["order_id"]
        trip["quantity"] = part
        trip["entry_price"] = lot["price"]
        trip["exit_price"] = own["price"]
        trip["entry_commission"] = lot["commission"] * abs(part / lot["whole"])
        trip["exit_commission"] = own["commission"] * abs(part / own["whole"])
        trip["high"] = np.fmax(lot["high"], own["high"])
        trip["low"] = np.fmin(lot["low"], own["low"])
        own["quantity"] = round_to_step(left + part, step)
        lot["quantity"] = round_to_step(lot["quantity"] - part, step)
        if lot["quantity"] == 0.0:
            chains[FIRST, symbol] = lot["next"]


@compiled
def queue(lots: Table, n: int, chains: Table) -> None:
    """Put lot ``n`` behind the open lots of its symbol."""
    symbol = lots[n]["symbol"]
    lots[n]["next"] = -1
    if chains[FIRST, symbol] < 0:
        chains[FIRST, symbol] = n
    else:
        lots[chains[LAST, symbol]]["next"] = n
    chains[LAST, symbol] = n


@compiled
def pair_fills(
    fills: Table,
    start: int,
    stop: int,
    instruments: Table,
    lots: Table,
    trips: Table,
    counts: Integers,
    chains: Table,
    jump: Integers,
    reached: Floats,
) -> None:
    """Pair fills ``start:stop`` with open lots, first in first out.

    Args:
        fills: FILL (n_fills,).
        start: First row of FILL to be taken.
        stop: One past the last.
        instruments: INSTRUMENT (n_symbols,).
        lots: LOT, one row more than there can be lots; written here.
        trips: TRIP, rows enough; written here.
        counts: int64 (2,), rows of lots and trips so far; moved on.
        chains: int64 (3, n_symbols), moved on.
        jump: int64 (n_fills + n_symbols,), each place itself before the first call; behind the fills one per symbol.
        reached: float64 (2, n_fills + n_symbols), written here: high and low.
    """
    for i in range(start, stop):
        fill = fills[i]
        symbol = fill["symbol"]
        price = fill["price"]
        before = chains[NEWEST, symbol]
        jump[before] = i
        reached[0, before] = np.fmax(fill["high"], price)
        reached[1, before] = np.fmin(fill["low"], price)
        chains[NEWEST, symbol] = i
        n = counts[LOTS]
        lot = lots[n]
        lot["symbol"] = symbol
        lot["account"] = fill["account"]
        lot["time"] = fill["formed_at"]
        lot["order_id"] = fill["order_id"]
        lot["node"] = i
        lot["quantity"] = fill["quantity"]
        lot["whole"] = fill["quantity"]
        lot["price"] = price
        lot["commission"] = fill["commission"]
        lot["high"] = price
        lot["low"] = price
        close_lots(lots, n, min(instruments[symbol]["quantity_step"], FINE), trips, counts, chains, jump, reached)
        if lot["quantity"] != 0.0:
            queue(lots, n, chains)
            counts[LOTS] += 1
