"""Margin calls and silence: what is asked for at a session's close, and what is said about it."""

import math

import numpy as np
import pytest

from ml4t.backtest.errors import RunError
from ml4t.backtest.state import FILLED, HELD, PARTIAL, REASONS

DAY = 86_400 * 10**9


@pytest.fixture
def at_close(make_desk):
    """Accounts at the close of a session, with prices of that session; sessions are days."""

    def make(**settings):
        desk = make_desk(**settings)
        opens = np.arange(100, dtype=np.int64) * DAY + DAY // 3
        desk.state.session_opens, desk.state.session_closes = opens, opens + DAY // 4
        go(desk, 10)
        return desk

    return make


def go(desk, session, *, prices=None):
    """Bring a desk to a close; symbols in ``prices`` (all by default) have a price of it."""
    state = desk.state
    state.now = int(state.session_closes[session])
    state.instruments["mark_time"][list(range(len(state.symbols))) if prices is None else prices] = state.now
    desk.rules.settle(session)


def asked(desk):
    """Return (cancelled ids, closing quantities by symbol) that the rules ask for."""
    with np.errstate(all="ignore"):
        rows = desk.rules.exits()
    if rows is None:
        return [], {}
    cancels, orders = rows[rows["action"] == 1], rows[rows["action"] == 0]
    assert {REASONS.index("liquidation")} >= set(cancels["tag"].tolist())
    assert {"liquidation"} >= {desk.state.tags[tag] for tag in orders["tag"]}
    assert orders["reduce_only"].all()
    quantities = dict(zip(orders["symbol"].tolist(), orders["quantity"].tolist(), strict=True))
    return cancels["order_id"].tolist(), quantities


def test_enough_equity_is_no_margin_call(at_close):
    """Equity at the requirement itself is enough: 100 x 10 x 0.25."""
    desk = at_close(held=[100.0, 0.0], capital=-750.0)

    assert desk.rules.exits() is None
    assert () == desk.rules.flags


def test_an_account_below_its_requirement_is_liquidated(at_close):
    """Working orders end, every position is closed; the flag names account, day and figures."""
    desk = at_close(held=[100.0, -20.0], capital=-501.0)
    first = desk.work(0, -50)
    second = desk.work(1, 5, status=PARTIAL)

    assert ([first, second], {0: -100.0, 1: 20.0}) == asked(desk)
    assert (
        "margin call of account main on 1970-01-11: equity 299.00, maintenance requirement 300.00 USD",
    ) == desk.rules.flags


def test_what_is_being_closed_is_not_closed_twice(at_close):
    """Where a liquidation could not fill yet, only what is not under way is asked for; the flag counts."""
    desk = at_close(held=[100.0, -20.0], capital=-700.0)
    assert ([], {0: -100.0, 1: 20.0}) == asked(desk)
    tag = desk.state.tags.index("liquidation")
    desk.work(0, -100, tag=tag, filled=-40.0)
    desk.work(1, 20, tag=tag)
    go(desk, 11)

    assert ([], {0: -40.0}) == asked(desk)
    assert 1 == desk.state.tags.count("liquidation")
    assert "(first of 2)" in desk.rules.flags[0]


def test_orders_that_end_with_others_are_not_cancelled_twice(at_close):
    """Held children, further legs of a group, and what ends anyway."""
    desk = at_close(held=[100.0, 0.0], capital=-990.0)
    parent = desk.work(1, 5)
    desk.work(1, -5, status=HELD, terms={"parent": parent})
    leg = desk.work(0, -100, terms={"group": 2})
    desk.work(0, -100, terms={"group": 2})
    desk.work(0, -1, cancelled_at=7)
    desk.work(0, -1, status=FILLED)
    other = desk.work(0, 1, terms={"next_quantity": 0.0})

    assert [parent, leg, other] == asked(desk)[0]


def test_an_instruments_own_maintenance_margin_comes_first(at_close):
    """A fraction, or an amount for each unit."""
    desk = at_close(held=[100.0, 0.0], capital=-100.0)
    assert desk.rules.exits() is None
    desk.state.instruments["maintenance_margin"][0] = 0.95
    assert {0: -100.0} == asked(desk)[1]
    desk.state.instruments["maintenance_per_unit"][0] = 8.0
    assert desk.rules.exits() is None


