"""Borrow, interest, funding and settlement: amounts, days, and what is known when."""

import math

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.state import LEDGER_KINDS

DAY = 86_400 * 10**9
FOREVER = 2**63 - 1


def table(*rows, **figures):
    """Return a dated table of (known_at, symbol) rows."""
    columns = {"known_at": [row[0] for row in rows], "symbol": [row[1] for row in rows]}
    schema = {"known_at": pl.Int64, "symbol": pl.String} | dict.fromkeys(figures, pl.Float64)
    return pl.DataFrame(columns | figures, schema=schema)


def booked(desk):
    """Return (kind, symbol, amount, settled) of the ledger."""
    rows = desk.state.ledger.rows()
    assert (rows["timestamp"] == desk.state.now).all() or len(set(rows["timestamp"].tolist())) > 1
    return [
        (LEDGER_KINDS[row["kind"]], int(row["symbol"]), float(row["amount"]), float(row["settled"])) for row in rows
    ]


def test_borrow_is_paid_on_short_positions_by_days(make_desk):
    """Size x mark x multiplier x rate x days / day_count; the first session has no close before it."""
    desk = make_desk(held=[-100.0, 50.0], borrow=0.36, day_count=360)
    desk.state.instruments["multiplier"][0] = 2.0

    desk.rules.settle(10)
    assert [] == booked(desk)
    desk.rules.settle(11)
    desk.rules.settle(14)  # over a weekend
    assert [("borrow", 0, -2.0, -2.0), ("borrow", 0, -6.0, -6.0)] == booked(desk)
    account = desk.state.accounts[0]
    assert (-8.0, 992.0, 992.0) == (account["borrow"], account["cash"], account["settled"])
    assert [998.0, 992.0] == desk.state.ledger.rows()["balance"].tolist()


def test_a_position_without_a_mark_is_borrowed_at_cost(make_desk):
    """And contracts are not borrowed at all."""
    desk = make_desk(held=[-100.0, -100.0], marks=[math.nan, 10.0], borrow=0.365, day_count=365)
    desk.state.instruments["settles"][1] = 1
    desk.rules.settle(0)
    desk.rules.settle(1)

    assert [("borrow", 0, -1.0, -1.0)] == booked(desk)


def test_the_newest_rate_known_counts(make_desk):
    """By symbol; a symbol without a row costs nothing, and a row known at the close itself is known."""
    rates = table((5, "A"), (30, "A"), (31, "A"), rate=[0.36, 0.72, 9.0])
    desk = make_desk(held=[-100.0, -100.0], borrow=rates)
    for session, now in enumerate((10, 20, 30)):
        desk.state.now = now
        desk.rules.settle(session)

    assert [("borrow", 0, -1.0, -1.0), ("borrow", 0, -2.0, -2.0)] == booked(desk)


def test_interest_is_paid_and_received_by_currency(make_desk):
    """Below zero at debit, above at credit, on what was there before anything of the instant."""
    desk = make_desk(
        currencies=["USD", "EUR", "GBP"], rates=[1.0, 1.1, 1.2], capital=[-3600.0, 7200.0, 0.0],
        interest={"debit": 0.1, "credit": 0.05}, held=[-360.0, 0.0], borrow=1.0,
    )  # fmt: skip
    desk.rules.settle(0)
    desk.rules.settle(2)

    assert [("borrow", 0, -20.0, -20.0), ("interest", -1, -2.0, -2.0), ("interest", -1, 2.0, 2.0)] == booked(desk)
    assert [0, 0, 1] == desk.state.ledger.rows()["currency"].tolist()
    assert [-2.0, 2.0, 0.0] == desk.state.accounts["interest"].tolist()


def test_interest_follows_a_table_by_currency(make_desk):
    """Its symbol is the currency; before its first row, and of other currencies, there is none."""
    rates = table((15, "EUR"), debit=[0.5], credit=[0.36])
    desk = make_desk(currencies=["USD", "EUR"], rates=[1.0, 1.0], capital=[100.0, 1000.0], interest=rates)
    for session, now in enumerate((10, 14, 20)):
        desk.state.now = now
        desk.rules.settle(session)

    assert [("interest", -1, 1.0, 1.0)] == booked(desk)


