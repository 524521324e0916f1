"""Instruments: futures and perpetuals, venues, listing dates, expiry."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

DAYS = [date(2021, 3, day) for day in (1, 2, 3, 4, 5)]
CLOSES = [100.0, 104.0, 99.0, 101.0, 103.0]


@pytest.fixture(scope="module")
def real_data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def bars(*symbols, days=DAYS, closes=CLOSES):
    """Return bars that open where the last one closed."""
    opens = [closes[0], *closes[:-1]]
    return pl.concat(
        pl.DataFrame({"timestamp": days, "symbol": [name] * len(days), "open": opens, "close": closes})
        for name in symbols or ("A",)
    ).sort("timestamp", "symbol")


class Plan(Strategy):
    """Do something on some days; note each order's end as it is told."""

    def __init__(self, **steps):
        self.steps, self.told, self.orders = {int(day[1:]): step for day, step in steps.items()}, [], {}

    def on_slice(self, market, context):
        step = self.steps.get(context.session.date.day)
        if step:
            self.orders[context.session.date.day] = step(context)

    def on_order(self, order, context):
        self.told.append((context.session.date.day, order.symbol, order.status, order.reason))


def run(strategy, prices, instruments, **settings):
    """Run over daily bars."""
    settings = {"capital": 1_000_000, "calendar": "XNYS", **settings}
    return Engine(prices=prices, price_basis="raw", strategy=strategy, instruments=instruments, **settings).run()


def ledger(result, kind):
    """Return (day, amount) of the ledger's rows of a kind."""
    rows = result.ledger.filter(pl.col("kind") == kind)
    return [(stamp.day, amount) for stamp, amount in rows.select("timestamp", "amount").iter_rows()]


# --- how value changes hands --------------------------------------------------------------------------------


