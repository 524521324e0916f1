"""A portfolio over a run's tables, fed with fills by hand."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import Action, Setup
from ml4t.backtest.state import ACCEPTED, ACCOUNT, REASONS, RunState
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache
from ml4t_backtest_engine_standard.context.outbox import blank_requests


@pytest.fixture(autouse=True, scope="session")
def compiled_code_is_kept():
    """Compile once per set of sources, not once per test run."""
    prepare_cache(["ml4t_backtest_portfolio_standard"])


class Books:
    """A run with symbols A, B and more, 10,000 in cash and an open portfolio."""

    def __init__(self, cash=10_000.0, accounts=(), symbols=("A", "B"), currencies=("USD",), **instrument):
        from ml4t_backtest_portfolio_standard.account import Account
        from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting

        self.state = RunState()
        self.state.currencies = list(currencies)
        self.state.add_symbols(list(symbols))
        for name, value in instrument.items():
            self.state.instruments[name] = value
        config = PortfolioAccounting.Config(accounts=[Account(**each) for each in accounts])
        self.portfolio = PortfolioAccounting(config, Setup(name="standard"))
        self.portfolio.open(self.state, {currencies[0]: cash})

    def fill(self, quantity, price, symbol=0, commission=0.0, slippage=0.0, at=None):
        """Apply one fill, at its own number unless a time is given, and return what it realised."""
        state = self.state
        fills, ledger = state.fills.reserve(1), state.ledger.reserve(4)
        i = state.fills.count
        row = fills[i]
        row["order_id"] = i
        row["formed_at"] = row["known_at"] = i if at is None else at
        row["symbol"], row["quantity"], row["price"] = symbol, quantity, price
        row["commission"], row["slippage"] = commission, slippage
        row["account"] = state.instruments[symbol]["account"]
        state.counters[state.FILLS] += 1
        arguments = (fills, i, state.instruments, state.positions, state.accounts, ledger, state.counters)
        with np.errstate(all="ignore"):
            return self.portfolio.apply_fill(*arguments)

    def see(self, price, at, symbol=0):
        """Let a price become known, as the engine does."""
        position = self.state.positions[symbol]
        self.state.instruments[symbol]["mark"], self.state.instruments[symbol]["mark_time"] = price, at
        if position["quantity"] != 0.0 and at > position["since"]:
            position["high"], position["low"] = np.fmax(position["high"], price), np.fmin(position["low"], price)

    def act(self, kind, symbol=0, ratio=np.nan, amount=np.nan, value=np.nan, other=-1, pay_at=0, currency=0):
        """Let an action take effect now."""
        self.portfolio.apply_action(Action(kind, symbol, ratio, amount, currency, value, other, pay_at))

    def position(self, symbol=0):
        """Return (quantity, average price)."""
        row = self.state.positions[symbol]
        return float(row["quantity"]), float(row["average_price"])


class Desk:
    """Accounts and rounds of requests by hand; marks are 10 unless said otherwise."""

    def __init__(
        self,
        *,
        accounts=None,
        symbols=("A", "B"),
        currencies=("USD",),
        rates=(1.0,),
        capital=1000.0,
        held=(),
        marks=(),
        lot=1.0,
        **settings,
    ):
        from ml4t_backtest_portfolio_standard.account import Account
        from ml4t_backtest_portfolio_standard.rules import AccountRules

        self.accounts = [Account(**each) for each in accounts or [settings]]
        self.state = state = RunState()
        state.add_symbols(list(symbols))
        state.currencies = list(currencies)
        state.now = 1
        state.accounts = np.zeros(len(self.accounts) * len(currencies), ACCOUNT)
        for place, row in enumerate(state.accounts):
            row["account"], row["currency"] = divmod(place, len(currencies))
            row["currencies"], row["rate"] = len(currencies), rates[row["currency"]]
        self.set_cash(capital)
        state.accounts["start_cash"] = capital
        state.instruments["mark"] = 10.0 if not len(marks) else marks
        state.instruments["lot"] = lot
        if len(held):
            state.positions["quantity"] = held
            state.positions["average_price"] = 10.0
        self.closed = []
        self.changed = False
        self.rules = AccountRules(state, self.accounts, lambda *each: self.closed.append(each))

    def set_cash(self, cash):
        """Set cash, all of it settled."""
        self.state.accounts["cash"] = self.state.accounts["settled"] = cash

    def equity(self):
        """Return cash and positions at the marks."""
        state = self.state
        return float(state.accounts["cash"].sum() + (state.positions["quantity"] * state.instruments["mark"]).sum())

    def work(self, symbol, quantity, terms=None, **columns):
        """Put a working order into a symbol's list and return its id."""
        state = self.state
        i = state.orders.count
        row = state.orders.reserve(1)[i]
        row["id"], row["symbol"], row["quantity"], row["status"], row["next"] = i, symbol, quantity, ACCEPTED, -1
        row["terms"] = -1
        for name, value in columns.items():
            row[name] = value
        if terms is not None:
            row["terms"] = place = state.terms.count
            details = state.terms.reserve(1)[place]
            details["parent"] = details["group"] = -1
            for name, value in terms.items():
                details[name] = value
            state.counters[state.TERMS] += 1
        book = state.books[symbol]
        if book["first"] < 0:
            book["first"] = i
        else:
            state.orders.data[book["last"]]["next"] = i
        book["last"] = i
        state.counters[state.ORDERS] += 1
        state.counters[state.WORKING] += 1
        return i

    @staticmethod
    def cancel(order_id):
        """Return a request to cancel."""
        return (0, 0.0, {"action": 1, "order_id": order_id})

    @staticmethod
    def cancel_targets(symbol):
        """Return a request to end earlier targets."""
        return (symbol, 0.0, {"action": 2, "order_id": -1})

    def amend(self, order_id, quantity):
        """Return a request for another quantity."""
        known = 0 <= order_id < self.state.orders.count
        symbol = int(self.state.orders.data["symbol"][order_id]) if known else 1
        return (symbol, quantity, {"action": 3, "order_id": order_id})

    def _round(self, rows, baskets):
        requests = blank_requests(len(rows))
        order_id = self.state.orders.count
        for row, request, basket in zip(rows, requests, baskets or [-1] * len(rows), strict=True):
            request["symbol"], request["quantity"], request["basket"] = row[0], row[1], basket
            for name, value in row[2].items() if len(row) > 2 else ():
                request[name] = value
            if request["action"] == 0:
                request["order_id"] = order_id
                order_id += 1
        with np.errstate(all="ignore"):
            self.changed = self.rules.check(requests)
        return requests

    def judge(self, *rows, baskets=None):
        """Return the reasons that a round of (symbol, quantity, columns) gets."""
        requests = self._round(rows, baskets)
        assert self.changed or not requests["reason"][[len(row) < 3 for row in rows]].any()
        return [REASONS[reason] for reason in requests["reason"]]

    def sizes(self, *rows, baskets=None):
        """Return what is left of the quantities, 0 for a refused order."""
        requests = self._round(rows, baskets)
        return np.where(requests["reason"] == 0, requests["quantity"], 0.0).tolist()


@pytest.fixture
def make_desk():
    """The class of accounts by hand."""
    return Desk


@pytest.fixture
def make_books():
    """The class of small runs."""
    return Books


@pytest.fixture(scope="session")
def make_books_of():
    """The class of small runs, for properties."""
    return Books


def pytest_collection_modifyitems(config, items):
    """Leave the exhaustive tests out unless the command line names their marker."""
    if "exhaustive" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
