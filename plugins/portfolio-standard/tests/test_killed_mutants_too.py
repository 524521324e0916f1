"""Figures that small faults in buying power, margins and silence would change."""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import RunError

DAY = 86_400 * 10**9


def lent(*rows):
    """Return a table of (symbol, units that may be short)."""
    columns = {"known_at": [1] * len(rows), "symbol": [row[0] for row in rows], "rate": [0.0] * len(rows)}
    return pl.DataFrame(columns | {"available": [float(row[1]) for row in rows]})


def test_dividends_to_come_carry_positions(make_desk):
    """What is receivable is equity, and no cash to buy with."""
    margin, cash = make_desk(capital=900.0), make_desk(type="cash", capital=900.0)
    for desk in (margin, cash):
        desk.state.accounts["receivable"] = 100.0

    assert ["no-buying-power", ""] == margin.judge((0, 201), (0, 200))
    assert ["no-buying-power", ""] == cash.judge((0, 91), (0, 90))


@pytest.mark.parametrize("quantity", [100.0, -100.0, 1.0, -1.0])
def test_an_order_that_works_claims_alone(make_desk, quantity):
    """On a symbol that is not held, whatever its side and size."""
    desk = make_desk(capital=abs(quantity) * 5.0 + 5.0)
    desk.work(0, quantity)

    assert ["no-buying-power", ""] == desk.judge((1, 2), (1, 1))


def test_a_position_of_one_unit_claims_too(make_desk):
    """As any other."""
    desk = make_desk(capital=0.0, held=[1.0, 0.0])

    assert ["no-buying-power", ""] == desk.judge((1, 2), (1, 1))


def test_an_amendment_cannot_spend_what_a_cancelled_sale_was_to_bring(make_desk):
    """500 in cash; with the sale of 10 it would do, without it 55 at 10 are too many."""
    desk = make_desk(type="cash", capital=500.0, held=[10.0, 0.0])
    sale, purchase = desk.work(0, -10), desk.work(1, 1)

    assert [""] == desk.judge(desk.amend(purchase, 55))
    assert ["", "no-buying-power"] == desk.judge(desk.cancel(sale), desk.amend(purchase, 55))


def test_a_round_leaves_nothing_to_the_next(make_desk):
    """A sale that was asked for before is no sale of this round."""
    desk = make_desk(type="cash", capital=500.0, held=[10.0, 0.0])

    assert [""] == desk.judge((0, -1))
    assert ["no-buying-power", ""] == desk.judge((0, 51), (0, 50))


def test_what_is_short_already_counts_to_what_is_lent(make_desk):
    """60 of 100 are gone."""
    desk = make_desk(capital=1e6, borrow=lent(("A", 100)), held=[-60.0, 0.0])

    assert ["not-borrowable"] == desk.judge((0, -41))
    assert [""] == desk.judge((0, -40))


def test_not_even_one_unit_is_sold_that_nobody_lends(make_desk):
    """Nor half of one."""
    desk = make_desk(capital=1e6, borrow=lent(("A", 0)))

    assert ["not-borrowable"] == desk.judge((0, -1))
    assert ["not-borrowable"] == desk.judge((0, -0.5))


def test_a_purchase_is_never_refused_for_want_of_a_lender(make_desk):
    """Of half a unit, while a purchase works that closes a short position nobody lends any more."""
    desk = make_desk(capital=1000.0, borrow=lent(("A", 0), ("B", 0)), held=[-5.0, 0.0])
    desk.work(0, 5)

    assert ["", "no-buying-power"] == desk.judge((0, 0.5), (1, 1e6))


def test_parts_of_a_unit_reduce_only_what_is_left(make_desk):
    """A purchase of one works already."""
    desk = make_desk(capital=-500.0, held=[-1.0, 0.0])
    desk.work(0, 1)

    assert ["no-buying-power"] == desk.judge((0, 0.5))


def test_the_largest_quantity_that_a_broker_takes_is_judged(make_desk):
    """1e15 units; more are the broker's to refuse."""
    assert ["no-buying-power"] == make_desk(capital=1.0).judge((0, 1e15))


def test_a_target_is_replaced_in_its_own_book(make_desk):
    """One of another book works on."""
    desk = make_desk(capital=1000.0)
    first, second = {"is_target": 1, "book": 1}, {"is_target": 1, "book": 2}
    replaced = (0, 0.0, {"action": 2, "order_id": -1, "book": 1})

    assert ["", "", "", ""] == desk.judge((0, 200, first), replaced, (0, 100, first), (1, 100))
    assert ["", "", "no-buying-power", ""] == desk.judge((0, 150, second), replaced, (0, 100, first), (0, 50, first))
    desk.work(0, 150, is_target=1, book=1)
    assert ["", "", "no-buying-power"] == desk.judge(replaced, (1, 200), (1, 1))
    desk.work(0, 50, is_target=1, book=2)
    assert ["", "no-buying-power", ""] == desk.judge(replaced, (1, 151), (1, 150))


