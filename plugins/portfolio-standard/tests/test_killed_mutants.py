"""Figures that small faults in accounting, actions, trips and payments would change."""

import math

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import RunError
from ml4t.backtest.state import LEDGER_KINDS, SETTLES
from ml4t_backtest_portfolio_standard import totals
from ml4t_backtest_portfolio_standard.accounting import round_to_step
from ml4t_backtest_portfolio_standard.checks import is_off
from ml4t_backtest_portfolio_standard.totals import TOTALS, earned, moved

DAY = 86_400 * 10**9
EUROS = {"currencies": ("USD", "EUR"), "currency": 1}


def last_row(books):
    """Take a sample and return it."""
    books.portfolio.sample(0, 0)
    return books.state.equity.rows()[-1]


def test_a_sale_that_brings_little_waits_for_settlement_too(make_books):
    """Half a dollar is a proceed."""
    books = make_books(accounts=[{"settlement_days": 1}])
    books.fill(1, 0.5)
    books.fill(-1, 0.5)

    assert 10_000.0 - 0.5 == books.state.accounts[0]["settled"]


@pytest.mark.parametrize("sign", [1, -1])
def test_profits_of_parts_of_a_unit_are_of_their_side(make_books, sign):
    """Half a unit held, and half a unit closed."""
    books = make_books()
    books.fill(sign * 1.0, 10.0)
    books.fill(sign * -0.5, 12.0)
    books.state.instruments["mark"] = 14.0
    row = last_row(books)

    expected = (sign * 3.0, 0.0) if sign > 0 else (0.0, sign * 3.0)
    assert expected == (row["long_pnl"], row["short_pnl"])


def test_a_sample_has_both_margins_in_base_currency(make_books):
    """4 units at 10, multiplier 5, two dollars for one: 50 % and 25 % of 400."""
    books = make_books(multiplier=5.0, **EUROS)
    books.state.accounts["rate"][1] = 2.0
    books.state.instruments["mark"] = 10.0
    books.fill(-4, 10.0)
    row = last_row(books)

    assert (200.0, 100.0) == (row["initial_margin"], row["maintenance_margin"])
    assert (400.0, -400.0) == (row["gross_exposure"], row["net_exposure"])


def test_what_was_earned_is_a_sum_of_all_its_parts():
    """Each with its sign; powers of two, so that none hides another."""
    out = np.zeros(len(TOTALS))
    parts = ("REALISED", "UNREALISED", "DIVIDENDS", "INTEREST", "BORROW", "FUNDING", "FX", "COMMISSION")
    for power, name in enumerate(parts):
        out[getattr(totals, name)] = 2.0**power

    assert 1 + 2 + 4 + 8 + 16 + 32 + 64 - 128 == earned(out)


def test_what_has_moved_is_a_size_whatever_its_signs():
    """Of all that rounding may have touched."""
    parts = ("REALISED", "UNREALISED", "DIVIDENDS", "INTEREST", "BORROW", "FUNDING", "FX", "CASH")
    for sign in (1.0, -1.0):
        out = np.zeros(len(TOTALS))
        out[totals.COMMISSION], out[totals.GROSS] = 256.0, 512.0
        for power, name in enumerate(parts):
            out[getattr(totals, name)] = sign * 2.0**power
        assert 1023.0 == moved(out)


def test_the_slack_of_an_account_grows_with_what_it_has_moved(make_books):
    """1e-9 of a trillion is a thousand; a fill moves as much as a deposit."""
    for amount, price in ((1e12, 1.0), (1e3, 1e9)):
        books = make_books(cash=amount)
        books.fill(1000, price)
        books.state.accounts[0]["cash"] += 900.0
        books.portfolio.sample(0, 0)
        books.state.accounts[0]["cash"] += 300.0
        with pytest.raises(RunError, match=r"its ledger sums to \[[^,]*, [^,]*\]: a component has moved cash"):
            books.portfolio.sample(1, 1)


@pytest.mark.parametrize("kind", ["sold", "moved by an action"])
def test_the_slack_of_a_position_grows_with_what_was_traded(make_books, kind):
    """1e-9 of two trillion units."""
    books = make_books(cash=0.0)
    books.fill(1e12, 1e-9)
    if kind == "sold":
        books.fill(-1e12, 1e-9)
    else:
        books.state.instruments["mark"] = 1e-9
        books.act("delisting", value=1e-9)
    books.state.positions[0]["quantity"] += 1900.0
    books.portfolio.sample(0, 0)
    books.state.positions[0]["quantity"] += 200.0
    with pytest.raises(RunError, match="the position in A is 2100"):
        books.portfolio.sample(1, 1)


