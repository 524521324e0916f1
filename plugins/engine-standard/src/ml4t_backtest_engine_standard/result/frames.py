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

__all__ = ["books", "columns", "equity", "fills", "ledger", "orders", "with_book", "words"]

_TIMES = {"timestamp", "formed_at", "known_at", "submitted_at", "event_time", "used_at", "expires_at"}
_IDS = {"order_id", "group", "parent"}
_OFTEN_UNKNOWN = {"limit_price", "stop_price", "mark", "asked", "ordered"}
_OF_BOOK = (
    "timestamp", "session", "cash", "equity", "gross_exposure", "net_exposure", "realised", "unrealised", "commission",
    "slippage", "receivable", "dividends", "interest", "borrow", "funding", "fx_pnl",
)  # fmt: skip
_UNKNOWN = REASONS.index("unknown-order")
_TERMS = "expires_at group parent trail_amount trail_percent limit_offset"
# Kinds of ledger rows that have a price beside those that change a quantity.
_VALUED = [LEDGER_KINDS.index(kind) for kind in ("fill", "variation", "spin-off")]
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
        elif name in _IDS:
            result[name] = pl.Series(values).replace(-1, None)
        else:
            result[name] = pl.Series(values).fill_nan(None) if name in _OFTEN_UNKNOWN else pl.Series(values)
    return result


def words(vocabulary: Sequence[str], codes: NDArray[np.integer[Any]], dtype: pl.DataType) -> pl.Series:
    """Return the word of each code, null for -1."""
    places = np.where(codes < 0, len(vocabulary), codes).astype(np.int64)
    return pl.Series([*vocabulary, None], dtype=dtype).gather(pl.Series(places))


def orders(state: RunState, rounds: Sequence[tuple[int, int, NDArray[np.void]]] = ()) -> pl.DataFrame:
    """Return every transition of every order, in the run's one order of things; terms are those in the end.

    Args:
        state: The run's columns.
        rounds: The journal's ``request_rows``, for quantities that risk managers changed.
    """
    events, names, table = state.order_events.rows(), state.symbols.names, state.orders.rows()
    ids = events["order_id"]
    unknown = (ids < 0) | (ids >= len(table)) | (events["reason"] == _UNKNOWN)
    ids = np.where(unknown, 0, ids)

    def of_order(wanted: str) -> dict[str, Any]:
        found = {
            name: table[name][ids] if len(table) else np.zeros(len(ids), table.dtype[name]) for name in wanted.split()
        }
        return columns(found, wanted, names)

    frame = columns(events, "timestamp order_id status reason quantity filled sequence", names)
    frame |= of_order("symbol kind limit_price stop_price time_in_force account submitted_at known_at")
    frame |= columns(_terms(state, ids), _TERMS, names) | of_order("commission")
    rest = of_order("reduce_only client_id tag")
    frame["reduce_only"] = rest["reduce_only"] != 0
    frame["client_id"] = words(state.client_ids, rest["client_id"].to_numpy(), pl.String())
    frame["tag"] = words(state.tags, rest["tag"].to_numpy(), pl.String())
    asked = np.full(max(1, len(table)), np.nan)
    for _, _, rows in rounds:
        placed = rows[(rows["action"] == 0) & (rows["order_id"] < len(table))]
        asked[placed["order_id"]] = placed["asked"]
    frame["asked"] = pl.Series(asked[ids]).fill_nan(None)
    result = pl.DataFrame(frame)
    if unknown.any():  # what was to be cancelled or amended is no order
        mine = pl.Series(~unknown)
        result = result.with_columns(pl.when(mine).then(pl.col(name)) for name in result.columns[7:])
    return result


def _terms(state: RunState, ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return columns of TERMS for orders; -1 and 0 where there is none."""
    table, terms = state.orders.rows(), state.terms.rows()
    blank = {"expires_at": -1, "group": -1, "parent": -1}
    place = table["terms"][ids] if len(table) else np.full(len(ids), -1)
    place = np.where((place < 0) | (place >= len(terms)), len(terms), place)
    found = {name: np.append(terms[name], terms.dtype[name].type(blank.get(name, 0)))[place] for name in _TERMS.split()}
    ends = found["expires_at"]
    found["expires_at"] = np.where((ends <= 0) | (ends == np.iinfo(np.int64).max), -1, ends)
    return found


def fills(state: RunState, currency: str) -> pl.DataFrame:
    """Return the fills in the order in which they were made; ``timestamp`` is when the price formed.

    Args:
        state: The run's columns.
        currency: Name of the base currency.
    """
    wanted = "formed_at known_at submitted_at order_id symbol quantity price commission slippage"
    frame = columns(state.fills.rows(), f"{wanted} account reason reference_price sequence", state.symbols.names)
    frame["maker"] = pl.Series(state.fills.rows()["maker"] != 0)
    frame["currency"] = _currencies(state, state.instruments["currency"][state.fills.rows()["symbol"]], currency)
    return pl.DataFrame(frame).rename({"formed_at": "timestamp"})


def ledger(state: RunState, currency: str) -> pl.DataFrame:
    """Return every movement of cash and change of a position by an action, and the balance after it.

    Args:
        state: The run's columns.
        currency: Name of the base currency.
    """
    rows = state.ledger.rows()
    frame = columns(rows, "timestamp order_id symbol amount balance account", state.symbols.names)
    frame["kind"] = words(LEDGER_KINDS, rows["kind"], pl.String())
    frame["currency"] = _currencies(state, rows["currency"], currency)
    frame |= columns(rows, "quantity settled", ())
    valued = np.isin(rows["kind"], _VALUED) | (rows["quantity"] != 0.0)
    frame["price"] = pl.Series(np.where(valued, rows["price"], np.nan)).fill_nan(None)
    began = pl.col("timestamp").dt.epoch("ns") > 0
    return pl.DataFrame(frame).with_columns(pl.when(began).then("timestamp"))


def _currencies(state: RunState, codes: NDArray[np.integer[Any]], base: str) -> pl.Series:
    return words([base, *state.currencies[1:]], codes, pl.String())


def equity(state: RunState) -> pl.DataFrame:
    """Return the account at each sampled instant, in base currency."""
    rows = state.equity.rows()
    return pl.DataFrame(columns(rows, " ".join(rows.dtype.names or ()), ()))


def with_book(frame: pl.DataFrame, state: RunState, names: Sequence[str]) -> pl.DataFrame:
    """Return a frame with the book of each order; null for orders of no book.

    Args:
        frame: Has a column ``order_id``.
        state: The run's columns.
        names: Name of each book.
    """
    owners, ids = state.orders.rows()["book"], frame["order_id"].fill_null(-1).to_numpy()
    codes = np.append(owners, -1)[np.where((ids < 0) | (ids >= len(owners)), len(owners), ids)]
    return frame.with_columns(words(names, codes, pl.String()).alias("book"))


def books(states: Sequence[RunState], names: Sequence[str]) -> pl.DataFrame:
    """Return each book at each sampled instant, in base currency; no rows where there is one strategy.

    Args:
        states: Columns of each book.
        names: Name of each.
    """
    own = [
        equity(each).select(_OF_BOOK).insert_column(0, pl.lit(name).alias("book"))
        for each, name in zip(states, names, strict=False)
    ]
    blank = equity(RunState()).select(_OF_BOOK).insert_column(0, pl.Series("book", [], pl.String))
    return pl.concat([blank, *own]).sort("timestamp", maintain_order=True)
