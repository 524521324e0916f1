"""The feed hands out the rows of the file and says what their stamps mean."""

import datetime

import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Setup, Window
from ml4t_backtest_data_sample import prices
from ml4t_backtest_data_sample.feed import SampleConfig, SampleDataFeed


def nanoseconds(day: datetime.date) -> int:
    """Return the UTC midnight of a day as ns."""
    return (day - datetime.date(1970, 1, 1)).days * 86_400_000_000_000


@pytest.fixture
def feed() -> SampleDataFeed:
    """The feed with its defaults, not yet open."""
    return SampleDataFeed(SampleConfig(), Setup(name="sample"))


def test_an_open_window_gives_every_row(feed):
    """Nothing is lost or reordered between the file and the batches."""
    feed.open(Window())
    assert prices().equals(pl.concat(feed.batches()))


def test_batches_can_be_read_again(feed):
    """A resumed run reads from the beginning."""
    feed.open(Window())
    assert pl.concat(feed.batches()).equals(pl.concat(feed.batches()))


def test_the_stamps_are_labels_of_sessions(feed):
    """A close is known at the end of its session, never at midnight."""
    feed.open(Window())
    assert "label" == feed.spec.rule.convention
    assert ("close",) == feed.spec.fields
    assert "total" == feed.spec.prices


def test_a_window_leaves_out_what_is_far_from_it(feed):
    """Every session of the window is there, and at most a few beyond."""
    first, last = datetime.date(2000, 1, 3), datetime.date(2000, 12, 29)
    feed.open(Window(first=nanoseconds(first), last=nanoseconds(last)))
    got = pl.concat(feed.batches())
    wanted = prices().filter(pl.col("timestamp").is_between(first, last))
    assert wanted.equals(got.filter(pl.col("timestamp").is_between(first, last)))
    assert got.height <= wanted.height + 4 * 20


def test_only_the_named_symbols_are_read():
    """A config of two symbols gives two."""
    feed = SampleDataFeed(SampleConfig(symbols=("XOM", "AAPL")), Setup(name="sample"))
    feed.open(Window())
    assert {"AAPL", "XOM"} == set(pl.concat(feed.batches())["symbol"])


def test_an_unknown_symbol_is_refused_before_the_run():
    """The message names it and those that there are."""
    feed = SampleDataFeed(SampleConfig(symbols=("APPL",)), Setup(name="sample"))
    with pytest.raises(DataError, match="no symbol APPL: choose among AAPL, AMD"):
        feed.open(Window())


def test_the_notes_name_adjustment_and_survival(feed):
    """A reader of the results is told."""
    notes = " ".join(feed.notes())
    assert "adjusted closes" in notes
    assert "survived" in notes


def test_the_digest_is_that_of_the_file(feed):
    """The manifest can tell two files apart."""
    assert 64 == len(feed.digest())
