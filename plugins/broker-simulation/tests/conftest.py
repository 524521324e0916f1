"""A market of a few bars, written by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from ml4t.backtest import state as tables
from ml4t.backtest.interfaces import ExecutionModels, FillRules, Setup
from ml4t.backtest.state import REASONS, REQUEST, STATUSES, RunState
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache

NAN = float("nan")


@pytest.fixture(autouse=True, scope="session")
def compiled_code_is_kept():
    """Compile once per set of sources, not once per test run."""
    prepare_cache(["ml4t_backtest_broker_simulation"])


def apply_fill(fills, i, instruments, positions, accounts, ledger, counters):
    positions[fills[i]["symbol"]]["quantity"] += fills[i]["quantity"]
    return 0.0


@dataclass
class Model:
    """An execution model with nothing but its function and numbers; with rules it is a fill model."""

    function: object = None
    numbers: tuple = ()
    memory: tuple = ()
    rules: object = None

    def params(self):
        return np.array(self.numbers, float)

    def initial_state(self):
        return np.array(self.memory, float)

    def describe(self):
        return "a model"


BARS = ("open", "high", "low", "close", "volume")
PLAIN_REQUEST = {"group": -1, "parent": -1, "counts": 1} | dict.fromkeys(
    ("limit_price", "stop_price", "asked", "trail_amount", "trail_percent", "limit_offset"), NAN
)
KINDS = ("market", "limit", "stop", "stop-limit", "trailing-stop", "trailing-stop-limit")
TIMES = ("GTC", "DAY", "GTD", "IOC", "FOK", "OPG", "CLS")


class World:
    """A broker over a run's tables, with two symbols, A and B, released.

    Args:
        market: Where market orders fill.
        config: Settings of the broker.
        closes, opens: Of the sessions.
        instruments: Columns of both symbols.
        portfolio: What the portfolio has beside ``apply_fill``.
        models: Models by kind; others than these are rules of fills.
    """

    def __init__(self, market="open", *, config=None, closes=(), opens=(), instruments=None, **settings):
        from ml4t_backtest_broker_simulation.broker import SimulationBroker

        self.state = RunState()
        self.state.session_closes = np.array(closes, np.int64)
        self.state.session_opens = np.array(opens, np.int64)
        self.state.add_symbols(["A", "B"])
        for name, value in (instruments or {}).items():
            self.state.instruments[name] = value
        checks = settings.pop("portfolio", {})
        kinds = ("slippage", "commission", "impact", "function")
        models = {name: settings.pop(name) for name in kinds if name in settings}
        fill = Model(models.pop("function", None), rules=FillRules(market=market, **settings))
        self.broker = SimulationBroker(SimulationBroker.Config(**(config or {})), Setup(name="simulation"))
        self.portfolio = SimpleNamespace(apply_fill=apply_fill, **checks)
        self.broker.open(self.state, ExecutionModels(fill=fill, **models), self.portfolio)

    def submit(self, now, *requests):
        """Submit requests given as (symbol, quantity) or as mappings of REQUEST fields; return the ids of orders."""
        self.state.now = now
        rows = np.zeros(len(requests), REQUEST)
        rows["order_id"] = ids = self.state.orders.count
        for row, request in zip(rows, requests, strict=True):
            fields = dict(request) if isinstance(request, dict) else {"symbol": request[0], "quantity": request[1]}
            fields["kind"] = (
                KINDS.index(fields["kind"]) if isinstance(fields.get("kind"), str) else fields.get("kind", 0)
            )
            tif = fields.get("time_in_force", 0)
            fields["time_in_force"] = TIMES.index(tif) if isinstance(tif, str) else tif
            for name, value in {**PLAIN_REQUEST, "order_id": ids, **fields}.items():
                row[name] = value
            ids += not fields.get("action")
        self.broker.submit(rows)
        return rows

    def order(self, now, quantity, kind="market", **fields):
        """Submit one order of symbol A and return its id."""
        self.submit(now, {"quantity": quantity, "kind": kind, **fields})
        return self.state.orders.count - 1

    def cancel(self, now, order):
        """Ask for the end of an order."""
        self.submit(now, {"action": 1, "order_id": order})

    def amend(self, now, order, **fields):
        """Ask for other terms."""
        self.submit(now, {"action": 3, "order_id": order, "quantity": NAN, **fields})

    def rows(self, kind, names, rows):
        """Make rows of (symbol, bar_start, event_time, values ...)."""
        values = np.array([row[3:] for row in rows], float).T
        end = np.array([row[2] for row in rows], np.int64)
        return SimpleNamespace(
            spec=SimpleNamespace(name=f"{kind} {len(names)}", kind=kind, fields=tuple(names)),
            known_at=end,
            event_time=end,
            bar_start=np.array([row[1] for row in rows], np.int64),
            symbol=np.array([row[0] for row in rows], np.int32),
            values=np.ascontiguousarray(values),
            ohlcv=np.array([names.index(name) if name in names else -1 for name in BARS]),
        )

    def bars(self, *rows, fields=BARS):
        """Make bars of (symbol, bar_start, event_time, open, close), whose high and low are those of both."""
        whole = [
            (*row[:3], *dict(zip(BARS, (o, np.fmax(o, c), np.fmin(o, c), c, 7.0), strict=True)).values())
            for *row, o, c in rows
        ]
        keep = [BARS.index(name) for name in fields]
        return self.rows("bar", fields, [(*row[:3], *(row[3 + k] for k in keep)) for row in whole])

    def bar(self, now, opened, high, low, close, volume=1000.0, *, start=None, symbol=0, **more):
        """Let the working orders meet a bar that begins 100 before and ends now."""
        self.state.now = now
        row = (symbol, now - 100 if start is None else start, now, opened, high, low, close, volume, *more.values())
        self.broker.match(self.rows("bar", (*BARS, *more), [row]), 0, 1)

    def quote(self, now, bid, ask, bid_size=100.0, ask_size=100.0):
        """Let the working orders meet a quote."""
        self.state.now = now
        names = ("bid", "bid_size", "ask", "ask_size")
        self.broker.match(self.rows("quote", names, [(0, now, now, bid, bid_size, ask, ask_size)]), 0, 1)

    def trade(self, now, price, size=100.0):
        """Let the working orders meet a trade."""
        self.state.now = now
        self.broker.match(self.rows("trade", ("price", "size"), [(0, now, now, price, size)]), 0, 1)

    def end_session(self, now):
        """Close the session."""
        self.state.now = now
        self.broker.end_session(now)

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
    def priced(self):
        """Fills as (order_id, quantity, reference price, reason)."""
        return [
            (int(f["order_id"]), float(f["quantity"]), float(f["reference_price"]), REASONS[f["reason"]])
            for f in self.state.fills.rows()
        ]

    def history(self, order):
        """Transitions of an order as (status, reason), from the third on."""
        return [event[1:] for event in self.events if event[0] == order][2:]

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