def test_each_account_is_called_by_itself(at_close):
    """The other one keeps its orders and positions."""
    accounts = [{"name": "main"}, {"name": "perps", "venue": "X"}]
    desk = at_close(accounts=accounts, held=[100.0, 100.0], capital=[1000.0, -900.0])
    desk.state.instruments["account"][1] = 1
    desk.work(0, 1)

    assert ([], {1: -100.0}) == asked(desk)
    assert 1 == len(desk.rules.flags)


def test_a_run_may_stop_at_a_margin_call(at_close):
    """Naming account, day, equity and requirement."""
    desk = at_close(held=[100.0, 0.0], capital=-800.0, margin_call="stop")
    with pytest.raises(RunError, match=r"account main on 1970-01-11: equity 200.00, maintenance requirement 250.00"):
        desk.rules.exits()


def test_a_margin_call_may_only_be_noted(at_close):
    """Nothing is asked for."""
    desk = at_close(held=[100.0, 0.0], capital=-800.0, margin_call="note")

    assert desk.rules.exits() is None
    assert "margin call of account main" in desk.rules.flags[0]


def test_an_unlimited_account_requires_nothing(at_close):
    """But nothing left is a call of every account that holds something."""
    desk = at_close(type="unlimited", held=[100.0, 0.0], capital=-999.0)
    assert desk.rules.exits() is None
    desk.set_cash(-1000.0)
    assert {0: -100.0} == asked(desk)[1]


def test_equity_that_is_gone_is_flagged(at_close):
    """Once, with the first day; an account that never had anything is not flagged."""
    desk = at_close(held=[100.0, 0.0], marks=[-37.0, 1.0], capital=1000.0)
    desk.state.instruments["negative"] = 1
    assert {0: -100.0} == asked(desk)[1]
    desk.state.positions["quantity"] = 0.0
    desk.set_cash(-2700.0)
    go(desk, 12)
    assert desk.rules.exits() is None
    assert "equity of account main fell to or below zero on 1970-01-11" == desk.rules.flags[1]

    idle = at_close(capital=0.0)
    assert idle.rules.exits() is None
    assert () == idle.rules.flags


def test_positions_without_a_mark_count_at_cost(at_close):
    """So that equity and requirement are numbers."""
    desk = at_close(held=[100.0, 0.0], marks=[math.nan, math.nan], capital=-750.0)
    assert desk.rules.exits() is None
    desk.set_cash(-760.0)
    assert {0: -100.0} == asked(desk)[1]


def test_currencies_count_at_their_rates(at_close):
    """1,000 EUR against a loan in USD."""
    desk = at_close(currencies=["USD", "EUR"], rates=[1.0, 1.5], held=[100.0, 0.0], capital=[-1125.0, 0.0])
    desk.state.instruments["currency"][0] = 1
    assert desk.rules.exits() is None
    desk.state.accounts["rate"][1] = 1.49
    assert {0: -100.0} == asked(desk)[1]


def run_quiet(desk, until, *, start=10, speaks=()):
    """Go from close to close with prices of some symbols only; return what is asked for at the last."""
    for session in range(start, until):
        go(desk, session, prices=list(speaks))
        asked(desk)
    go(desk, until, prices=list(speaks))
    return asked(desk)


def daily(at_close, **settings):
    """Return a desk that has seen daily prices in sessions 9 and 10."""
    desk = at_close(**settings)
    go(desk, 9)
    asked(desk)
    go(desk, 10)
    asked(desk)
    return desk


def test_a_position_without_prices_stops_the_run(at_close):
    """After five sessions without one, at the sixth close; symbol, day and account are named."""
    desk = daily(at_close, held=[100.0, 0.0], capital=1e6)
    run_quiet(desk, 15, start=11)
    assert [0, 0] == desk.state.instruments["ended"].tolist()
    with pytest.raises(RunError, match="A has had no price since 1970-01-11, more than 5 sessions before 1970-01-17"):
        run_quiet(desk, 16, start=16)


