"""Round trips, first in first out."""

import numpy as np
import polars as pl
import pytest

from ml4t_backtest_portfolio_standard.booking import post


def test_partial_closes_pair_with_the_oldest_lots(make_books):
    """100 bought in two lots and sold in two sales make three trips; commissions are split by quantity."""
    books = make_books()
    books.fill(60, 10.0, commission=6.0)
    books.fill(40, 11.0, commission=4.0)
    books.fill(-80, 12.0, commission=8.0)
    books.fill(-20, 13.0)
    trades = books.portfolio.trades()

    assert [60.0, 20.0, 20.0] == trades["quantity"].to_list()
    assert [10.0, 11.0, 11.0] == trades["entry_price"].to_list()
    assert [12.0, 12.0, 13.0] == trades["exit_price"].to_list()
    assert [120.0, 20.0, 40.0] == trades["pnl"].to_list()
    assert [12.0, 4.0, 2.0] == trades["commission"].to_list()
    assert {"long"} == {*trades["side"]}
    assert not trades["is_open"].any()


def test_open_trips_come_last_with_the_profit_at_the_mark(make_books):
    """A flip closes the long and leaves a short; the exit's columns are null while open."""
    books = make_books()
    books.fill(10, 100.0)
    books.fill(-25, 120.0, commission=5.0)
    books.state.instruments["mark"] = 110.0
    trades = books.portfolio.trades()

    assert [("A", "long", 10.0, 200.0, False), ("A", "short", 15.0, 150.0, True)] == [
        tuple(row) for row in trades.select("symbol", "side", "quantity", "pnl", "is_open").rows()
    ]
    assert [2.0, 3.0] == trades["commission"].to_list()
    assert (None, None, None) == trades.select("exit_time", "exit_price", "exit_order_id").row(1)


def test_no_fills_no_trades(make_books):
    """The frame of an idle run has the same columns and types."""
    idle, busy = make_books(), make_books()
    busy.fill(1, 1.0)

    assert busy.portfolio.trades().schema == idle.portfolio.trades().schema
    assert 0 == idle.portfolio.trades().height
    assert pl.Datetime("ns", "UTC") == idle.portfolio.trades().schema["entry_time"]


@pytest.mark.parametrize("seed", range(5))
def test_trips_add_up_to_what_the_account_realised(make_books, seed):
    """Pairing changes which fill closed which, never the total of closed and open profit."""
    random = np.random.default_rng(seed)
    books = make_books()
    for _ in range(200):
        books.fill(random.integers(1, 9) * random.choice([-1, 1]) / 8, random.uniform(5, 15), random.integers(2))
    books.state.instruments["mark"] = 10.0
    books.portfolio.sample(0, 0)
    trades = books.portfolio.trades()
    row = books.state.equity.rows()[0]

    assert row["equity"] - 10_000.0 == pytest.approx(trades["pnl"].sum())
    left = trades.filter("is_open").group_by("symbol").agg(pl.col("quantity").sum()).sort("symbol")
    held = np.abs(books.state.positions["quantity"])
    assert left["quantity"].to_list() == pytest.approx(held[held > 0].tolist())


@pytest.mark.parametrize("seed", range(8))
def test_extremes_are_those_of_all_prices_between_entry_and_exit(make_books, seed):
    """Fills in between, of either side, are prices like others."""
    random = np.random.default_rng(seed)
    books = make_books()
    prices = random.uniform(5, 15, 120)
    for at, price in enumerate(prices):
        if random.random() < 0.4:
            books.fill(random.integers(1, 9) * random.choice([-1, 1]), price, at=at)
        books.see(price, at)
    trades = books.portfolio.trades().with_columns(pl.col("entry_time", "exit_time").dt.epoch("ns"))

    assert trades.height > 20
    for trade in trades.iter_rows(named=True):
        last = len(prices) - 1 if trade["is_open"] else trade["exit_time"]
        met = prices[trade["entry_time"] : last + 1]
        sign = 1 if trade["side"] == "long" else -1
        profits = sign * trade["quantity"] * (met - trade["entry_price"])
        assert (profits.max(), profits.min()) == pytest.approx((trade["mfe"], trade["mae"]))


