"""Sums over accounts and positions, in base currency: what a sample of equity holds."""

from __future__ import annotations

from typing import Final

import numpy as np

from ml4t_backtest_portfolio_standard.accounting import Floats, Record, Table, compiled
from ml4t_backtest_portfolio_standard.margins import INITIAL_RULE, MAINTENANCE_RULE, margin_of, worth

__all__ = [
    "CARRIED", "COUNTED", "EQUITY", "GROSS", "NET", "S_DEPOSITS", "TOTALS", "UNREALISED",
    "carry", "earned", "moved", "totals",
]  # fmt: skip

# What totals() and carry() add up, and the place of each in their array; columns of EQUITY.
TOTALS: Final = (
    "cash", "equity", "gross_exposure", "net_exposure", "long_pnl", "short_pnl", "realised", "unrealised",
    "commission", "slippage", "stale_exposure", "receivable", "dividends", "interest", "borrow", "funding", "fx_pnl",
    "initial_margin", "maintenance_margin",
)  # fmt: skip
(
    CASH, EQUITY, GROSS, NET, LONG, SHORT, REALISED, UNREALISED, COMMISSION, SLIPPAGE, STALE, RECEIVABLE, DIVIDENDS,
    INTEREST, BORROW, FUNDING, FX, INITIAL, MAINTENANCE,
) = range(len(TOTALS))  # fmt: skip

# Of each row of ACCOUNT, what was counted at the sample before, in its currency; then its rate, 0 before the first.
COUNTED: Final = ("realised", "commission", "slippage", "long", "short", "dividends", "interest", "borrow", "funding",
    "converted", "own", "rate",
)  # fmt: skip
(
    C_REALISED, C_COMMISSION, C_SLIPPAGE, C_LONG, C_SHORT, C_DIVIDENDS, C_INTEREST, C_BORROW, C_FUNDING, C_CONVERTED,
    C_OWN, C_RATE,
) = range(len(COUNTED))  # fmt: skip
# What rows of ACCOUNT in other currencies have gained, carried from sample to sample in base currency.
CARRIED: Final = 11
(
    S_REALISED, S_COMMISSION, S_SLIPPAGE, S_LONG, S_SHORT, S_DIVIDENDS, S_INTEREST, S_BORROW, S_FUNDING, S_FX,
    S_DEPOSITS,
) = range(CARRIED)  # fmt: skip


@compiled
def totals(instruments: Table, positions: Table, accounts: Table, rules: Floats, opened: int, out: Floats) -> None:
    """Fill ``out`` with what is held now at present marks and rates, in the order of ids.

    A position without a finite mark is taken at its average price. ``long_pnl`` and ``short_pnl`` are the unrealised
    parts. Cash and exposures of currencies without a rate make the sums NaN.

    Args:
        instruments: INSTRUMENT (n_symbols,).
        positions: POSITION (n_symbols,).
        accounts: ACCOUNT (n_accounts * n_currencies,).
        rules: float64 (n_accounts, >= 2): fractions of initial and maintenance margin.
        opened: UTC ns; positions whose mark formed up to then are stale.
        out: float64 (len(TOTALS),), written here.
    """
    for k in range(len(out)):
        out[k] = 0.0
    for k in range(len(accounts)):
        account = accounts[k]
        if (
            account["cash"] != 0.0 or account["receivable"] != 0.0
        ):  # the rate of a currency without money may be unknown
            out[CASH] += account["cash"] * account["rate"]
            out[RECEIVABLE] += account["receivable"] * account["rate"]
    worths = 0.0
    currencies = accounts[0]["currencies"]
    for i in range(len(positions)):
        position = positions[i]
        quantity = position["quantity"]
        if quantity == 0.0:
            continue
        instrument = instruments[i]
        account = instrument["account"]
        rate = accounts[account * currencies + instrument["currency"]]["rate"]
        mark = instrument["mark"]
        known = np.isfinite(mark)
        if not known:
            mark = position["average_price"]
        value = quantity * mark * instrument["multiplier"] * rate
        profit = quantity * (mark - position["average_price"]) * instrument["multiplier"] * rate
        worths += worth(instrument, position, mark) * rate
        out[GROSS] += abs(value)
        out[NET] += value
        out[UNREALISED] += profit
        out[LONG if quantity > 0.0 else SHORT] += profit
        out[INITIAL] += abs(quantity) * margin_of(instrument, mark, rules[account, INITIAL_RULE], False) * rate
        out[MAINTENANCE] += abs(quantity) * margin_of(instrument, mark, rules[account, MAINTENANCE_RULE], True) * rate
        if not known or instrument["mark_time"] <= opened:
            out[STALE] += abs(value)
    out[EQUITY] = out[CASH] + worths + out[RECEIVABLE]


@compiled
def own_without_profit(account: Record) -> float:
    """Return net assets of a row of ACCOUNT less the unrealised profit of its positions, in its currency."""
    earned: float = account["dividends"] + account["interest"] + account["borrow"] + account["funding"]
    own: float = account["start_cash"] + account["converted"] + account["realised"] - account["commission"] + earned
    return own


