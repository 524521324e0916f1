"""Several currencies: rates from marks, profit in base currency, and runs that stop where a rate is missing."""

import os
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import DataError, RunError

DAYS = [date(2021, 3, day) for day in (1, 2, 3, 4, 5)]
PAIR = {"symbol": "EURUSD", "asset_class": "fx", "base": "EUR", "currency": "USD"}
STOCK = {"symbol": "SAP", "currency": "EUR"}


@pytest.fixture(scope="module")
def real_data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def bars(days=DAYS, **prices):
    """Return bars of symbols, open and close as given, by day; a day without a price has no bar."""
    rows = [
        {"timestamp": day, "symbol": name, "open": price[0], "close": price[1]}
        for name, each in prices.items()
        for day, price in zip(days, each, strict=False)
        if price is not None
    ]
    return pl.DataFrame(rows).sort("timestamp", "symbol").cast({"open": float, "close": float})


class Plan(Strategy):
    """Do something on some days, and note what a look at the portfolio shows at each close."""

    def __init__(self, **steps):
        self.steps, self.seen, self.told = {int(day[1:]): step for day, step in steps.items()}, [], []

    def on_slice(self, market, context):
        step = self.steps.get(context.session.date.day)
        if step:
            step(context)
        view = context.portfolio
        self.seen.append((view.cash, view.equity, view.gross_exposure))

    def on_order(self, order, context):
        self.told.append((order.symbol, order.status, order.reason))


def run(strategy, prices, pairs=None, instruments=(STOCK, PAIR), **settings):
    """Run stocks, and pairs that only inform."""
    feeds = [{"use": "frame", "name": "prices", "frame": prices, "prices": "raw"}]
    if pairs is not None:
        feeds.append({"use": "frame", "name": "pairs", "frame": pairs, "prices": "raw", "drives": False})
    settings = {"capital": {"USD": 100_000.0}, "calendar": "XNYS", "instruments": list(instruments), **settings}
    return Engine(feed=feeds, strategy=strategy, **settings).run()


STOCKS = bars(SAP=[(100, 100), (105, 110), (115, 120), (125, 130), (130, 128)])
RATES = bars(EURUSD=[(1.1, 1.10), (1.1, 1.20), (1.2, 1.25), (1.2, 1.20), (1.2, 1.15)])


def profit(row):
    """Return what explains a row of equity."""
    return row["realised"] + row["unrealised"] + row["dividends"] + row["interest"] + row["borrow"] + row["funding"]


def test_a_foreign_stock_is_worth_its_price_at_the_rate_of_the_close():
    """By hand: 100 bought at 105 EUR, on credit in EUR."""
    plan = Plan(d1=lambda context: context.order("SAP", 100))
    result = run(plan, STOCKS, RATES)
    expected = [100_000 + (100 * close - 10_500) * rate for close, rate in [(110, 1.2), (120, 1.25), (130, 1.2)]]
    assert pytest.approx([100_000.0, *expected, 100_000 + 2_300 * 1.15]) == result.equity["equity"].to_list()
    assert pytest.approx(100_000 - 10_500 * 1.15) == result.equity["cash"][-1]
    assert pytest.approx(12_800 * 1.15) == result.equity["gross_exposure"][-1]
    assert result.equity["equity"].to_list() == [equity for _, equity, _ in plan.seen]
    assert ["EUR"] == result.fills["currency"].to_list()
    assert "USD" == result.currency


def test_profit_splits_into_price_and_rate():
    """By hand: a profit in EUR, realised on the third day at 1.25, is cash that then loses with the rate."""
    plan = Plan(d1=lambda context: context.order("SAP", 100), d2=lambda context: context.order("SAP", -100))
    result = run(plan, STOCKS, RATES)
    realised = (115 - 105) * 100
    assert pytest.approx([0, 0, realised * 1.25, realised * 1.25, realised * 1.25]) == result.equity["realised"]
    assert pytest.approx([0, 500 * 1.2, 0, 0, 0]) == result.equity["unrealised"]
    assert pytest.approx([0, 0, 0, -0.05 * realised, -0.1 * realised]) == result.equity["fx_pnl"]
    for row in result.equity.iter_rows(named=True):
        assert pytest.approx(100_000 + profit(row) + row["fx_pnl"] - row["commission"]) == row["equity"]


def test_cash_in_another_currency_moves_with_its_rate():
    """Capital of two currencies; nothing is traded."""
    result = run(Plan(), STOCKS, RATES, capital={"USD": 1_000.0, "EUR": 2_000.0}, base_currency="USD")
    assert pytest.approx([1_000 + 2_000 * rate for rate in (1.1, 1.2, 1.25, 1.2, 1.15)]) == result.equity["equity"]
    assert pytest.approx([0.0, 200.0, 300.0, 200.0, 100.0]) == result.equity["fx_pnl"]
    turned = run(Plan(), STOCKS, RATES, capital={"USD": 1_000.0, "EUR": 2_000.0}, base_currency="EUR")
    assert pytest.approx([2_000 + 1_000 / rate for rate in (1.1, 1.2, 1.25, 1.2, 1.15)]) == turned.equity["equity"]
    assert "EUR" == turned.currency


