"""Buying power: what passes, what is cut and what is refused."""

import math

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.state import ACCEPTED, HELD, ORDER_KINDS, PARTIAL


def frame(*rows, **columns):
    """Return a dated table of (known_at, symbol) rows."""
    return pl.DataFrame(
        {"known_at": [row[0] for row in rows], "symbol": [row[1] for row in rows], **columns},
        schema_overrides={"known_at": pl.Int64, "symbol": pl.String} | dict.fromkeys(columns, pl.Float64),
    )


def test_a_margin_account_carries_twice_its_equity(make_desk):
    """Gross is at most 2 x equity with an initial margin of 0.5: 200 at 10 is 2,000."""
    desk = make_desk(capital=1000.0)

    assert ["", "no-buying-power"] == desk.judge((0, 200), (1, 1))
    assert ["no-buying-power"] == desk.judge((0, -201))
    assert [""] == desk.judge((0, -200))


def test_the_larger_side_of_a_symbol_counts(make_desk):
    """Buys and sells of one symbol do not add up: the larger of |position + buys| and |position - sells| counts."""
    desk = make_desk(capital=500.0, held=[50.0, 0.0])
    desk.work(0, 100)
    desk.work(0, -200)

    assert ["", "no-buying-power"] == desk.judge((1, 50), (1, 1))


def test_what_only_reduces_always_passes(make_desk):
    """An account far over its limit can always get out, and what works on that side counts."""
    desk = make_desk(capital=-500.0, held=[100.0, -50.0])
    desk.work(0, -40)

    assert ["", "no-buying-power"] == desk.judge((0, -60), (0, -1))
    assert ["no-buying-power", "", "no-buying-power"] == desk.judge((1, 51), (1, 50), (1, 50))


@pytest.mark.parametrize("baskets", [[1, 1], [-1, -1]])
def test_a_market_order_that_only_reduces_makes_room_in_its_round(make_desk, baskets):
    """All of one company for all of another: the portfolio that results has the size of the old one."""
    desk = make_desk(capital=-1.0, held=[100.0, 0.0])  # equity 999, a little below what is held

    assert ["", ""] == desk.judge((0, -100), (1, 100), baskets=baskets)
    assert ["", "no-buying-power"] == desk.judge((0, -50), (1, 150))
    desk.work(0, -100)
    assert ["no-buying-power"] == desk.judge((1, 100))  # that of an earlier round may not have been filled


def test_a_limit_order_that_only_reduces_makes_no_room(make_desk):
    """It may never be filled."""
    desk = make_desk(capital=-1.0, held=[100.0, 0.0])
    limit = ORDER_KINDS.index("limit")

    assert ["", "no-buying-power"] == desk.judge((0, -100, {"kind": limit, "limit_price": 12.0}), (1, 100))


def test_a_flip_that_is_refused_leaves_its_room_to_nobody(make_desk):
    """What a refused basket was to sell is still held."""
    desk = make_desk(capital=-1.0, held=[100.0, 0.0])

    rows = (0, -100), (1, 500), (1, 100)
    assert ["no-buying-power"] * 3 == desk.judge(*rows, baskets=[1, 1, -1])


def test_orders_are_taken_as_they_were_made(make_desk):
    """Those that only reduce come first, the others in the order of the round."""
    desk = make_desk(type="cash", capital=0.0, held=[100.0, 0.0], insufficient="refuse")
    desk.set_cash(100.0)

    assert ["", "no-buying-power", "", ""] == desk.judge((1, 100), (1, 101), (0, -100), (1, 10))


def test_a_cash_account_buys_with_what_it_has(make_desk):
    """Proceeds of open sells count, and nothing is sold below zero."""
    desk = make_desk(type="cash", capital=500.0, held=[10.0, 0.0])

    assert ["", "no-buying-power"] == desk.judge((1, 50), (1, 1))
    assert ["", ""] == desk.judge((0, -10), (1, 60))
    assert ["short-not-allowed"] == desk.judge((0, -11))
    assert ["short-not-allowed"] == desk.judge((1, -1))


def test_orders_that_only_close_bring_no_cash_to_buy_with(make_desk):
    """The child of a purchase sells what is not there yet."""
    desk = make_desk(type="cash", capital=500.0)

    assert ["no-buying-power", ""] == desk.judge((1, 60), (1, -60, {"parent": 0}))


