"""Whether an account can pay for a fill, asked by the broker right before it: ``check = "fill"`` or ``"both"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml4t_backtest_portfolio_standard.accounting import Floats, Table, compiled
from ml4t_backtest_portfolio_standard.buying_power import rules_of
from ml4t_backtest_portfolio_standard.margins import INITIAL_RULE, margin_of, worth
from ml4t_backtest_portfolio_standard.power_core import CASH, FREE, MARGIN, MODE_RULE, RULES, SETTLED_ONLY, SLACK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["affords", "fill_rules"]


def fill_rules(accounts: Sequence[Account]) -> NDArray[np.float64] | None:
    """Return the params of ``affords``, float64 (n_accounts * RULES,); None where no account looks at its fills."""
    rules = rules_of(accounts, ("fill", "both"))
    return rules.ravel() if (rules[:, MODE_RULE] != FREE).any() else None


@compiled
def affords(
    orders: Table,
    i: int,
    market: Table,
    commission: float,
    instruments: Table,
    positions: Table,
    accounts: Table,
    params: Floats,
) -> float:
    """Return 1 where the fill in ``market[0]`` can be paid for, 0 where not; what only reduces always can.

    A cash account pays for what settles by value from its cash, and sells none of it below zero; for the rest, and
    in a margin account for all, the positions that result claim their margin at the marks.
    """
    fill = market[0]
    s = orders[i]["symbol"]
    a = int(orders[i]["account"])
    rules = params[RULES * a : RULES * (a + 1)]
    held, more = positions[s]["quantity"], fill["quantity"]
    if rules[MODE_RULE] == FREE or (held * more < 0.0 and abs(more) <= abs(held) * (1.0 + SLACK)):
        return 1.0
    count = accounts[0]["currencies"]
    bought = rules[MODE_RULE] == CASH and instruments[s]["settles"] == 0
    if bought and more < 0.0:
        return 0.0
    cost = commission + (more * fill["price"] * instruments[s]["multiplier"] if bought else 0.0)
    claimed = cost * accounts[a * count + instruments[s]["currency"]]["rate"]
    hand, equity = 0.0, 0.0
    for c in range(count):
        row = accounts[a * count + c]
        if row["cash"] != 0.0 or row["receivable"] != 0.0:  # the rate of a currency without money may be unknown
            hand += (row["settled"] if rules[SETTLED_ONLY] != 0.0 else row["cash"]) * row["rate"]
            equity += (row["cash"] + row["receivable"]) * row["rate"]
    for k in range(len(positions)):
        instrument, position = instruments[k], positions[k]
        after = position["quantity"] + (more if k == s else 0.0)
        if instrument["account"] == a and (after != 0.0 or position["quantity"] != 0.0):
            rate = accounts[a * count + instrument["currency"]]["rate"]
            otherwise = fill["price"] if k == s else position["average_price"]
            mark = instrument["mark"] if np.isfinite(instrument["mark"]) else otherwise
            equity += worth(instrument, position, mark) * rate
            if rules[MODE_RULE] == MARGIN or instrument["settles"] != 0:
                claimed += abs(after) * margin_of(instrument, mark, rules[INITIAL_RULE], False) * rate
    has = equity if rules[MODE_RULE] == MARGIN else hand
    return 1.0 if equity > 0.0 and claimed <= has + SLACK * abs(has) else 0.0