def test_proceeds_of_short_sales_may_be_held(make_desk):
    """They earn nothing: 3,000 of the cash came from the sale; without that they do."""
    settings = {"capital": 4000.0, "held": [-300.0, 10.0], "interest": {"credit": 0.36}}
    held, usable = make_desk(short_proceeds="held", **settings), make_desk(**settings)
    for desk in (held, usable):
        desk.rules.settle(0)
        desk.rules.settle(1)

    assert [("interest", -1, 1.0, 1.0)] == booked(held)
    assert [("interest", -1, 4.0, 4.0)] == booked(usable)


def test_held_proceeds_belong_to_their_account(make_desk):
    """Another account's shorts are its own."""
    accounts = [{"interest": {"credit": 0.36}, "short_proceeds": "held"}, {"name": "other", "venue": "X"}]
    desk = make_desk(accounts=accounts, capital=[1000.0, 5.0], held=[0.0, -10.0])
    desk.state.instruments["account"][1] = 1
    desk.rules.settle(0)
    desk.rules.settle(1)

    assert [("interest", -1, 1.0, 1.0)] == booked(desk)


def test_funding_is_paid_at_its_instants(make_desk):
    """Longs pay a rate above zero, shorts receive it; what nobody holds and nobody knows is passed over."""
    rates = table((5, "A"), (20, "A"), (20, "B"), (20, "Z"), (30, "A"), rate=[1.0, 0.01, 0.02, 5.0, -0.01])
    desk = make_desk(held=[100.0, -10.0], funding=rates)
    rules, state = desk.rules, desk.state
    state.now = 0
    assert FOREVER == rules.next_due
    state.now = 10
    assert 20 == rules.next_due
    rules.settle(None)
    assert [] == booked(desk)
    state.now = 20
    rules.settle(None)
    assert 30 == rules.next_due
    state.now = 30
    rules.settle(None)
    assert FOREVER == rules.next_due == rules.next_due

    assert [("funding", 0, -10.0, -10.0), ("funding", 1, 2.0, 2.0), ("funding", 0, 10.0, 10.0)] == booked(desk)
    assert 2.0 == desk.state.accounts["funding"][0]


def test_funding_that_is_past_when_a_run_begins_is_not_due(make_desk):
    """Also where nothing comes after it."""
    desk = make_desk(held=[100.0, 0.0], funding=table((5, "A"), rate=[1.0]))
    desk.state.now = 6

    assert FOREVER == desk.rules.next_due


def test_funding_is_of_its_own_account(make_desk):
    """Two accounts with one table each: a symbol pays where it is held."""
    rates = table((5, "A"), (5, "B"), rate=[0.1, 0.1])
    accounts = [{"funding": rates}, {"name": "other", "venue": "X"}]
    desk = make_desk(accounts=accounts, capital=[0.0, 0.0], held=[1.0, 1.0])
    desk.state.instruments["account"][1] = 1
    desk.state.now = 5
    desk.rules.settle(None)

    assert [("funding", 0, -1.0, -1.0)] == booked(desk)


def test_interest_does_not_earn_on_what_is_paid_with_it(make_desk):
    """Funding at a session's close comes after the cash of it was noted."""
    desk = make_desk(capital=3600.0, held=[100.0, 0.0], funding=table((9, "A"), rate=[1.0]), interest={"credit": 0.1})
    desk.rules.settle(0)
    desk.state.now = 9
    desk.rules.settle(1)

    assert [("funding", 0, -1000.0, -1000.0), ("interest", -1, 1.0, 1.0)] == booked(desk)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"borrow": math.inf}, "borrow of account main was inf"),
        ({"borrow": table((1, "A"), available=[1.0])}, "borrow of account main has no column rate"),
        ({"borrow": table((1, "A"), (2, "B"), rate=[0.1, math.nan])}, "rate of B is missing or not finite in row 2"),
        ({"funding": table((1, "A"), rate=[None])}, "funding of account main: rate of A is missing"),
        ({"interest": {"debit": 0.1, "credti": 0.1}}, "interest of account main: 'credti' is not a known key"),
        ({"interest": {"debit": math.nan}}, "debit was nan"),
        ({"interest": {"debit": "6 %"}}, "debit was 6 %"),
        ({"interest": table((1, "USD"), debit=[0.1])}, "interest of account main has no column credit"),
    ],
)
def test_rates_that_nobody_can_mean_are_refused(make_desk, settings, message):
    """Before the run begins."""
    with pytest.raises(RunFileError, match=message):
        make_desk(**settings)


@pytest.fixture
def settling(make_desk):
    """An account that settles after two sessions, with sessions of a day from day 1 on."""
    desk = make_desk(settlement_days=2, capital=0.0, currencies=["USD", "EUR"], rates=[1.0, 1.0])
    days = np.arange(1, 30, dtype=np.int64) * DAY
    desk.state.session_opens, desk.state.session_closes = days + DAY // 3, days + DAY // 2
    return desk


