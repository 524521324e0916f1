"""Feeds of made-up rows, resampled without an engine."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.interfaces import Setup, Window
from ml4t_backtest_calendar_market import MarketCalendar
from ml4t_backtest_feed_frame.feed import FrameDataFeed
from ml4t_backtest_feed_resample.feed import ResampleDataFeed
from ml4t_backtest_testkit import make_setup

_TABLES: dict[str, SessionTable] = {}


def sessions_of(name):
    """Return the sessions of a calendar from 2007 to 2025."""
    if name not in _TABLES:
        calendar = AlwaysOpen() if name in ("", "24/7") else MarketCalendar(MarketCalendar.Config(name=name))
        rows = calendar.sessions(date(2007, 1, 1), date(2025, 12, 31))
        _TABLES[name] = SessionTable(rows, timezone=calendar.timezone, name=name)
    return _TABLES[name]


@pytest.fixture(scope="session")
def table():
    """Return the sessions of a calendar by its name."""
    return sessions_of


@pytest.fixture
def opened():
    """Return an opened feed that resamples a frame; keywords are those of both feeds."""

    def make(frame, *, window=None, inner_latency=None, **settings):
        own = {name: settings.pop(name) for name in ResampleDataFeed.Config.__dataclass_fields__ if name in settings}
        of = {"frame": frame, "prices": "raw", "latency": inner_latency, **settings}

        def build(kind, value, where):
            value = {name: item for name, item in value.items() if name != "name"}
            return FrameDataFeed(FrameDataFeed.Config(**value), make_setup("rows"))

        setup = Setup(name="bars", build=build, sessions=sessions_of)
        feed = ResampleDataFeed(ResampleDataFeed.Config(of=of, **own), setup)
        feed.open(window or Window())
        return feed

    return make


@pytest.fixture
def resampled(opened):
    """Return the bars that a frame makes, all in one frame."""

    def make(frame, **settings):
        return pl.concat(opened(frame, **settings).batches())

    return make


@pytest.fixture
def minutes():
    """Return random one-minute bars of some symbols, with gaps; stamps are their starts."""

    def make(first=datetime(2024, 7, 1, tzinfo=UTC), count=3000, symbols=("A", "B"), seed=3, kept=0.9):
        rng = np.random.default_rng(seed)
        stamps = [first + timedelta(minutes=minute) for minute in range(count)]
        rows = [(stamp, symbol) for stamp in stamps for symbol in symbols]
        prices = np.round(100 + rng.normal(0, 0.1, (len(rows), 4)).cumsum(axis=0) * 0.1, 2)
        frame = pl.DataFrame(rows, ["timestamp", "symbol"], orient="row").with_columns(
            open=prices[:, 0],
            high=prices.max(axis=1),
            low=prices.min(axis=1),
            close=prices[:, 3],
            volume=rng.integers(1, 500, len(rows)).astype(float),
        )
        return frame.filter(pl.Series(rng.random(len(rows)) < kept))

    return make