def test_a_sale_that_ends_in_the_round_brings_no_cash(make_desk):
    """What an open sale was to bring is missing once it is cancelled."""
    desk = make_desk(type="cash", capital=500.0, held=[10.0, 0.0])
    sale = desk.work(0, -10)

    assert [""] == desk.judge((1, 60))
    assert ["", "no-buying-power"] == desk.judge(desk.cancel(sale), (1, 60))


def test_only_settled_cash_buys_without_use_unsettled(make_desk):
    """Neither what has not settled nor the proceeds of open sells are cash at hand."""
    desk = make_desk(type="cash", capital=500.0, use_unsettled=False, held=[100.0, 0.0])
    desk.state.accounts["settled"] = 200.0

    assert ["", "", "no-buying-power"] == desk.judge((0, -100), (1, 20), (1, 1))


def test_contracts_claim_their_margin_of_cash(make_desk):
    """In a cash account what settles otherwise than by value claims its initial margin, and may be sold short."""
    desk = make_desk(type="cash", capital=1000.0)
    desk.state.instruments["settles"][0] = 2
    desk.state.instruments["initial_per_unit"][0] = 300.0

    assert ["", "no-buying-power"] == desk.judge((0, -3), (0, -1))


def test_an_instruments_own_margin_comes_first(make_desk):
    """A fraction, or an amount for each unit, takes the place of the account's."""
    desk = make_desk(capital=1000.0)
    desk.state.instruments["initial_margin"][0] = 1.0
    desk.state.instruments["initial_per_unit"][1] = 100.0

    assert ["no-buying-power", ""] == desk.judge((0, 101), (0, 100))
    assert ["no-buying-power", ""] == desk.judge((1, 11), (1, 10))


def test_an_unlimited_account_is_never_asked(make_desk):
    """Nor is one whose check is not at submission."""
    assert ["", ""] == make_desk(type="unlimited", capital=-5.0).judge((0, 1e9), (1, -1e9))
    assert ["", ""] == make_desk(type="cash", check="fill").judge((0, 1e9), (1, -1e9))


@pytest.mark.parametrize("type_", ["margin", "cash"])
def test_without_equity_only_reducing_orders_pass(make_desk, type_):
    """Also where they claim nothing."""
    desk = make_desk(type=type_, capital=0.0)
    desk.state.instruments["initial_margin"] = 0.0

    assert ["no-buying-power"] == desk.judge((0, 1))


def test_sums_have_a_slack_of_rounding(make_desk):
    """All of the cash buys what it was divided by, though the product rounds up."""
    for cents in range(1, 400):
        desk = make_desk(type="cash", capital=1000.0, marks=[cents / 100.0, 1.0])
        assert [""] == desk.judge((0, 1000.0 / (cents / 100.0)))
        assert ["no-buying-power"] == desk.judge((0, 1000.0 / (cents / 100.0) * 1.000001))


def test_a_single_order_is_cut_to_whole_lots(make_desk):
    """With insufficient = scale; what is left of nothing is refused."""
    desk = make_desk(capital=1000.0, marks=[7.0, 7.0], insufficient="scale")

    assert [285.0, -285.0] == [desk.sizes((0, 999))[0], desk.sizes((0, -999))[0]]
    assert [285.0, 0.0] == desk.sizes((0, 285), (1, 1))
    desk.state.instruments["lot"] = 0.0
    assert [2000.0 / 7.0] == [pytest.approx(desk.sizes((0, 999))[0], rel=1e-8)]


def test_a_cut_order_still_reduces(make_desk):
    """What closes the position passes whatever is left of the buying power; the other side is looked at too."""
    desk = make_desk(capital=-900.0, held=[100.0, -100.0], insufficient="scale")
    desk.set_cash(-1000.0)

    assert [-100.0] == desk.sizes((0, -300))
    assert [100.0] == desk.sizes((1, 300))
    desk.set_cash(500.0)
    assert [-100.0] == desk.sizes((0, -300))
    desk.state.instruments["mark"] = [10.0, 9.0]
    desk.set_cash(1200.0)
    assert [-200.0 - 70.0] == desk.sizes((0, -300))