def test_a_refused_basket_gives_back_no_more_than_it_took(make_desk):
    """What follows it finds all of the cash."""
    desk = make_desk(type="cash", capital=100.0, held=[50.0, 0.0])
    rows = [(0, -50), (1, 61), (1, 10)]

    assert ["no-buying-power", "no-buying-power", ""] == desk.judge(*rows, baskets=[3, 3, -1])


def test_a_basket_that_misses_a_quarter_is_too_large(make_desk):
    """1,000 carry 2,000, not 2,000.50."""
    desk = make_desk(capital=1000.0)

    assert ["no-buying-power"] * 2 == desk.judge((0, 100.05), (1, 100), baskets=[1, 1])


@pytest.mark.parametrize("multiplier", [2.0, 0.5])
def test_margins_are_of_the_value_of_a_unit(make_desk, multiplier):
    """Price x multiplier x fraction."""
    desk = make_desk(capital=1000.0)
    desk.state.instruments["multiplier"] = multiplier
    most = 200.0 / multiplier

    assert ["no-buying-power", ""] == desk.judge((0, most + 1), (0, most))


def close_of(desk, session, *, prices):
    """Bring a desk to a close at which some symbols have a new price; return whether they are too old."""
    state = desk.state
    state.now = int(state.session_closes[session])
    state.instruments["mark_time"][list(prices)] = state.now
    desk.rules.settle(session)
    with np.errstate(all="ignore"):
        desk.rules.exits()
    return [ended == 3 for ended in state.instruments["ended"].tolist()]


@pytest.fixture
def in_sessions(make_desk):
    """Accounts whose sessions are days, from day 0 on."""

    def make(**settings):
        desk = make_desk(**settings)
        opens = np.arange(60, dtype=np.int64) * DAY + DAY // 3
        desk.state.session_opens, desk.state.session_closes = opens, opens + DAY // 4
        return desk

    return make


def test_cash_in_another_currency_is_equity_at_its_rate(in_sessions):
    """500 at 2 carry 4,000 at a quarter, and no more."""
    settings = {"currencies": ["USD", "EUR"], "rates": [1.0, 2.0], "held": [400.0, 0.0], "margin_call": "stop"}
    desk = in_sessions(capital=[-4000.0, 500.0], **settings)
    close_of(desk, 1, prices=[0, 1])
    desk.set_cash([-4000.0, 499.0])
    with pytest.raises(RunError, match=r"equity 998\.00, maintenance requirement 1,000\.00"):
        close_of(desk, 2, prices=[0, 1])


def test_a_group_is_cancelled_by_one_leg_wherever_its_terms_are(in_sessions):
    """In the first row of their table, too."""
    desk = in_sessions(held=[100.0, 0.0], capital=-990.0)
    first = desk.work(0, -100, terms={"group": 2})
    desk.work(0, -100, terms={"group": 2})
    desk.state.now = int(desk.state.session_closes[1])
    desk.state.instruments["mark_time"] = desk.state.now
    desk.rules.settle(1)
    with np.errstate(all="ignore"):
        rows = desk.rules.exits()

    assert [first] == rows["order_id"][rows["action"] == 1].tolist()


def test_each_symbol_is_silent_by_its_own_account(in_sessions):
    """The second account waits for one session, the first for five."""
    accounts = [{"max_mark_age": 5, "on_silence": "hold"}, {"name": "x", "venue": "X", "max_mark_age": 1}]
    desk = in_sessions(accounts=accounts, capital=[1.0, 1.0])
    desk.state.instruments["account"][1] = 1
    for session in (10, 11, 12):
        close_of(desk, session, prices=[0, 1])

    assert [False, False] == close_of(desk, 13, prices=[0])
    assert [False, True] == close_of(desk, 14, prices=[0])


def test_sessions_are_counted_from_the_first(in_sessions):
    """Prices in sessions 0 and 5 are bars of five sessions, 25 of which are no silence."""
    desk = in_sessions(on_silence="hold")
    for session in range(31):
        found = close_of(desk, session, prices=[0, 1] if session in (0, 5) else [1])
        assert [False, False] == found

    assert [True, False] == close_of(desk, 31, prices=[1])


def test_a_gap_in_between_makes_no_bars_longer(in_sessions):
    """Prices in sessions 10, 12 and 13 are daily."""
    desk = in_sessions(on_silence="hold", max_mark_age=2)
    for session, prices in ((10, [0, 1]), (11, [1]), (12, [0, 1]), (13, [0, 1]), (14, [1]), (15, [1])):
        assert [False, False] == close_of(desk, session, prices=prices)

    assert [True, False] == close_of(desk, 16, prices=[1])


def test_bars_of_two_sessions_may_be_ten_apart(in_sessions):
    """Five bars, where that is more than the account says."""
    desk = in_sessions(on_silence="hold", max_mark_age=2)
    for session in range(10, 25):
        assert [False, False] == close_of(desk, session, prices=[0, 1] if session in (10, 12, 14) else [1])

    assert [True, False] == close_of(desk, 25, prices=[1])


