"""Every split and dividend of real shares, over positions long and short and over working orders of every kind.

Prices are raw. What the files do not hold (AIG's and EEM's splits, those of VXX) is run over made-up prices with
the real ratios and days; those tests say so.
"""

import os
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.event import CorporateActionEvent

CENT = 0.01
ENDS = pl.col("timestamp").dt.date()
# ticker on the ex date, ex date, new shares for one, shares in whole lots that 100 become
SPLITS = [
    ("AAPL", date(2000, 6, 21), 2.0, 200),
    ("AAPL", date(2005, 2, 28), 2.0, 200),
    ("AAPL", date(2014, 6, 9), 7.0, 700),
    ("AAPL", date(2020, 8, 31), 4.0, 400),
    ("GOOG", date(2015, 4, 27), 1.0027, 100),
    ("GOOGL", date(2014, 4, 3), 2.0, 200),
    ("IBM", date(1999, 5, 27), 2.0, 200),
    ("IWM", date(2005, 6, 9), 2.0, 200),
    ("USO", date(2020, 4, 29), 0.125, 12),
]
# Not in the files: over made-up prices. AIG one for 20, EEM three for one, VXX one for four five times.
OTHERS = [
    ("AIG", date(2009, 7, 1), 0.05, 5),
    ("EEM", date(2008, 7, 24), 3.0, 300),
    *(("VXX", day, 0.25, 25) for day in (date(2010, 11, 9), date(2012, 10, 5), date(2013, 11, 8))),
    *(("VXX", day, 0.25, 25) for day in (date(2016, 8, 9), date(2017, 8, 23))),
]


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def daily(data, symbol, first, last):
    """Return the raw bars of a ticker."""
    rows = pl.read_parquet(data / "us_equity_daily_lean.parquet")
    return rows.filter(ENDS.is_between(first, last), pl.col("symbol") == symbol)


def made_up(symbol, ex_date, ratio):
    """Return bars around a split that the files do not hold: weekdays, a price that goes up and down by 2 %."""
    days = [ex_date + timedelta(days=number) for number in range(-14, 8)]
    rows = []
    for place, day in enumerate(each for each in days if each.weekday() < 5):
        close = 24.0 * (1.0 + 0.02 * (-1) ** place) / (ratio if day >= ex_date else 1.0)
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        rows.append({"symbol": symbol, "timestamp": day, **prices, "volume": 1e7})
    return pl.DataFrame(rows)


def run(strategy, prices, actions, capital=1_000_000):
    """Run over raw prices with corporate actions."""
    return Engine(
        feed={"use": "frame", "name": "prices", "frame": prices, "prices": "raw"},
        actions=actions,
        strategy=strategy,
        calendar="XNYS",
        capital=capital,
    ).run()


def rows_of(*rows):
    """Return a table of actions."""
    kinds = {"symbol": pl.String, "kind": pl.String, "ex_date": pl.Date, "ratio": pl.Float64, "amount": pl.Float64}
    return pl.DataFrame(
        [{name: row.get(name) for name in (*kinds, "new_symbol")} for row in rows], {**kinds, "new_symbol": pl.String}
    )


class Working(Strategy):
    """Hold a position and orders that close it, of every kind and far away; look at them before and after a split."""

    def __init__(self, quantity):
        self.quantity = quantity
        self.orders = {}
        self.before = self.after = None

    def on_slice(self, market, context):
        if not self.orders and context.symbols:
            self.send(context, context.symbols[0])
        if self.after is None:
            self.before = self.look(context)

    def on_event(self, event, context):
        if isinstance(event, CorporateActionEvent) and event.kind == "split":
            self.after = self.look(context)

    def send(self, context, symbol):
        price, side, close = context.price(symbol), np.sign(self.quantity), -self.quantity
        worse, better = round(price * (1 - 0.6 * side), 2), round(price * (1 + 0.6 * side), 2)
        context.order(symbol, self.quantity)
        bracket = context.bracket(symbol, self.quantity, stop_price=worse, target_price=better)
        held = context.bracket(symbol, self.quantity, entry_limit=worse, stop_price=worse * (1 - 0.1 * side))
        self.orders = {
            "stop": context.order(symbol, close, stop_price=worse),
            "limit": context.order(symbol, close, limit_price=better),
            "stop-limit": context.order(symbol, close, stop_price=worse, limit_price=worse * (1 - 0.05 * side)),
            "trail amount": context.order(symbol, close, trail_amount=price / 2),
            "trail percent": context.order(symbol, close, trail_percent=0.5),
            "trail limit": context.order(symbol, close, trail_amount=price / 2, limit_offset=-0.07 * side),
            "bracket stop": bracket.stop,
            "bracket target": bracket.target,
            "entry": held.entry,
            "held stop": held.stop,
        }

    def look(self, context):
        """Return equity, position, and status, quantity, limit and stop of each order."""
        terms = {
            name: (order.status, order.quantity, order.limit_price, order.stop_price)
            for name, order in self.orders.items()
        }
        held = {symbol: context.position(symbol).quantity for symbol in context.symbols}
        return context.portfolio.equity, held, terms


