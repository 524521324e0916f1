"""Round trips, first in first out."""

import numpy as np
import polars as pl
import pytest


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
