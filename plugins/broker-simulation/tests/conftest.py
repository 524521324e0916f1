"""A market of a few bars, written by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from ml4t.backtest import state as tables
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache
from ml4t.backtest.interfaces import ExecutionModels, Setup
from ml4t.backtest.state import REASONS, REQUEST, STATUSES, RunState

NAN = float("nan")


@pytest.fixture(autouse=True, scope="session")
def compiled_code_is_kept():
    """Compile once per set of sources, not once per test run."""
    prepare_cache(["ml4t_backtest_broker_simulation"])


@numba.njit
def open_price(orders, i, market, params, state):
    return market[0]["open"]


@numba.njit
def close_price(orders, i, market, params, state):
    return market[0]["close"]


def apply_fill(fills, i, instruments, positions, accounts, ledger, counters):
    positions[fills[i]["symbol"]]["quantity"] += fills[i]["quantity"]
    return 0.0


@dataclass
class Model:
    """An execution model with nothing but its function and numbers."""

    function: object
    numbers: tuple = ()
    memory: tuple = ()
    mode: str = "next-open"

    def params(self):
        return np.array(self.numbers, float)

    def initial_state(self):
        return np.array(self.memory, float)

    def describe(self):
        return "a model"


class World:
    """A broker over a run's tables, with two symbols, A and B, released."""

    def __init__(self, mode="next-open", **models):
        from ml4t_backtest_broker_simulation.broker import SimulationBroker

        self.state = RunState()
        self.state.add_symbols(["A", "B"])
        self.broker = SimulationBroker(SimulationBroker.Config(), Setup(name="simulation"))
        models.setdefault("fill", Model(open_price if mode == "next-open" else close_price, mode=mode))
        portfolio = SimpleNamespace(apply_fill=apply_fill)
        self.broker.open(self.state, ExecutionModels(**models), portfolio)

    def submit(self, now, *requests):
        """Submit requests given as (symbol, quantity) or as mappings of REQUEST fields."""
        self.state.now = now
        rows = np.zeros(len(requests), REQUEST)
        rows["order_id"] = self.state.orders.count + np.arange(len(requests))
        for row, request in zip(rows, requests, strict=True):
            fields = request if isinstance(request, dict) else {"symbol": request[0], "quantity": request[1]}
            for name, value in fields.items():
                row[name] = value
        self.broker.submit(rows)
        return rows

    def bars(self, *rows, fields=("open", "high", "low", "close", "volume")):
        """Make rows of (symbol, bar_start, event_time, open, close)."""
        values = np.array(
            [
                [o for *_, o, _ in rows],
                [9.0] * len(rows),
                [1.0] * len(rows),
                [c for *_, c in rows],
                [7.0] * len(rows),
            ]
        )
        names = ("open", "high", "low", "close", "volume")
        keep = [names.index(name) for name in fields]
        end = np.array([row[2] for row in rows], np.int64)
        return SimpleNamespace(
            known_at=end,
            event_time=end,
            bar_start=np.array([row[1] for row in rows], np.int64),
            symbol=np.array([row[0] for row in rows], np.int32),
            values=np.ascontiguousarray(values[keep]),
            ohlcv=np.array([keep.index(k) if k in keep else -1 for k in range(5)]),
        )

    def match(self, now, *rows, **options):
        """Let the working orders meet bars that become known at ``now``."""
        self.state.now = now
        bars = self.bars(*rows, **options)
        self.broker.match(bars, 0, len(rows))
        return bars

    def match_now(self, *rows):
        """Offer the bars of this very instant once more."""
        self.broker.match_now(self.bars(*rows), 0, len(rows))

    @property
    def fills(self):
        """Fills as (order_id, quantity, price, formed_at)."""
        return [
            (int(f["order_id"]), float(f["quantity"]), float(f["price"]), int(f["formed_at"]))
            for f in self.state.fills.rows()
        ]

    @property
    def events(self):
        """Transitions as (order_id, status, reason)."""
        return [
            (int(e["order_id"]), STATUSES[e["status"]], REASONS[e["reason"]]) for e in self.state.order_events.rows()
        ]

    @property
    def working(self):
        """Ids of the working orders by symbol, as the books chain them."""
        chains = []
        for book in self.state.books:
            chain, i = [], book["first"]
            while i >= 0:
                chain.append(int(i))
                i = self.state.orders.data[i]["next"]
            assert (chain[-1] if chain else -1) == book["last"]
            chains.append(chain)
        assert sum(map(len, chains)) == self.state.working
        return chains

    @property
    def tables(self):
        """The bytes of every table."""
        state = self.state
        grown = (state.orders, state.order_events, state.fills, state.ledger)
        fixed = (state.books, state.positions, state.accounts, state.counters)
        return [t.rows().tobytes() for t in grown] + [a.tobytes() for a in fixed]


@pytest.fixture
def make_world():
    """The class of small worlds."""
    return World


@pytest.fixture
def make_model():
    """The class of models without a distribution."""
    return Model


@pytest.fixture
def fill_rows():
    """Dtype of fills."""
    return tables.FILL