@pytest.mark.parametrize(("policy", "closed"), [("hold", []), ("last", [(0, 10.0)]), ("zero", [(0, 0.0)])])
def test_silence_by_policy(at_close, policy, closed):
    """Hold keeps the last price; last and zero close the position and end its orders."""
    desk = daily(at_close, held=[100.0, 0.0], capital=1e6, on_silence=policy, max_mark_age=2)
    order = desk.work(0, -100)

    assert ([order] if closed else [], {}) == run_quiet(desk, 13, start=11, speaks=[1])
    assert closed == desk.closed
    assert [3, 0] == desk.state.instruments["ended"].tolist()


def test_a_new_price_ends_the_silence(at_close):
    """At the next close, or before the next order."""
    desk = daily(at_close, on_silence="hold", max_mark_age=1)
    run_quiet(desk, 12, start=11)
    assert [3, 3] == desk.state.instruments["ended"].tolist()
    desk.state.instruments["mark_time"][0] = desk.state.now + 1
    desk.judge((0, 1))
    assert [0, 3] == desk.state.instruments["ended"].tolist()
    go(desk, 13, prices=[1])
    asked(desk)
    assert [0, 0] == desk.state.instruments["ended"].tolist()
    run_quiet(desk, 15, start=14)
    assert [3, 3] == desk.state.instruments["ended"].tolist()


def test_other_reasons_to_end_are_left_alone(at_close):
    """What is delisted or not listed stays so, and a position in what is not listed is silent all the same."""
    desk = daily(at_close, held=[100.0, 100.0], capital=1e6, on_silence="last", max_mark_age=1)
    desk.state.instruments["ended"] = [1, 2]
    run_quiet(desk, 12, start=11)

    assert [1, 2] == desk.state.instruments["ended"].tolist()
    assert [(1, 10.0)] == desk.closed
    go(desk, 13)
    asked(desk)
    assert [1, 2] == desk.state.instruments["ended"].tolist()


def test_bars_that_are_longer_than_a_session_may_be_five_apart(at_close):
    """The fewest sessions between two prices of a symbol are its bar; with one price it is not known."""
    desk = at_close(symbols=["WEEKLY", "ONCE"], on_silence="hold")
    go(desk, 10)
    asked(desk)
    for session in (15, 22):
        assert ([], {}) == run_quiet(desk, session - 1, start=session - 4)
        go(desk, session, prices=[0])
        asked(desk)
    run_quiet(desk, 22 + 25, start=23)
    assert [0, 0] == desk.state.instruments["ended"].tolist()
    run_quiet(desk, 22 + 26, start=22 + 26)
    assert [3, 0] == desk.state.instruments["ended"].tolist()


def test_accounts_have_ages_of_their_own(at_close):
    """Each symbol by the account that trades it, also one that comes later."""
    accounts = [{"max_mark_age": 1, "on_silence": "hold"}, {"name": "x", "venue": "X", "max_mark_age": 3}]
    desk = at_close(accounts=accounts, capital=[1.0, 1.0])
    desk.state.instruments["account"][1] = 1
    desk = desk if asked(desk) == ([], {}) else None
    go(desk, 11)
    asked(desk)
    desk.state.add_symbols(["LATE"])
    run_quiet(desk, 13, start=12)
    assert [3, 0, 0] == desk.state.instruments["ended"].tolist()
    run_quiet(desk, 15, start=14)
    assert [3, 3, 0] == desk.state.instruments["ended"].tolist()


def test_a_run_without_many_sessions_is_not_silent(at_close):
    """Before as many sessions have passed nothing can be too old."""
    desk = at_close(held=[1.0, 0.0], capital=1e6)
    for session in (1, 2, 3):
        go(desk, session)
        asked(desk)
    go(desk, 4)
    desk.state.instruments["mark_time"] = 1

    assert ([], {}) == asked(desk)


def test_a_resumed_run_knows_silence_and_calls(at_close):
    """A snapshot keeps what the tables do not hold."""
    desk = daily(at_close, held=[100.0, 0.0], capital=-900.0, on_silence="hold", max_mark_age=1)
    run_quiet(desk, 12, start=11)
    again = at_close(held=[100.0, 0.0], capital=-900.0, on_silence="hold", max_mark_age=1)
    again.state.instruments[:] = desk.state.instruments
    again.rules.set_state(desk.rules.get_state())

    assert desk.rules.flags == again.rules.flags
    again.state.instruments["mark_time"] += 1
    again.judge((0, -1))
    assert [0, 0] == again.state.instruments["ended"].tolist()
