"""What must never happen, looked for in every run: the core stops and says which order it happened to."""

from __future__ import annotations

from typing import Final

from ml4t_backtest_broker_simulation.cancel import R_CANCELLED, R_REPLACED
from ml4t_backtest_broker_simulation.core import Floats, compiled, end, fault, is_live, wide
from ml4t_backtest_broker_simulation.layout import CANCELLED, FAULT_SUM, FILLS, ORDERS, Run, reason_of

__all__ = ["FAULTS", "finish_orders"]

R_END: Final = reason_of("end-of-run")
R_LIQUIDATION: Final = reason_of("liquidation")

# What the core says when it stops, by the number of the fault.
FAULTS: Final = (
    "",
    "went from one state to another that the table of states does not allow",
    "was filled at a price that formed before it could be",
    "was filled at a reference price outside the row that it met",
    "filled more than its quantity",
    "has fills that do not sum to what it has filled",
)


@compiled
def check_sums(run: Run, sums: Floats, dust: Floats) -> None:
    """Compare the fills of each order with what it has filled; each may be rounded to half a step."""
    for row in range(run.counters[FILLS]):
        fill = run.fills[row]
        sums[fill["order_id"]] += fill["quantity"]
        dust[fill["order_id"]] += 0.5 * run.instruments[fill["symbol"]]["quantity_step"]
    for i in range(run.counters[ORDERS]):
        filled = run.orders[i]["filled"]
        if not abs(sums[i] - filled) <= dust[i] + 1e-9 * abs(filled):
            fault(run.setup, FAULT_SUM, i)


@compiled
def finish_orders(run: Run, sums: Floats, dust: Floats) -> None:
    """End every order that has not ended, in the order of ids, and check the sums of all.

    Args:
        run: The run's columns.
        sums: float64 (orders,), what splits have made of fills; worked in.
        dust: float64 (orders,), zeros to work in.
    """
    for i in range(run.counters[ORDERS]):
        order = run.orders[i]
        if is_live(order["status"]):
            ends_as = wide(run.terms[order["terms"]]["ends_as"]) if order["cancelled_at"] != 0 else R_END
            asked = ends_as in (R_CANCELLED, R_REPLACED, R_LIQUIDATION)
            end(run, i, CANCELLED, ends_as if asked else R_END)
            order["next"] = -1
    for symbol in range(len(run.books)):
        book = run.books[symbol]
        book["first"] = -1
        book["last"] = -1
        book["open_quantity"] = 0.0
        book["target_quantity"] = 0.0
    check_sums(run, sums, dust)