def test_sizes_are_in_base_currency():
    """30 % of 100,000 USD at 100 EUR and 1.10."""
    orders = {}

    def size(context):
        orders["percent"] = context.order_percent("SAP", 0.3)
        orders["value"] = context.order_value("SAP", -10_000.0)

    run(Plan(d1=size), STOCKS, RATES)
    assert (272.0, -90.0) == (orders["percent"].quantity, orders["value"].quantity)


def test_weights_are_in_base_currency():
    """A vector over stocks of two currencies."""
    prices = bars(SAP=[(100, 100), (100, 100)], IBM=[(50, 50), (50, 50)])
    placed = {}

    def weigh(context):
        weights = np.full(len(context.symbols), np.nan)
        weights[[context.index("SAP"), context.index("IBM")]] = 0.25
        context.order_target_weights(weights)
        placed.update({order.symbol: order.quantity for order in context.open_orders()})

    run(Plan(d1=weigh), prices, RATES)
    assert {"SAP": 227.0, "IBM": 500.0} == placed


def test_a_look_at_the_portfolio_is_in_base_currency():
    """Balances by currency are in their own."""
    seen = {}

    def look(context):
        view = context.portfolio
        seen.update(cash=view.cash, usd=view.cash_in("USD"), eur=view.cash_in("EUR"), main=view.accounts["main"])
        seen["position"] = context.position("SAP")
        with pytest.raises(RunError, match="cash in 'GBP' was asked for: this run has USD, EUR"):
            view.cash_in("GBP")
        with pytest.raises(RunError, match="account 'mian' was asked for: this run has main"):
            _ = view.accounts["mian"]

    run(Plan(d1=lambda context: context.order("SAP", 100), d3=look), STOCKS, RATES)
    assert (100_000.0, -10_500.0) == (seen["usd"], seen["eur"])
    assert pytest.approx(100_000 - 10_500 * 1.25) == seen["cash"] == seen["main"].cash
    assert pytest.approx(101_875.0) == seen["main"].equity
    assert pytest.approx(12_000 * 1.25) == seen["main"].gross_exposure
    position = seen["position"]
    assert ("EUR", "main", 1_500.0) == (position.currency, position.account, position.unrealised)


def test_a_pair_can_be_traded():
    """Cash of its currency pays for it."""
    pairs = bars(EURUSD=[(1.1, 1.1), (1.12, 1.13), (1.14, 1.15)])
    result = run(Plan(d1=lambda context: context.order("EURUSD", 10_000)), pairs)
    assert pytest.approx([100_000, 100_000 + 100, 100_000 + 300]) == result.equity["equity"]
    assert pytest.approx(100_000 - 11_200) == result.equity["cash"][-1]


# --- a rate that is not there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        lambda context: context.order("SAP", 1),
        lambda context: context.order_value("SAP", 1_000.0),
        lambda context: context.order_target_percent("SAP", 0.1),
    ],
)
def test_an_order_in_a_currency_without_a_rate_stops_the_run(step):
    """Never 1; the message says what to add."""
    with pytest.raises(RunError) as raised:
        run(Plan(d2=step), STOCKS)
    assert (
        "currency EUR has no rate yet in USD on 2021-03-02, which an order of SAP of account main needs: add prices "
        'of a pair with asset_class = "fx", base = "EUR", currency = "USD", or the reverse'
    ) == str(raised.value).split("\n")[0]


@pytest.mark.parametrize("look", ["cash", "equity", "net_exposure", "accounts"])
def test_a_balance_in_a_currency_without_a_rate_stops_the_run(look):
    """When a strategy looks at it, and at the first close."""
    capital = {"capital": {"USD": 1.0, "EUR": 7.0}, "base_currency": "USD"}
    with pytest.raises(RunError, match=r"no rate yet in USD on 2021-03-01, which 7\.00 of cash of account main needs"):
        run(Plan(d1=lambda context: getattr(context.portfolio, look)), STOCKS, **capital)

    class Blind(Strategy):
        def on_slice(self, market, context):
            pass

    with pytest.raises(RunError, match=r"no rate yet in USD on 2021-03-01, which 7\.00 of cash of account main needs"):
        run(Blind(), STOCKS, **capital)


def test_a_currency_that_nothing_needs_needs_no_rate():
    """Instruments may name it; so may a pair whose prices never come."""
    assert [100_000.0] * 5 == run(Plan(), STOCKS).equity["equity"].to_list()


