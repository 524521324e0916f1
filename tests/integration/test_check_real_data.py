"""What the check finds in real data: the splits that nobody told, and no error in what can be used."""

import os
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest import Engine

# What a feed of each file has to say, and the calendar of its venue.
USABLE = {
    "crypto_5m_binance_btc_pairs": ("24/7", {"bar": "5m", "stamp": "open"}),
    "crypto_daily_btcusd_coinbase": ("24/7", {}),
    "crypto_minute_btcusd_coinbase": ("24/7", {"bar": "1m", "stamp": "open"}),
    "crypto_perp_1m_btc": ("24/7", {"bar": "1m", "stamp": "open"}),
    "crypto_trades_btcusd_bitstamp_2011": ("24/7", {"columns": {"event_time": "timestamp"}, "latency": "0s"}),
    "etf_daily_yahoo_2007_2013": ("XNYS", {}),
    "fx_ticks_usdjpy_truefx": ("24/7", {"columns": {"event_time": "timestamp"}, "latency": "0s"}),
    "sp500_daily_2013_2018": ("XNYS", {}),
    "us20_adjclose_1990_2022_skfolio": ("XNYS", {"columns": {"close": "adj_close"}, "prices": "total"}),
    "us_equity_daily_lean": ("XNYS", {}),
    "us_equity_hour_lean": ("XNYS", {"bar": "1h", "stamp": "open"}),
    "us_equity_minute_trades_lean": ("XNYS", {"bar": "1m", "stamp": "open"}),
    "us_equity_ticks_quotes_lean": ("XNYS", {"columns": {"event_time": "timestamp"}, "latency": "0s"}),
}
# The day on which Apple halved for want of sales, which only complete actions tell from a split.
CRASH = ("AAPL", date(2000, 9, 29))


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def check(path, calendar, actions=None, **settings):
    """Return the findings in one file."""
    feed = {"use": "parquet", "name": "prices", "path": str(path), "prices": "raw", **settings}
    return Engine(feed=feed, calendar=calendar, actions=actions, open=False).check()


@pytest.mark.parametrize("name", USABLE)
def test_real_data_have_no_errors(data, name):
    """Gaps, halts and trades after hours are what real data are; a false error would keep them from use."""
    calendar, settings = USABLE[name]
    found = check(data / f"{name}.parquet", calendar, **settings)
    assert [] == found.filter(found["severity"] == "error")["rule"].to_list()


def test_a_split_of_a_fund_is_found_in_unadjusted_prices(data):
    """VTI, two for one on 2008-06-18, among six funds over seven years."""
    found = check(data / "etf_daily_yahoo_2007_2013.parquet", "XNYS").filter(rule="unadjusted-split")
    assert [("VTI", 1)] == found.select("symbol", "count").rows()
    assert "(VTI, 2008-06-18) like 2 for 1" in found["rows"][0][0]


@pytest.mark.parametrize("told", [False, True], ids=["without actions", "with actions"])
def test_splits_of_shares_are_found_unless_actions_tell_them(data, told):
    """Every split of Apple, IBM and two funds over 23 years; with the actions only a true fall is left."""
    shares = ["AAPL", "IBM", "SPY", "IWM"]
    actions = pl.read_parquet(data / "corporate_actions.parquet") if told else None
    prices = data / "us_equity_daily_lean.parquet"
    days = pl.read_parquet(data / "corporate_actions.parquet").filter(kind="split").select("symbol", "ex_date").rows()
    first = pl.read_parquet(prices).group_by("symbol").agg(pl.col("timestamp").min().dt.date()).rows_by_key("symbol")
    splits = {(symbol, day) for symbol, day in days if symbol in shares and day > first[symbol][0][0]}
    expected = {CRASH} if told else {CRASH} | splits
    assert 5 <= len(splits)
    found = [
        each
        for symbol in shares
        for each in check(prices, "XNYS", actions, symbols=[symbol]).filter(rule="unadjusted-split").to_dicts()
    ]
    assert len(expected) == sum(each["count"] for each in found)
