"""Companies and their tickers in real data: changes, reuse, the end of one, and prices that stop.

WM was Washington Mutual to 26 September 2008 and is Waste Management (UW, then WMI) from 5 August 2009; GOOG was class
A to 2 April 2014 and is class C from the 3rd; USO was another company before April 2006. What the files do not hold
(FB to META, NWSA to FOXA, SPWR to SPWRA) is run over made-up prices with the real names and days.
"""

import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import RunError

ENDS = pl.col("timestamp").dt.date()
FAILED = date(2008, 9, 26)  # Washington Mutual's last session
SCHEMA = {"symbol": pl.String, "kind": pl.String, "ex_date": pl.Date, "new_symbol": pl.String}
FIGURES = {"ratio": pl.Float64, "amount": pl.Float64, "value": pl.Float64}


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def daily(data, first, last, *symbols):
    """Return the raw bars of some tickers."""
    rows = pl.read_parquet(data / "us_equity_daily_lean.parquet")
    return rows.filter(ENDS.is_between(first, last), pl.col("symbol").is_in(symbols))


def changed(old, new, day):
    """Return an action: a symbol change."""
    return {"symbol": old, "kind": "symbol-change", "ex_date": day, "new_symbol": new}


def ended(symbol, last, value=None):
    """Return an action: a delisting on the first weekday after the last session."""
    days = (last + timedelta(days=number) for number in range(1, 4))
    day = next(day for day in days if day.weekday() < 5)
    return {"symbol": symbol, "kind": "delisting", "ex_date": day, "value": value}


class Script(Strategy):
    """Send market orders on sessions; write down closes seen at a look."""

    def __init__(self, orders, look=None, history=5):
        self.orders, self.look, self.history, self.seen, self.sent = orders, look, history, {}, {}

    def on_start(self, context):
        context.subscribe("prices", "close", history=self.history)

    def on_slice(self, market, context):
        day = context.session.date
        for symbol, quantity in self.orders.get(day, ()):
            self.sent[day, symbol] = context.order(symbol, quantity)
        if day == self.look:
            self.seen = {symbol: context.history("close", self.history, symbol=symbol) for symbol in context.symbols}


def run(strategy, prices, *actions, **settings):
    """Run over raw prices with actions."""
    kinds = SCHEMA | FIGURES
    return Engine(
        feed={"use": "frame", "name": "prices", "frame": prices, "prices": "raw"},
        actions=pl.DataFrame([{name: row.get(name) for name in kinds} for row in actions], schema=kinds),
        strategy=strategy,
        calendar="XNYS",
        capital=1_000_000,
        **settings,
    ).run()


def held(result):
    """Return the quantities held at the end, by name."""
    return dict(zip(result.state.symbols.names, result.state.positions["quantity"].tolist(), strict=True))


def marks(result):
    """Return the last marks by name."""
    return dict(zip(result.state.symbols.names, result.state.instruments["mark"].tolist(), strict=True))


# --- symbol changes -----------------------------------------------------------------------------------------


def test_a_company_keeps_position_and_history_under_three_tickers(data):
    """Waste Management from 1998 to 2021, beside Washington Mutual, whose ticker it took: two columns, never one."""
    last = date(2009, 8, 7)
    rows = daily(data, date(1998, 1, 2), last, "UW", "WMI", "WM")
    strategy = Script({date(1998, 1, 5): [("UW", 100)], date(2008, 9, 22): [("WM", 1000)]}, look=last, history=8)

    result = run(
        strategy,
        rows,
        changed("UW", "WMI", date(1998, 7, 17)),
        ended("WM", FAILED, 0.0),
        changed("WMI", "WM", date(2009, 8, 5)),
    )

    old = next(name for name in held(result) if name != "WM")
    assert {"WM": 100.0, old: 0.0} == held(result)
    assert old == "WM (2008-09-26)"
    assert {"WM", old} == set(result.fills["symbol"])
    assert 1 == result.fills.filter(symbol="WM").height
    own = rows.filter((pl.col("symbol") != "WM") | (ENDS >= date(2009, 8, 5))).sort("timestamp")
    np.testing.assert_array_equal(own["close"].tail(8), strategy.seen["WM"])
    assert own["close"][-1] == marks(result)["WM"]
    # What the position is worth never jumps by more than its shares did.
    worth = result.positions.filter(pl.col("symbol") == "WM").sort("session")
    assert worth["session"].len() == own.filter(ENDS > date(1998, 1, 5)).height
    prices = own.filter(ENDS > date(1998, 1, 5))["close"]
    np.testing.assert_allclose(worth["mark"], prices, rtol=0, atol=1e-12)


