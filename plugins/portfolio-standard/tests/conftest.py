"""A portfolio over a run's tables, fed with fills by hand."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import Setup
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache


@pytest.fixture(autouse=True, scope="session")
def compiled_code_is_kept():
    """Compile once per set of sources, not once per test run."""
    prepare_cache(["ml4t_backtest_portfolio_standard"])


class Books:
    """A run with symbols A and B, 10,000 in cash and an open portfolio."""

    def __init__(self, cash=10_000.0, **instrument):
        from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting

        self.state = RunState()
        self.state.add_symbols(["A", "B"])
        for name, value in instrument.items():
            self.state.instruments[name] = value
        self.portfolio = PortfolioAccounting(PortfolioAccounting.Config(), Setup(name="standard"))
        self.portfolio.open(self.state, {"USD": cash})

    def fill(self, quantity, price, symbol=0, commission=0.0, slippage=0.0):
        """Apply one fill and return what it realised."""
        state = self.state
        fills, ledger = state.fills.reserve(1), state.ledger.reserve(2)
        i = state.fills.count
        row = fills[i]
        row["order_id"] = row["formed_at"] = row["known_at"] = i
        row["symbol"], row["quantity"], row["price"] = symbol, quantity, price
        row["commission"], row["slippage"] = commission, slippage
        state.counters[state.FILLS] += 1
        arguments = (fills, i, state.instruments, state.positions, state.accounts, ledger, state.counters)
        with np.errstate(all="ignore"):
            return self.portfolio.apply_fill(*arguments)

    def position(self, symbol=0):
        """Return (quantity, average price)."""
        row = self.state.positions[symbol]
        return float(row["quantity"]), float(row["average_price"])


@pytest.fixture
def make_books():
    """The class of small runs."""
    return Books