def rows_of(books, *columns):
    """Return columns of the trades, row by row."""
    return books.portfolio.trades().select(columns).rows()


def test_a_split_scales_open_lots_and_what_they_have_reached(make_books):
    """10 at 100 are 20 at 50; 120 and 90 have been 60 and 45; closed trips stay."""
    books = make_books()
    books.fill(4, 100.0)
    books.fill(-4, 101.0)
    books.fill(10, 100.0, commission=2.0)
    books.see(120.0, 10)
    books.see(90.0, 11)
    books.act("split", ratio=2.0)
    books.fill(-20, 55.0, commission=1.0, at=20)

    figures = ("quantity", "entry_price", "pnl", "mfe", "mae", "commission")
    assert [(4.0, 100.0, 4.0, 4.0, 0.0, 0.0), (20.0, 50.0, 100.0, 200.0, -100.0, 3.0)] == rows_of(books, *figures)


def test_a_split_between_two_fills_scales_older_lots_too(make_books):
    """What older lots have reached before the newest fill is in old units until the split."""
    books = make_books()
    books.fill(10, 100.0)
    books.see(140.0, 5)
    books.fill(10, 130.0, at=6)
    books.act("split", ratio=2.0)
    books.fill(-40, 65.0, at=7)

    assert [(20.0, 50.0, 400.0, 0.0), (20.0, 65.0, 0.0, 0.0)] == rows_of(books, "quantity", "entry_price", "mfe", "mae")


def test_a_fraction_in_lieu_closes_a_part_of_the_oldest_lot(make_books):
    """5 shares 3 for 2 are 7 and a half paid in cash, without an order."""
    books = make_books()
    books.fill(5, 30.0)
    books.state.instruments["mark"] = 36.0
    books.act("split", ratio=1.5)
    books.state.instruments["mark"] = 24.0
    columns = ("quantity", "entry_price", "exit_price", "pnl", "exit_order_id", "is_open")

    assert [(0.5, 20.0, 24.0, 2.0, None, False), (7.0, 20.0, None, 28.0, None, True)] == rows_of(books, *columns)


@pytest.mark.parametrize(("sign", "side"), [(1, "long"), (-1, "short")])
def test_a_delisting_ends_trips_without_an_order(make_books, sign, side):
    """At its value; what prices were reached since the last fill counts."""
    books = make_books()
    books.fill(sign * 10, 10.0)
    books.see(12.0, 5)
    books.state.now = 77
    books.act("delisting", value=4.0)
    trades = books.portfolio.trades()

    assert [(side, 10.0, 4.0, sign * -60.0, None)] == trades.select(
        "side", "quantity", "exit_price", "pnl", "exit_order_id"
    ).rows()
    assert tuple(sorted([sign * 20.0, sign * -60.0])) == trades.select("mae", "mfe").row(0)


def test_a_merger_moves_lots_to_the_new_symbol(make_books):
    """Two of B and 1 in cash for each A: entry times stay, entry prices are of what was received."""
    books = make_books()
    books.fill(10, 21.0)
    books.fill(10, 31.0)
    books.fill(4, 12.0, symbol=1)
    books.state.instruments["mark"] = [25.0, 12.0]
    books.see(27.0, 9)
    books.act("merger", ratio=2.0, amount=1.0, other=1)
    books.fill(-30, 13.0, symbol=1, at=20)
    trades = rows_of(books, "symbol", "quantity", "entry_order_id", "entry_price", "pnl", "mfe", "is_open")

    assert (
        [
            ("B", 4.0, 2, 12.0, 4.0, 4.0, False),
            ("B", 20.0, 0, 10.0, 60.0, 100.0, False),  # the second purchase was a price, too
            ("B", 6.0, 1, 15.0, -12.0, 0.0, False),
            ("B", 14.0, 1, 15.0, -42.0, 0.0, True),
        ]
        == [(*row[:4], *(pytest.approx(each) for each in row[4:6]), row[6]) for row in trades]
    )


