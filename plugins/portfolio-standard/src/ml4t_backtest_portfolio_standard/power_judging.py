"""Buying power: judges one round of requests, one by one and basket by basket."""

from __future__ import annotations

import numpy as np

from ml4t_backtest_portfolio_standard.accounting import Floats, Table, compiled
from ml4t_backtest_portfolio_standard.power_core import (
    AMEND,
    ASKED,
    BORROW,
    BUYS,
    CANCEL,
    CANCEL_TARGETS,
    CASH,
    CLAIMED,
    FREE,
    HAS,
    MARGIN,
    MODE,
    MODE_RULE,
    MORE_BUYS,
    MORE_SELLS,
    ORDER,
    R_POWER,
    REPLACED,
    SCALES,
    SELLS,
    UNIT,
    WORTH,
    Marks,
    claim,
    cut_to_lots,
    increase_problem,
    move,
    only_reduces,
    room,
    survey,
    wish_of,
)

__all__ = ["judge_round"]

MOST_STEPS = 60


@compiled
def free_cancelled(requests: Table, wishes: Floats, work: Floats, freed: Marks) -> None:
    """Note what cancels of the round end, orders of the round itself included, which then wish for nothing."""
    for k in range(len(requests) - 1, -1, -1):
        request = requests[k]
        i, symbol = request["order_id"], request["symbol"]
        if request["action"] == CANCEL and 0 <= i < len(freed):
            freed[i] = 1
        elif request["action"] == CANCEL_TARGETS and 0 <= symbol < len(work):
            work[symbol, REPLACED] = 1.0
        elif wishes[k] != 0.0:
            replaced = request["is_target"] != 0 and work[symbol, REPLACED] != 0.0
            if replaced or (0 <= i < len(freed) and freed[i] != 0):
                wishes[k] = 0.0


@compiled
def forget_cancelled(requests: Table, work: Floats, freed: Marks) -> None:
    """Undo ``free_cancelled``: a round costs what is in it, not what there ever was."""
    for k in range(len(requests)):
        i, symbol = requests[k]["order_id"], requests[k]["symbol"]
        if 0 <= i < len(freed):
            freed[i] = 0
        if 0 <= symbol < len(work):
            work[symbol, REPLACED] = 0.0


@compiled
def passes_easily(requests: Table, instruments: Table, rules: Floats, work: Floats, sums: Floats) -> bool:
    """Say whether a round passes even if each order only added to the larger side and no cancel freed anything.

    Most rounds do, and what they are judged by is found after this one look at each request. Writes ASKED.
    """
    for k in range(len(requests)):
        request = requests[k]
        quantity = request["quantity"]
        s = int(request["symbol"])
        orders = request["action"] == ORDER or request["action"] == AMEND
        if not orders or not np.isfinite(quantity) or s < 0 or s >= len(instruments):
            continue
        instrument = instruments[s]
        if work[s, MODE] == CASH or np.isfinite(work[s, BORROW]) or not np.isfinite(instrument["mark"]):
            return False
        if work[s, MODE] != FREE:
            sums[instrument["account"], ASKED] += abs(quantity) * work[s, UNIT]
            if not work[s, UNIT] > 0.0:
                return False
    for a in range(len(rules)):
        enough = sums[a, CLAIMED] + sums[a, ASKED] <= sums[a, HAS] and sums[a, WORTH] > 0.0
        if sums[a, ASKED] != 0.0 and not (rules[a, MODE_RULE] == MARGIN and enough):
            return False
    return True


@compiled
def judge_one(
    requests: Table,
    k: int,
    wish: float,
    instruments: Table,
    positions: Table,
    rules: Floats,
    work: Floats,
    sums: Floats,
) -> bool:
    """Let one order or amendment pass, cut it or refuse it; say whether it was changed."""
    request = requests[k]
    s = int(request["symbol"])
    instrument = instruments[s]
    a = int(instrument["account"])
    held = positions[s]["quantity"]
    problem = increase_problem(work, s, held, instrument["mark"], wish)
    if problem != 0:
        request["reason"] = problem
        return True
    if work[s, MODE] == FREE:
        move(work, rules, sums, s, a, held, wish, 1.0)
        return False
    most = room(work, rules, sums, s, a, held, wish)
    if abs(wish) <= most:
        move(work, rules, sums, s, a, held, wish, 1.0)
        return False
    size = cut_to_lots(most, instrument["lot"])
    if rules[a, SCALES] == 0.0 or request["action"] != ORDER or size == 0.0:
        request["reason"] = R_POWER
        return True
    request["quantity"] = size if wish > 0.0 else -size
    move(work, rules, sums, s, a, held, request["quantity"], 1.0)
    return True


@compiled
def step_of(
    instruments: Table, positions: Table, rules: Floats, work: Floats, sums: Floats, a: int, factor: float
) -> float:
    """Return how much smaller the factor of a basket has to be for an account, by one step of Newton; 0 for none.

    Claims are convex in the factor, so that steps from above never go below the largest factor that passes.
    """
    missing = sums[a, CLAIMED] - sums[a, HAS]
    slope = 0.0
    for s in range(len(instruments)):
        more, less = work[s, MORE_BUYS], work[s, MORE_SELLS]
        if instruments[s]["account"] != a or (more == 0.0 and less == 0.0):
            continue
        held = positions[s]["quantity"]
        unit = work[s, UNIT]
        buys, sells = work[s, BUYS] + factor * more, work[s, SELLS] + factor * less
        missing += claim(work, rules, s, a, held, buys, sells)
        missing -= claim(work, rules, s, a, held, work[s, BUYS], work[s, SELLS])
        if work[s, MODE] == CASH:
            slope += more * unit
        elif abs(held + buys) >= abs(held - sells):
            slope += unit * more if held + buys > 0.0 else -unit * more
        else:
            slope += unit * less if sells - held > 0.0 else -unit * less
    if not missing > 0.0:
        return 0.0
    return missing / slope if slope > 0.0 else factor