def test_a_cash_account_cuts_to_its_cash(make_desk):
    """A purchase is cut; a short sale is refused whole."""
    desk = make_desk(type="cash", capital=105.0, insufficient="scale", held=[5.0, 0.0])

    assert [0.0, 10.0] == desk.sizes((0, -6), (1, 99))
    assert [10.0, 0.0] == desk.sizes((1, 10), (1, 5))


def test_what_claims_nothing_passes(make_desk):
    """An instrument without margin needs equity, and an account within its limits."""
    desk = make_desk(capital=100.0, insufficient="scale", held=[0.0, 20.0])
    desk.state.instruments["initial_margin"][0] = 0.0

    assert [1e6] == desk.sizes((0, 1e6))
    desk.set_cash(-120.0)
    assert [0.0] == desk.sizes((0, 1e6))


def test_a_negative_price_pays_the_buyer(make_desk):
    """The margin is on the size of the value; a cash account receives what it is paid."""
    margin = make_desk(capital=1000.0, marks=[-37.0, 10.0])
    cash = make_desk(type="cash", capital=0.001, marks=[-37.0, 10.0])

    assert ["no-buying-power", ""] == margin.judge((0, 55), (0, 54))
    assert [""] == cash.judge((0, 10))


def test_a_basket_is_judged_whole(make_desk):
    """One order too many refuses all of them, in whatever order they come, and frees what they asked for."""
    desk = make_desk(capital=500.0, held=[50.0, 0.0])

    for rows in ([(0, 100), (1, 100)], [(1, 100), (0, 100)]):
        assert ["no-buying-power", "no-buying-power", ""] == desk.judge(*rows, (1, 150), baskets=[7, 7, -1])
    assert ["", ""] == desk.judge((0, 50), (1, 100), baskets=[7, 7])


def test_a_refused_basket_does_not_reduce(make_desk):
    """Its reducing orders are refused with it, and count for nobody."""
    desk = make_desk(type="cash", capital=100.0, held=[50.0, 0.0])

    assert ["no-buying-power", "no-buying-power", "no-buying-power"] == desk.judge(
        (0, -50), (1, 61), (1, 11), baskets=[3, 3, -1]
    )
    assert ["", "", "no-buying-power"] == desk.judge((0, -50), (1, 60), (1, 1), baskets=[3, 3, -1])


def test_a_basket_is_scaled_by_one_factor(make_desk):
    """Increasing orders only, each cut to lots: 1,000 carries 2,000; 3,000 were asked for."""
    desk = make_desk(capital=1000.0, insufficient="scale")

    assert [100.0, -100.0] == desk.sizes((0, 150), (1, -150), baskets=[1, 1])
    assert [133.0, 66.0] == desk.sizes((0, 200), (1, 100), baskets=[1, 1])
    assert [199.0, 0.0] == desk.sizes((0, 100_000), (1, 4), baskets=[1, 1])


def test_a_scaled_basket_keeps_what_reduces(make_desk):
    """Sales of what is held pass whole, and pay for the rest in a cash account."""
    desk = make_desk(type="cash", capital=100.0, held=[50.0, 0.0], insufficient="scale")

    assert [-50.0, 60.0] == desk.sizes((0, -50), (1, 600), baskets=[1, 1])


def test_scaling_is_exact_through_zero(make_desk):
    """A sale of more than is held claims nothing until it is past the other side: kinks are walked over."""
    desk = make_desk(capital=1000.0, held=[100.0, -50.0], insufficient="scale")
    desk.set_cash(500.0)  # equity 1,000: the sides may be 200 in all
    sizes = desk.sizes((0, -500), (1, 250), baskets=[1, 1])
    larger = max(100.0, abs(100.0 + sizes[0])) + max(50.0, abs(-50.0 + sizes[1]))

    assert 200.0 - 2.0 <= larger <= 200.0
    assert 2 == round(sizes[0] / -sizes[1])


def test_a_basket_without_room_is_refused(make_desk):
    """With scale too: nothing is left of it, or the account is over its limit already."""
    desk = make_desk(capital=100.0, held=[30.0, 0.0], insufficient="scale")
    desk.set_cash(-200.0)

    assert ["no-buying-power", "no-buying-power"] == desk.judge((0, 1), (1, 1), baskets=[1, 1])
    desk.set_cash(-400.0)
    assert ["no-buying-power", "no-buying-power"] == desk.judge((0, 1), (1, 1), baskets=[1, 1])


