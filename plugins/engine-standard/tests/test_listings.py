"""When a symbol may be ordered: listing dates and expiry."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.instruments import Instrument
from ml4t_backtest_engine_standard.loop.listings import Listings

DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9)]


class Noting(RiskManager):
    """Note what keeps each symbol from being traded, whenever an order is judged."""

    def __init__(self):
        self.ended = []

    def check(self, requests, state):
        self.ended.append((int(state.now), state.instruments["ended"].tolist()))


class Eager(Strategy):
    """Order at each open and close."""

    def __init__(self):
        self.orders = []

    def before_trading_start(self, context):
        self.ask(context)

    def on_slice(self, market, context):
        self.ask(context)

    def ask(self, context):
        if "A" in context.symbols:
            context.order("A", 1.0)


def trading(kit, entry, calendar="XNYS", **settings):
    """Return (day, hour, ended) of each order of a run with one symbol, of its newest column."""
    frame = pl.DataFrame({"timestamp": DAYS, "symbol": ["A"] * 6} | {name: [10.0] * 6 for name in ("open", "close")})
    risk = Noting()
    broker = {"use": kit.Broker(), "fill": kit.Fill()}
    engine = Engine(
        prices=frame,
        strategy=Eager(),
        broker=broker,
        portfolio=kit.Portfolio(),
        risk=risk,
        calendar=calendar,
        instruments={"symbol": "A", **entry},
        **settings,
    )
    engine.run()
    moments = [(datetime.fromtimestamp(now / 1e9, UTC), ended) for now, (*_, ended) in risk.ended]
    return [(moment.day, "open" if moment.hour < 20 else "close", ended) for moment, ended in moments]


def spell(rows, ended):
    """Return the first and last of the orders that found a symbol so."""
    found = [row[:2] for row in rows if row[2] == ended]
    return (found[0], found[-1]) if found else None


def test_a_symbol_trades_from_the_open_of_its_first_session(kit):
    """Prices before it are data."""
    rows = trading(kit, {"listed_from": date(2024, 1, 4)})
    assert (((2, "close"), (3, "close")), ((4, "open"), (9, "close"))) == (spell(rows, 2), spell(rows, 0))


def test_a_symbol_trades_up_to_the_close_of_its_last_session(kit):
    """An order at that close is still taken."""
    rows = trading(kit, {"listed_to": date(2024, 1, 4)})
    assert (((2, "close"), (4, "close")), ((5, "open"), (9, "close"))) == (spell(rows, 0), spell(rows, 2))


def test_days_that_are_no_sessions_are_the_sessions_around_them(kit):
    """From the first on or after, to the last on or before."""
    rows = trading(kit, {"listed_from": date(2024, 1, 6), "listed_to": date(2024, 1, 8)})
    assert ((8, "open"), (8, "close")) == spell(rows, 0)


def test_a_future_expires_at_the_close_of_its_last_session(kit):
    """An order at that close is still taken."""
    rows = trading(kit, {"asset_class": "future", "expires": date(2024, 1, 7)})
    assert (((2, "close"), (5, "close")), ((8, "open"), (9, "close"))) == (spell(rows, 0), spell(rows, 1))


@pytest.mark.parametrize(
    ("entry", "ended"),
    [
        ({"listed_to": date(2023, 12, 1)}, 2),
        ({"asset_class": "future", "expires": date(2023, 12, 1)}, 1),
        ({"listed_from": date(2031, 1, 1)}, 2),
        ({"listed_from": date(2023, 1, 1), "listed_to": date(2031, 1, 1)}, 0),
        ({"listed_from": date(2100, 1, 1)}, 2),
        ({"listed_to": date(1960, 1, 1)}, 2),
    ],
)
def test_dates_before_the_first_row_hold_from_the_first_row_on(kit, entry, ended):
    """A symbol whose time is over, or far away, never trades."""
    rows = trading(kit, entry)
    assert ((2, "close"), (9, "close")) == spell(rows, ended)


def test_dates_hold_where_sessions_meet(kit):
    """In 24/7 a close is the next open."""
    rows = trading(kit, {"listed_from": date(2024, 1, 4), "listed_to": date(2024, 1, 4)}, calendar="24/7")
    assert [(4, 0), (5, 0)] == [(day, ended) for day, _, ended in rows if not ended]


def test_dates_before_the_start_hold(kit):
    """The warm-up moves on without callbacks."""
    rows = trading(kit, {"listed_to": date(2024, 1, 3)}, start=date(2024, 1, 5), warmup="30d")
    assert {2} == {ended for *_, ended in rows}


class Told:
    """A broker or a portfolio that notes the actions that it is told of."""

    def __init__(self, name, told):
        self.name, self.told = name, told

    def apply_action(self, action):
        self.told.append((self.name, action.kind, action.symbol, action.value, action.currency))


def listings(kit, entries, told):
    """Return listings of a 24/7 calendar, and their state."""
    from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
    from ml4t_backtest_engine_standard.loop.agenda import Agenda

    sessions = SessionTable(AlwaysOpen().sessions(DAYS[0], DAYS[-1]), timezone="UTC", name="24/7")
    state = RunState()
    state.now = int(sessions.open[0]) + 1
    parts = (Agenda(), Told("broker", told), Told("portfolio", told), None)
    return Listings(state, entries, sessions, *parts), state


def test_broker_and_portfolio_are_told_of_an_expiry_in_this_order(kit):
    """At the mark; what expires twice, or was delisted before, is told of once."""
    told = []
    made, state = listings(kit, [Instrument(symbol="F", asset_class="future", expires=DAYS[1])], told)
    state.add_symbols(["F", "G"])
    made.admit()
    state.instruments["mark"] = 42.0, 1.0
    assert not made.end_session(0)
    assert made.end_session(1)
    assert [("broker", "expiry", 0, 42.0, 0), ("portfolio", "expiry", 0, 42.0, 0)] == told
    assert [1, 0] == state.instruments["ended"].tolist()
    assert not made.end_session(1)

    told.clear()
    made, state = listings(kit, [Instrument(symbol="F", asset_class="future", expires=DAYS[1])], told)
    state.add_symbols(["F"])
    made.admit()
    state.instruments["ended"] = 1
    assert not made.end_session(1)
    assert [] == told


def test_dates_of_a_name_hold_at_every_venue(kit):
    """And an entry with the venue goes before."""
    entries = [
        Instrument(symbol="F", listed_from=DAYS[3]),
        Instrument(symbol="F@X", listed_to=DAYS[3]),
    ]
    made, state = listings(kit, entries, [])
    state.add_symbols(["F", "F@X", "F@Y", "G@X"])
    made.admit()
    assert [2, 0, 2, 0] == state.instruments["ended"].tolist()


def test_dates_of_a_ticker_that_passed_on_are_those_of_each_company(kit):
    """By the name that a column has, else by the present session."""
    entries = [
        Instrument(symbol="F", entity="Old", listed_to=date(2023, 5, 1)),
        Instrument(symbol="F", entity="New", listed_from=date(2023, 6, 1)),
    ]
    made, state = listings(kit, entries, [])
    state.add_symbols(["F (Old)", "F", "F (Other)"])
    made.admit()
    assert [2, 0, 0] == state.instruments["ended"].tolist()


def test_what_was_delisted_does_not_open_again(kit):
    """A listing date does not undo a delisting."""
    made, state = listings(kit, [Instrument(symbol="F", listed_from=DAYS[3])], [])
    state.add_symbols(["F"])
    made.admit()
    state.instruments["ended"] = 1
    for callback in made._agenda.take(np.iinfo(np.int64).max - 1):
        callback()
    assert 1 == state.instruments["ended"][0]
