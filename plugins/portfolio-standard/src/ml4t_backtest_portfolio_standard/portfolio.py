"""The standard portfolio: what the fills have made of the cash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml4t.backtest import state as tables
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Portfolio
from ml4t_backtest_portfolio_standard import accounting, metrics, totals, trips
from ml4t_backtest_portfolio_standard.account import Account
from ml4t_backtest_portfolio_standard.actions import Actions
from ml4t_backtest_portfolio_standard.booking import place_of, post
from ml4t_backtest_portfolio_standard.books import Books, BookState
from ml4t_backtest_portfolio_standard.buying_power import rules_of
from ml4t_backtest_portfolio_standard.checks import Identities
from ml4t_backtest_portfolio_standard.figures import NEVER, Figures
from ml4t_backtest_portfolio_standard.fill_check import affords, fill_rules
from ml4t_backtest_portfolio_standard.rules import AccountRules
from ml4t_backtest_portfolio_standard.sampling import compile_sample

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Action, Setup
    from ml4t.backtest.state import RunState

__all__ = ["PortfolioAccounting"]

_DAILY = tables.SETTLES.index("daily")


class PortfolioAccounting(Portfolio):
    """Keep positions at average cost, cash, profit and loss, and what trading cost, for one account or several.

    Strategies are shown its ``figures``, since it knows dated rates of which later rows are not known yet.

    Args:
        config: The accounts.
        setup: Surroundings of the component.
    """

    apply_fill = staticmethod(accounting.apply_fill)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Accounts; a run file names them in ``[[account]]``.

        Attributes:
            accounts: By number; one margin account with the run's capital where there is none.
        """

        accounts: Sequence[Account] = ()

    def __init__(self, config: Config, setup: Setup) -> None:
        self._setup = setup
        self._accounts = list(config.accounts) or [Account()]
        self._books: Books | None = None
        params = fill_rules(self._accounts)
        if params is not None:  # the broker asks before each fill
            self.affords, self.affords_params = affords, params

    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Write the opening balances.

        Args:
            state: The run's columns; ``currencies`` name the base currency first, where there are several.
            capital: Currency -> amount, finite; what an account without capital of its own has.

        Raises:
            RunFileError: An amount is not finite, or of a currency that the run does not have.
        """
        self._state = state
        if state.currencies == [""]:
            state.currencies[:] = list(capital) or [""]
        self._accounts = accounts = [
            each if each.capital is not None else replace(each, capital=dict(capital)) for each in self._accounts
        ]
        count = len(state.currencies)
        state.accounts = np.zeros(len(accounts) * count, tables.ACCOUNT)
        state.accounts["account"] = np.arange(len(state.accounts)) // count
        state.accounts["currency"] = np.arange(len(state.accounts)) % count
        state.accounts["currencies"] = count
        state.accounts["rate"] = np.where(state.accounts["currency"] == 0, 1.0, np.nan)
        for number, account in enumerate(accounts):
            place = slice(number * count, (number + 1) * count)
            state.accounts["delays"][place] = account.settlement_days > 0
            state.accounts["converts"][place] = account.convert == "at-fill"
            self._deposit(number * count, account)
        self.figures = Figures(state, rules_of(accounts))
        self._counted = np.zeros((len(state.accounts), len(totals.COUNTED)))
        self._carried = np.zeros(totals.CARRIED)
        self._identities = Identities(state)
        self._actions = Actions(state)
        self._account_rules = AccountRules(state, accounts, self.close_position)
        self._known_symbols, self._settles_daily = 0, False

    def _deposit(self, first: int, account: Account) -> None:
        state = self._state
        for currency, amount in (account.capital or {}).items():
            if not np.isfinite(amount):
                raise RunFileError(f"capital of account {account.name} was {amount} {currency}; give a finite amount")
            if currency not in state.currencies:
                raise RunFileError(f"capital of account {account.name} is in {currency}, which the run does not have")
            place = first + state.currencies.index(currency)
            state.accounts[place]["start_cash"] = amount
            post(state, place, "deposit", float(amount))

    def keep_books(self, shares: Sequence[float]) -> None:
        """Keep several books from now on; call it after ``open``.

        Args:
            shares: Fraction of the capital that each book has; they sum to 1.
        """
        books = []
        for share in shares:
            part = [
                replace(each, capital={name: amount * share for name, amount in (each.capital or {}).items()})
                for each in self._accounts
            ]
            own = BookState(self._state)
            book = PortfolioAccounting(self.Config(accounts=part), self._setup)
            book.open(own, {})
            books.append((book, own))
        self._books = Books(self._state, books, shares)

    @property
    def books(self) -> Books | None:
        """The books; None where there is one strategy."""
        return self._books

    def apply_action(self, action: Action) -> None:
        """Adjust positions and cash; see ``Portfolio.apply_action``."""
        self._actions.apply(action)
        if self._books is not None:
            self._books.apply_action(action)

    def close_position(self, symbol: int, price: float) -> None:
        """Close the position in a symbol at a price, as a delisting does."""
        self._actions.close_position(symbol, price)
        if self._books is not None:
            self._books.close_position(symbol, price)

    def take(self, symbol: int, quantity: float, price: float, kind: str) -> None:
        """Take units off the position in a symbol at a price."""
        self._actions.take(symbol, quantity, price, kind)

    def next_due(self) -> int:
        """Return when funding or a dividend is paid next; see ``Portfolio.next_due``."""
        due = min(self._account_rules.next_due, self._actions.next_due)
        return due if self._books is None else min(due, self._books.next_due)

    def settle(self, session: int | None) -> None:
        """Pay what is due now; see ``Portfolio.settle``."""
        self._account_rules.settle(session)
        self._actions.pay()
        if self._books is not None:
            self._books.settle(session)

    def check(self, requests: NDArray[np.void]) -> bool:
        """Judge requests by buying power; see ``Portfolio.check``."""
        return self._account_rules.check(requests)

    def exits(self) -> NDArray[np.void] | None:
        """Return liquidations; see ``Portfolio.exits``."""
        return self._account_rules.exits()

    @property
    def flags(self) -> tuple[str, ...]:
        """Margin calls and losses, one sentence each."""
        return self._account_rules.flags

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep besides the tables."""
        kept = {"counted": self._counted.copy(), "carried": self._carried.copy()}
        parts: dict[str, Any] = {"identities": self._identities, "actions": self._actions, "rules": self._account_rules}
        kept |= {name: part.get_state() for name, part in parts.items()}
        return kept if self._books is None else kept | {"books": self._books.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._counted[:], self._carried[:] = state["counted"], state["carried"]
        self._identities.set_state(state["identities"])
        self._actions.set_state(state["actions"])
        self._account_rules.set_state(state["rules"])
        if self._books is not None:
            self._books.set_state(state["books"])

    def equity(self) -> float:
        """Return cash plus worth of positions plus receivable dividends, base currency."""
        return self.figures.equity()

    def exposure(self) -> tuple[float, float]:
        """Return gross and net value of the positions, base currency."""
        return self.figures.exposure()

    def unrealised(self) -> float:
        """Return profit and loss of the open positions, base currency."""
        return self.figures.unrealised()

    def sample(self, timestamp: int, session: int) -> None:
        """Settle what settles daily, check the account, and append an EQUITY row; see ``Portfolio.sample``.

        ``long_pnl`` and ``short_pnl`` are what long and short positions have earned since the start, realised
        and not, before commission.
        """
        state = self._state
        self._vary()
        place = int(state.session_closes.searchsorted(timestamp))
        opened = int(state.session_opens[place]) if place < len(state.session_opens) else NEVER
        columns = (state.fills.data, state.ledger.data, state.instruments, state.positions, state.accounts)
        figures, sums = self.figures, self.figures.totals
        counted = (self._counted, self._carried, sums)
        wrong = compile_sample()(*columns, *self._identities.sums(), figures.rules, opened, *counted)
        if wrong:
            deposits = float(self._carried[totals.S_DEPOSITS])
            self._identities.explain(wrong, float(sums[totals.EQUITY]), deposits, totals.earned(sums))
        state.equity.reserve(1)[state.counters[state.EQUITY]] = (timestamp, session, *sums.tolist())
        state.counters[state.EQUITY] += 1
        if self._books is not None:
            self._books.sample(timestamp, session)

    def _vary(self) -> None:
        """Pay the profits of the session into cash, where an instrument settles daily."""
        state = self._state
        if self._known_symbols != len(state.symbols):
            self._known_symbols = len(state.symbols)
            self._settles_daily = bool((state.instruments["settles"] == _DAILY).any())
        if not self._settles_daily:
            return
        held = (state.instruments["settles"] == _DAILY) & (state.positions["quantity"] != 0.0)
        for symbol in np.flatnonzero(held & np.isfinite(state.instruments["mark"])).tolist():
            instrument, position = state.instruments[symbol], state.positions[symbol]
            mark = float(instrument["mark"])
            amount = float(position["quantity"] * (mark - position["basis"]) * instrument["multiplier"])
            if amount != 0.0:
                position["basis"] = mark
                post(state, place_of(state, symbol), "variation", amount, symbol=symbol, price=mark)

    def trades(self) -> pl.DataFrame:
        """Return the round trips so far, first in first out; what is open comes last.

        Columns: symbol, side (``long`` or ``short``), quantity (> 0), entry_time and exit_time (when the
        prices formed, UTC), entry_price, exit_price, pnl (before commission; of open trips at the mark),
        commission (the trip's share of both fills'), entry_order_id, exit_order_id (null where an action opened or
        closed), account, is_open, mfe and mae (best profit on the way, 0 or above, and worst, 0 or below),
        currency (of all amounts). An open trip's exit columns are null.
        """
        return trips.trips_frame(self._state, trips.find_trips(self._state))

    def metrics(self) -> Mapping[str, float]:
        """Return the figures of the run, counts as integers; NaN where one is not defined; see ``metrics``."""
        start = float(self._carried[totals.S_DEPOSITS])
        if not self._state.equity.count:  # nothing is counted before the first sample
            home = self._state.accounts["currency"] == 0
            start = float(np.sum(self._state.accounts["start_cash"][home]))
        return metrics.figures(self._state, start, trips.find_trips(self._state))