def long(days, price):
    """Return daily prices of weekdays."""
    first = date(2021, 3, 1)
    dates = [first + timedelta(days=number) for number in range(days)]
    return [each for each in dates if each.weekday() < 5], [(price, price)] * days


def test_a_rate_that_is_too_old_stops_the_run():
    """The pair has no price after the second session; the eighth is the sixth after it."""
    days, prices = long(14, 100.0)
    stocks, pairs = bars(days, SAP=prices), bars(days[:2], EURUSD=[(1.1, 1.1)] * 2)
    plan = Plan(d1=lambda context: context.order("SAP", 1))
    with pytest.raises(
        RunError, match=r"EUR has a rate of 2021-03-02, 6 sessions old \(max_fx_age 5\) in USD on 2021-03-10"
    ):
        run(plan, stocks, pairs)
    assert 10 == run(plan, stocks, pairs, account={"max_fx_age": 9}).equity.height


def test_an_action_in_a_currency_of_which_the_run_knows_nothing_is_refused():
    """Before the run, with the first action of each."""
    dividend = {"symbol": "SAP", "kind": "dividend", "ex_date": DAYS[2], "amount": 1.0, "currency": "GBP"}
    said = r"actions are in GBP \(a dividend of SAP\), the run has USD, EUR: name the currency"
    with pytest.raises(DataError, match=said):
        run(Plan(), STOCKS, RATES, actions=pl.DataFrame([dividend]))


# --- real rates ---------------------------------------------------------------------------------------------


def test_random_trading_in_euros_is_that_of_a_hand_that_keeps_books(real_data):
    """A stock in EUR on real EURUSD: cash, equity and profit at every close, in decimals."""
    hours = pl.read_parquet(real_data / "fx_hour_eurusd_backtestingpy.parquet")
    days = hours.group_by(pl.col("timestamp").dt.date()).agg(pl.col("open").first(), pl.col("close").last())
    days = days.sort("timestamp").filter(pl.col("timestamp").dt.weekday() < 6).head(150)
    pairs = days.with_columns(symbol=pl.lit("EURUSD"))
    rng = np.random.default_rng(11)
    steps = np.round(50.0 + np.cumsum(rng.normal(0.0, 1.0, days.height)), 2)
    stocks = pl.DataFrame({"timestamp": days["timestamp"], "symbol": "SAP", "open": steps, "close": steps[::-1]})
    wanted = rng.integers(-300, 300, days.height)

    class Follow(Strategy):
        def on_slice(self, market, context):
            place = int(np.searchsorted(days["timestamp"].to_numpy(), np.datetime64(context.session.date)))
            context.order_target("SAP", float(wanted[place]))

    result = run(Follow(), stocks, pairs, calendar="24/7", account={"type": "unlimited"})
    rows = {row["session"]: row for row in result.equity.iter_rows(named=True)}
    held, cash = Decimal(0), Decimal(0)
    for place, (day, rate) in enumerate(zip(days["timestamp"], days["close"], strict=True)):
        if place:
            target = Decimal(int(wanted[place - 1]))
            cash -= (target - held) * Decimal(str(steps[place]))
            held = target
        worth = (held * Decimal(str(steps[days.height - 1 - place])) + cash) * Decimal(str(rate))
        assert pytest.approx(float(100_000 + worth), rel=1e-12) == rows[day]["equity"]
        row = rows[day]
        assert pytest.approx(100_000 + profit(row) + row["fx_pnl"], rel=1e-9) == row["equity"]


@pytest.mark.parametrize("base", ["USD", "GBP"])
def test_real_pairs_make_rates_both_ways_and_crossed(real_data, base):
    """EUR in GBP by way of USD; the base currency does not change what is held."""
    quotes = pl.read_parquet(real_data / "fx_daily_quotes_fxcm.parquet").filter(pl.col("timestamp").dt.year() == 2008)
    feed = {"use": "frame", "name": "pairs", "frame": quotes, "prices": "raw", "bar": "1d", "stamp": "open"}
    feed["columns"] = {name: f"bid_{name}" for name in ("open", "high", "low", "close")}
    pairs = [{"symbol": f"{name}USD", "asset_class": "fx", "base": name, "currency": "USD"} for name in ("EUR", "GBP")]
    capital = {"USD": 1_000.0, "EUR": 2_000.0, "GBP": 3_000.0}
    seen = []

    class Look(Strategy):
        def on_slice(self, market, context):
            if all(np.isfinite(context.price())) and len(context.symbols) == 2:
                marks = context.price("EURUSD"), context.price("GBPUSD")
                seen.append((context.portfolio.equity, *marks))

    settings = {"account": {"max_fx_age": 9}, "start": date(2008, 1, 7)}
    Engine(feed=feed, strategy=Look(), capital=capital, base_currency=base, instruments=pairs, **settings).run()
    assert 200 < len(seen)
    for equity, euro, pound in seen:
        in_dollars = 1_000 + 2_000 * euro + 3_000 * pound
        assert pytest.approx(in_dollars if base == "USD" else in_dollars / pound, rel=1e-12) == equity


