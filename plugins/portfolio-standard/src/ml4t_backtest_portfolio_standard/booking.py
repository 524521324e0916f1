"""Movements of cash that no fill makes, in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml4t.backtest.state import LEDGER_KINDS
from ml4t_backtest_portfolio_standard.accounting import add_plainly

if TYPE_CHECKING:
    from ml4t.backtest.state import RunState

__all__ = ["place_of", "post"]


def place_of(state: RunState, symbol: int) -> int:
    """Return the row of ACCOUNT that holds the cash of a symbol's account in its currency."""
    instrument = state.instruments[symbol]
    return int(instrument["account"]) * len(state.currencies) + int(instrument["currency"])


def post(
    state: RunState,
    place: int,
    kind: str,
    amount: float,
    *,
    symbol: int = -1,
    order_id: int = -1,
    settled: float | None = None,
    quantity: float = 0.0,
    price: float = 0.0,
) -> None:
    """Move cash at ``state.now`` and append the LEDGER row that says so.

    Args:
        state: The run's columns.
        place: Row of ACCOUNT.
        kind: One of LEDGER_KINDS.
        amount: Signed change of cash, in the row's currency.
        symbol: Symbol id, -1 for none.
        order_id: The order it was for, -1 for none.
        settled: Signed change of settled cash; by default all of it.
        quantity: Signed change of the position, other than by a fill.
        price: What that was valued at.
    """
    account = state.accounts[place]
    settles = amount if settled is None else settled
    account["cash"], account["cash_carry"] = add_plainly(account["cash"], account["cash_carry"], amount)
    account["settled"], account["settled_carry"] = add_plainly(account["settled"], account["settled_carry"], settles)
    row = state.ledger.reserve(1)[state.ledger.count]
    row["timestamp"], row["order_id"], row["symbol"] = state.now, order_id, symbol
    row["account"], row["currency"] = account["account"], account["currency"]
    row["kind"], row["amount"], row["balance"] = LEDGER_KINDS.index(kind), amount, account["cash"]
    row["quantity"], row["price"], row["settled"] = quantity, price, settles
    state.counters[state.LEDGER] += 1