@compiled
def factor_of(instruments: Table, positions: Table, rules: Floats, work: Floats, sums: Floats) -> float:
    """Return the largest factor at which the increasing orders of a basket pass in every account."""
    factor = 1.0
    for a in range(len(rules)):
        increases = False
        for s in range(len(instruments)):
            mine = instruments[s]["account"] == a and work[s, MODE] != FREE
            increases = increases or (mine and (work[s, MORE_BUYS] != 0.0 or work[s, MORE_SELLS] != 0.0))
        if not increases:
            continue
        if sums[a, WORTH] <= 0.0:
            return 0.0
        for _ in range(MOST_STEPS):
            step = step_of(instruments, positions, rules, work, sums, a, factor)
            if step == 0.0:
                break
            if rules[a, SCALES] == 0.0 or not step < factor:
                return 0.0
            factor -= step
    return factor


@compiled
def judge_basket(
    requests: Table,
    first: int,
    wishes: Floats,
    reducing: Marks,
    instruments: Table,
    positions: Table,
    rules: Floats,
    work: Floats,
    sums: Floats,
) -> bool:
    """Let a basket pass, scale what increases or refuse it whole; say whether it was changed."""
    basket = requests[first]["basket"]
    problem = 0
    for k in range(first, len(requests)):
        request = requests[k]
        if request["basket"] != basket or wishes[k] == 0.0:
            continue
        s = int(request["symbol"])
        held = positions[s]["quantity"]
        if only_reduces(work, s, held, wishes[k]):
            move(work, rules, sums, s, int(instruments[s]["account"]), held, wishes[k], 1.0)
            reducing[k] = 1
            continue
        if problem == 0:
            problem = increase_problem(work, s, held, instruments[s]["mark"], wishes[k])
        if wishes[k] > 0.0:
            work[s, MORE_BUYS] += wishes[k]
        else:
            work[s, MORE_SELLS] -= wishes[k]
    factor = factor_of(instruments, positions, rules, work, sums) if problem == 0 else 0.0
    if problem == 0 and factor == 0.0:
        problem = R_POWER
    changed = False
    for k in range(first, len(requests)):
        request = requests[k]
        if request["basket"] != basket or wishes[k] == 0.0:
            continue
        s = int(request["symbol"])
        a = int(instruments[s]["account"])
        held = positions[s]["quantity"]
        wish = wishes[k]
        wishes[k] = 0.0
        if problem != 0:
            request["reason"] = problem
            changed = True
            if reducing[k] != 0:
                move(work, rules, sums, s, a, held, wish, -1.0)
        elif reducing[k] == 0:
            size = abs(wish) if factor == 1.0 else cut_to_lots(factor * abs(wish), instruments[s]["lot"])
            if size == 0.0:
                request["reason"] = R_POWER
            elif size != abs(wish):
                request["quantity"] = size if wish > 0.0 else -size
            changed = changed or size != abs(wish)
            move(work, rules, sums, s, a, held, size if wish > 0.0 else -size, 1.0)
    for s in range(len(work)):
        work[s, MORE_BUYS] = 0.0
        work[s, MORE_SELLS] = 0.0
    return changed


@compiled
def judge_round(
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
    n_orders: int,
) -> bool:
    """Judge a round in place: what only reduces, then orders and baskets as they were made; say whether any changed.

    Args:
        requests: REQUEST (n_requests,).
        instruments: INSTRUMENT (n_symbols,); BOOK and POSITION the same.
        books: Lists of working orders.
        orders: ORDER, ``n_orders`` rows of it written.
        terms: TERMS.
        positions: What is held.
        accounts: ACCOUNT (n_accounts * n_currencies,).
        rules: float64 (n_accounts, RULES).
        work: float64 (>= n_symbols, WORK), written here but for BORROW: units that may be short.
        sums: float64 (n_accounts, SUMS), written here.
        freed: uint8, zeros, at least one per order id of this round's orders and earlier ones.
        n_orders: Orders so far.
    """
    survey(instruments, books, orders, terms, positions, accounts, rules, work, sums, freed)
    if passes_easily(requests, instruments, rules, work, sums):
        return False
    wishes = np.zeros(len(requests))
    asks = False
    for k in range(len(requests)):
        wishes[k] = wish_of(requests, k, orders, terms, n_orders, len(instruments))
        asks = asks or wishes[k] != 0.0
    if not asks:
        return False
    free_cancelled(requests, wishes, work, freed)
    survey(instruments, books, orders, terms, positions, accounts, rules, work, sums, freed)
    forget_cancelled(requests, work, freed)
    reducing = np.zeros(len(requests), np.uint8)
    for k in range(len(requests)):
        if wishes[k] == 0.0 or requests[k]["basket"] >= 0:
            continue
        s = int(requests[k]["symbol"])
        held = positions[s]["quantity"]
        if only_reduces(work, s, held, wishes[k]):
            move(work, rules, sums, s, int(instruments[s]["account"]), held, wishes[k], 1.0)
            wishes[k] = 0.0
    changed = False
    for k in range(len(requests)):
        if wishes[k] == 0.0:
            continue
        if requests[k]["basket"] >= 0:
            of_basket = judge_basket(requests, k, wishes, reducing, instruments, positions, rules, work, sums)
            changed = of_basket or changed
        else:
            of_one = judge_one(requests, k, wishes[k], instruments, positions, rules, work, sums)
            changed = of_one or changed
    return changed