def sell(desk, formed_at, known_at, amount, *, currency=0, settled=0.0, kind="fill"):
    """Append a fill and the ledger row of its proceeds."""
    state = desk.state
    fill = state.fills.reserve(1)[state.fills.count]
    fill["order_id"], fill["formed_at"], fill["known_at"] = state.fills.count, formed_at, known_at
    row = state.ledger.reserve(1)[state.ledger.count]
    row["order_id"], row["timestamp"], row["kind"] = fill["order_id"], known_at, LEDGER_KINDS.index(kind)
    row["amount"], row["settled"], row["currency"], row["symbol"] = amount, settled, currency, 0
    state.counters[state.FILLS] += 1
    state.counters[state.LEDGER] += 1


def close(desk, session):
    """Bring the run to the close of a session, counted from 0."""
    desk.state.now = int(desk.state.session_closes[session])
    desk.rules.settle(session)


def settlements(desk):
    """Return (session, amount, settled, currency) of the settlements so far."""
    rows = desk.state.ledger.rows()
    rows = rows[rows["kind"] == LEDGER_KINDS.index("settlement")]
    when = np.searchsorted(desk.state.session_closes, rows["timestamp"])
    return list(zip(when.tolist(), *(rows[name].tolist() for name in ("amount", "settled", "currency")), strict=True))


def test_proceeds_settle_at_the_close_of_the_nth_session(settling):
    """After the session in which the price formed, whenever that was known; purchases are settled already."""
    opens, closes = settling.state.session_opens, settling.state.session_closes
    close(settling, 0)
    sell(settling, opens[1], closes[1], 100.0)
    sell(settling, closes[1], closes[1] + 5, 10.0)
    sell(settling, opens[2], closes[2], -70.0, settled=-70.0)
    sell(settling, opens[2], closes[2], 7.0, currency=1)
    for session in range(1, 7):
        close(settling, session)

    assert [(3, 0.0, 110.0, 0), (4, 0.0, 7.0, 1)] == settlements(settling)
    assert [110.0, 7.0] == settling.state.accounts["settled"].tolist()


def test_what_was_converted_settles_in_the_currency_it_is_in(settling):
    """Proceeds that went into another currency at the fill are not waited for in the first."""
    opens, closes = settling.state.session_opens, settling.state.session_closes
    sell(settling, opens[0], closes[0], 100.0, currency=1)
    row = settling.state.ledger.reserve(2)[1:3]
    row["order_id"], row["timestamp"], row["kind"] = 0, closes[0], LEDGER_KINDS.index("conversion")
    row["amount"], row["currency"] = [-100.0, 120.0], [1, 0]
    settling.state.counters[settling.state.LEDGER] += 2
    for session in range(4):
        close(settling, session)

    assert [(2, 0.0, 120.0, 0)] == settlements(settling)


def test_a_resumed_run_settles_what_was_waiting(settling, make_desk):
    """What the tables do not hold goes into the snapshot, sessions and first calls too."""
    opens, closes = settling.state.session_opens, settling.state.session_closes
    sell(settling, opens[1], closes[1], 100.0)
    close(settling, 1)
    kept = settling.rules.get_state()
    again = make_desk(settlement_days=2, capital=0.0, currencies=["USD", "EUR"], rates=[1.0, 1.0])
    again.state.session_opens, again.state.session_closes = opens, closes
    sell(again, opens[1], closes[1], 100.0)
    again.rules.set_state(kept)
    for session in (2, 3):
        close(again, session)

    assert [(3, 0.0, 100.0, 0)] == settlements(again)
    assert kept["label"] == 1


def test_sessions_without_a_break_share_an_instant(settling):
    """A price of it is the next session's open, where it is known later, or the last of the session that ends."""
    opens, closes = settling.state.session_opens, settling.state.session_closes
    opens[1:] = closes[:-1]
    sell(settling, opens[1], closes[1], 100.0)
    sell(settling, closes[1], closes[1], 10.0)
    sell(settling, opens[2], closes[2], 1.0)
    sell(settling, opens[0], opens[0], 5.0)
    for session in range(1, 6):
        close(settling, session)

    assert [(2, 0.0, 5.0, 0), (3, 0.0, 110.0, 0), (4, 0.0, 1.0, 0)] == settlements(settling)
