"""A portfolio that does only what cannot be left out: quantities and cash move, and equity is their worth.

What a run takes longer with the standard portfolio is what accounting costs: average prices, profit, ledger, costs
by kind, settlement, buying power and identities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import polars as pl

from ml4t.backtest.interfaces import Portfolio
from ml4t.backtest.state import RunState

__all__ = ["BarePortfolio"]


@numba.njit(error_model="numpy")
def apply_fill(
    fills: Any, i: int, instruments: Any, positions: Any, accounts: Any, ledger: Any, counters: Any
) -> float:
    """Move the position's quantity and the account's cash."""
    fill = fills[i]
    positions[fill["symbol"]]["quantity"] += fill["quantity"]
    paid = fill["quantity"] * fill["price"] * instruments[fill["symbol"]]["multiplier"]
    accounts[fill["account"]]["cash"] -= paid + fill["commission"]
    return 0.0


@numba.njit(error_model="numpy")
def worth(instruments: Any, positions: Any) -> tuple[float, float]:
    """Return gross and net worth of what is held."""
    gross = net = 0.0
    for i in range(len(positions)):
        if positions[i]["quantity"] != 0.0:
            value = positions[i]["quantity"] * instruments[i]["mark"] * instruments[i]["multiplier"]
            gross += abs(value)
            net += value
    return gross, net


class BarePortfolio(Portfolio):
    """Quantities, cash and equity in one currency; no ledger, no profit, no rules."""

    apply_fill = staticmethod(apply_fill)

    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Put the capital into cash."""
        self._state = state
        state.accounts[0]["cash"] = state.accounts[0]["start_cash"] = sum(capital.values())

    def equity(self) -> float:
        """Return cash plus marked positions."""
        return float(self._state.accounts["cash"][0]) + self.exposure()[1]

    def exposure(self) -> tuple[float, float]:
        """Return gross and net worth of what is held."""
        found: tuple[float, float] = worth(self._state.instruments, self._state.positions)
        return found

    def unrealised(self) -> float:
        """Return 0: prices paid are not kept."""
        return 0.0

    def sample(self, timestamp: int, session: int) -> None:
        """Append an EQUITY row with cash and equity."""
        state = self._state
        row = state.equity.reserve(1)[state.counters[state.EQUITY]]
        row["timestamp"], row["session"] = timestamp, session
        row["cash"], row["equity"] = state.accounts["cash"][0], self.equity()
        state.counters[state.EQUITY] += 1

    def trades(self) -> pl.DataFrame:
        """Return no round trips."""
        return pl.DataFrame(schema={"symbol": pl.String, "quantity": pl.Float64, "is_open": pl.Boolean})

    def metrics(self) -> Mapping[str, float]:
        """Return the final equity."""
        return {"final_equity": self.equity()}