# --- files, snapshots -----------------------------------------------------------------------------------------

RUN_FILE = """\
schema = 1
base_currency = "USD"

[clock]
calendar = "XNYS"

[[feed]]
use = "csv"
path = "prices.csv"
prices = "raw"

[[feed]]
use = "csv"
name = "pairs"
path = "pairs.csv"
prices = "raw"
drives = false

[[instruments]]
use = "csv"
path = "instruments.csv"

[[account]]
name = "main"
type = "margin"
capital = { USD = 100_000, EUR = 1_000 }
interest = { debit = 0.06, credit = 0.02 }

[strategy]
use = "holding:Hold"

[[reporter]]
use = "parquet"
"""


def test_accounts_and_instruments_of_a_run_file(tmp_path):
    """Instruments from a file, capital of two currencies; the folder says what is in which."""
    (tmp_path / "run.toml").write_text(RUN_FILE)
    (tmp_path / "holding.py").write_text(
        "from ml4t.backtest import Strategy\n\n\nclass Hold(Strategy):\n"
        "    def on_slice(self, market, context):\n        context.order_target('SAP', 10)\n"
    )
    STOCKS.write_csv(tmp_path / "prices.csv")
    RATES.write_csv(tmp_path / "pairs.csv")
    pl.DataFrame([STOCK, PAIR]).write_csv(tmp_path / "instruments.csv")
    engine = Engine.from_file(tmp_path / "run.toml", overrides=["account.0.interest.debit=0.0", "seed=3"])
    said = "account main: margin, interest debit 0.0 credit 0.02; base currency USD"
    assert {"capital 100,000.00 USD, 1,000.00 EUR", said} <= set(engine.header)
    result = engine.run(out=tmp_path / "out")
    assert {"instruments.0", "prices", "csv", "pairs"} & set(result.manifest["inputs"]) >= {"instruments.0", "pairs"}
    ledger = pl.read_parquet(tmp_path / "out" / "ledger.parquet")
    assert {"USD", "EUR"} == set(ledger["currency"])
    assert [-1_050.0] == ledger.filter(pl.col("kind") == "fill")["amount"].to_list()
    credited = ledger.filter(pl.col("kind") == "interest")
    assert {"USD"} == set(credited["currency"]) - {"EUR"}
    assert (
        pytest.approx(result.equity["equity"][-1]) == pl.read_parquet(tmp_path / "out" / "equity.parquet")["equity"][-1]
    )


class Wander(Strategy):
    """Trade at random in two currencies."""

    def on_slice(self, market, context):
        for name in ("SAP", "IBM"):
            if name in context.symbols:
                context.order_target_percent(name, float(context.rng.uniform(-0.4, 0.4)))


def test_a_run_in_two_currencies_goes_on_from_a_snapshot(tmp_path):
    """Rates, balances and listing dates are those of a run that never stopped; stretches change nothing."""
    rng = np.random.default_rng(3)
    days = [date(2021, 3, 1) + timedelta(days=number) for number in range(40)]
    walks = {name: 100.0 + np.cumsum(rng.normal(0.0, 1.0, 40)) for name in ("IBM", "SAP")}
    stocks = bars(days, **{name: list(zip(walk, walk, strict=True)) for name, walk in walks.items()})
    pairs = bars(days, EURUSD=[(rate, rate) for rate in 1.1 + np.cumsum(rng.normal(0.0, 0.01, 40))])
    feeds = [
        {"use": "frame", "name": "prices", "frame": stocks, "prices": "raw"},
        {"use": "frame", "name": "pairs", "frame": pairs, "prices": "raw", "drives": False},
    ]
    entries = [{**STOCK, "listed_from": days[5], "listed_to": days[30]}, PAIR]
    settings = {"feed": feeds, "instruments": entries, "capital": {"USD": 1e5, "EUR": 1e4}, "base_currency": "USD"}
    settings |= {"account": {"convert": "at-fill", "on_silence": "last"}, "seed": 5}
    whole = Engine(strategy=Wander(), **settings).run()
    assert "not-listed" in whole.refusals
    for stop in (3, 17, 35):
        engine = Engine(strategy=Wander(), **settings)
        for number, _ in enumerate(steps := engine.steps()):
            if number == stop:
                engine.snapshot(tmp_path / f"{stop}")
                steps.close()
                break
        resumed = Engine(strategy=Wander(), **settings).run(resume=tmp_path / f"{stop}")
        assert whole.result_hash == resumed.result_hash