def expected_of(terms, ratio, whole):
    """Return what an order is after a split: whole lots, prices of the new units."""
    status, quantity, limit_price, stop_price = terms
    return (
        status,
        np.sign(quantity) * whole,
        *(None if price is None else pytest.approx(price / ratio, abs=1e-9) for price in (limit_price, stop_price)),
    )


def continues(strategy, ratio, whole, side):
    """Check that a split changed units and nothing else."""
    (equity, held, terms), (new_equity, new_held, new_terms) = strategy.before, strategy.after
    assert len(terms) == 10
    assert {"accepted", "held"} == {status for status, *_ in terms.values()}
    # The position is 200: 100 of its own and 100 of the bracket's entry.
    (position,), (after,) = [{value for value in found.values() if value} for found in (held, new_held)]
    assert (200 * side, side * float(np.trunc(round(200 * ratio, 9)))) == (position, after)
    assert {name: expected_of(found, ratio, whole) for name, found in terms.items()} == new_terms
    assert equity == pytest.approx(new_equity, abs=CENT)


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(("symbol", "ex_date", "ratio", "whole"), SPLITS, ids=lambda value: str(value))
def test_every_split_of_the_files_leaves_equity_as_it_was(data, symbol, ex_date, ratio, whole, side):
    """Equity to a cent at the open of the ex session; quantities, limits, stops and trails in new units."""
    # GOOGL was GOOG until the day before, in the files as on the exchange.
    before = "GOOG" if symbol == "GOOGL" else symbol
    last = ex_date + timedelta(days=7)
    prices = [daily(data, before, ex_date - timedelta(days=10), ex_date - timedelta(days=1))]
    prices.append(daily(data, symbol, ex_date, last))
    change = {"symbol": before, "kind": "symbol-change", "ex_date": ex_date, "new_symbol": symbol}
    split = {"symbol": symbol, "kind": "split", "ex_date": ex_date, "ratio": ratio}
    strategy = Working(100 * side)

    result = run(strategy, pl.concat(prices), rows_of(*([change] if before != symbol else []), split))

    continues(strategy, ratio, whole, side)
    adjusted = result.orders.filter(pl.col("reason") == "corporate-action")
    assert {order.id for order in strategy.orders.values()} == set(adjusted["order_id"])
    assert result.equity["equity"].is_finite().all()


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(("symbol", "ex_date", "ratio", "whole"), OTHERS, ids=lambda value: str(value))
def test_splits_that_the_files_do_not_hold_leave_equity_as_it_was(symbol, ex_date, ratio, whole, side):
    """AIG, EEM and VXX: real ratios and days, made-up prices."""
    strategy = Working(100 * side)

    result = run(
        strategy,
        made_up(symbol, ex_date, ratio),
        rows_of({"symbol": symbol, "kind": "split", "ex_date": ex_date, "ratio": ratio}),
    )

    continues(strategy, ratio, whole, side)
    np.testing.assert_allclose(result.equity["equity"], 1_000_000, rtol=0, atol=200 * 24.0 * 0.05)


