"""Two fingerprints of a run: what was decided, and what came of it.

Both are SHA-256 over blocks. A block is its title in ASCII, a zero byte, the number of rows as int64, then
its columns one after another, each whole; all numbers are little-endian:

    text        16 bytes a row: the start of the SHA-256 of the UTF-8 text; where there is none, as for the
                symbol of a deposit, that of the empty text
    time        int64, UTC nanoseconds
    number      float64 bits, with -0.0 written as 0.0 and every NaN as the same NaN

    block         columns
    decisions/1   time, symbol, "<status> <side> <type> <time in force> <reason>", quantity, limit price,
                  stop price: a row for each order accepted, held or refused, for each order that the
                  strategy, or a newer target of it, cancelled, and for each request to cancel or amend that
                  was refused or has to wait; in the order in which the broker took them; prices as asked for
    requests/1    time, symbol, "<action> <side> <type> <time in force> <reason>", quantity, limit price, stop
                  price, trail amount, trail percent, limit offset, expires_at, how many orders back the
                  parent, the group and the order to be amended are (-1 for none), whether it only reduces (1
                  or 0): a row for each order that is no plain market order, each that a risk manager changed,
                  and each amendment, as asked for
    fills/1       formed_at, known_at, submitted_at, symbol, reason, quantity, price, commission, slippage
    ledger/1      time, symbol, kind, amount, balance
    equity/1      time, session, cash, equity, gross and net exposure, realised, unrealised, commission
    ledger/2      account, currency, quantity, price, settled: of the rows of ledger/1, only where one of them is of
                  another account or currency than the first, changes a quantity, or has not settled at once
    equity/2      receivable, dividends, interest, borrow, funding, fx_pnl: of the rows of equity/1, only where one of
                  these is not 0

``decision_hash`` is over ``decisions/1``, followed by ``requests/1`` where that has rows (over ``decisions/1`` alone it
is that block's digest); ``result_hash`` over the bytes of that digest and those of the others that there are.
Ids, versions and paths never enter. A change of this layout changes the numbers in the titles.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest import state as tables
from ml4t.backtest.state import REASONS, RunState

__all__ = ["decision_hash", "result_hash"]

_BY_STRATEGY = [REASONS.index("cancelled-by-strategy"), REASONS.index("replaced-by-target")]
_REQUESTS = [REASONS.index("cancel-requested"), REASONS.index("amended")]
_VERDICTS = np.isin(np.arange(len(tables.STATUSES)), (tables.ACCEPTED, tables.HELD, tables.REFUSED, tables.CANCELLED))
_UNKNOWN = REASONS.index("unknown-order")
_FIGURES = ("quantity", "limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset")

_GAINED = ("receivable", "dividends", "interest", "borrow", "funding", "fx_pnl")
_OF_ORDER = ("symbol", "kind", "time_in_force", "limit_price", "stop_price")
_NOBODY: dict[str, float] = {"symbol": -1, "kind": 0, "time_in_force": 0, "limit_price": np.nan, "stop_price": np.nan}

# (time, orders before, REQUEST rows) of each round that had more than plain market orders and cancels.
Rounds: TypeAlias = "Sequence[tuple[int, int, NDArray[np.void]]]"


def decision_hash(state: RunState, rounds: Rounds = ()) -> str:
    """Return the hex SHA-256 of what the strategy asked for and what became of the asking.

    Args:
        state: The run's columns, at any instant.
        rounds: The journal's ``request_rows``.
    """
    asked = _unusual(rounds)
    decisions = _decision_block(state, asked[2] if asked else None)
    if asked is None:
        return decisions.hex()
    return hashlib.sha256(decisions + _request_block(state, *asked)).hexdigest()


def _decision_block(state: RunState, asked: NDArray[np.void] | None) -> bytes:
    events, orders = state.order_events.rows(), state.orders.rows()
    rows = _decisions(events, len(orders))
    ids = events["order_id"][rows]
    unknown = (ids < 0) | (ids >= len(orders))  # a request that named no order
    known: dict[str, NDArray[Any]] = {}
    for name in _OF_ORDER:
        column = orders[name]
        if asked is not None and name.endswith("price"):  # amendments and trailing stops have moved those in the table
            placed = asked[(asked["action"] == 0) & (asked["order_id"] < len(orders))]
            column = column.copy()
            column[placed["order_id"]] = placed[name]
        if unknown.any():
            column = np.append(column, column.dtype.type(_NOBODY[name]))
        known[name] = column[np.where(unknown, len(orders), ids) if unknown.any() else ids]
    quantity = _numbers(events["quantity"][rows])
    codes = (
        (events["status"][rows], tables.STATUSES),
        ((quantity < 0).view(np.int8), ("buy", "sell")),
        (known["kind"], tables.ORDER_KINDS),
        (known["time_in_force"], tables.TIMES_IN_FORCE),
        (events["reason"][rows], REASONS),
    )
    symbols = _texts(state.symbols.names)[known["symbol"]]
    columns = [events["timestamp"][rows], symbols, _phrases(codes), quantity]
    columns += [_numbers(known[name]) for name in ("limit_price", "stop_price")]
    return _block("decisions/1", len(rows), columns)


def _unusual(rounds: Rounds) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.void]] | None:
    """Return (time, orders before, row) of each amendment, changed order and order that is no plain market one."""
    if not rounds:
        return None
    sizes = [len(rows) for _, _, rows in rounds]
    times = np.repeat(np.array([time for time, _, _ in rounds], np.int64), sizes)
    made = np.repeat(np.array([before for _, before, _ in rounds], np.int64), sizes)
    rows = np.concatenate([rows for _, _, rows in rounds])
    plain = (rows["action"] != 3) & np.isnan(rows["asked"])
    for name, usual in (("kind", 0), ("time_in_force", 0), ("group", -1), ("parent", -1), ("reduce_only", 0)):
        plain &= rows[name] == usual
    return (times[~plain], made[~plain], rows[~plain]) if not plain.all() else None


def _request_block(state: RunState, times: NDArray[np.int64], made: NDArray[np.int64], rows: NDArray[np.void]) -> bytes:
    amends = rows["action"] == 3
    whole = np.where(np.isnan(rows["asked"]), rows["quantity"], rows["asked"])
    codes = (
        (rows["action"], tables.ACTIONS),
        ((whole < 0).view(np.int8), ("buy", "sell")),
        (rows["kind"], tables.ORDER_KINDS),
        (rows["time_in_force"], tables.TIMES_IN_FORCE),
        (rows["reason"], REASONS),
    )
    back = [np.where(rows[name] < 0, -1, rows["order_id"] - rows[name]) for name in ("parent", "group")]
    back.append(np.where(amends & (rows["order_id"] >= 0), made - rows["order_id"], -1))
    numbers = [_numbers(rows[name]) for name in _FIGURES]
    columns = [times, _texts(state.symbols.names)[rows["symbol"]], _phrases(codes), *numbers, rows["expires_at"]]
    return _block("requests/1", len(rows), [*columns, *back, rows["reduce_only"].astype(np.int64)])


def result_hash(state: RunState, rounds: Rounds = ()) -> str:
    """Return the hex SHA-256 of the decisions, the fills, the ledger and the equity rows.

    Args:
        state: The run's columns, at any instant.
        rounds: The journal's ``request_rows``.
    """
    symbols, digest = _texts(state.symbols.names), hashlib.sha256(bytes.fromhex(decision_hash(state, rounds)))
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
    if any(ledger[name].any() for name in ("account", "currency", "quantity")) or _settles_later(ledger):
        places = [ledger["account"].astype(np.int64), _texts(state.currencies)[ledger["currency"]]]
        further = [_numbers(ledger[name]) for name in ("quantity", "price", "settled")]
        digest.update(_block("ledger/2", len(ledger), [*places, *further]))
    gained = [equity[name] for name in _GAINED]
    if any(column.any() for column in gained):
        digest.update(_block("equity/2", len(equity), map(_numbers, gained)))
    return digest.hexdigest()


def _settles_later(ledger: NDArray[np.void]) -> bool:
    """Say whether cash settled later than it moved; a portfolio that does not count settled cash leaves it 0."""
    return bool(ledger["settled"].any() and (ledger["settled"] != ledger["amount"]).any())


def _decisions(events: NDArray[np.void], n_orders: int) -> NDArray[np.int64]:
    """Return the rows of each order's first verdict, of each end and each request that the strategy asked for."""
    status, reason = (np.ascontiguousarray(events[name]) for name in ("status", "reason"))
    ids = events["order_id"]
    verdicts = np.flatnonzero(_VERDICTS[status] & (reason != _UNKNOWN))
    first = np.zeros(n_orders, np.int64)
    first[ids[verdicts[::-1]]] = verdicts[::-1]  # of several written to one place the last, here the earliest, stays
    chosen = status == tables.REFUSED
    for request in _REQUESTS:
        chosen |= reason == request
    cancelled = np.flatnonzero(status == tables.CANCELLED)
    chosen[cancelled] |= np.isin(reason[cancelled], _BY_STRATEGY)
    chosen[verdicts] |= first[ids[verdicts]] == verdicts
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
