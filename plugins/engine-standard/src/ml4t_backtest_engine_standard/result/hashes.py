"""Two fingerprints of a run: what was decided, and what came of it.

Both are SHA-256 over blocks. A block is its title in ASCII, a zero byte, the number of rows as int64, then
its columns one after another, each whole; all numbers are little-endian:

    text        16 bytes a row: the start of the SHA-256 of the UTF-8 text; where there is none, as for the
                symbol of a deposit, that of the empty text
    time        int64, UTC nanoseconds
    number      float64 bits, with -0.0 written as 0.0 and every NaN as the same NaN

    block         columns
    decisions/1   time, symbol, "<status> <side> <type> <time in force> <reason>", quantity, limit price,
                  stop price: a row for each request accepted or refused, and for each order that the
                  strategy, or a newer target of it, cancelled; in the order in which the broker took them
    fills/1       formed_at, known_at, submitted_at, symbol, reason, quantity, price, commission, slippage
    ledger/1      time, symbol, kind, amount, balance
    equity/1      time, session, cash, equity, gross and net exposure, realised, unrealised, commission

``decision_hash`` is over ``decisions/1``; ``result_hash`` over the bytes of that digest and the other three.
Ids, versions and paths never enter. A change of this layout changes the numbers in the titles.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest import state as tables
from ml4t.backtest.state import REASONS, RunState

__all__ = ["decision_hash", "result_hash"]

_BY_STRATEGY = [REASONS.index("cancelled-by-strategy"), REASONS.index("replaced-by-target")]


def decision_hash(state: RunState) -> str:
    """Return the hex SHA-256 of what the strategy asked for and what became of the asking.

    Args:
        state: The run's columns, at any instant.
    """
    events, orders = state.order_events.rows(), state.orders.rows()
    rows = _decisions(events, len(orders))
    ids = events["order_id"][rows]
    quantity = _numbers(events["quantity"][rows])
    prices = [_numbers(orders[name][ids]) for name in ("limit_price", "stop_price")]
    codes = (
        (events["status"][rows], tables.STATUSES),
        ((quantity < 0).view(np.int8), ("buy", "sell")),
        (orders["kind"][ids], tables.ORDER_KINDS),
        (orders["time_in_force"][ids], tables.TIMES_IN_FORCE),
        (events["reason"][rows], REASONS),
    )
    symbols = _texts(state.symbols.names)[orders["symbol"][ids]]
    columns = [events["timestamp"][rows], symbols, _phrases(codes), quantity, *prices]
    return _block("decisions/1", len(rows), columns).hex()


def result_hash(state: RunState) -> str:
    """Return the hex SHA-256 of the decisions, the fills, the ledger and the equity rows.

    Args:
        state: The run's columns, at any instant.
    """
    symbols, digest = _texts(state.symbols.names), hashlib.sha256(bytes.fromhex(decision_hash(state)))
    fills, ledger, equity = state.fills.rows(), state.ledger.rows(), state.equity.rows()
    times = [fills[name] for name in ("formed_at", "known_at", "submitted_at")]
    figures = ("quantity", "price", "commission", "slippage")
    texts = [symbols[fills["symbol"]], _texts(REASONS)[fills["reason"]]]
    digest.update(_block("fills/1", len(fills), [*times, *texts, *(_numbers(fills[name]) for name in figures)]))
    texts = [symbols[ledger["symbol"]], _texts(tables.LEDGER_KINDS)[ledger["kind"]]]
    cash = [_numbers(ledger["amount"]), _numbers(ledger["balance"])]
    digest.update(_block("ledger/1", len(ledger), [ledger["timestamp"], *texts, *cash]))
    wanted = ("cash", "equity", "gross_exposure", "net_exposure", "realised", "unrealised", "commission")
    values = [_numbers(equity[name]) for name in wanted]
    digest.update(_block("equity/1", len(equity), [equity["timestamp"], equity["session"], *values]))
    return digest.hexdigest()


def _decisions(events: NDArray[np.void], n_orders: int) -> NDArray[np.int64]:
    """Return the rows of each order's first verdict and of each cancellation that the strategy asked for."""
    status, ids = np.ascontiguousarray(events["status"]), events["order_id"]
    verdicts = np.flatnonzero((status == tables.ACCEPTED) | (status == tables.REFUSED))
    first = np.zeros(n_orders, np.int64)
    first[ids[verdicts[::-1]]] = verdicts[::-1]  # of several written to one place the last, here the earliest, stays
    cancelled = np.flatnonzero(status == tables.CANCELLED)
    cancelled = cancelled[np.isin(events["reason"][cancelled], _BY_STRATEGY)]
    chosen = np.zeros(len(events), np.bool_)
    chosen[cancelled] = True
    chosen[verdicts] = first[ids[verdicts]] == verdicts
    return np.flatnonzero(chosen)


def _block(title: str, rows: int, columns: Iterable[NDArray[np.generic]]) -> bytes:
    digest = hashlib.sha256(title.encode() + b"\0" + np.int64(rows).astype("<i8").tobytes())
    for column in columns:
        digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False).data)
    return digest.digest()


def _texts(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return uint64 (n + 1, 2): the digest of each text, and of the empty one where index -1 finds it."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:16] for text in (*texts, ""))
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


def _phrases(columns: Sequence[tuple[NDArray[np.integer[Any]], Sequence[str]]]) -> NDArray[np.uint64]:
    """Return uint64 (n, 2): the digest of the words that the codes of each row stand for."""
    words, shape = [words for _, words in columns], [len(words) for _, words in columns]
    keys = np.zeros(len(columns[0][0]), np.int64)
    for codes, vocabulary in columns:
        keys = keys * len(vocabulary) + codes
    used = np.flatnonzero(np.bincount(keys))
    places = zip(*np.unravel_index(used, shape), strict=True)
    spelt = [" ".join(str(word[i]) for word, i in zip(words, row, strict=True)) for row in places]
    table = np.zeros((math.prod(shape), 2), np.uint64)
    table[used] = _texts(spelt)[:-1]
    return table[keys]


def _numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    clean = values + 0.0  # -0.0 + 0.0 is 0.0
    clean[np.isnan(clean)] = np.nan
    return clean