@compiled
def carry_home(account: Record, before: Floats, sums: Floats, out: Floats) -> None:
    """Count cash in base currency, which needs no rate and so no sums of its own."""
    if before[C_RATE] == 0.0:
        before[C_RATE] = 1.0
        sums[S_DEPOSITS] += account["start_cash"]
    out[REALISED] += account["realised"]
    out[COMMISSION] += account["commission"]
    out[SLIPPAGE] += account["slippage"]
    out[LONG] += account["long_realised"]
    out[SHORT] += account["short_realised"]
    out[DIVIDENDS] += account["dividends"]
    out[INTEREST] += account["interest"]
    out[BORROW] += account["borrow"]
    out[FUNDING] += account["funding"]
    out[FX] += account["converted"]


@compiled
def carry_foreign(account: Record, before: Floats, sums: Floats) -> None:
    """Count what a row of ACCOUNT in another currency has gained since the sample before, at the present rate."""
    rate = account["rate"]
    own = own_without_profit(account)
    if not np.isfinite(rate) and own == 0.0 and account["commission"] == 0.0 and account["realised"] == 0.0:
        return
    if before[C_RATE] == 0.0:
        before[C_RATE] = rate
        before[C_OWN] = account["start_cash"]
        sums[S_DEPOSITS] += account["start_cash"] * rate
    sums[S_FX] += before[C_OWN] * (rate - before[C_RATE])
    sums[S_FX] += (account["converted"] - before[C_CONVERTED]) * rate
    sums[S_REALISED] += (account["realised"] - before[C_REALISED]) * rate
    sums[S_COMMISSION] += (account["commission"] - before[C_COMMISSION]) * rate
    sums[S_SLIPPAGE] += (account["slippage"] - before[C_SLIPPAGE]) * rate
    sums[S_LONG] += (account["long_realised"] - before[C_LONG]) * rate
    sums[S_SHORT] += (account["short_realised"] - before[C_SHORT]) * rate
    sums[S_DIVIDENDS] += (account["dividends"] - before[C_DIVIDENDS]) * rate
    sums[S_INTEREST] += (account["interest"] - before[C_INTEREST]) * rate
    sums[S_BORROW] += (account["borrow"] - before[C_BORROW]) * rate
    sums[S_FUNDING] += (account["funding"] - before[C_FUNDING]) * rate
    before[C_REALISED] = account["realised"]
    before[C_COMMISSION] = account["commission"]
    before[C_SLIPPAGE] = account["slippage"]
    before[C_LONG] = account["long_realised"]
    before[C_SHORT] = account["short_realised"]
    before[C_DIVIDENDS] = account["dividends"]
    before[C_INTEREST] = account["interest"]
    before[C_BORROW] = account["borrow"]
    before[C_FUNDING] = account["funding"]
    before[C_CONVERTED] = account["converted"]
    before[C_OWN] = own
    before[C_RATE] = rate


@compiled
def write_carried(sums: Floats, out: Floats) -> None:
    """Put carried sums beside those of the present."""
    out[REALISED] += sums[S_REALISED]
    out[COMMISSION] += sums[S_COMMISSION]
    out[SLIPPAGE] += sums[S_SLIPPAGE]
    out[LONG] += sums[S_LONG]
    out[SHORT] += sums[S_SHORT]
    out[DIVIDENDS] += sums[S_DIVIDENDS]
    out[INTEREST] += sums[S_INTEREST]
    out[BORROW] += sums[S_BORROW]
    out[FUNDING] += sums[S_FUNDING]
    out[FX] += sums[S_FX]


@compiled
def carry(accounts: Table, counted: Floats, sums: Floats, out: Floats) -> None:
    """Count what rows of ACCOUNT have gained since the sample before, at present rates, and write it into ``out``.

    Args:
        accounts: ACCOUNT (n_accounts * n_currencies,).
        counted: float64 (len(accounts), len(COUNTED)), moved on.
        sums: float64 (CARRIED,), moved on: sums since the start in base currency.
        out: float64 (len(TOTALS),), as ``totals`` left it.
    """
    for k in range(len(accounts)):
        account = accounts[k]
        if account["currency"] != 0:
            carry_foreign(account, counted[k], sums)
        else:
            carry_home(account, counted[k], sums, out)
    write_carried(sums, out)


@compiled
def earned(out: Floats) -> float:
    """Return what all samples say was earned since the start."""
    trading = out[REALISED] + out[UNREALISED] - out[COMMISSION]
    paid = out[DIVIDENDS] + out[INTEREST] + out[BORROW] + out[FUNDING]
    return float(trading + paid + out[FX])


@compiled
def moved(out: Floats) -> float:
    """Return a size that rounding of sums can be measured by."""
    trading = abs(out[REALISED]) + abs(out[UNREALISED]) + out[COMMISSION] + abs(out[CASH]) + out[GROSS]
    paid = abs(out[DIVIDENDS]) + abs(out[INTEREST]) + abs(out[BORROW]) + abs(out[FUNDING])
    return float(trading + paid + abs(out[FX]))
