"""What must always hold of an account, looked at in every run, at each sample.

Each balance is the sum of its ledger rows; fills and changes by actions sum to each position; what was earned is
the change of equity. All to 1e-9 of what has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.errors import RunError
from ml4t_backtest_portfolio_standard.accounting import Floats, Integers, Table, compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["EQUITY_OFF", "Identities", "is_off", "look"]

CLOSE: Final = 1e-9
EQUITY_OFF: Final = 1 << 40  # what a sample answers where balances and positions agree and equity does not
# Columns of the sums of a row of ACCOUNT, and of those of a position.
CASH, SETTLED, MOVED = range(3)
QUANTITY, TRADED = range(2)


@compiled
def sum_up(
    fills: Table, ledger: Table, currencies: int, seen: Integers, rows: Integers, balances: Floats, held: Floats
) -> None:
    """Add new fills and ledger rows to sums, and move on what was seen.

    Args:
        fills, ledger: FILL and LEDGER.
        currencies: Number of currencies of the run.
        seen: int64 (2,), rows of FILL and LEDGER that were added before; moved on.
        rows: int64 (2,), rows that there are.
        balances: float64 (len(accounts), 3), moved on: cash, settled cash, sizes of all that moved.
        held: float64 (n_symbols, 2), moved on: quantity, sizes of all that changed it.
    """
    for i in range(seen[0], rows[0]):
        quantity = fills[i]["quantity"]
        held[fills[i]["symbol"], QUANTITY] += quantity
        held[fills[i]["symbol"], TRADED] += abs(quantity)
    for i in range(seen[1], rows[1]):
        row = ledger[i]
        place = row["account"] * currencies + row["currency"]
        balances[place, CASH] += row["amount"]
        balances[place, SETTLED] += row["settled"]
        balances[place, MOVED] += abs(row["amount"])
        if row["symbol"] >= 0:
            held[row["symbol"], QUANTITY] += row["quantity"]
            held[row["symbol"], TRADED] += abs(row["quantity"])
    seen[0] = rows[0]
    seen[1] = rows[1]


@compiled
def first_wrong(instruments: Table, positions: Table, accounts: Table, balances: Floats, held: Floats) -> int:
    """Return 0 where all sums agree, k + 1 for a row of ACCOUNT, -(s + 1) for a position that does not.

    Cash that is no number makes equity none, which the engine reports with the session.
    """
    for k in range(len(accounts)):
        cash = accounts[k]["cash"]
        slack = CLOSE * max(1.0, balances[k, MOVED])
        if not np.isfinite(cash):
            continue
        if (
            not abs(balances[k, CASH] - cash) <= slack
            or not abs(balances[k, SETTLED] - accounts[k]["settled"]) <= slack
        ):
            return k + 1
    for s in range(len(positions)):
        slack = CLOSE * max(1.0, held[s, TRADED]) + instruments[s]["quantity_step"]
        if not abs(held[s, QUANTITY] - positions[s]["quantity"]) <= slack:
            return -(s + 1)
    return 0


@compiled
def is_off(gained: float, earned: float, moved: float) -> bool:
    """Say whether a change of equity, where it is a number, is not what was earned."""
    return bool(np.isfinite(gained) and not abs(gained - earned) <= CLOSE * max(1.0, moved))


@compiled
def look(
    fills: Table,
    ledger: Table,
    instruments: Table,
    positions: Table,
    accounts: Table,
    seen: Integers,
    rows: Integers,
    balances: Floats,
    held: Floats,
) -> int:
    """Sum up and compare in one call; see ``sum_up`` and ``first_wrong``."""
    sum_up(fills, ledger, accounts[0]["currencies"], seen, rows, balances, held)
    return first_wrong(instruments, positions, accounts, balances, held)


class Identities:
    """Compares balances, positions and equity with what they are the sums of.

    Args:
        state: The run's columns; the opening balances are in the ledger already.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._seen = np.zeros(2, np.int64)
        self._rows = np.zeros(2, np.int64)
        self._balances = np.zeros((len(state.accounts), 3))
        self._held: NDArray[np.float64] = np.zeros((0, 2))

    def sums(self) -> tuple[Any, ...]:
        """Return what ``look`` takes after the tables: rows that were seen and that there are, and sums of these."""
        state = self._state
        if len(self._held) != len(state.symbols):
            grown = np.zeros((len(state.symbols), 2))
            grown[: len(self._held)] = self._held
            self._held = grown
        self._rows[0], self._rows[1] = state.fills.count, state.ledger.count
        return self._seen, self._rows, self._balances, self._held

    def explain(self, wrong: int, equity: float, deposits: float, earned: float) -> None:
        """Stop the run for what a sample has found.

        Args:
            wrong: What ``look`` returned, or EQUITY_OFF.
            equity: Now, base currency.
            deposits: Put in since the start.
            earned: Realised, unrealised, dividends, interest, borrow, funding and rates, less commission.

        Raises:
            RunError: What differs: which account and currency, which symbol, or equity.
        """
        state = self._state
        if wrong == EQUITY_OFF:
            raise RunError(
                f"equity is {equity}, which is {equity - deposits} more than the deposits, and what was earned sums to "
                f"{earned}: a component has moved cash without counting what for"
            )
        if wrong > 0:
            row = state.accounts[wrong - 1]
            raise RunError(
                f"account {row['account']} has {row['cash']} {state.currencies[row['currency']]} of cash, "
                f"{row['settled']} of it settled, and its ledger sums to {self._balances[wrong - 1, :2].tolist()}: a "
                "component has moved cash without a ledger row"
            )
        if wrong < 0:
            held, found = state.positions[-wrong - 1]["quantity"], self._held[-wrong - 1, QUANTITY]
            raise RunError(
                f"the position in {state.symbols.names[-wrong - 1]} is {held}, and fills and actions sum to {found}: a "
                "component has changed it without a fill or a ledger row"
            )

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {"seen": self._seen.copy(), "balances": self._balances.copy(), "held": self._held.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._seen[:], self._balances[:] = state["seen"], state["balances"]
        self._held = np.array(state["held"])
