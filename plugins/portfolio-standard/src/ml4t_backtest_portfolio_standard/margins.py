"""What positions are worth and what they claim, account by account."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_portfolio_standard.accounting import Floats, Record, Table, compiled

__all__ = [
    "EQUITY",
    "HELD",
    "INITIAL_RULE",
    "MAINTENANCE",
    "MAINTENANCE_RULE",
    "account_sums",
    "margin_of",
    "worth",
]

# Places in a row of sums of an account, and in a row of its rules.
EQUITY, MAINTENANCE, HELD = range(3)
INITIAL_RULE: Final = 0
MAINTENANCE_RULE: Final = 1


@compiled
def worth(instrument: Record, position: Record, mark: float) -> float:
    """Return what a position is worth at a mark, in its currency."""
    before: float = 0.0 if instrument["settles"] == 0 else position["basis"]
    return float(position["quantity"] * (mark - before) * instrument["multiplier"])


@compiled
def margin_of(instrument: Record, mark: float, fraction: float, maintenance: bool) -> float:
    """Return what one unit of an instrument claims, in its currency; its own margin before the account's fraction."""
    per_unit: float = instrument["maintenance_per_unit"] if maintenance else instrument["initial_per_unit"]
    if np.isfinite(per_unit):
        return per_unit
    own: float = instrument["maintenance_margin"] if maintenance else instrument["initial_margin"]
    if np.isfinite(own):
        fraction = own
    return float(abs(mark) * instrument["multiplier"] * fraction)


@compiled
def account_sums(
    instruments: Table, positions: Table, accounts: Table, rules: Floats, oldest: int, sums: Floats
) -> bool:
    """Add up each account in base currency, in the order of ids; say if anything is wrong.

    Wrong is equity at or below zero or below the maintenance margin, and a mark that is too old.

    Args:
        instruments: INSTRUMENT (n_symbols,).
        positions: POSITION (n_symbols,).
        accounts: ACCOUNT (n_accounts * n_currencies,).
        rules: float64 (n_accounts, >= 2): fractions of initial and maintenance margin.
        oldest: UTC ns; marks that formed up to then are too old.
        sums: float64 (n_accounts, >= 3), written here: equity, maintenance margin, positions held.
    """
    currencies = len(accounts) // len(rules) if len(rules) > 0 else 0
    wrong = False
    for a in range(len(rules)):
        sums[a, EQUITY], sums[a, MAINTENANCE], sums[a, HELD] = 0.0, 0.0, 0.0
        for c in range(currencies):
            row = accounts[a * currencies + c]
            own = row["cash"] + row["receivable"]
            if own != 0.0:  # the rate of a currency without money may be unknown
                sums[a, EQUITY] += own * row["rate"]
    for s in range(len(positions)):
        wrong = wrong or instruments[s]["mark_time"] <= oldest
        position = positions[s]
        size = abs(position["quantity"])
        if size == 0.0:
            continue
        instrument = instruments[s]
        a = instrument["account"]
        rate = accounts[a * currencies + instrument["currency"]]["rate"]
        mark = instrument["mark"] if np.isfinite(instrument["mark"]) else position["average_price"]
        sums[a, EQUITY] += worth(instrument, position, mark) * rate
        sums[a, MAINTENANCE] += size * margin_of(instrument, mark, rules[a, MAINTENANCE_RULE], True) * rate
        sums[a, HELD] += 1.0
    for a in range(len(rules)):
        wrong = wrong or sums[a, EQUITY] <= 0.0 or sums[a, EQUITY] < sums[a, MAINTENANCE]
    return wrong