def test_actions_cut_to_lots_of_their_size(make_books):
    """70 in lots of 10, one for two: 30, and 5 in cash."""
    books = make_books(lot=10.0)
    books.fill(70, 10.0)
    books.state.instruments["mark"] = 10.0
    books.act("split", ratio=0.5)

    assert (30.0, 20.0) == books.position()
    assert 100.0 == books.state.ledger.rows()["amount"][-1]


@pytest.mark.parametrize(("ratio", "after"), [(0.7, 29_360_240.0), (1.1, 46_137_520.0)])
def test_dust_is_measured_by_the_size_of_the_position(make_books, ratio, after):
    """Of 40 million shares the product is off by some billionths of a share: no share is paid for them."""
    books = make_books(cash=1e12)
    books.fill(41_943_200, 10.0)
    books.state.instruments["mark"] = 10.0
    books.act("split", ratio=ratio)

    assert after == books.position()[0]
    assert "cash-in-lieu" not in {LEDGER_KINDS[kind] for kind in books.state.ledger.rows()["kind"]}


def test_what_is_promised_for_later_stays_receivable(make_books):
    """When the first of two dividends is paid the second still counts."""
    books = make_books()
    books.fill(10, 10.0)
    books.act("dividend", amount=1.0, pay_at=20)
    books.act("dividend", amount=2.0, pay_at=30)
    books.state.now = 20
    books.portfolio.settle(None)

    assert 20.0 == books.state.accounts[0]["receivable"]
    assert 30 == books.portfolio.next_due()


@pytest.mark.parametrize(("sign", "kind"), [(1, "delisting"), (-1, "expiry")])
def test_actions_cost_no_commission(make_books, sign, kind):
    """A trip that one ends has paid for its entry alone."""
    books = make_books()
    books.fill(sign * 10, 10.0, commission=3.0)
    books.act(kind, value=9.0)

    assert [3.0] == books.portfolio.trades()["commission"].to_list()


def test_what_a_spin_off_opens_has_cost_no_commission(make_books):
    """Until it is sold."""
    books = make_books()
    books.fill(10, 20.0, commission=3.0)
    books.act("spin-off", ratio=1.0, value=8.0, other=1)
    books.fill(-10, 9.0, symbol=1, commission=1.0)

    trades = books.portfolio.trades().sort("symbol")
    assert [("A", 3.0), ("B", 1.0)] == trades.select("symbol", "commission").rows()


def test_mergers_of_two_instants_are_of_two_companies(make_books):
    """A long one for nothing, and later a short one for cash."""
    books = make_books()
    books.fill(10, 20.0)
    books.fill(-5, 30.0, symbol=1)
    books.act("merger", amount=0.0)
    books.state.now = 7
    books.act("merger", symbol=1, amount=33.0)

    trades = books.portfolio.trades().select("symbol", "quantity", "exit_price", "pnl").rows()
    assert [("A", 10.0, 0.0, -200.0), ("B", 5.0, 33.0, -15.0)] == trades


@pytest.mark.parametrize("sign", [1, -1])
def test_no_excursion_is_written_as_minus_zero(make_books, sign):
    """A text of it would say -0.0."""
    books = make_books()
    books.fill(sign * 10, 10.0)
    books.fill(sign * -10, 10.0)
    row = books.portfolio.trades().row(0, named=True)

    assert [0.0, 0.0] == [row["mfe"], row["mae"]]
    assert [1.0, 1.0] == [math.copysign(1.0, row[name]) for name in ("mfe", "mae")]


def test_funding_of_now_is_due_until_it_is_paid(make_desk):
    """At its instant, and no more once it is paid."""
    rates = pl.DataFrame({"known_at": [20, 30], "symbol": ["A", "A"], "rate": [0.1, 0.1]})
    desk = make_desk(held=[1.0, 0.0], funding=rates)
    desk.state.now = 20
    assert 20 == desk.rules.next_due
    desk.rules.settle(None)

    assert 30 == desk.rules.next_due


def test_what_formed_as_the_first_session_ended_settles_by_it(make_books):
    """In a market without breaks the next session begins at that instant."""
    books = make_books(accounts=[{"settlement_days": 2}])
    state = books.state
    state.session_opens = np.arange(10, dtype=np.int64) * DAY
    state.session_closes = state.session_opens + DAY
    books.fill(1, 10.0, at=1)
    books.fill(-1, 10.0, at=DAY)
    settled = []
    for session in range(5):
        state.now = int(state.session_closes[session])
        books.portfolio.settle(session)
        settled.append(float(state.accounts[0]["settled"]))

    assert [9990.0, 9990.0, 10_000.0, 10_000.0, 10_000.0] == settled


