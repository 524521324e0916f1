"""A run of plain Python."""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.interfaces import Broker, FillRules, Portfolio
from ml4t.backtest.state import ACCEPTED, CANCELLED, FILLED, REASONS, REFUSED, RunState
from ml4t_backtest_testkit.plain_sources import HandCalendar, PlainSource, daily_bars, minute_bars


class PlainFill:
    """The open of the next bar."""

    rules = FillRules()
    function = staticmethod(lambda orders, i, market, params, state: market[0]["open"])

    def params(self):
        return np.zeros(0)

    def initial_state(self):
        return np.zeros(0)

    def describe(self):
        return "next open"


class PlainBroker(Broker):
    """Fill market orders at the next open; count how often the engine comes by."""

    def __init__(self):
        self.calls = []

    def open(self, state, models, portfolio):
        self.state, self.portfolio = state, portfolio

    def submit(self, requests):
        self.calls.append("submit")
        for request in requests:
            id_, reason = int(request["order_id"]), int(request["reason"])
            if request["action"] == 2:
                rows = self.state.orders.rows()
                live = (rows["status"] == ACCEPTED) & (rows["symbol"] == request["symbol"]) & (rows["is_target"] == 1)
                for each in np.flatnonzero(live).tolist():
                    self._end(each, CANCELLED, "replaced-by-target")
            elif request["action"] == 1:
                live = self.state.orders.data[id_]["status"] == ACCEPTED
                if live:
                    self._end(id_, CANCELLED, "cancelled-by-strategy")
                else:
                    self._note(id_, REFUSED, "already-done")
            else:
                order = self.state.orders.reserve(1)[id_]
                for name in ("symbol", "kind", "is_target", "tag", "basket", "quantity", "known_at", "limit_price"):
                    order[name] = request[name]
                order["id"], order["submitted_at"], order["status"] = id_, self.state.now, ACCEPTED
                self.state.counters[RunState.ORDERS] += 1
                self.state.counters[RunState.WORKING] += 1
                self._count(order, order["quantity"])
                if reason or request["quantity"] == 0:
                    self._end(id_, REFUSED, REASONS[reason] or "quantity-zero")
                else:
                    self._note(id_, ACCEPTED, "")

    def match(self, rows, start, stop):
        self.calls.append("match")
        opens = rows.values[rows.spec.fields.index("open")]
        orders = self.state.orders.rows()
        for place in np.flatnonzero(orders["status"] == ACCEPTED).tolist():
            for row in range(start, stop):
                if rows.symbol[row] == orders[place]["symbol"] and rows.bar_start[row] >= orders[place]["submitted_at"]:
                    self._fill(place, opens[row], int(rows.bar_start[row]))
                    break

    def finish(self):
        for place in np.flatnonzero(self.state.orders.rows()["status"] == ACCEPTED).tolist():
            self._end(place, CANCELLED, "end-of-run")

    def _fill(self, place, price, formed_at):
        state, order = self.state, self.state.orders.data[place]
        row = state.fills.count
        fill = state.fills.reserve(1)[row]
        fill["order_id"], fill["symbol"], fill["quantity"] = place, order["symbol"], order["quantity"]
        fill["price"] = fill["reference_price"] = price
        fill["formed_at"], fill["known_at"], fill["submitted_at"] = formed_at, state.now, order["submitted_at"]
        state.counters[RunState.FILLS] += 1
        self.portfolio.apply_fill(
            state.fills.data, row, state.instruments, state.positions, state.accounts, None, state.counters
        )
        order["filled"] = order["quantity"]
        self._end(place, FILLED, "next-open")

    def _end(self, place, status, reason):
        order = self.state.orders.data[place]
        order["status"], order["reason"] = status, REASONS.index(reason)
        self.state.counters[RunState.WORKING] -= 1
        self._count(order, -order["quantity"])
        self._note(place, status, reason)

    def _count(self, order, quantity):
        book = self.state.books[order["symbol"]]
        book["open_quantity"] += quantity
        book["target_quantity"] += quantity * order["is_target"]

    def _note(self, place, status, reason):
        row = self.state.order_events.count
        event = self.state.order_events.reserve(1)[row]
        event["timestamp"], event["order_id"], event["status"] = self.state.now, place, status
        event["reason"], event["quantity"] = REASONS.index(reason), self.state.orders.data[place]["quantity"]
        self.state.counters[RunState.ORDER_EVENTS] += 1


class PlainPortfolio(Portfolio):
    """Positions and cash, nothing else."""

    def open(self, state, capital):
        self.state = state
        state.accounts["cash"] = sum(capital.values())

    @staticmethod
    def apply_fill(fills, i, instruments, positions, accounts, ledger, counters):
        fill = fills[i]
        positions[fill["symbol"]]["quantity"] += fill["quantity"]
        accounts[0]["cash"] -= fill["quantity"] * fill["price"]
        return 0.0

    def equity(self):
        return float(self.state.accounts["cash"][0]) + self.exposure()[1]

    def exposure(self):
        held = self.state.positions["quantity"]
        values = held * np.where(held == 0, 0.0, self.state.instruments["mark"])
        return float(np.abs(values).sum()), float(values.sum())

    def unrealised(self):
        return 0.0

    def sample(self, timestamp, session):
        row = self.state.equity.reserve(1)[self.state.equity.count]
        row["timestamp"], row["session"], row["equity"] = timestamp, session, self.equity()
        row["cash"] = self.state.accounts["cash"][0]
        self.state.counters[RunState.EQUITY] += 1

    def trades(self):
        return pl.DataFrame()

    def metrics(self):
        return {}


class Kit:
    """What tests of a run are made of."""

    Source, Broker, Portfolio, Fill, Calendar = PlainSource, PlainBroker, PlainPortfolio, PlainFill, HandCalendar

    bars, minutes = staticmethod(daily_bars), staticmethod(minute_bars)

    @staticmethod
    def engine(strategy, *sources, broker=None, **settings):
        """An engine over plain Python components; sources are feeds, then signal sources."""
        broker = broker or PlainBroker()
        feeds = [source for source in sources if source.spec.kind != "signal"]
        signals = [source for source in sources if source.spec.kind == "signal"]
        broker = {"use": broker, "fill": PlainFill()}
        return Engine(
            feed=feeds, signal=signals, strategy=strategy, broker=broker, portfolio=PlainPortfolio(), **settings
        )

    @classmethod
    def run(cls, strategy, *sources, **settings):
        """Run and return the result."""
        return cls.engine(strategy, *sources, **settings).run()


@pytest.fixture(scope="session")
def kit():
    """Sources, broker and accounting of plain Python, and engines made of them."""
    return Kit
