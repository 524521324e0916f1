"""Accounting, written once as plain functions over the kernel's tables, compiled or interpreted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.state import LEDGER_KINDS, RunState

__all__ = ["apply_fill", "held_after", "round_to_step"]

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Table: TypeAlias = Any  # a structured array, and a row of one: their fields have no static types
Record: TypeAlias = Any
Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"

LEDGER: Final = RunState.LEDGER
DUST: Final = 1e-12  # of what was held and what was filled: far above what a sum of floats is off by
ULPS: Final = 1e-15  # of the same: what is left of a position that was closed in floats, even where a step is less
KIND_FILL: Final = LEDGER_KINDS.index("fill")
KIND_COMMISSION: Final = LEDGER_KINDS.index("commission")
KIND_CONVERSION: Final = LEDGER_KINDS.index("conversion")


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


def add_plainly(balance: float, carry: float, amount: float) -> tuple[float, float]:
    """Add an amount to a balance; return that and what rounding left out of it, which the next addition takes in.

    So the balance is off by its last bit after a million fills, not by a million of them. What is left out of a sum
    of two floats is a float (two-sum: Knuth, The Art of Computer Programming 2, 4.2.2).
    """
    change = amount + carry
    after = balance + change
    part = after - balance
    return after, (balance - (after - part)) + (change - part)


add = compiled(add_plainly)


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
def held_after(held: float, quantity: float, step: float) -> float:
    """Return the position that a fill leaves: a multiple of ``step`` where floats alone keep it from being one.

    What was filled between two multiples is paid for as it is, and stays.
    """
    after = held + quantity
    size = abs(held) + abs(quantity)
    if step <= 0.0:
        return after
    if abs(after) <= ULPS * size:
        return 0.0
    rounded = round_to_step(after, step)
    return rounded if abs(rounded - after) <= DUST * size else after


@compiled
def book_cash(
    fill: Record,
    place: int,
    kind: int,
    amount: float,
    settled: float,
    accounts: Table,
    ledger: Table,
    counters: Integers,
) -> None:
    """Move cash of one row of ACCOUNT and append the LEDGER row that says so."""
    account = accounts[place]
    account["cash"], account["cash_carry"] = add(account["cash"], account["cash_carry"], amount)
    account["settled"], account["settled_carry"] = add(account["settled"], account["settled_carry"], settled)
    row = ledger[counters[LEDGER]]
    row["timestamp"] = fill["known_at"]
    row["order_id"] = fill["order_id"]
    row["symbol"] = fill["symbol"]
    row["account"] = fill["account"]
    row["currency"] = account["currency"]
    row["kind"] = kind
    row["amount"] = amount
    row["balance"] = account["cash"]
    row["quantity"] = 0.0
    row["price"] = fill["price"]
    row["settled"] = settled
    counters[LEDGER] += 1


@compiled
def convert(
    fill: Record, place: int, net: float, settled: float, accounts: Table, ledger: Table, counters: Integers
) -> None:
    """Exchange what a fill has brought or cost into base currency, at the present rate; not without one."""
    account = accounts[place]
    rate = account["rate"]
    if not np.isfinite(rate):
        return
    home = place - account["currency"]
    account["converted"] -= net
    accounts[home]["converted"] += net * rate
    book_cash(fill, place, KIND_CONVERSION, -net, -settled, accounts, ledger, counters)
    book_cash(fill, home, KIND_CONVERSION, net * rate, settled * rate, accounts, ledger, counters)


@compiled
def pay_fill(
    fill: Record, place: int, amount: float, delays: bool, accounts: Table, ledger: Table, counters: Integers
) -> None:
    """Book the cash of a fill and its commission."""
    account = accounts[place]
    settled = 0.0 if delays and amount > 0.0 else amount
    commission = fill["commission"]
    account["commission"] += commission
    account["slippage"] += fill["slippage"]
    book_cash(fill, place, KIND_FILL, amount, settled, accounts, ledger, counters)
    if commission != 0.0:
        book_cash(fill, place, KIND_COMMISSION, -commission, -commission, accounts, ledger, counters)
    if account["converts"] != 0 and account["currency"] != 0 and amount - commission != 0.0:
        convert(fill, place, amount - commission, settled - commission, accounts, ledger, counters)


@compiled
def mixed(held: float, before: float, quantity: float, price: float) -> float:
    """Return the mean price of what is held and what comes to it."""
    return (held * before + quantity * price) / (held + quantity)


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
    ``closed * (price - average_price) * multiplier``; through zero, closes and opens at the fill's price. Where an
    instrument does not settle by value, cash moves by what is closed, from the price that was settled last.
    """
    fill = fills[i]
    instrument = instruments[fill["symbol"]]
    position = positions[fill["symbol"]]
    place = fill["account"] * accounts[0]["currencies"] + instrument["currency"]
    account = accounts[place]
    multiplier = instrument["multiplier"]
    by_value = instrument["settles"] == 0
    quantity = fill["quantity"]
    price = fill["price"]
    held = position["quantity"]
    average = position["average_price"]
    basis = position["basis"]
    after = held_after(held, quantity, instrument["quantity_step"])
    realised = 0.0
    amount = -quantity * price * multiplier if by_value else 0.0
    if held == 0.0:
        average = price
        basis = price
    elif (held > 0.0) == (quantity > 0.0):
        average = mixed(held, average, quantity, price)
        basis = mixed(held, basis, quantity, price)
    else:
        closed = held if abs(quantity) >= abs(held) else -quantity
        realised = closed * (price - average) * multiplier
        if not by_value:
            amount = closed * (price - basis) * multiplier
        if held > 0.0:
            account["long_realised"] += realised
        else:
            account["short_realised"] += realised
        if (after > 0.0) != (held > 0.0):
            average = price
            basis = price
    if after == 0.0:
        after = 0.0  # never -0.0
        average = 0.0
        basis = 0.0
    fill["high"] = position["high"]
    fill["low"] = position["low"]
    position["high"] = np.nan
    position["low"] = np.nan
    position["since"] = fill["formed_at"]
    position["quantity"] = after
    position["average_price"] = average
    position["basis"] = 0.0 if by_value else basis
    position["realised"] += realised
    position["commission"] += fill["commission"]
    account["realised"] += realised
    pay_fill(fill, place, amount, by_value and account["delays"] != 0, accounts, ledger, counters)
    return realised