def test_two_orders_of_one_symbol_share_a_basket(make_desk):
    """The first sale reduces, the second opens a short."""
    desk = make_desk(capital=1000.0, held=[50.0, 0.0], insufficient="scale")
    desk.set_cash(500.0)

    assert [-50.0, -200.0] == desk.sizes((0, -50), (0, -300), baskets=[1, 1])
    assert ["no-buying-power", "no-buying-power", ""] == make_desk(held=[50.0, 0.0], capital=0.0).judge(
        (0, -50), (0, -5000), (0, -50), baskets=[1, 1, -1]
    )


def test_accounts_are_judged_by_themselves(make_desk):
    """A basket over two accounts passes where it passes in each, with the smaller factor."""
    accounts = [{"name": "main", "insufficient": "scale"}, {"name": "perps", "venue": "X", "insufficient": "scale"}]
    desk = make_desk(accounts=accounts, capital=[1000.0, 100.0])
    desk.state.instruments["account"][1] = 1

    assert ["", "no-buying-power"] == desk.judge((0, 200), (1, 20), (1, 1))[:1] + desk.judge((1, 20), (1, 1))[1:]
    assert [80.0, 20.0] == desk.sizes((0, 160), (1, 40), baskets=[1, 1])


def test_amounts_of_other_currencies_count_at_their_rates(make_desk):
    """Cash, worth and claims, and nothing is asked of currencies without an amount."""
    desk = make_desk(capital=[0.0, 1000.0, 0.0], currencies=["USD", "EUR", "GBP"], rates=[1.0, 1.5, math.nan])
    desk.state.instruments["currency"][0] = 1

    assert ["", "no-buying-power"] == desk.judge((0, 200), (0, 1))
    assert ["", "no-buying-power"] == desk.judge((1, 300), (1, 1))


def test_cancels_of_the_round_free_what_they_end(make_desk):
    """By id, by target, and orders of the round itself."""
    desk = make_desk(capital=1000.0)
    order = desk.work(0, 150)
    target = desk.work(0, 50, is_target=1)

    assert ["no-buying-power"] == desk.judge((1, 1))
    assert ["", ""] == desk.judge(desk.cancel(order), (1, 150))
    assert ["", "no-buying-power"] == desk.judge(desk.cancel(order), (1, 151))
    assert ["", ""] == desk.judge(desk.cancel_targets(0), (1, 50))
    assert ["", "", ""] == desk.judge(desk.cancel(order), desk.cancel(target), (1, 200))
    assert ["no-buying-power"] == desk.judge((1, 1)), "the next round starts anew"


def test_a_replaced_target_of_the_round_counts_once(make_desk):
    """Two targets of one callback: the second ends the first; so does a cancel of an order not yet sent."""
    desk = make_desk(capital=1000.0)
    target = {"is_target": 1}

    assert [""] * 4 == desk.judge(desk.cancel_targets(0), (0, 200, target), desk.cancel_targets(0), (0, 200, target))
    assert [""] * 3 == desk.judge((0, 200), desk.cancel(desk.state.orders.count), (1, 200))
    assert ["", "", "no-buying-power"] == desk.judge((0, 200), desk.cancel(desk.state.orders.count), (1, 201))
    assert [""] * 2 == desk.judge(desk.cancel(10**9), desk.cancel_targets(77))


def test_what_ends_or_only_closes_does_not_count(make_desk):
    """Orders whose end was asked for, held ones, children, legs and reduce-only orders."""
    desk = make_desk(capital=1000.0)
    for columns in ({"cancelled_at": 5}, {"status": HELD}, {"reduce_only": 1}):
        desk.work(0, 1000, **columns)
    desk.work(0, 1000, terms={"parent": 0})
    desk.work(0, -1000, terms={"group": 0})

    assert [""] == desk.judge((1, 200))
    assert ["", "", ""] == desk.judge((0, 1e6, {"parent": 0}), (0, -1e6, {"group": 3}), (1, 1e6, {"reduce_only": 1}))