@pytest.mark.parametrize("pay_at", [0, 50], ids=["at-once", "later"])
@pytest.mark.parametrize(("held", "side"), [(5, "long"), (-5, "short")])
def test_a_merger_for_cash_ends_trips_now_whenever_it_is_paid(make_books, pay_at, held, side):
    """Two companies bought on one day are no merger into each other."""
    books = make_books()
    books.fill(10, 20.0)
    books.fill(held, 30.0, symbol=1)
    books.act("merger", amount=22.0, pay_at=pay_at)
    books.act("merger", symbol=1, amount=33.0, pay_at=pay_at)
    columns = ("symbol", "side", "quantity", "exit_price", "pnl", "exit_order_id")

    expected = [("A", "long", 10.0, 22.0, 20.0, None), ("B", side, 5.0, 33.0, held * 3.0, None)]
    assert expected == rows_of(books, *columns)


def test_lots_of_an_instrument_without_a_step_are_closed_in_plain_floats(make_books):
    """As the position is: a third of a share of which a seventh is sold leaves the difference."""
    books = make_books(quantity_step=0.0)
    books.fill(1 / 3, 10.0)
    books.fill(-1 / 7, 11.0)

    assert [(1 / 7, False), (1 / 3 - 1 / 7, True)] == rows_of(books, "quantity", "is_open")


def test_lots_may_keep_fractions_of_a_step_that_make_whole_units(make_books):
    """Four lots of one unit and one unit for four, which 1 closes exactly."""
    books = make_books(quantity_step=1.0)
    for _ in range(4):
        books.fill(1, 10.0)
    books.act("split", ratio=0.25)
    books.fill(-1, 50.0)

    assert [(0.25, 40.0, each, 4, False) for each in range(4)] == rows_of(
        books, "quantity", "entry_price", "entry_order_id", "exit_order_id", "is_open"
    )


def test_lots_that_round_to_nothing_go_into_the_last(make_books):
    """Four parts in ten billion of a unit are none, three times that is one in a billion."""
    books = make_books()
    for _ in range(3):
        books.fill(1, 10.0)
    books.act("split", ratio=4e-10)

    assert [(1e-9, 2)] == rows_of(books, "quantity", "entry_order_id")


def test_a_ledger_that_splits_what_is_not_held_has_no_trips(make_books):
    """As another component may have written it."""
    books = make_books()
    post(books.state, 0, "split", 0.0, symbol=0, quantity=0.5, price=1.0)

    assert 0 == books.portfolio.trades().height


@pytest.mark.parametrize(("ratio", "left"), [(1.0, -2.0), (3.0, 18.0)])
def test_shares_received_close_what_is_held_the_other_way(make_books, ratio, left):
    """Long A becomes B, of which 12 are sold short; the trips have earned what the account has."""
    books = make_books()
    books.fill(10, 20.0)
    books.fill(-12, 18.0, symbol=1)
    books.state.instruments["mark"] = [21.0, 19.0]
    books.act("merger", ratio=ratio, other=1)
    books.portfolio.sample(0, 0)
    trades = books.portfolio.trades()
    row = books.state.equity.rows()[0]

    assert left == books.position(1)[0]
    assert trades["pnl"].sum() == pytest.approx(row["realised"] + row["unrealised"])
    held = trades.filter("is_open").select("symbol", "side", "quantity").rows()
    assert [("B", "long" if left > 0 else "short", abs(left))] == held


def test_a_spin_off_opens_a_lot_and_takes_its_value_off(make_books):
    """Half a B at 8 for each A: 4 off the entry price and what was reached."""
    books = make_books()
    books.fill(10, 20.0)
    books.see(26.0, 5)
    books.act("spin-off", ratio=0.5, value=8.0, other=1)
    books.state.instruments["mark"] = [18.0, 9.0]
    columns = ("symbol", "quantity", "entry_price", "entry_order_id", "pnl", "mfe", "mae")

    assert [("A", 10.0, 16.0, 0, 20.0, 60.0, 0.0), ("B", 5.0, 8.0, None, 5.0, 5.0, 0.0)] == rows_of(books, *columns)
