"""Round trips: which fill closed which, first in first out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from ml4t_backtest_portfolio_standard.accounting import Floats, Integers, Table, compiled, round_to_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["TRIP", "pair_fills", "trips_frame"]

TRIP: Final = np.dtype(
    [
        ("entry", "i8"),  # row of FILL
        ("exit", "i8"),  # row of FILL, -1 while open
        ("quantity", "f8"),  # signed, > 0 is long
        ("entry_commission", "f8"),
        ("exit_commission", "f8"),
    ]
)


@compiled
def close_lots(
    fills: Table,
    i: int,
    step: float,
    trips: Table,
    count: int,
    lots: Floats,
    first: Integers,
    following: Integers,
) -> int:
    """Pair one fill with the oldest opposite lots of its symbol; return the number of trips.

    ``lots[k]`` is what is left of fill k, ``first`` the oldest lot of each symbol and ``following`` the next.
    """
    symbol: int = fills[i]["symbol"]
    left: float = fills[i]["quantity"]
    while left != 0.0 and first[symbol] >= 0:
        k = first[symbol]
        lot = float(lots[k])
        if (lot > 0.0) == (left > 0.0):
            break
        part = lot if abs(lot) <= abs(left) else -left
        trip = trips[count]
        trip["entry"] = k
        trip["exit"] = i
        trip["quantity"] = part
        trip["entry_commission"] = fills[k]["commission"] * abs(part / fills[k]["quantity"])
        trip["exit_commission"] = fills[i]["commission"] * abs(part / fills[i]["quantity"])
        count += 1
        left = round_to_step(left + part, step)
        lots[k] = round_to_step(lot - part, step)
        if lots[k] == 0.0:
            first[symbol] = following[k]
    lots[i] = left
    return count


@compiled
def pair_fills(
    fills: Table,
    instruments: Table,
    trips: Table,
    lots: Floats,
    first: Integers,
    last: Integers,
    following: Integers,
) -> int:
    """Write a TRIP row per pair of an opening and a closing fill, then those still open; return how many.

    Args:
        fills: FILL (n_fills,).
        instruments: INSTRUMENT (n_symbols,).
        trips: TRIP (2 * n_fills,), written here.
        lots: float64 (n_fills,), written here: what is left of each fill.
        first: int64 (n_symbols,) of -1, written here: oldest open lot of a symbol.
        last: int64 (n_symbols,), written here: newest.
        following: int64 (n_fills,) of -1, written here: the lot after each.
    """
    count = 0
    for i in range(len(fills)):
        symbol = fills[i]["symbol"]
        step = instruments[symbol]["quantity_step"]
        count = close_lots(fills, i, step, trips, count, lots, first, following)
        if lots[i] != 0.0:
            if first[symbol] < 0:
                first[symbol] = i
            else:
                following[last[symbol]] = i
            last[symbol] = i
    for i in range(len(fills)):
        if lots[i] != 0.0:
            trip = trips[count]
            trip["entry"] = i
            trip["exit"] = -1
            trip["quantity"] = lots[i]
            trip["entry_commission"] = fills[i]["commission"] * abs(lots[i] / fills[i]["quantity"])
            trip["exit_commission"] = 0.0
            count += 1
    return count


def trips_frame(state: RunState, trips: NDArray[np.void]) -> pl.DataFrame:
    """Return the columns of ``trades.parquet``; see ``PortfolioAccounting.trades``."""
    fills = state.fills.rows()
    entry = fills[trips["entry"]]
    is_open = trips["exit"] < 0
    leaving = fills[np.where(is_open, 0, trips["exit"])] if len(fills) else fills
    instruments = state.instruments[entry["symbol"]]
    mark = np.where(np.isfinite(instruments["mark"]), instruments["mark"], entry["price"])
    price = np.where(is_open, mark, leaving["price"])
    pnl = trips["quantity"] * (price - entry["price"]) * instruments["multiplier"]
    instant = pl.Datetime("ns", "UTC")
    frame = pl.DataFrame(
        {
            "symbol": np.array([*state.symbols.names, ""], object)[entry["symbol"]].tolist(),
            "side": np.where(trips["quantity"] > 0.0, "long", "short").tolist(),
            "quantity": np.abs(trips["quantity"]),
            "entry_time": entry["formed_at"],
            "exit_time": np.where(is_open, 0, leaving["formed_at"]),
            "entry_price": entry["price"],
            "exit_price": leaving["price"],
            "pnl": pnl,
            "commission": trips["entry_commission"] + trips["exit_commission"],
            "entry_order_id": entry["order_id"],
            "exit_order_id": leaving["order_id"],
            "account": entry["account"],
            "is_open": is_open,
        },
        schema_overrides={"symbol": pl.String, "side": pl.String},
    )
    closed = [
        pl.when(~pl.col("is_open")).then(name).alias(name) for name in ("exit_time", "exit_price", "exit_order_id")
    ]
    times = [pl.col(name).cast(instant) for name in ("entry_time", "exit_time")]
    missing = [pl.lit(None, pl.Float64).alias(name) for name in ("mfe", "mae")]
    return frame.with_columns(closed).with_columns(*times, *missing)