def test_what_has_filled_does_not_count_twice(make_desk):
    """The remainder of an order is on its way, with an amendment that is under way."""
    desk = make_desk(capital=1000.0)
    desk.work(0, 300, status=PARTIAL, filled=200.0)
    desk.work(1, 10, terms={"parent": -1, "group": -1, "next_quantity": 50.0})

    assert ["", "no-buying-power"] == desk.judge((1, 50), (1, 1))


def test_amendments_are_judged_for_what_they_add(make_desk):
    """More of an order, of one that is being amended, of one amended or made in this very round."""
    desk = make_desk(capital=1000.0)
    order = desk.work(0, 100)
    amended = desk.work(0, 10, terms={"parent": -1, "group": -1, "next_quantity": 50.0})
    new = desk.state.orders.count

    assert ["no-buying-power", ""] == desk.judge(desk.amend(order, 151), desk.amend(order, 150))
    assert ["", "no-buying-power"] == desk.judge(desk.amend(amended, 100), (0, 1))
    assert ["", "", "no-buying-power"] == desk.judge(desk.amend(order, 120), desk.amend(order, 150), (0, 1))
    assert ["", "", "no-buying-power"] == desk.judge((1, 40), desk.amend(new, 50), desk.amend(new, 51))
    assert ["", ""] == desk.judge((1, 40, {"reduce_only": 1}), desk.amend(new, 5000))
    for harmless in (desk.amend(order, 50), desk.amend(order, -500), desk.amend(order, math.nan)):
        assert ["", "", "no-buying-power"] == desk.judge(harmless, (0, 50), (0, 1))
    assert ["", ""] == desk.judge(desk.cancel(order), desk.amend(order, 100))


def test_amendments_of_closing_orders_pass(make_desk):
    """They only take back what is there."""
    desk = make_desk(capital=1000.0)
    child = desk.work(0, -100, terms={"parent": 0, "group": -1})

    assert [""] == desk.judge(desk.amend(child, -10_000))


def test_amendments_are_never_cut(make_desk):
    """They are refused, and an order that amends what nobody knows is left to the broker."""
    desk = make_desk(capital=1000.0, insufficient="scale")
    order = desk.work(0, 100)

    assert ["no-buying-power"] == desk.judge(desk.amend(order, 500))


def test_an_order_of_a_symbol_without_a_mark_cannot_be_judged(make_desk):
    """One that reduces passes; one that does not is refused, and with it its basket."""
    desk = make_desk(capital=1000.0, held=[10.0, 0.0], marks=[math.nan, 10.0])

    assert ["no-mark", ""] == desk.judge((0, 1), (0, -10))
    assert ["no-mark", "no-mark", ""] == desk.judge((0, 1), (1, 1), (1, 20), baskets=[1, 1, -1])
    assert [""] == make_desk(type="unlimited", marks=[math.nan, 1.0]).judge((0, 1))


@pytest.mark.parametrize("quantity", [math.nan, math.inf, -math.inf, 2e15, 0.0])
def test_what_no_broker_takes_is_left_to_the_broker(make_desk, quantity):
    """It keeps the broker's reason, as do unknown symbols and what was refused before."""
    desk = make_desk(capital=1.0)

    assert ["", "", ""] == desk.judge((0, quantity), (-1, 1e6), (2, 1e6))
    assert ["refused-by-risk"] == desk.judge((0, 1e6, {"reason": 9}))


def test_a_round_without_orders_is_not_looked_at(make_desk):
    """Cancels change nothing."""
    desk = make_desk(capital=1.0)

    assert [""] == desk.judge(desk.cancel(0))
    assert not desk.changed


def test_a_table_says_who_lends(make_desk):
    """No row or more than is available: refused; a row without a figure lends any amount."""
    table = frame((1, "A"), (1, "B"), (5, "A"), rate=[0.1, 0.1, 0.2], available=[100.0, None, 50.0])
    desk = make_desk(capital=1e6, borrow=table, symbols=["A", "B", "C"], held=[20.0, 0.0, 0.0])

    desk.state.now = 0
    assert ["not-borrowable", "", ""] == desk.judge((0, -21), (0, -20), (1, 5))
    desk.state.now = 4
    assert ["not-borrowable", "", "not-borrowable"] == desk.judge((0, -121), (0, -120), (0, -21))
    assert ["", "not-borrowable"] == desk.judge((1, -1000), (2, -1))
    desk.state.now = 5
    assert ["not-borrowable", ""] == desk.judge((0, -71), (0, -70))
    desk.state.symbols.rename(0, "Z")
    assert ["not-borrowable", ""] == desk.judge((0, -71), (0, -70))


