"""Accounting, written once as plain functions over the kernel's tables, compiled or interpreted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.state import LEDGER_KINDS, RunState

__all__ = [
    "CASH", "COMMISSION", "EQUITY", "GROSS", "LONG", "NET", "REALISED", "SHORT", "SLIPPAGE", "STALE",
    "TOTALS", "UNREALISED", "apply_fill", "round_to_step", "totals",
]  # fmt: skip

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Table: TypeAlias = Any  # a structured array, and a row of one: their fields have no static types
Record: TypeAlias = Any
Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"

LEDGER: Final = RunState.LEDGER
KIND_FILL: Final = LEDGER_KINDS.index("fill")
KIND_COMMISSION: Final = LEDGER_KINDS.index("commission")

# What totals() adds up, and the place of each in its array.
TOTALS: Final = (
    "cash", "equity", "gross_exposure", "net_exposure", "long_pnl", "short_pnl", "realised", "unrealised",
    "commission", "slippage", "stale_exposure",
)  # fmt: skip
CASH, EQUITY, GROSS, NET, LONG, SHORT, REALISED, UNREALISED, COMMISSION, SLIPPAGE, STALE = range(len(TOTALS))


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@compiled
def round_to_step(value: float, step: float) -> float:
    """Round to the nearest multiple of ``step`` (ties up); 0 turns rounding off.

    A step such as 1e-9 is no binary fraction, so multiples of it are made by dividing by the whole number
    1 / step: ``15 / 1e-9 * 1e-9`` would be 15.000000000000002.
    """
    if step <= 0.0:
        return value
    count: float = np.floor(value / step + 0.5)
    if not abs(count) < 4503599627370496.0:  # beyond 2**52 steps every float is a multiple already
        return value
    inverse: float = np.floor(1.0 / step + 0.5)
    if inverse >= 1.0 and abs(inverse * step - 1.0) < 1e-9:
        return count / inverse
    return count * step


@compiled
def book_cash(fill: Record, kind: int, amount: float, accounts: Table, ledger: Table, counters: Integers) -> None:
    """Move cash and append the LEDGER row that says so."""
    account = accounts[fill["account"]]
    account["cash"] += amount
    row = ledger[counters[LEDGER]]
    row["timestamp"] = fill["known_at"]
    row["order_id"] = fill["order_id"]
    row["symbol"] = fill["symbol"]
    row["account"] = fill["account"]
    row["kind"] = kind
    row["amount"] = amount
    row["balance"] = account["cash"]
    counters[LEDGER] += 1


@compiled
def apply_fill(
    fills: Table,
    i: int,
    instruments: Table,
    positions: Table,
    accounts: Table,
    ledger: Table,
    counters: Integers,
) -> float:
    """Apply one fill at average cost and return the profit it realised, before commission.

    A fill with the position, or on a flat one, moves the average price; against it, realises
    ``closed * (price - average_price) * multiplier``; through zero, closes and opens at the fill's price.
    """
    fill = fills[i]
    instrument = instruments[fill["symbol"]]
    position = positions[fill["symbol"]]
    account = accounts[fill["account"]]
    quantity = fill["quantity"]
    price = fill["price"]
    held = position["quantity"]
    average = position["average_price"]
    after = round_to_step(held + quantity, instrument["quantity_step"])
    realised = 0.0
    if held == 0.0:
        average = price
    elif (held > 0.0) == (quantity > 0.0):
        average = (held * average + quantity * price) / (held + quantity)
    else:
        closed = held if abs(quantity) >= abs(held) else -quantity
        realised = closed * (price - average) * instrument["multiplier"]
        if held > 0.0:
            account["long_realised"] += realised
        else:
            account["short_realised"] += realised
        if (after > 0.0) != (held > 0.0):
            average = price
    if after == 0.0:
        after = 0.0  # never -0.0
        average = 0.0
    position["quantity"] = after
    position["average_price"] = average
    position["realised"] += realised
    position["commission"] += fill["commission"]
    account["realised"] += realised
    account["commission"] += fill["commission"]
    account["slippage"] += fill["slippage"]
    book_cash(fill, KIND_FILL, -quantity * price * instrument["multiplier"], accounts, ledger, counters)
    if fill["commission"] != 0.0:
        book_cash(fill, KIND_COMMISSION, -fill["commission"], accounts, ledger, counters)
    return realised


@compiled
def totals(instruments: Table, positions: Table, accounts: Table, out: Floats) -> None:
    """Fill ``out`` with the sums over positions, in the order of ids.

    A position without a finite mark is taken at its average price and counts as stale.
    """
    cash = 0.0
    long_pnl = 0.0
    short_pnl = 0.0
    realised = 0.0
    commission = 0.0
    slippage = 0.0
    for i in range(len(accounts)):
        cash += accounts[i]["cash"]
        realised += accounts[i]["realised"]
        commission += accounts[i]["commission"]
        slippage += accounts[i]["slippage"]
        long_pnl += accounts[i]["long_realised"]
        short_pnl += accounts[i]["short_realised"]
    value = 0.0
    gross = 0.0
    unrealised = 0.0
    stale = 0.0
    for i in range(len(positions)):
        quantity = positions[i]["quantity"]
        if quantity == 0.0:
            continue
        average = positions[i]["average_price"]
        multiplier = instruments[i]["multiplier"]
        mark = instruments[i]["mark"]
        if not np.isfinite(mark):
            mark = average
            stale += abs(quantity * mark * multiplier)
        worth = quantity * mark * multiplier
        profit = quantity * (mark - average) * multiplier
        value += worth
        gross += abs(worth)
        unrealised += profit
        if quantity > 0.0:
            long_pnl += profit
        else:
            short_pnl += profit
    out[CASH] = cash
    out[EQUITY] = cash + value
    out[GROSS] = gross
    out[NET] = value
    out[LONG] = long_pnl
    out[SHORT] = short_pnl
    out[REALISED] = realised
    out[UNREALISED] = unrealised
    out[COMMISSION] = commission
    out[SLIPPAGE] = slippage
    out[STALE] = stale