class Few(Strategy):
    """Hold a few shares with a stop and a target from the first slice on; ask for more with a limit."""

    def __init__(self, quantity):
        self.quantity = quantity
        self.orders = []

    def on_slice(self, market, context):
        if not self.orders:
            symbol, side = context.symbols[0], np.sign(self.quantity)
            price = context.price(symbol)
            bracket = context.bracket(
                symbol, self.quantity, stop_price=price * (1 - 0.6 * side), target_price=price * (1 + 0.6 * side)
            )
            more = context.order(symbol, self.quantity, limit_price=price * (1 - 0.6 * side))
            self.orders = [bracket.stop, bracket.target, more]


@pytest.mark.parametrize("quantity", [5, -5], ids=["long", "short"])
def test_a_reverse_split_to_no_share_pays_cash_and_ends_orders(data, quantity):
    """Five shares of USO, one for eight: paid in cash what they were worth; orders with nothing left are cancelled."""
    ex_date = date(2020, 4, 29)
    strategy = Few(quantity)
    prices = daily(data, "USO", date(2020, 4, 20), date(2020, 5, 6))

    result = run(strategy, prices, rows_of({"symbol": "USO", "kind": "split", "ex_date": ex_date, "ratio": 0.125}))

    assert {("cancelled", "corporate-action")} == {(order.status, order.reason) for order in strategy.orders}
    before, after = result.equity.filter(pl.col("session").is_in([ex_date - timedelta(days=1), ex_date]))["equity"]
    assert before == pytest.approx(after, abs=1e-9)
    paid = result.ledger.filter(pl.col("kind") == "cash-in-lieu")["amount"].to_list()
    assert [pytest.approx(quantity * 2.13, abs=1e-9)] == paid  # the close before
    assert result.positions.filter(pl.col("session") >= ex_date).is_empty()


def test_a_limit_set_before_a_split_fills_after_it_at_its_part(data):
    """AAPL, four for one: 520 becomes 130, met by the first high above."""

    class Sell(Few):
        def on_slice(self, market, context):
            if not self.orders:
                context.order("AAPL", self.quantity)
                self.orders = [context.order("AAPL", -self.quantity, limit_price=520.0)]

    ex_date = date(2020, 8, 31)
    prices = daily(data, "AAPL", date(2020, 8, 20), date(2020, 9, 10))
    result = run(Sell(30), prices, rows_of({"symbol": "AAPL", "kind": "split", "ex_date": ex_date, "ratio": 4.0}))

    met = prices.filter(ENDS >= ex_date, pl.col("high") > 130.0).row(0, named=True)
    sold = result.fills.row(-1, named=True)
    assert (met["timestamp"].date(), -120.0) == (sold["timestamp"].date(), sold["quantity"])
    assert max(met["open"], 130.0) == pytest.approx(sold["price"], abs=1e-9)
    assert result.fills["quantity"].to_list() == [30.0, -120.0]


# --- dividends ----------------------------------------------------------------------------------------------


class Hold(Strategy):
    """Hold a quantity of the first symbol from the first slice on."""

    def __init__(self, quantity):
        self.quantity = quantity
        self.asked = False

    def on_slice(self, market, context):
        if not self.asked:
            self.asked = True
            context.order(context.symbols[0], self.quantity)


TICKERS = {"WM": (("UW", date(1998, 7, 16)), ("WMI", date(2009, 8, 4)))}  # last days; then the name of the entity


