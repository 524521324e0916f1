"""A run of plain Python."""

import hashlib
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.core.sessions import NO_BREAK, SESSION_DTYPE
from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.interfaces import Broker, Calendar, DataFeed, Portfolio, SourceSpec
from ml4t.backtest.state import ACCEPTED, CANCELLED, FILLED, REASONS, REFUSED, RunState


class PlainSource(DataFeed):
    """Rows of a frame, cut into batches of a size; 0 for one batch."""

    def __init__(self, frame, *, name="prices", kind="bar", bar="1d", batch=0, fields=None, drives=True, **stamps):
        self.frame, self.batch, self.closed, self.opened = frame, batch, 0, []
        column = next(name for name in ("timestamp", "known_at", "event_time") if name in frame.columns)
        dtype = frame.schema[column]
        midnights = dtype == pl.Date or bool((frame[column] == frame[column].dt.truncate("1d")).all())
        rule = StampRule(
            convention="label" if midnights and column == "timestamp" and bar == "1d" else stamps.get("stamp", column),
            period_ns=parse_duration(bar) if kind == "bar" else None,
            latency_ns=parse_duration(stamps.get("latency", "0s")),
            origin=name,
        )
        keys = ("symbol", "timestamp", "known_at", "event_time")
        self._spec = SourceSpec(
            name=name,
            kind=kind,
            fields=fields or tuple(column for column in frame.columns if column not in keys),
            rule=rule,
            drives=drives and kind != "signal",
            valid_for=stamps.get("valid_for"),
        )

    @property
    def spec(self):
        return self._spec

    def open(self, window):
        self.opened.append(window)

    def batches(self):
        yield from self.frame.iter_slices(self.batch or max(1, len(self.frame)))

    def digest(self):
        return hashlib.sha256(self.frame.write_csv().encode()).hexdigest()

    def close(self):
        self.closed += 1


class PlainFill:
    """The open of the next bar."""

    mode = "next-open"
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


class HandCalendar(Calendar):
    """Sessions written by hand, as (label, open, close) of ISO texts."""

    name, timezone = "HAND", "America/New_York"

    def __init__(self, *rows):
        def ns(text):
            return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000

        self.rows = np.array(
            [((date.fromisoformat(d) - date(1970, 1, 1)).days, ns(o), ns(c), NO_BREAK, NO_BREAK) for d, o, c in rows],
            SESSION_DTYPE,
        )

    def sessions(self, start, end):
        return self.rows


class Kit:
    """What tests of a run are made of."""

    Source, Broker, Portfolio, Fill, Calendar = PlainSource, PlainBroker, PlainPortfolio, PlainFill, HandCalendar

    @staticmethod
    def bars(days=20, symbols=("A", "B", "C"), seed=1, first=date(2024, 1, 1)):
        """Daily bars of a random walk, long, in order of day and symbol."""
        rng = np.random.default_rng(seed)
        rows = [(first + timedelta(days=day), symbol) for day in range(days) for symbol in symbols]
        close = np.exp(rng.normal(0, 0.02, len(rows)).cumsum()) * 100
        return pl.DataFrame({"timestamp": [row[0] for row in rows], "symbol": [row[1] for row in rows]}).with_columns(
            open=pl.Series(close * 0.99),
            high=pl.Series(close * 1.02),
            low=pl.Series(close * 0.98),
            close=pl.Series(close),
            volume=pl.lit(1000.0),
        )

    @staticmethod
    def minutes(bars=50, symbols=("A",), seed=1, first=datetime(2024, 1, 2, 14, 30, tzinfo=UTC)):
        """Minute bars, stamped at their open."""
        frame = Kit.bars(bars, symbols, seed)
        stamps = [first + timedelta(minutes=place // len(symbols)) for place in range(len(frame))]
        return frame.with_columns(timestamp=pl.Series(stamps))

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
