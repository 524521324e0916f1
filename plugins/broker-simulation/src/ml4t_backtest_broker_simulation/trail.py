"""Trailing stops: how the stop follows the market, and where it is met."""

from __future__ import annotations

import numpy as np

from ml4t_backtest_broker_simulation.core import Record, compiled
from ml4t_backtest_broker_simulation.layout import Run

__all__ = ["begin_trail", "move_trail", "moved_level", "trail_level"]


@compiled
def trail_level(order: Record, terms: Record, best: float) -> float:
    """Return where a stop stands at its distance from a best price: above it for a buying order."""
    distance = terms["trail_amount"]
    if not distance > 0.0:
        distance = terms["trail_percent"] * abs(best)
    level: float = best + distance if order["quantity"] > 0.0 else best - distance
    return level


@compiled
def begin_trail(run: Run, i: int, price: float) -> None:
    """Begin at a price, NaN where none is known; an order with a stop of its own begins with that."""
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    if np.isnan(order["stop_price"]) and np.isfinite(price):
        terms["extreme"] = price
        order["stop_price"] = trail_level(order, terms, price)


@compiled
def moved_level(order: Record, terms: Record, best: float) -> float:
    """Return the stop after the market has shown a best price; it never moves away from the market."""
    level = trail_level(order, terms, best)
    stands = order["stop_price"]
    if np.isnan(stands) or (order["quantity"] > 0.0 and level < stands) or (order["quantity"] < 0.0 and level > stands):
        return level
    return float(stands)


@compiled
def move_trail(run: Run, i: int, best: float) -> None:
    """Let the stop follow a best price, NaN for none."""
    if np.isnan(best):
        return
    order = run.orders[i]
    terms = run.terms[order["terms"]]
    order["stop_price"] = moved_level(order, terms, best)
    extreme = terms["extreme"]
    if np.isnan(extreme) or (best < extreme) == (order["quantity"] > 0.0):
        terms["extreme"] = best
