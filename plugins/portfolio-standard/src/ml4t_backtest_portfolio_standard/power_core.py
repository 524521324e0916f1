"""Buying power: what would be claimed if all that works and all that is asked for filled at the marks.

Compiled is what every round needs: the sums, and whether all of it passes. What does not is for ``power_judging``.

The claim of a symbol is its margin on the larger side of what may become of the position, max(|position + open
buys|, |position - open sells|); in a cash account, for what settles by value, the cost of open buys less the
proceeds of open sells. An order passes where the claims of its account are no more than what the account has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ml4t.backtest.state import ACCEPTED, ACTIONS, PARTIAL
from ml4t_backtest_portfolio_standard.accounting import Floats, Record, Table, compiled
from ml4t_backtest_portfolio_standard.margins import INITIAL_RULE, margin_of, worth

if TYPE_CHECKING:
    from numpy.typing import NDArray

Marks: TypeAlias = "NDArray[np.uint8]"

__all__ = [
    "BORROW", "BUYS", "CASH", "CLAIMED", "FIRST_BOOK", "FREE", "HAS", "MARGIN", "MODE", "MODE_RULE", "REPLACED",
    "RULES", "SCALES", "SELLS", "SETTLED_ONLY", "SLACK", "SUMS", "UNIT", "WORK", "WORTH", "Marks", "all_passes",
    "claim", "counts", "survey", "whole_of",
]  # fmt: skip

# Places in a row of rules of an account, after both margins.
MODE_RULE: Final = 2  # MARGIN, CASH or FREE
SCALES: Final = 3  # what does not pass is cut
SETTLED_ONLY: Final = 4  # buys with settled cash only
RULES: Final = 5
FREE, MARGIN, CASH = 0.0, 1.0, 2.0

# Places in a row of work of a symbol.
BUYS, SELLS, UNIT, MODE, MORE_BUYS, MORE_SELLS, BORROW, REPLACED = range(8)
# REPLACED is 0, or this plus the book whose targets were replaced last in the round.
FIRST_BOOK: Final = 2.0
WORK: Final = 8
# Places in a row of sums of an account.
HAS, CLAIMED, WORTH = range(3)
SUMS: Final = 3

SLACK: Final = 1e-9

ORDER: Final = ACTIONS.index("order")
AMEND: Final = ACTIONS.index("amend")


@compiled
def claim(work: Floats, rules: Floats, s: int, a: int, held: float, buys: float, sells: float) -> float:
    """Return what a symbol claims of its account."""
    if work[s, MODE] == CASH:
        if rules[a, SETTLED_ONLY] != 0.0:
            sells = 0.0
        return float((buys - sells) * work[s, UNIT])
    return float(max(abs(held + buys), abs(held - sells)) * work[s, UNIT])


@compiled
def counts(order: Record, terms: Table) -> bool:
    """Say whether an order is on its way to a larger position: what only closes something does not count."""
    row = order["terms"]
    related = row >= 0 and (terms[row]["parent"] >= 0 or terms[row]["group"] >= 0)
    return bool(
        (order["status"] == ACCEPTED or order["status"] == PARTIAL)
        and not related
        and order["reduce_only"] == 0
        and order["cancelled_at"] == 0
    )


@compiled
def whole_of(order: Record, terms: Table) -> float:
    """Return an order's quantity, with an amendment that is under way."""
    row = order["terms"]
    coming: float = terms[row]["next_quantity"] if row >= 0 else 0.0
    quantity: float = order["quantity"]
    return quantity if coming == 0.0 else coming


@compiled
def closes_only(request: Record) -> bool:
    """Say whether a request can only close what is held: it passes, and counts for nothing."""
    return bool(request["parent"] >= 0 or request["group"] >= 0 or request["reduce_only"] != 0)


