"""Several books on one account: each with positions, cash and profit of its own, kept by the account's functions.

A book is a portfolio over columns of its own. Its fills are those of its orders; actions and payments meet it as they
meet the account. What the account pays less, or more, because positions and cash of books offset each other is shared
out, so that cash, equity and quantities of the books sum to those of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from ml4t.backtest import state as tables
from ml4t.backtest.errors import RunError
from ml4t.backtest.state import LEDGER_KINDS, RunState
from ml4t_backtest_portfolio_standard import accounting
from ml4t_backtest_portfolio_standard.booking import place_of, post
from ml4t_backtest_portfolio_standard.compiling import columns, keep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Action
    from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting

__all__ = ["BookState", "Books"]

_LIEU: Final = LEDGER_KINDS.index("cash-in-lieu")
_CLOSE: Final = 1e-9
_DUST: Final = 1e-12
_SHARED: Final = ("orders", "order_events", "terms", "symbols", "currencies", "tags", "client_ids")
_TABLES: Final = ("fills", "ledger", "equity")
_ROOM: Final = 4  # ledger rows of one fill


class BookState(RunState):
    """The columns of one book: positions, accounts, fills, ledger and equity of its own, the rest that of the run.

    Args:
        run: The run's columns.
    """

    def __init__(self, run: RunState) -> None:
        super().__init__()
        self._run = run
        for name in _SHARED:
            setattr(self, name, getattr(run, name))
        self.follow()

    @property
    def working(self) -> int:
        """Number of orders of the run that may still fill."""
        return self._run.working

    def follow(self) -> None:
        """Take over the present, the instruments and the rates of the run."""
        run = self._run
        self.now, self.known_at, self.instruments = run.now, run.known_at, run.instruments
        self.session_opens, self.session_closes = run.session_opens, run.session_closes
        if missing := len(run.positions) - len(self.positions):
            fresh = np.zeros(missing, tables.POSITION)
            fresh["high"] = fresh["low"] = np.nan
            self.positions = np.concatenate([self.positions, fresh])
        if len(self.accounts) == len(run.accounts):
            self.accounts["rate"] = run.accounts["rate"]


class Books:
    """Keeps the books of a run beside its account.

    Args:
        state: The run's columns.
        books: A portfolio and its columns for each book, opened with its share of the capital.
        shares: Fraction of the capital that each book has.
    """

    def __init__(
        self, state: RunState, books: Sequence[tuple[PortfolioAccounting, BookState]], shares: Sequence[float]
    ) -> None:
        self._state, self._shares = state, list(shares)
        self._books = [book for book, _ in books]
        self._states = [own for _, own in books]
        self._seen = 0

    def __getitem__(self, number: int) -> tuple[PortfolioAccounting, BookState]:
        return self._books[number], self._states[number]

    @property
    def next_due(self) -> int:
        """When something is due in any book, UTC ns."""
        return min(book.next_due() for book in self._books)

    def catch_up(self) -> None:
        """Give the books the present, and each fill to the book of its order."""
        for own in self._states:
            own.follow()
        fresh = self._state.fills.rows(self._seen)
        for row in fresh:
            self._share_out(row)
        self._seen += len(fresh)
        for symbol in dict.fromkeys(fresh["symbol"].tolist()):
            if self._state.instruments[symbol]["settles"]:
                self._advance(symbol)

    def apply_action(self, action: Action) -> None:
        """Adjust every book; call it once the account is adjusted."""
        self.catch_up()
        before = [own.positions["quantity"].copy() for own in self._states]
        rows = [own.ledger.count for own in self._states]
        for book in self._books:
            book.apply_action(action)
        for symbol in sorted({action.symbol, action.other} - {-1}):
            left = self._missing(symbol)
            if abs(left) > self._slack(symbol, self._sizes(symbol)):
                price = self._price_in_lieu(symbol, rows)
                weights = _weights([abs(float(held[action.symbol])) for held in before], self._shares)
                for number, weight in enumerate(weights):
                    self._hand(number, symbol, left * weight, price)
            if self._state.instruments[symbol]["settles"]:
                self._advance(symbol)

    def close_position(self, symbol: int, price: float) -> None:
        """Close the position of every book at a price, as that of the account was."""
        self.catch_up()
        for book in self._books:
            book.close_position(symbol, price)

    def settle(self, session: int | None) -> None:
        """Let every book pay; call it once the account has paid. See ``Portfolio.settle``."""
        self.catch_up()
        before = [own.accounts.copy() for own in self._states]
        for book in self._books:
            book.settle(session)
        for kind in ("borrow", "interest"):
            self._even_out(kind, before)

    def sample(self, timestamp: int, session: int) -> None:
        """Append an EQUITY row to every book, and compare their sums with the account.

        Raises:
            RunError: The books do not sum to the account.
        """
        self.catch_up()
        for book in self._books:
            book.sample(timestamp, session)
        last = self._state.equity.rows()[-1]
        rows = [own.equity.rows()[-1] for own in self._states]
        for name in ("cash", "equity"):
            self._compare(name, float(last[name]), [float(row[name]) for row in rows], self._moved)
        held = np.array([own.positions["quantity"] for own in self._states])
        whole, size = self._state.positions["quantity"], np.abs(held).sum(axis=0)
        slack = _CLOSE * np.maximum(1.0, size) + self._state.instruments["quantity_step"] * len(held)
        for symbol in np.flatnonzero(np.abs(whole - held.sum(axis=0)) > slack).tolist():
            name = f"quantity of {self._state.symbols.names[symbol]}"
            self._compare(name, float(whole[symbol]), held[:, symbol].tolist(), partial(self._traded, symbol))

    # --- fills --------------------------------------------------------------------------------------------

    def _share_out(self, row: NDArray[np.void]) -> None:
        """Give a fill to the book of its order; of no book's order, to all by what they hold."""
        owner, symbol = int(self._state.orders.data[row["order_id"]]["book"]), int(row["symbol"])
        if owner >= 0:
            self._fill(owner, row, 1.0)
        else:
            for number, part in enumerate(self._parts(symbol)):
                if part:
                    self._fill(number, row, part)

    def _parts(self, symbol: int) -> list[float]:
        held = [float(own.positions[symbol]["quantity"]) for own in self._states]
        total = sum(held)
        if abs(total) <= self._slack(symbol, sum(map(abs, held))):
            return self._shares
        return [each / total for each in held]

    def _fill(self, number: int, row: NDArray[np.void], part: float) -> None:
        own = self._states[number]
        place = own.fills.count
        fills = own.fills.reserve(1)
        fills[place] = row
        if part != 1.0:
            for name in ("quantity", "commission", "slippage"):
                fills[place][name] = float(row[name]) * part
        own.counters[own.FILLS] = place + 1
        ledger = own.ledger.reserve(_ROOM)
        _compile_fill()(fills, place, own.instruments, own.positions, own.accounts, ledger, own.counters)

    def _advance(self, symbol: int) -> None:
        """Pay profits between books where the account was paid for closing what another book has opened.

        A book that still holds the symbol is paid, or pays, up to a price from which its profit counts on.
        """
        account, instrument = self._state.positions[symbol], self._state.instruments[symbol]
        held = [float(own.positions[symbol]["quantity"]) for own in self._states]
        paid_up = [
            quantity * float(own.positions[symbol]["basis"]) for quantity, own in zip(held, self._states, strict=True)
        ]
        multiplier = float(instrument["multiplier"])
        left = (float(account["quantity"]) * float(account["basis"]) - sum(paid_up)) * multiplier
        if not any(held) or abs(left) <= _DUST * max(1.0, *(abs(each) * multiplier for each in paid_up)):
            return
        place = place_of(self._state, symbol)
        for own, weight, quantity in zip(self._states, _weights([abs(each) for each in held], []), held, strict=True):
            if weight:
                own.positions[symbol]["basis"] += left * weight / (quantity * multiplier)
                post(own, place, "variation", left * weight, symbol=symbol)
                _convert(own, place, left * weight, symbol)

    # --- what books do otherwise than the account ------------------------------------------------------------

    def _missing(self, symbol: int) -> float:
        held = sum(float(own.positions[symbol]["quantity"]) for own in self._states)
        return float(self._state.positions[symbol]["quantity"]) - held

    def _price_in_lieu(self, symbol: int, rows: Sequence[int]) -> float:
        """Return the price at which fractions were paid just now, by a book or by the account."""
        for own, first in [*zip(self._states, rows, strict=True), (self._state, 0)]:
            paid = own.ledger.rows(first)
            paid = paid[(paid["kind"] == _LIEU) & (paid["symbol"] == symbol)]
            if len(paid):
                return float(paid["price"][-1])
        return float(self._state.positions[symbol]["average_price"])

    def _hand(self, number: int, symbol: int, quantity: float, price: float) -> None:
        """Give a book units that the account has kept, or take what it has sold, at a price."""
        if not quantity:
            return
        own = self._states[number]
        position = own.positions[symbol]
        if position["quantity"] == 0.0:
            position["average_price"] = price
            position["basis"] = price if own.instruments[symbol]["settles"] else 0.0
        self._books[number].take(symbol, -quantity, price, "cash-in-lieu")

    def _even_out(self, kind: str, before: Sequence[NDArray[np.void]]) -> None:
        """Share what the account has paid less, or more, than its books, by what each has paid."""
        for place in range(len(self._state.accounts)):
            amounts = [float(own.accounts[place][kind]) for own in self._states]
            left = float(self._state.accounts[place][kind]) - sum(amounts)
            if abs(left) <= _DUST * max(1.0, *map(abs, amounts)):
                continue
            paid = [abs(each - float(old[place][kind])) for each, old in zip(amounts, before, strict=True)]
            for own, weight in zip(self._states, _weights(paid, self._shares), strict=True):
                if weight:
                    own.accounts[place][kind] += left * weight
                    post(own, place, kind, left * weight)

    def _compare(self, name: str, whole: float, parts: Sequence[float], passed: Callable[[], float]) -> None:
        """Refuse sums that differ by more than floats do, of what there is or else of all that has passed."""
        off = abs(whole - sum(parts))
        if not (off <= _CLOSE * max(1.0, abs(whole), *map(abs, parts)) or off <= _CLOSE * passed()):
            raise RunError(
                f"{name} of the books is {sum(parts)}, and that of the account {whole}: a component has moved cash or "
                "positions of the account only"
            )

    def _moved(self) -> float:
        """Return the sum of sizes of all cash that has moved, in base currency at the present rates."""
        rows, accounts = self._state.ledger.rows(), self._state.accounts
        rate = np.zeros(len(self._state.currencies))
        rate[accounts["currency"]] = np.nan_to_num(accounts["rate"])
        return float((np.abs(rows["amount"]) * rate[rows["currency"]]).sum())

    def _traded(self, symbol: int) -> float:
        """Return how many units of a symbol have changed hands."""
        parts = (self._state.fills.rows(), self._state.ledger.rows())
        return float(sum(np.abs(rows["quantity"][rows["symbol"] == symbol]).sum() for rows in parts))

    def _sizes(self, symbol: int) -> float:
        return sum(abs(float(own.positions[symbol]["quantity"])) for own in self._states)

    def _slack(self, symbol: int, size: float) -> float:
        """Return by how much a sum of quantities of this size may be off."""
        return float(self._state.instruments[symbol]["quantity_step"]) + _DUST + _CLOSE * size

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {
            "seen": self._seen,
            "books": [book.get_state() for book in self._books],
            "positions": [own.positions.copy() for own in self._states],
            "accounts": [own.accounts.copy() for own in self._states],
            **{name: [getattr(own, name).rows().copy() for own in self._states] for name in _TABLES},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._seen = state["seen"]
        for number, (book, own) in enumerate(zip(self._books, self._states, strict=True)):
            for name in _TABLES:
                getattr(own, name).restore(state[name][number])
            own.positions, own.accounts = state["positions"][number].copy(), state["accounts"][number].copy()
            own.follow()
            book.set_state(state["books"][number])


def _convert(own: BookState, place: int, amount: float, symbol: int) -> None:
    """Exchange an amount into base currency, where the account does so at each fill."""
    account = own.accounts[place]
    rate = float(account["rate"])
    if not account["converts"] or not account["currency"] or not np.isfinite(rate):
        return
    home = place - int(account["currency"])
    account["converted"] -= amount
    own.accounts[home]["converted"] += amount * rate
    post(own, place, "conversion", -amount, symbol=symbol)
    post(own, home, "conversion", amount * rate, symbol=symbol)


def _weights(sizes: Sequence[float], otherwise: Sequence[float]) -> list[float]:
    """Return fractions in proportion to sizes; ``otherwise`` where all are 0."""
    total = sum(sizes)
    return [size / total for size in sizes] if total > 0.0 else list(otherwise)


@cache
def _compile_fill() -> Callable[..., float]:
    fills, instruments, positions, accounts, ledger = map(
        columns, (tables.FILL, tables.INSTRUMENT, tables.POSITION, tables.ACCOUNT, tables.LEDGER)
    )
    arguments = (fills, numba.int64, instruments, positions, accounts, ledger, numba.int64[::1])
    return keep(accounting.apply_fill, numba.float64, *arguments)
