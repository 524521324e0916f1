"""A run's tables as polars frames: the columns of the run directory's files.

Timestamps are ``Datetime("ns", "UTC")``, sessions dates, names strings, and the words of a fixed list
(status, kind, time in force, reason) enums. What does not apply is null: the limit price of a market order,
the symbol of a deposit, the time of one before the first instant, the mark of a symbol that was never priced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.state import LEDGER_KINDS, ORDER_KINDS, REASONS, STATUSES, TIMES_IN_FORCE, RunState

__all__ = ["columns", "equity", "fills", "ledger", "orders", "words"]

_TIMES = {"timestamp", "formed_at", "known_at", "submitted_at", "event_time", "used_at"}
_OFTEN_UNKNOWN = {"limit_price", "stop_price", "mark", "asked", "ordered"}
_WORDS = {"status": STATUSES, "reason": REASONS, "kind": ORDER_KINDS, "time_in_force": TIMES_IN_FORCE}


def columns(rows: Mapping[str, Any] | NDArray[np.void], names: str, symbols: Sequence[str]) -> dict[str, Any]:
    """Convert columns by what their names mean.

    Args:
        rows: NumPy columns by name: times int64 UTC ns (-1: null), ``session`` in days since 1970-01-01,
            ``symbol`` an id, ``order_id`` -1 for none, words as an index into their list.
        names: The columns wanted, separated by blanks.
        symbols: Names of the symbols.
    """
    result: dict[str, Any] = {}
    for name in names.split():
        values = np.ascontiguousarray(rows[name])
        if name in _TIMES:
            result[name] = pl.Series(values).replace(-1, None).cast(pl.Datetime("ns", "UTC"))
        elif name == "session":
            result[name] = pl.Series(values.astype(np.int32)).cast(pl.Date)
        elif name == "symbol":
            result[name] = words(symbols, values, pl.String())
        elif name in _WORDS:
            result[name] = words(_WORDS[name], values, pl.Enum(_WORDS[name]))
        elif name == "order_id":
            result[name] = pl.Series(values).replace(-1, None)
        else:
            result[name] = pl.Series(values).fill_nan(None) if name in _OFTEN_UNKNOWN else pl.Series(values)
    return result


def words(vocabulary: Sequence[str], codes: NDArray[np.integer[Any]], dtype: pl.DataType) -> pl.Series:
    """Return the word of each code, null for -1."""
    places = np.where(codes < 0, len(vocabulary), codes).astype(np.int64)
    return pl.Series([*vocabulary, None], dtype=dtype).gather(pl.Series(places))


def orders(state: RunState) -> pl.DataFrame:
    """Return every transition of every order, in the run's one order of things."""
    events, names = state.order_events.rows(), state.symbols.names
    order = state.orders.rows()[events["order_id"]]
    frame = columns(events, "timestamp order_id status reason quantity filled sequence", names)
    frame |= columns(order, "symbol kind limit_price stop_price time_in_force account", names)
    frame |= columns(order, "submitted_at known_at", names)
    return pl.DataFrame(frame | {"tag": words(state.tags, order["tag"], pl.String())})


def fills(state: RunState, currency: str) -> pl.DataFrame:
    """Return the fills in the order in which they were made; ``timestamp`` is when the price formed."""
    wanted = "formed_at known_at submitted_at order_id symbol quantity price commission slippage"
    frame = columns(state.fills.rows(), f"{wanted} account reason reference_price sequence", state.symbols.names)
    return pl.DataFrame(frame).rename({"formed_at": "timestamp"}).with_columns(currency=pl.lit(currency))


def ledger(state: RunState, currency: str) -> pl.DataFrame:
    """Return every cash movement and the balance after it."""
    rows = state.ledger.rows()
    frame = columns(rows, "timestamp order_id symbol amount balance account", state.symbols.names)
    kind = words(LEDGER_KINDS, rows["kind"], pl.String())
    began = pl.col("timestamp").dt.epoch("ns") > 0
    table = pl.DataFrame(frame | {"kind": kind}).with_columns(pl.when(began).then("timestamp"))
    return table.with_columns(currency=pl.lit(currency))


def equity(state: RunState) -> pl.DataFrame:
    """Return the account at each sampled instant, in base currency."""
    rows = state.equity.rows()
    return pl.DataFrame(columns(rows, " ".join(rows.dtype.names or ()), ()))
