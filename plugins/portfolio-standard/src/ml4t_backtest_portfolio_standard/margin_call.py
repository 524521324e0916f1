"""Margin calls: what follows where an account's equity is below what its positions require."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from ml4t.backtest import state as tables
from ml4t.backtest.errors import RunError
from ml4t.backtest.state import ACCEPTED, ACTIONS, HELD, PARTIAL, REASONS, REQUEST
from ml4t_backtest_portfolio_standard import margins
from ml4t_backtest_portfolio_standard.compiling import columns, keep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState
    from ml4t_backtest_portfolio_standard.account import Account

__all__ = ["MarginCalls", "cancels_of"]

_LIQUIDATION = "liquidation"
_REASON = REASONS.index(_LIQUIDATION)
_CANCEL = ACTIONS.index("cancel")
_SLACK = 1e-9


class MarginCalls:
    """Looks at each account's equity at session closes, and calls it where it is too low.

    Args:
        state: The run's columns.
        accounts: Settings by number of account.
        rules: float64 (n_accounts, >= 2): fractions of initial and maintenance margin.
    """

    def __init__(self, state: RunState, accounts: Sequence[Account], rules: NDArray[np.float64]) -> None:
        self._state, self._accounts, self._rules = state, accounts, rules
        self._sums = np.zeros((len(accounts), 3))
        self._calls: dict[str, tuple[str, int]] = {}  # by account: its first call, and how many there were
        self._losses: dict[str, str] = {}  # by account: on which day its equity was gone

    def look(self, oldest: int) -> bool:
        """Add up all accounts; say whether any equity is too low or any mark formed at or before ``oldest``."""
        state = self._state
        found = _compile_sums()(state.instruments, state.positions, state.accounts, self._rules, oldest, self._sums)
        return bool(found)

    def exits(self, label: int) -> NDArray[np.void]:
        """Return what liquidations take at the close of a session, as it was found by ``look``.

        Args:
            label: The session, days since 1970-01-01.

        Raises:
            RunError: An account is called whose ``margin_call`` is ``stop``.
        """
        wanted: list[NDArray[np.void]] = []
        for number, account in enumerate(self._accounts):
            equity, required, held = self._sums[number].tolist()
            if equity <= 0.0 and (held or self._had_money(number)):
                self._losses.setdefault(account.name, _day(label))
            required = 0.0 if account.type == "unlimited" else required * (1.0 - _SLACK)
            if not held or (equity > 0.0 and equity >= required):
                continue
            what = f"equity {equity:,.2f}, maintenance requirement {required:,.2f} {self._state.currencies[0]}".rstrip()
            if account.margin_call == "stop":
                raise RunError(
                    f"margin call of account {account.name} on {_day(label)}: {what}; trade smaller, or set "
                    f"margin_call of the account to liquidate or note"
                )
            first, count = self._calls.get(account.name, (f"{_day(label)}: {what}", 0))
            self._calls[account.name] = first, count + 1
            if account.margin_call == "liquidate":
                wanted.extend(self._liquidate(number))
        return np.concatenate(wanted) if wanted else np.zeros(0, REQUEST)

    @property
    def flags(self) -> tuple[str, ...]:
        """Sentences about calls and losses, one each per account."""
        calls = [
            f"margin call of account {name} on {first}" + (f" (first of {count})" if count > 1 else "")
            for name, (first, count) in self._calls.items()
        ]
        losses = [f"equity of account {name} fell to or below zero on {day}" for name, day in self._losses.items()]
        return (*calls, *losses)

    def _had_money(self, number: int) -> bool:
        currencies = len(self._state.currencies)
        return bool(self._state.accounts["start_cash"][number * currencies : (number + 1) * currencies].any())

    def _liquidate(self, number: int) -> Iterator[NDArray[np.void]]:
        """Yield cancels of an account's working orders, then market orders that close its positions."""
        state = self._state
        mine = np.flatnonzero(state.instruments["account"] == number).tolist()
        tag = self._tag()
        yield cancels_of(state, mine, but_tag=tag)
        rows = np.zeros(len(mine), REQUEST)
        for row, symbol in zip(rows, mine, strict=True):
            under_way = sum(_left(order) for order in _working(state, symbol) if order["tag"] == tag)
            row["symbol"], row["account"], row["tag"], row["reduce_only"] = symbol, number, tag, 1
            if state.instruments[symbol]["ended"] == 0:
                row["quantity"] = -float(state.positions[symbol]["quantity"]) - under_way
        yield rows[rows["quantity"] != 0.0]

    def _tag(self) -> int:
        tags = self._state.tags
        if _LIQUIDATION not in tags:
            tags.append(_LIQUIDATION)
        return tags.index(_LIQUIDATION)

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {"calls": dict(self._calls), "losses": dict(self._losses)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._calls, self._losses = dict(state["calls"]), dict(state["losses"])


def cancels_of(state: RunState, symbols: Sequence[int], *, but_tag: int = -1) -> NDArray[np.void]:
    """Return cancels, with the reason ``liquidation``, of the working orders of some symbols, oldest first.

    Orders that wait for a parent and further legs of a group are left out: they end with the one that is cancelled.

    Args:
        state: The run's columns.
        symbols: Symbol ids.
        but_tag: Orders with this tag are kept.
    """
    found = []
    groups: set[int] = set()
    for symbol in symbols:
        for order in _working(state, symbol):
            group = int(state.terms.data[order["terms"]]["group"]) if order["terms"] >= 0 else -1
            if order["tag"] == but_tag or order["status"] == HELD or order["cancelled_at"] or group in groups:
                continue
            if group >= 0:
                groups.add(group)
            found.append((int(order["id"]), symbol))
    rows = np.zeros(len(found), REQUEST)
    rows["action"], rows["tag"] = _CANCEL, _REASON
    for row, (order_id, symbol) in zip(rows, sorted(found), strict=True):
        row["order_id"], row["symbol"] = order_id, symbol
    return rows


def _working(state: RunState, symbol: int) -> Iterator[np.void]:
    i = int(state.books[symbol]["first"])
    while i >= 0:
        order = state.orders.data[i]
        if order["status"] in (ACCEPTED, PARTIAL, HELD):
            yield order
        i = int(order["next"])


def _left(order: np.void) -> float:
    return float(order["quantity"] - order["filled"])


def _day(label: int) -> str:
    return str(np.datetime64(label, "D"))


@cache
def _compile_sums() -> Callable[..., bool]:
    rows = (tables.INSTRUMENT, tables.POSITION, tables.ACCOUNT)
    floats = numba.float64[:, ::1]
    return keep(margins.account_sums, numba.boolean, *map(columns, rows), floats, numba.int64, floats)