@pytest.mark.parametrize("settles", ["close", "daily"])
def test_a_position_that_adds_pays_from_its_mean_price(make_books, settles):
    """1 at 10 and 3 at 14 are 4 at 13, of which 2 close at 15."""
    books = make_books(settles=SETTLES.index(settles), multiplier=3.0)
    books.fill(1, 10.0)
    books.fill(3, 14.0)
    books.fill(-2, 15.0)

    assert 10_000.0 + 2 * 2.0 * 3.0 == books.state.accounts[0]["cash"]
    assert 13.0 == books.state.positions[0]["basis"]


@pytest.mark.parametrize(("value", "step", "rounded"), [(0.95, 0.3, 0.3 * 3), (6.0, 2.5, 5.0), (-7.0, 4.0, -8.0)])
def test_steps_that_are_no_parts_of_one_are_counted(value, step, rounded):
    """1 / 0.3 is no whole number."""
    assert rounded == round_to_step(value, step)


def test_rows_of_a_fill_have_its_price(make_books):
    """Also that of its commission."""
    books = make_books()
    books.fill(3, 12.5, commission=1.0)

    assert [12.5, 12.5] == books.state.ledger.rows()["price"][1:].tolist()


def test_nothing_receivable_is_exactly_nothing(make_books):
    """0.1 + 0.2 - 0.1 - 0.2 is a little more."""
    books = make_books()
    books.fill(1, 10.0)
    for amount, pay_at in ((0.1, 20), (0.2, 30)):
        books.act("dividend", amount=amount, pay_at=pay_at)
    for now in (20, 30):
        books.state.now = now
        books.portfolio.settle(None)

    assert 0.0 == books.state.accounts[0]["receivable"]


def test_a_merger_at_no_shares_is_for_cash(make_books):
    """Whatever symbol it names."""
    books = make_books()
    books.fill(10, 20.0)
    books.act("merger", ratio=0.0, amount=22.0, other=1)

    assert 10_020.0 == books.state.accounts[0]["cash"]
    assert (0.0, 0.0) == books.position(1)


def test_positions_are_still_known_when_symbols_come(make_books):
    """What was summed up of the others stays."""
    books = make_books()
    books.fill(10, 10.0)
    books.portfolio.sample(0, 0)
    books.state.add_symbols(["LATE"])
    books.fill(4, 5.0, symbol=2)
    books.portfolio.sample(1, 1)

    assert [10.0, 0.0, 4.0] == books.state.positions["quantity"].tolist()


def test_the_account_and_the_currency_that_are_wrong_are_named(make_books):
    """Of two and two."""
    books = make_books(accounts=[{"capital": {"USD": 1.0}}, {"capital": {"EUR": 2.0}}], currencies=("USD", "EUR"))
    books.state.accounts["rate"] = 1.0
    books.state.accounts[3]["cash"] = 5.0
    with pytest.raises(RunError, match=r"account 1 has 5\.0 EUR of cash, 2\.0 of it settled, .* to \[2\.0, 2\.0\]"):
        books.portfolio.sample(0, 0)


def test_small_sums_agree_to_a_billionth():
    """1e-9 of what has moved, and of one at least; what is no number is nobody's profit."""
    assert [False, True] == [is_off(gained, 0.0, 0.0) for gained in (0.9e-9, 1.5e-9)]
    assert [False, True] == [is_off(gained, 0.0, 4.0) for gained in (3.9e-9, 4.5e-9)]
    assert not is_off(math.nan, 0.0, 0.0)


def test_no_column_needs_the_rate_of_a_currency_without_money(make_books):
    """Whatever was earned elsewhere."""
    books = make_books(currencies=("USD", "EUR"))
    books.fill(1, 10.0)
    row = last_row(books)

    assert all(math.isfinite(row[name]) for name in TOTALS)


def test_samples_count_what_is_paid_at_the_rate_of_its_sample(make_books):
    """Funding, interest, borrow and dividends, at home and in euros at 2, later at 3."""
    names = ("funding", "interest", "borrow", "dividends")
    books = make_books(currencies=("USD", "EUR"))
    accounts = books.state.accounts
    accounts["rate"][1] = 2.0
    books.portfolio.sample(0, 0)
    for session, rate in ((1, 2.0), (2, 3.0)):
        accounts["rate"][1] = rate
        for power, name in enumerate(names):
            accounts[name] += 2.0**power
        for place in (0, 1):
            accounts["cash"][place] += 15.0
            accounts["settled"][place] += 15.0
            books.portfolio._identities._balances[place, :2] += 15.0
        books.portfolio.sample(session, session)
    rows = books.state.equity.rows()

    for power, name in enumerate(names):
        assert [0.0, 3.0 * 2**power, 7.0 * 2**power] == rows[name].tolist()
    assert [0.0, 0.0, 15.0] == rows["fx_pnl"].tolist()