def test_the_last_session_has_none_after_it(in_sessions):
    """And is looked at like all."""
    desk = in_sessions()
    for session in (58, 59):
        assert [False, False] == close_of(desk, session, prices=[0, 1])


def test_small_amendments_are_judged_too(make_desk):
    """Half a unit more of one."""
    desk = make_desk(capital=5.0)
    order = desk.work(0, 1)

    assert ["no-buying-power"] == desk.judge(desk.amend(order, 1.5))


def test_orders_that_are_no_targets_stay_when_targets_are_replaced(make_desk):
    """They still claim."""
    desk = make_desk(capital=1000.0)
    desk.work(0, 150)

    assert ["", "no-buying-power", ""] == desk.judge(desk.cancel_targets(0), (1, 51), (1, 50))


def test_accounts_have_their_own_cash_in_each_currency(make_desk):
    """The second one has 100 in euros at 2, and buys for as much."""
    accounts = [{"name": "main"}, {"name": "cash", "venue": "X", "type": "cash"}]
    capital = [1000.0, 10.0, 0.0, 100.0]
    desk = make_desk(accounts=accounts, currencies=["USD", "EUR"], rates=[1.0, 2.0], capital=capital)
    desk.state.instruments["account"] = [1, 1]
    desk.state.instruments["currency"][1] = 1

    assert ["no-buying-power", ""] == desk.judge((1, 11), (1, 10))
    assert ["no-buying-power", ""] == desk.judge((0, 21), (0, 20))


def test_a_basket_that_passes_whole_changes_nothing(make_desk):
    """Also where it is judged order by order, as with a cancel in the round."""
    desk = make_desk(capital=1000.0)
    order = desk.work(0, 150)

    assert ["", "", ""] == desk.judge(desk.cancel(order), (0, 100), (1, 100), baskets=[-1, 1, 1])
    assert not desk.changed


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_works_on_the_other_side_leaves_room(make_desk, sign):
    """Equity 1,500 carries 300; 100 are held and 300 work the other way, so that 200 may come."""
    desk = make_desk(held=[sign * 100.0, 0.0], insufficient="scale")
    desk.set_cash(1500.0 - sign * 1000.0)
    desk.work(0, sign * -300)

    assert [sign * 200.0] == desk.sizes((0, sign * 999))


def test_orders_are_cut_to_lots_of_their_size(make_desk):
    """285 at 7 in lots of 10."""
    desk = make_desk(capital=1000.0, marks=[7.0, 7.0], insufficient="scale", lot=10.0)

    assert [280.0] == desk.sizes((0, 999))


def test_a_basket_fits_into_little_equity(make_desk):
    """Half a dollar carries one at one."""
    desk = make_desk(capital=0.5, marks=[1.0, 1.0], insufficient="scale", lot=0.1)

    assert [0.5, 0.5] == desk.sizes((0, 1), (1, 1), baskets=[1, 1])


def test_held_proceeds_are_those_of_all_units_of_a_contract(make_desk):
    """2 x 100 sold short at 10 are 2,000 of the 5,600 in cash."""
    desk = make_desk(capital=5600.0, held=[-100.0, 0.0], short_proceeds="held", interest={"credit": 0.1})
    desk.state.instruments["multiplier"] = 2.0
    desk.rules.settle(0)
    desk.rules.settle(1)

    assert [1.0] == desk.state.ledger.rows()["amount"].tolist()


def test_positions_count_after_symbols_that_are_not_held(in_sessions):
    """The first symbol is flat."""
    desk = in_sessions(held=[0.0, 100.0], capital=-990.0, margin_call="stop")
    with pytest.raises(RunError, match=r"equity 10\.00, maintenance requirement 250\.00"):
        close_of(desk, 1, prices=[0, 1])


def test_positions_in_another_currency_carry_at_its_rate(make_desk):
    """100 at 10 euros are 2,000 at 2, of which they claim half; the rest carries 200 of 10 dollars."""
    desk = make_desk(currencies=["USD", "EUR"], rates=[1.0, 2.0], capital=[0.0, 0.0], held=[0.0, 100.0])
    desk.state.instruments["currency"][1] = 1

    assert ["no-buying-power", ""] == desk.judge((0, 201), (0, 200))


def test_a_basket_claims_only_what_it_adds(make_desk):
    """100 of A work already and claim 500 of the 1,000; a basket may claim as much again."""
    desk = make_desk(capital=1000.0)
    desk.work(0, 100)

    assert ["", ""] == desk.judge((0, 50), (1, 50), baskets=[1, 1])
    assert ["no-buying-power"] * 2 == desk.judge((0, 50), (1, 51), baskets=[1, 1])


@pytest.mark.parametrize(("sold", "reason"), [(100.0, ""), (101.0, "short-not-allowed")])
def test_a_basket_of_a_cash_account_sells_all_that_is_held_and_no_more(make_desk, sold, reason):
    """With cash to spare."""
    desk = make_desk(type="cash", capital=1000.0, held=[100.0, 0.0])

    assert [reason, reason] == desk.judge((0, -sold), (1, 1), baskets=[1, 1])