def test_two_classes_of_google_never_join(data):
    """GOOG of class A becomes GOOGL, GOOCV of class C becomes GOOG, on one day; the split is that of class A."""
    day, last = date(2014, 4, 3), date(2014, 4, 9)
    rows = daily(data, date(2014, 3, 20), last, "GOOG", "GOOGL", "GOOCV")
    strategy = Script({date(2014, 3, 27): [("GOOG", 100), ("GOOCV", 30)]}, look=last, history=12)

    result = run(
        strategy,
        rows,
        changed("GOOG", "GOOGL", day),
        changed("GOOCV", "GOOG", day),
        {"symbol": "GOOGL", "kind": "split", "ex_date": day, "ratio": 2.0},
    )

    assert {"GOOGL": 200.0, "GOOG": 30.0} == held(result)
    own = {
        "GOOGL": rows.filter(pl.col("symbol") == pl.when(day > ENDS).then(pl.lit("GOOG")).otherwise(pl.lit("GOOGL"))),
        "GOOG": rows.filter(pl.col("symbol") == pl.when(day > ENDS).then(pl.lit("GOOCV")).otherwise(pl.lit("GOOG"))),
    }
    for name, split in (("GOOGL", 2.0), ("GOOG", 1.0)):
        mine = own[name].sort("timestamp").with_columns(pl.col("close") / pl.when(day > ENDS).then(split).otherwise(1))
        expected = mine["close"].tail(12).to_numpy()
        np.testing.assert_allclose(strategy.seen[name][-len(expected) :], expected, rtol=1e-12)
        assert np.isnan(strategy.seen[name][: -len(expected)]).all()
    assert 12 > own["GOOG"].height  # class C began with GOOCV: nothing of class A is before it


def test_a_ticker_that_another_company_had_begins_without_its_past(data):
    """USO of 1998 ends by `listed_to`; the fund of 2006 has a column without its prices and its position."""
    rows = daily(data, date(1998, 12, 1), date(2006, 4, 20), "USO", "SPY").filter(
        (ENDS < date(1999, 1, 1)) | (ENDS > date(2006, 4, 1))
    )
    first = rows.filter(symbol="USO").filter(ENDS < date(1999, 1, 1))["timestamp"].dt.date().sort()
    strategy = Script({first[-3]: [("USO", 10)]}, look=date(2006, 4, 17), history=10)

    result = run(strategy, rows, ended("USO", date(1998, 12, 30), 1.5))

    old = next(name for name in held(result) if name not in ("SPY", "USO"))
    assert {"SPY": 0.0, "USO": 0.0, old: 0.0} == held(result)
    assert "USO (1998-12-30)" == old
    fund = rows.filter(symbol="USO").filter(ENDS.is_between(date(2006, 4, 10), date(2006, 4, 17)))
    count = fund.height
    np.testing.assert_array_equal(fund["close"], strategy.seen["USO"][-count:])
    assert np.isnan(strategy.seen["USO"][:-count]).all()
    paid = result.ledger.filter(kind="delisting")["amount"].to_list()
    assert [15.0] == paid


@pytest.mark.parametrize(
    ("old", "new", "last", "day"),
    [
        ("FB", "META", date(2022, 6, 8), date(2022, 6, 9)),
        ("NWSA", "FOXA", date(2013, 6, 28), date(2013, 7, 1)),  # over a weekend
        ("SPWR", "SPWRA", date(2008, 9, 26), date(2008, 9, 29)),  # over a weekend
    ],
)
def test_symbol_changes_that_the_files_do_not_hold_keep_everything(old, new, last, day):
    """Made-up prices, real names and days: position, working orders and history go on under the new name."""
    days = [day + timedelta(days=number) for number in range(-9, 6)]
    days = [each for each in days if each.weekday() < 5]
    rows = []
    for place, each in enumerate(days):
        prices = dict.fromkeys(("open", "high", "low", "close"), 50.0 + place)
        rows.append({"symbol": old if each <= last else new, "timestamp": each, **prices, "volume": 1e6})

    class Keeps(Script):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            if context.session.date == days[2]:
                self.stop = context.order(old, -10, stop_price=20.0)

    strategy = Keeps({days[1]: [(old, 10)]}, look=days[-1], history=len(days))
    result = run(strategy, pl.DataFrame(rows), changed(old, new, day))

    assert {new: 10.0} == held(result)
    assert (new, -10.0, 20.0) == (strategy.stop.symbol, strategy.stop.quantity, strategy.stop.stop_price)
    assert ("cancelled", "end-of-run") == (strategy.stop.status, strategy.stop.reason)
    np.testing.assert_array_equal([row["close"] for row in rows], strategy.seen[new])
    assert {new} == set(result.fills["symbol"]) == set(result.positions["symbol"])


# --- the end of Washington Mutual ---------------------------------------------------------------------------

BOUGHT = date(2008, 9, 22)  # fills at 3.00, the open of the 23rd