def test_actions_that_follow_each_other_are_all_taken(make_books):
    """Two splits, a spin-off, a split of what it gave, a merger, and one more split."""
    books = make_books(symbols=("A", "B", "C"))
    books.fill(10, 24.0)
    books.act("split", ratio=2.0)
    books.act("split", ratio=3.0)
    books.act("spin-off", ratio=1.0, value=1.0, other=1)
    books.act("split", symbol=1, ratio=2.0)
    books.act("merger", ratio=2.0, other=2)
    books.act("split", symbol=2, ratio=5.0)
    trades = books.portfolio.trades().sort("symbol").select("symbol", "quantity", "entry_price", "is_open").rows()

    assert [("B", 120.0, 0.5, True), ("C", 600.0, 0.3, True)] == [
        (symbol, quantity, pytest.approx(price), is_open) for symbol, quantity, price, is_open in trades
    ]


@pytest.mark.parametrize("given", [1.0, 0.5])
def test_an_action_may_give_one_unit_or_less(make_books, given):
    """It is a lot like any other, and closes what is held the other way."""
    books = make_books(lot=0.0)
    books.fill(10, 24.0)
    books.fill(-0.25, 8.0, symbol=1)
    books.act("spin-off", ratio=given / 10.0, value=8.0, other=1)
    trades = books.portfolio.trades().sort("symbol", "is_open").select("symbol", "quantity", "side", "is_open").rows()

    assert [("A", 10.0, "long", True), ("B", 0.25, "short", False), ("B", given - 0.25, "long", True)] == trades


@pytest.mark.parametrize("sign", [1, -1])
def test_shares_and_cash_of_a_merger_close_what_is_held_the_other_way(make_books, sign):
    """10 A become 10 B at 14 each, and 6 in cash; 4 B of the other side were bought at 15: 4 of A end at 20."""
    books = make_books()
    books.fill(sign * 10, 20.0)
    books.fill(sign * -4, 15.0, symbol=1)
    books.state.instruments["mark"] = [21.0, 14.0]
    books.act("merger", ratio=1.0, amount=6.0, other=1)
    names = ("symbol", "quantity", "entry_price", "exit_price", "is_open")
    trades = books.portfolio.trades().sort("is_open", "symbol").select(names).rows()

    assert [("A", 4.0, 20.0, 20.0, False), ("B", 4.0, 15.0, 14.0, False), ("B", 6.0, 14.0, None, True)] == trades


@pytest.mark.parametrize("sign", [1, -1])
def test_half_a_share_of_a_merger_closes_too(make_books, sign):
    """It is no whole one, and on the other side of what is held."""
    books = make_books(lot=0.0)
    books.fill(sign * 1, 20.0)
    books.fill(sign * -2, 30.0, symbol=1)
    books.state.instruments["mark"] = [20.0, 40.0]
    books.act("merger", ratio=0.5, other=1)
    trades = books.portfolio.trades().sort("is_open", "symbol").select("symbol", "quantity", "is_open").rows()

    assert [("A", 1.0, False), ("B", 0.5, False), ("B", 1.5, True)] == trades


def test_fills_of_one_instant_settle_by_their_own_sessions(make_books):
    """Two sales become known together; one price formed a session earlier. Rows go to their own currency."""
    accounts = [{"settlement_days": 1, "capital": {"USD": 0.0}}, {"settlement_days": 1, "capital": {"EUR": 0.0}}]
    books = make_books(accounts=accounts, currencies=("USD", "EUR"), account=1, currency=1)
    state = books.state
    state.session_opens = np.arange(10, dtype=np.int64) * DAY
    state.session_closes = state.session_opens + DAY // 2
    for formed_at in (DAY + 5, 2 * DAY + 5):
        books.fill(-1, 10.0, at=formed_at)
        state.fills.data["known_at"][state.fills.count - 1] = 2 * DAY + 9
        state.ledger.data["timestamp"][state.ledger.count - 1] = 2 * DAY + 9
    settled = []
    for session in range(2, 5):
        state.now = int(state.session_closes[session])
        books.portfolio.settle(session)
        settled.append(state.accounts["settled"].tolist())

    assert [[0.0, 0.0, 0.0, each] for each in (10.0, 20.0, 20.0)] == settled
