"""Buying power: what would be claimed if all that works and all that is asked for filled at the marks.

The claim of a symbol is its margin on the larger side of what may become of the position, max(|position + open
buys|, |position - open sells|); in a cash account, for what settles by value, the cost of open buys less the
proceeds of open sells. An order passes where the claims of its account are no more than what the account has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ml4t.backtest.state import ACCEPTED, ACTIONS, PARTIAL, REASONS
from ml4t_backtest_portfolio_standard.accounting import Floats, Record, Table, compiled, round_to_step
from ml4t_backtest_portfolio_standard.margins import INITIAL_RULE, margin_of, worth

if TYPE_CHECKING:
    from numpy.typing import NDArray

Marks: TypeAlias = "NDArray[np.uint8]"

__all__ = [
    "AMEND", "ASKED", "BORROW", "BUYS", "CANCEL", "CANCEL_TARGETS", "CASH", "CLAIMED", "FREE", "HAS", "MARGIN", "MODE",
    "MODE_RULE", "MORE_BUYS", "MORE_SELLS", "ORDER", "REPLACED", "RULES", "R_POWER", "SCALES", "SELLS", "SETTLED_ONLY",
    "SUMS", "UNIT", "WORK", "WORTH", "Marks", "claim", "cut_to_lots", "increase_problem", "move", "only_reduces",
    "room", "survey", "wish_of",
]  # fmt: skip

# Places in a row of rules of an account, after both margins.
MODE_RULE: Final = 2  # MARGIN, CASH or FREE
SCALES: Final = 3  # what does not pass is cut
SETTLED_ONLY: Final = 4  # buys with settled cash only
RULES: Final = 5
FREE, MARGIN, CASH = 0.0, 1.0, 2.0

# Places in a row of work of a symbol.
BUYS, SELLS, UNIT, MODE, MORE_BUYS, MORE_SELLS, BORROW, REPLACED = range(8)
WORK: Final = 8
# Places in a row of sums of an account.
HAS, CLAIMED, WORTH, ASKED = range(4)
SUMS: Final = 4

SLACK: Final = 1e-9

ORDER: Final = ACTIONS.index("order")
CANCEL: Final = ACTIONS.index("cancel")
CANCEL_TARGETS: Final = ACTIONS.index("cancel-targets")
AMEND: Final = ACTIONS.index("amend")
R_POWER: Final = REASONS.index("no-buying-power")
R_SHORT: Final = REASONS.index("short-not-allowed")
R_BORROW: Final = REASONS.index("not-borrowable")
R_NO_MARK: Final = REASONS.index("no-mark")


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
        sums[a, HAS] = 0.0
        sums[a, CLAIMED] = 0.0
        sums[a, WORTH] = 0.0
        sums[a, ASKED] = 0.0
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
        work[s, BUYS] = 0.0
        work[s, SELLS] = 0.0
        i = books[s]["first"]
        while i >= 0:
            order = orders[i]
            gone = (order["is_target"] != 0 and work[s, REPLACED] != 0.0) or freed[i] != 0
            if not gone and counts(order, terms):
                left = whole_of(order, terms) - order["filled"]
                if left > 0.0:
                    work[s, BUYS] += left
                else:
                    work[s, SELLS] -= left
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
def closes_only(request: Record) -> bool:
    """Say whether an order is there to close something: children, legs of a group, reduce-only orders."""
    return bool(request["parent"] >= 0 or request["group"] >= 0 or request["reduce_only"] != 0)


@compiled
def wish_of(requests: Table, k: int, orders: Table, terms: Table, n_orders: int, n_symbols: int) -> float:
    """Return the signed quantity that a request adds to what is on its way, 0 where nothing is to be judged."""
    request = requests[k]
    quantity: float = request["quantity"]
    symbol = request["symbol"]
    if request["reason"] != 0 or not np.isfinite(quantity) or symbol < 0 or symbol >= n_symbols:
        return 0.0
    if request["action"] == ORDER:
        return 0.0 if closes_only(request) else quantity
    if request["action"] != AMEND:
        return 0.0
    before = 0.0
    for j in range(k - 1, -1, -1):  # the terms of an earlier request of this round
        other = requests[j]
        if other["order_id"] == request["order_id"] and np.isfinite(other["quantity"]):
            if other["action"] == ORDER and closes_only(other):
                return 0.0
            if other["action"] == ORDER or other["action"] == AMEND:
                before = other["quantity"]
                break
    i = request["order_id"]
    if 0 <= i < n_orders:
        if not counts(orders[i], terms):
            return 0.0
        if before == 0.0:
            before = whole_of(orders[i], terms)
    more = quantity - before
    return more if more * before > 0.0 else 0.0


@compiled
def only_reduces(work: Floats, s: int, held: float, wish: float) -> bool:
    """Say whether an order takes a position towards zero, counting what works on its side."""
    if wish < 0.0:
        return bool(held > 0.0 and work[s, SELLS] - wish <= held * (1.0 + SLACK))
    return bool(held < 0.0 and work[s, BUYS] + wish <= -held * (1.0 + SLACK))


@compiled
def increase_problem(work: Floats, s: int, held: float, mark: float, wish: float) -> int:
    """Return why an order that does more than reduce cannot pass at any size, 0 where it may."""
    sold = work[s, SELLS] + work[s, MORE_SELLS] - wish
    if wish < 0.0 and sold - held > work[s, BORROW] * (1.0 + SLACK):
        return R_BORROW
    if work[s, MODE] == FREE:
        return 0
    if not np.isfinite(mark):
        return R_NO_MARK
    if wish < 0.0 and work[s, MODE] == CASH:
        return R_SHORT
    return 0


@compiled
def move(work: Floats, rules: Floats, sums: Floats, s: int, a: int, held: float, wish: float, sign: float) -> None:
    """Count a quantity as on its way, or with ``sign`` -1 no more."""
    before = claim(work, rules, s, a, held, work[s, BUYS], work[s, SELLS])
    if wish > 0.0:
        work[s, BUYS] += sign * wish
    else:
        work[s, SELLS] -= sign * wish
    sums[a, CLAIMED] += claim(work, rules, s, a, held, work[s, BUYS], work[s, SELLS]) - before


@compiled
def cut_to_lots(size: float, lot: float) -> float:
    """Return a size of at least 0 cut to whole lots."""
    if not lot > 0.0:
        return max(size, 0.0)
    return max(round_to_step(np.floor(size / lot + SLACK) * lot, lot), 0.0)


@compiled
def room(work: Floats, rules: Floats, sums: Floats, s: int, a: int, held: float, wish: float) -> float:
    """Return the largest size of an order on the wish's side that passes; all of it where it claims nothing."""
    buys: float = work[s, BUYS]
    sells: float = work[s, SELLS]
    unit: float = work[s, UNIT]
    reduces = max(held - sells, 0.0) if wish < 0.0 else max(-held - buys, 0.0)
    if sums[a, WORTH] <= 0.0:
        return reduces
    left: float = sums[a, HAS] - sums[a, CLAIMED]
    if not unit > 0.0:
        return abs(wish) if left >= 0.0 else reduces
    if work[s, MODE] == CASH:
        return max(left / unit, reduces)
    side = left / unit + max(abs(held + buys), abs(held - sells))  # the largest side that there is room for
    other = abs(held + buys) if wish < 0.0 else abs(held - sells)
    if other > side:
        return reduces
    return max(side - (sells - held if wish < 0.0 else held + buys), reduces)
