"""The prices are what the README says they are."""

import datetime

import polars as pl
import pytest

from ml4t_backtest_data_sample import prices, prices_path

SYMBOLS = [
    "AAPL",
    "AMD",
    "BAC",
    "BBY",
    "CVX",
    "GE",
    "HD",
    "JNJ",
    "JPM",
    "KO",
    "LLY",
    "MRK",
    "MSFT",
    "PEP",
    "PFE",
    "PG",
    "RRC",
    "UNH",
    "WMT",
    "XOM",
]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """The prices, read once."""
    return prices()


def test_the_file_is_small_enough_to_ship():
    """A default install carries the file, so it stays under 3 MB."""
    assert prices_path().is_file()
    assert prices_path().stat().st_size <= 3_000_000


def test_columns_are_symbol_session_label_and_close(frame):
    """The stamps are dates: labels of sessions, not instants."""
    assert {"symbol": pl.String, "timestamp": pl.Date, "close": pl.Float64} == dict(frame.schema)


def test_each_of_twenty_symbols_has_each_session(frame):
    """No symbol appears late, vanishes early or skips a session."""
    assert SYMBOLS == frame["symbol"].unique().sort().to_list()
    assert {8313} == set(frame.group_by("symbol").len()["len"])
    assert 20 * 8313 == frame.select("symbol", "timestamp").n_unique()


def test_sessions_run_from_1990_to_2022(frame):
    """The README promises the range, both ends included."""
    assert datetime.date(1990, 1, 2) == frame["timestamp"].min()
    assert datetime.date(2022, 12, 28) == frame["timestamp"].max()


def test_rows_are_sorted_by_session_then_symbol(frame):
    """A feed may stream the file in its own order."""
    assert frame.equals(frame.sort("timestamp", "symbol"))


def test_every_close_is_a_positive_number(frame):
    """No nulls, no NaN, nothing that could not be a price."""
    assert 0 == frame["close"].null_count()
    assert frame["close"].is_finite().all()
    assert frame["close"].min() > 0


def test_known_closes_have_survived_the_conversion(frame):
    """The first and last closes of the origin, to the last digit."""
    first = frame.filter(timestamp=datetime.date(1990, 1, 2))
    last = frame.filter(timestamp=datetime.date(2022, 12, 28))
    assert 0.264 == first.filter(symbol="AAPL")["close"].item()
    assert 173.728 == last.filter(symbol="CVX")["close"].item()