@pytest.fixture
def autumn(data):
    """Washington Mutual's last sessions beside SPY, and Waste Management's first under its ticker."""
    return daily(data, date(2008, 9, 15), date(2009, 8, 7), "SPY", "WM")


def test_a_stop_fills_at_the_open_that_fell_through_it(autumn):
    """Close 1.77, open 0.18: a stop at 1.50 gets 0.18."""

    class Stopped(Script):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            if context.session.date == date(2008, 9, 24):
                context.order("WM", -1000, stop_price=1.5)

    result = run(Stopped({BOUGHT: [("WM", 1000)]}), autumn, ended("WM", FAILED, 0.0))

    assert [(1000.0, 3.0), (-1000.0, 0.18)] == result.fills.select("quantity", "price").rows()


@pytest.mark.parametrize(("value", "worth"), [(0.0, 0.0), (None, 160.0), (0.05, 50.0)])
@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_a_delisting_closes_at_its_value_or_at_the_last_price(autumn, value, worth, side):
    """Long and short; the position is never marked at Waste Management's price, and later orders are refused."""
    late = date(2008, 10, 1)
    strategy = Script({BOUGHT: [("WM", 1000 * side)], FAILED: [("WM", 500 * side)], late: [("WM", 10)]})

    result = run(strategy, autumn, ended("WM", FAILED, value))

    assert ("cancelled", "corporate-action") == ends(strategy.sent[FAILED, "WM"])
    assert ("refused", "delisted") == ends(strategy.sent[late, "WM"])
    paid = result.ledger.filter(kind="delisting")
    assert [pytest.approx(worth * side, abs=1e-9)] == paid["amount"].to_list()
    assert result.equity["equity"][-1] == pytest.approx(1_000_000 + side * (worth - 3000.0), abs=1e-9)
    after = result.equity.filter(pl.col("session") > FAILED)["equity"]
    assert 1 == after.n_unique()
    assert 1.77 == result.positions.filter(pl.col("session") == date(2008, 9, 25))["mark"][0]
    assert result.positions.filter(pl.col("session") > FAILED).is_empty()


def ends(order):
    """Return how an order ended."""
    return order.status, order.reason


def silent(autumn):
    """Return rows without the company that took the ticker later."""
    return autumn.filter(ENDS < date(2009, 8, 1))


def test_silence_stops_the_run_with_symbol_and_date(autumn):
    """The last price is of 26 September; the sixth session without one is 6 October."""
    with pytest.raises(RunError, match=r"(?s)WM.*2008-10-06|2008-10-06.*WM"):
        run(Script({BOUGHT: [("WM", 1000)]}), silent(autumn))


@pytest.mark.parametrize(("policy", "worth"), [("last", 160.0), ("zero", 0.0)])
def test_silence_closes_at_the_last_price_or_at_zero(autumn, policy, worth):
    """At the same session, with a ledger row of kind delisting; orders between are refused or never fill."""
    strategy = Script({BOUGHT: [("WM", 1000)], date(2008, 10, 8): [("WM", 5)]})

    result = run(strategy, silent(autumn), account=[{"on_silence": policy}])

    paid = result.ledger.filter(kind="delisting")
    assert [pytest.approx(worth)] == paid["amount"].to_list()
    day = paid["timestamp"].dt.convert_time_zone("America/New_York").dt.date()
    assert [date(2008, 10, 6)] == day.to_list()
    assert {"SPY": 0.0, "WM": 0.0} == held(result)
    assert ("refused", "mark-too-old") == ends(strategy.sent[date(2008, 10, 8), "WM"])
    assert result.equity["equity"][-1] == pytest.approx(1_000_000 + worth - 3000.0)


def test_silence_may_be_held_at_the_last_price_and_is_shown(autumn):
    """160 in `stale_exposure` from the first session without a price on; it is not sold for want of one."""
    result = run(Script({BOUGHT: [("WM", 1000)]}), silent(autumn), account=[{"on_silence": "hold"}])

    assert 1000.0 == held(result)["WM"]
    stale = result.equity.filter(pl.col("session") > FAILED)["stale_exposure"]
    np.testing.assert_allclose(stale, 160.0, rtol=1e-12)
    assert 0.0 == result.equity.filter(pl.col("session") <= FAILED)["stale_exposure"].max()


def test_the_end_of_the_data_is_no_silence(data):
    """Washington Mutual alone: nothing closes after its last bar, and the run ends."""
    rows = daily(data, date(2008, 9, 15), FAILED, "WM")

    result = run(Script({BOUGHT: [("WM", 1000)]}), rows)

    assert {"WM": 1000.0} == held(result)
    assert result.equity["equity"][-1] == pytest.approx(1_000_000 + 160.0 - 3000.0)