def buy(quantity):
    return lambda context: context.order("A", quantity)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_future_is_settled_at_each_close(sign):
    """By hand: 2 contracts of 50 at 100, closed at 101; a fill moves no cash."""
    future = {"symbol": "A", "asset_class": "future", "multiplier": 50.0}
    result = run(Plan(d1=buy(2 * sign), d4=buy(-2 * sign)), bars(), future)
    assert [(2, 400.0 * sign), (3, -500.0 * sign), (4, 200.0 * sign)] == ledger(result, "variation")
    gains = np.array([0.0, 400.0, -100.0, 100.0, 100.0]) * sign
    assert pytest.approx(1_000_000 + gains) == result.equity["equity"].to_list() == result.equity["cash"].to_list()
    assert pytest.approx(np.array([0.0, 400.0, -100.0, 100.0, 0.0]) * sign) == result.equity["unrealised"]
    assert pytest.approx([100.0 * sign]) == result.trades["pnl"]
    assert pytest.approx([0, 10_400, 9_900, 10_100, 0]) == result.equity["gross_exposure"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perpetual_pays_what_it_earned_when_it_closes(sign):
    """By hand: 2 units at 100, half of them closed at 99."""
    perpetual = {"symbol": "A", "asset_class": "perpetual"}
    result = run(Plan(d1=buy(2 * sign), d3=buy(-1 * sign)), bars(), perpetual)
    gains = np.array([0.0, 8.0, -2.0, 0.0, 2.0]) * sign
    assert pytest.approx(1_000_000 + gains) == result.equity["equity"]
    assert pytest.approx(1_000_000 - np.array([0, 0, 0, 1, 1]) * sign) == result.equity["cash"]
    assert [] == ledger(result, "variation")


def test_the_same_trades_earn_the_same_however_they_settle():
    """Without interest on cash."""
    plan = {"d1": buy(3), "d2": buy(-5), "d4": buy(1)}
    worths = [
        run(Plan(**plan), bars(), {"symbol": "A", "settles": settles}).equity["equity"].to_list()
        for settles in ("value", "close", "daily")
    ]
    assert pytest.approx(worths[0]) == worths[1]
    assert pytest.approx(worths[0]) == worths[2]


# --- dates ----------------------------------------------------------------------------------------------------


def test_orders_outside_of_the_listing_are_refused():
    """Before the first session's open and after the last one's close; at the very close an order is taken."""
    plan = Plan(**{f"d{day.day}": buy(1) for day in DAYS})
    result = run(plan, bars(), {"symbol": "A", "listed_from": DAYS[1], "listed_to": DAYS[3]})
    told = [(order.status, order.reason) for order in plan.orders.values()]
    refused = ("refused", "not-listed")
    assert [refused, ("filled", "next-open"), ("filled", "next-open"), told[3], refused] == told
    assert {"not-listed": 2} == dict(result.refusals)


def expiring(**steps):
    """Run a future that expires on the third day at 99."""
    plan = Plan(**steps)
    future = {"symbol": "A", "asset_class": "future", "multiplier": 50.0, "expires": DAYS[2]}
    return plan, run(plan, bars(), future)


def test_a_future_is_closed_at_the_mark_of_its_last_close():
    """Prices after it are data."""
    _, result = expiring(d1=buy(2))
    assert pytest.approx([1_000_000, 1_000_400, *[999_900] * 3]) == result.equity["equity"]
    assert [0.0] == result.state.positions["quantity"].tolist()
    assert pytest.approx([0.0] * 3) == result.equity["gross_exposure"][2:]
    row = result.ledger.filter(pl.col("kind") == "expiry").row(0, named=True)
    assert (3, "A", -2.0, 99.0) == (row["timestamp"].day, row["symbol"], row["quantity"], row["price"])
    trade = result.trades.row(0, named=True)
    assert (99.0, -100.0, False) == (trade["exit_price"], trade["pnl"], trade["is_open"])


def test_orders_end_with_the_expiry_and_later_ones_are_refused():
    """An order at the last close is accepted, and ends with it."""
    plan, result = expiring(
        d2=lambda context: context.order("A", 1, limit_price=50.0),
        d3=buy(1),
        d4=buy(1),
    )
    ends = [(order.status, order.reason) for order in plan.orders.values()]
    assert [("cancelled", "delisted"), ("cancelled", "delisted"), ("refused", "delisted")] == ends
    assert [(3, "A", "cancelled", "delisted")] * 2 == [row for row in plan.told if row[2] == "cancelled"]
    assert 0 == result.fills.height


def test_real_contracts_expire_one_after_the_other(real_data):
    """ES of December 2013, closed at the close of 2013-12-20; March goes on."""
    rows = pl.read_parquet(real_data / "future_daily_es_cme.parquet").filter(
        pl.col("symbol").is_in(["ES201312", "ES201403"]), pl.col("timestamp").dt.weekday() < 6
    )
    rows = rows.with_columns(pl.col("timestamp").dt.date())
    entries = [
        {"symbol": name, "asset_class": "future", "root": "ES", "expires": day, "multiplier": 50.0, "tick": 0.25}
        for name, day in [("ES201312", date(2013, 12, 20)), ("ES201403", date(2014, 3, 21))]
    ]

    class Hold(Strategy):
        def before_trading_start(self, context):
            for name in context.symbols:
                if not context.position(name).quantity and not context.open_orders(name):
                    context.order(name, 1.0 if name == "ES201312" else -1.0)

        def on_slice(self, market, context):
            pass

    result = run(Hold(), rows, entries, calendar="24/7", account={"on_silence": "hold"})
    closes = {name: rows.filter(pl.col("symbol") == name) for name in ("ES201312", "ES201403")}
    bought = result.fills.filter(pl.col("symbol") == "ES201312")["price"][0]
    sold = result.fills.filter(pl.col("symbol") == "ES201403")["price"][0]
    last = closes["ES201312"].filter(pl.col("timestamp") == date(2013, 12, 20))["close"][0]
    expected = 50.0 * (last - bought + sold - closes["ES201403"]["close"][-1])
    assert pytest.approx(1_000_000 + expected) == result.final_equity
    assert [("ES201312", -1.0, last)] == (
        result.ledger.filter(pl.col("kind") == "expiry").select("symbol", "quantity", "price").rows()
    )
    assert 2 == result.fills.height
    assert {"delisted"} == set(result.refusals)
    spent = result.ledger.filter(pl.col("kind").is_in(["fill", "expiry"]))["amount"]
    paid = result.ledger.filter(pl.col("kind") == "variation")["amount"].sum()
    assert pytest.approx(expected) == paid + spent.sum()


def test_a_real_perpetual_in_tether(real_data):
    """Thousands of contracts a day, in lots of 0.001; cash moves with what closes, and only then."""
    rows = pl.read_parquet(real_data / "crypto_perp_1m_btc.parquet").head(5_000)
    accounts = [{"name": "spot"}, {"name": "perps", "venue": "FTX", "capital": {"USDT": 50_000.0}}]
    accounts[0]["capital"] = {"USD": 1_000.0}
    entries = [
        {"symbol": "BTC-PERP", "asset_class": "perpetual", "currency": "USDT", "lot": 0.001},
        {"symbol": "USDTUSD", "asset_class": "fx", "base": "USDT", "currency": "USD"},
    ]
    rates = pl.DataFrame({"timestamp": [date(2021, 12, 30) + i * (DAYS[1] - DAYS[0]) for i in range(6)]}).with_columns(
        symbol=pl.lit("USDTUSD"), open=1.0, close=pl.Series([1.0, 0.99, 1.01, 1.0, 1.0, 1.0])
    )
    rng = np.random.default_rng(5)

    class Churn(Strategy):
        def on_slice(self, market, context):
            if rng.random() < 0.05:
                context.order_target("BTC-PERP@FTX", float(np.round(rng.uniform(-0.5, 0.5), 3)))

    feeds = [
        {"use": "frame", "name": "perps", "frame": rows.with_columns(symbol=pl.lit("BTC-PERP@FTX")), "prices": "raw"},
        {"use": "frame", "name": "rates", "frame": rates, "prices": "raw", "drives": False},
    ]
    feeds[0] |= {"bar": "1m", "stamp": "open"}
    settings = {"account": accounts, "base_currency": "USD", "instruments": entries}
    result = Engine(feed=feeds, strategy=Churn(), **settings).run()
    assert 100 < result.fills.height
    assert {1} == set(result.fills["account"])
    fills, held, average, cash = result.fills, 0.0, 0.0, 50_000.0
    for quantity, price in fills.select("quantity", "price").iter_rows():
        closed = 0.0 if held * quantity >= 0 else min(abs(quantity), abs(held)) * np.sign(held)
        cash += closed * (price - average)
        opened = quantity + closed
        left = held - closed
        average = price if left * opened >= 0 and not left else (left * average + opened * price) / (left + opened)
        held = left + opened
    worth = cash + held * (rows["close"][-1] - average)
    assert pytest.approx(1_000.0 + worth * 1.0, rel=1e-9) == result.final_equity


# --- venues ---------------------------------------------------------------------------------------------------


def test_a_symbol_at_a_venue_trades_on_the_account_of_that_venue():
    """Each account pays its own; the portfolio is the sum."""
    accounts = [
        {"name": "home", "capital": {"USD": 10_000.0}},
        {"name": "away", "venue": "X", "capital": {"USD": 5_000.0}},
    ]
    seen = {}

    def both(context):
        context.order("A", 10)
        context.order("A@X", -20)

    def look(context):
        seen.update(context.portfolio.accounts, total=context.portfolio.equity, cash=context.portfolio.cash)
        seen["names"] = [context.position(name).account for name in context.symbols]

    result = run(Plan(d1=both, d3=look), bars("A", "A@X"), {"symbol": "A"}, account=accounts, capital=None)
    assert [("A", 0), ("A@X", 1)] == result.fills.select("symbol", "account").rows()
    assert pytest.approx((9_000.0, 9_990.0, 990.0, 9_000.0)) == seen["home"][1:]
    assert pytest.approx((7_000.0, 5_020.0, 1_980.0, 7_000.0)) == seen["away"][1:]
    assert (15_010.0, 16_000.0) == pytest.approx((seen["total"], seen["cash"]))
    assert ["home", "away"] == seen["names"]
    balances = result.ledger.group_by("account").agg(pl.col("amount").sum()).sort("account").rows()
    assert [(0, 9_000.0), (1, 7_000.0)] == balances


def test_money_does_not_move_between_accounts():
    """What one cannot pay the other does not."""
    accounts = [
        {"name": "home", "type": "cash", "capital": {"USD": 10_000.0}},
        {"name": "away", "type": "cash", "venue": "X", "capital": {"USD": 5_000.0}},
    ]
    plan = Plan(d1=lambda context: [context.order(name, 60) for name in ("A", "A@X")])
    run(plan, bars("A", "A@X"), {"symbol": "A"}, account=accounts, capital=None)
    assert [("filled", "next-open"), ("refused", "no-buying-power")] == [
        (order.status, order.reason) for order in plan.orders[1]
    ]