@compiled
def survey(
    instruments: Table,
    books: Table,
    orders: Table,
    terms: Table,
    positions: Table,
    accounts: Table,
    rules: Floats,
    work: Floats,
    sums: Floats,
    freed: Marks,
) -> None:
    """Write, per symbol, what is on its way and what a unit claims, and per account what it has and what is claimed.

    ``freed`` has a row per order id: 1 where a cancel of this round ends the order.
    """
    currencies = len(accounts) // len(rules)
    for a in range(len(rules)):
        sums[a, HAS], sums[a, CLAIMED], sums[a, WORTH] = 0.0, 0.0, 0.0
        for c in range(currencies):
            row = accounts[a * currencies + c]
            own = row["cash"] + row["receivable"]
            hand = row["settled"] if rules[a, SETTLED_ONLY] != 0.0 else row["cash"]
            if own != 0.0:
                sums[a, WORTH] += own * row["rate"]
            if hand != 0.0:
                sums[a, HAS] += hand * row["rate"]
    for s in range(len(instruments)):
        instrument = instruments[s]
        position = positions[s]
        held = position["quantity"]
        a = int(instrument["account"])
        work[s, BUYS], work[s, SELLS] = 0.0, 0.0
        i = books[s]["first"]
        while i >= 0:
            order = orders[i]
            gone = (order["is_target"] != 0 and work[s, REPLACED] == FIRST_BOOK + order["book"]) or freed[i] != 0
            if not gone and counts(order, terms):
                left = whole_of(order, terms) - order["filled"]
                work[s, BUYS] += max(left, 0.0)
                work[s, SELLS] -= min(left, 0.0)
            i = order["next"]
        rate = accounts[a * currencies + instrument["currency"]]["rate"]
        mark = instrument["mark"] if np.isfinite(instrument["mark"]) else position["average_price"]
        mode = rules[a, MODE_RULE]
        if mode == CASH and instrument["settles"] != 0:
            mode = MARGIN
        work[s, MODE] = mode
        if mode == CASH:
            work[s, UNIT] = mark * instrument["multiplier"] * rate
        else:
            work[s, UNIT] = margin_of(instrument, mark, rules[a, INITIAL_RULE], False) * rate
        if held != 0.0:
            sums[a, WORTH] += worth(instrument, position, mark) * rate
        if held != 0.0 or work[s, BUYS] != 0.0 or work[s, SELLS] != 0.0:
            sums[a, CLAIMED] += claim(work, rules, s, a, held, work[s, BUYS], work[s, SELLS])
    for a in range(len(rules)):
        if rules[a, MODE_RULE] == MARGIN:
            sums[a, HAS] = sums[a, WORTH]
        sums[a, HAS] += SLACK * abs(sums[a, HAS])


@compiled
def all_passes(
    requests: Table,
    instruments: Table,
    books: Table,
    orders: Table,
    terms: Table,
    positions: Table,
    accounts: Table,
    rules: Floats,
    work: Floats,
    sums: Floats,
    freed: Marks,
) -> bool:
    """Say whether a round passes even if every order of it is one more, and no cancel frees anything.

    Claims only grow with what is bought and with what is sold beyond the position, so that what passes as a whole
    passes in every order and in every part. In a cash account open sales bring what purchases may spend: there a round
    that ends or amends anything is not judged here.

    Args:
        requests: REQUEST (n_requests,).
        instruments: INSTRUMENT (n_symbols,); BOOK and POSITION the same.
        books: Lists of working orders.
        orders: ORDER.
        terms: TERMS.
        positions: What is held.
        accounts: ACCOUNT (n_accounts * n_currencies,).
        rules: float64 (n_accounts, RULES).
        work: float64 (n_symbols, WORK), written here but for BORROW: units that may be short.
        sums: float64 (n_accounts, SUMS), written here.
        freed: uint8, zeros, at least one per order id.
    """
    survey(instruments, books, orders, terms, positions, accounts, rules, work, sums, freed)
    passes = True
    for k in range(len(requests)):
        request = requests[k]
        quantity = request["quantity"]
        s = int(request["symbol"])
        if request["action"] != ORDER:  # in a cash account an end of a sale claims what it was to bring
            for a in range(len(rules)):
                passes = passes and rules[a, MODE_RULE] != CASH
        asks = request["action"] == AMEND or (request["action"] == ORDER and not closes_only(request))
        if asks and np.isfinite(quantity) and 0 <= s < len(instruments):
            work[s, MORE_BUYS] += max(quantity, 0.0)
            work[s, MORE_SELLS] -= min(quantity, 0.0)
    for k in range(len(requests)):
        s = int(requests[k]["symbol"])
        if s < 0 or s >= len(instruments) or (work[s, MORE_BUYS] == 0.0 and work[s, MORE_SELLS] == 0.0):
            continue
        a = int(instruments[s]["account"])
        held = positions[s]["quantity"]
        buys = work[s, BUYS] + work[s, MORE_BUYS]
        sells = work[s, SELLS] + work[s, MORE_SELLS]
        work[s, MORE_BUYS], work[s, MORE_SELLS] = 0.0, 0.0
        passes = passes and (sells <= max(held, 0.0) or sells - held <= work[s, BORROW])
        if work[s, MODE] != FREE:
            sums[a, CLAIMED] += claim(work, rules, s, a, held, buys, sells)
            sums[a, CLAIMED] -= claim(work, rules, s, a, held, work[s, BUYS], work[s, SELLS])
            enough = sums[a, WORTH] > 0.0 and np.isfinite(instruments[s]["mark"])
            covered = work[s, MODE] != CASH or (sells <= held and work[s, UNIT] > 0.0)
            passes = passes and enough and covered
    for a in range(len(rules)):
        passes = passes and (rules[a, MODE_RULE] == FREE or sums[a, CLAIMED] <= sums[a, HAS])
    return passes