def test_rows_of_a_ticker_stay_with_the_company(make_desk):
    """After a symbol change those of the new ticker count, and the old ones until there are some."""
    table = frame((1, "A"), (5, "Z"), rate=[0.1, 0.1], available=[100.0, 7.0])
    desk = make_desk(capital=1e6, borrow=table)
    assert [""] == desk.judge((0, -100))
    desk.state.symbols.rename(0, "Z")
    desk.rules.settle(1)
    assert ["not-borrowable", ""] == desk.judge((0, -101), (0, -100))
    desk.state.now = 5
    assert ["not-borrowable", ""] == desk.judge((0, -8), (0, -7))


def test_missing_rows_may_be_allowed(make_desk):
    """borrow_missing = allow; without a column of amounts any amount is lent."""
    table = frame((1, "A"), rate=[0.1])

    assert ["", ""] == make_desk(capital=1e6, borrow=table, borrow_missing="allow").judge((0, -5), (1, -5))
    assert ["not-borrowable"] == make_desk(capital=1e6, borrow=table).judge((1, -5))


def test_borrowing_is_asked_of_every_type(make_desk):
    """Also of an unlimited account, basket by basket; contracts are not borrowed."""
    table = frame((1, "A"), rate=[0.1], available=[10.0])
    desk = make_desk(type="unlimited", capital=0.0, borrow=table)

    assert ["", "not-borrowable"] == desk.judge((0, -10), (1, -10))
    assert ["not-borrowable"] * 2 == desk.judge((0, -6), (0, -6), baskets=[1, 1])
    assert ["", ""] == desk.judge((0, -5), (0, -5), baskets=[1, 1])
    desk = make_desk(type="unlimited", capital=0.0, borrow=table)
    desk.state.instruments["settles"] = 1
    assert ["", ""] == desk.judge((0, -1000), (1, -1000))


def test_both_sums_and_orders_may_grow(make_desk):
    """Symbols that come later, and more orders than there ever were."""
    desk = make_desk(capital=1000.0)
    assert [""] == desk.judge((0, 1))
    desk.state.add_symbols(["LATE"])
    desk.state.instruments["mark"][2] = 10.0
    for _ in range(3000):
        desk.work(1, 0.01, status=ACCEPTED)

    assert ["no-buying-power", ""] == desk.judge((2, 171), (2, 170))
    assert 3000 == desk.state.orders.count


def test_scaling_meets_every_limit_that_a_search_finds(make_desk):
    """Random accounts: the scaled basket passes, and one lot more of each order would not."""
    random = np.random.default_rng(11)
    names = [f"S{i}" for i in range(6)]
    for _ in range(150):
        held = np.round(random.normal(0.0, 60.0, 6))
        marks = np.round(random.uniform(5.0, 50.0, 6), 2)
        desk = make_desk(
            symbols=names,
            held=held.tolist(),
            marks=marks.tolist(),
            insufficient="scale",
            lot=0.0,
            capital=float(random.uniform(500.0, 20_000.0)),
        )
        wished = np.round(random.normal(0.0, 300.0, 6)) + 0.5
        rows = [(s, float(q)) for s, q in enumerate(wished)]
        sizes = np.array(desk.sizes(*rows, baskets=[1] * 6))
        equity = desk.equity()
        reduces = (held * wished < 0.0) & (np.abs(wished) <= np.abs(held))  # as if filled
        before = float(np.sum(np.where(reduces, np.abs(held + wished), np.abs(held)) * marks) * 0.5)
        other = np.where(reduces, 0.0, np.abs(held))
        claims = float(np.sum(np.maximum(other, np.abs(held + sizes)) * marks) * 0.5)
        if np.all(sizes == 0.0):
            assert equity <= before or equity <= 0.0
            continue
        assert claims <= equity * (1.0 + 2e-9)
        factors = (sizes / wished)[np.abs(sizes) < np.abs(wished) * (1.0 - 1e-12)]
        assert np.allclose(factors, factors[:1], rtol=1e-9)
        if len(factors):
            assert claims >= equity * (1.0 - 1e-6)