def entity(data, name, first, last):
    """Return bars and actions of one company under the tickers that it had."""
    spans, begin = [], first
    for ticker, end in (*TICKERS.get(name, ()), (name, last)):
        spans.append((ticker, begin, min(end, last)))
        begin = end + timedelta(days=1)
    prices = pl.concat([daily(data, *span) for span in spans])
    table = pl.read_parquet(data / "corporate_actions.parquet").filter(
        pl.col("symbol") == name, pl.col("ex_date").is_between(first, last)
    )
    rows = []
    for row in table.iter_rows(named=True):
        ticker = next(ticker for ticker, begin, end in spans if begin <= row["ex_date"] <= end)
        rows.append({**row, "symbol": ticker})
    for (old, *_), (new, begin, _) in pairwise(spans):
        rows.append({"symbol": old, "kind": "symbol-change", "ex_date": begin, "new_symbol": new})
    return prices, rows


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("SPY", date(1998, 1, 2), date(2005, 12, 30)),
        ("SPY", date(2006, 1, 3), date(2021, 3, 31)),
        ("IBM", date(1998, 1, 2), date(2021, 3, 31)),
        ("IWM", date(2000, 5, 26), date(2021, 3, 31)),
        ("WM", date(1998, 1, 2), date(2021, 3, 31)),
        ("AAPL", date(1998, 1, 2), date(2021, 3, 31)),
    ],
    ids=lambda value: str(value),
)
def test_every_dividend_is_credited_to_longs_and_debited_from_shorts(data, name, first, last, side):
    """Each on its ex date, for the shares that the splits before it made; the sum to a cent."""
    prices, rows = entity(data, name, first, last)
    held, expected = 100.0 * side, []
    for row in sorted(rows, key=lambda row: row["ex_date"]):
        if row["kind"] == "split":
            held *= row["ratio"]
        elif row["kind"] == "dividend":
            expected.append((row["ex_date"], held * row["amount"]))

    result = run(Hold(100 * side), prices, rows_of(*rows), capital=10_000_000)  # for a short in AAPL

    paid = result.ledger.filter(pl.col("kind") == "dividend")
    days = paid["timestamp"].dt.convert_time_zone("America/New_York").dt.date()
    assert [day for day, _ in expected] == days.to_list()
    np.testing.assert_allclose(paid["amount"], [amount for _, amount in expected], rtol=0, atol=1e-9)
    total = sum(amount for _, amount in expected)
    assert abs(total) > 100.0
    assert total == pytest.approx(result.equity["dividends"][-1], abs=CENT)
    assert held == result.state.positions["quantity"][0]


@pytest.mark.parametrize(("buys", "sells", "paid"), [(18, 20, 1), (19, None, 0), (18, 19, 1)])
def test_who_held_at_the_close_before_has_the_dividend(data, buys, sells, paid):
    """SPY, ex 20 March 1998: bought at that open there is none, sold at it there is one."""

    class Days(Hold):
        def on_slice(self, market, context):
            if context.session.date.day in (buys, sells):
                context.order("SPY", 100 if context.session.date.day == buys else -100)

    prices = daily(data, "SPY", date(1998, 3, 16), date(1998, 3, 25))
    table = pl.read_parquet(data / "corporate_actions.parquet").filter(symbol="SPY")
    amount = table.filter(pl.col("ex_date") == date(1998, 3, 20))["amount"][0]

    result = run(Days(100), prices, rows_of(*table.head(1).iter_rows(named=True)))

    assert result.equity["dividends"][-1] == pytest.approx(100 * amount * paid, abs=1e-9)


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_a_dividend_is_due_from_the_ex_date_and_cash_on_the_pay_date(data, side):
    """SPY, ex 20 March 1998: equity has it at once, cash at the open of 30 April, sold in between or not."""

    class Days(Hold):
        def on_slice(self, market, context):
            if context.session.date in (date(1998, 3, 17), date(1998, 4, 1)):
                context.order("SPY", side * (100 if context.session.date.month == 3 else -100))

    ex_date, pay_date = date(1998, 3, 20), date(1998, 4, 30)
    prices = daily(data, "SPY", date(1998, 3, 16), date(1998, 5, 5))
    table = pl.read_parquet(data / "corporate_actions.parquet").filter(symbol="SPY", ex_date=ex_date)
    paid = side * 100 * table["amount"][0]
    actions = rows_of(*table.iter_rows(named=True)).with_columns(pay_date=pl.lit(pay_date))

    equity = run(Days(100), prices, actions).equity

    days = pl.col("session")
    assert [0.0] == equity.filter(days < ex_date)["receivable"].unique().to_list()
    due = equity.filter(days.is_between(ex_date, pay_date, closed="left"))["receivable"]
    np.testing.assert_allclose(due, paid, rtol=1e-12)
    assert [0.0] == equity.filter(days >= pay_date)["receivable"].unique().to_list()
    before, after = equity.filter(days.is_in([date(1998, 4, 29), pay_date]))["cash"]
    assert paid == pytest.approx(after - before, abs=1e-9)
    assert 1 == equity.filter(days > date(1998, 4, 3))["equity"].round(9).n_unique()
