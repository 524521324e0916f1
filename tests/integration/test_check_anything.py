"""The check says what is wrong with any frame, and never falls over it."""

import random
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import InputError
from ml4t_backtest_gate_standard.findings.rules import RULES

ODD = [1.0, 2.0, 0.0, -1.0, None, float("nan"), float("inf"), -float("inf"), 1e300, 1e-300, 100.5]
NAMES = ["A", "B", "C", "", "\x00é", None]


def any_stamps(draw, rows):
    """Return dates, midnights, or minutes around a change of clocks, naive or in a zone, in order or not."""
    kind = draw.choice(["date", "midnight", "naive", "UTC", "America/New_York"])
    if kind in ("date", "midnight"):
        make = date if kind == "date" else datetime
        stamps = [make(2024, 1, 1) + timedelta(days=draw.randrange(400)) for _ in range(rows)]
    else:
        stamps = [datetime(2024, 3, 8) + timedelta(minutes=draw.randrange(8000)) for _ in range(rows)]
    series = pl.Series("timestamp", sorted(stamps) if draw.random() < 0.6 else stamps)
    if "/" not in kind and kind != "UTC":
        return series
    return series.dt.replace_time_zone(kind, ambiguous="earliest", non_existent="null")


def any_prices(draw):
    """Return a frame of up to 60 rows in which anything may be wrong."""
    rows, clean = draw.choice([1, 2, 3, 10, 60]), draw.random() < 0.4
    fields = ["close", *draw.sample(["open", "high", "low", "volume", "bid", "ask"], draw.randrange(5))]
    columns = {
        name: pl.Series([draw.uniform(50, 60) if clean else draw.choice(ODD) for _ in range(rows)], dtype=pl.Float64)
        for name in fields
    }
    symbols = pl.Series(draw.choices(NAMES, [10, 10, 10, 1, 1, 1], k=rows), dtype=pl.String)
    frame = pl.DataFrame({"symbol": symbols, "timestamp": any_stamps(draw, rows), **columns})
    changes = [
        lambda frame: frame.with_columns(pl.col("close").cast(pl.String)),
        lambda frame: frame.with_columns(known_at=pl.col("timestamp")),
        lambda frame: frame.with_columns(pl.col("symbol").cast(pl.Categorical)),
        lambda frame: frame.clear(),
    ]
    for change in changes:
        if draw.random() < 0.15:
            frame = change(frame)
    return frame


@pytest.mark.parametrize("block", range(10))
def test_any_frame_is_checked_without_an_error_of_our_own(block):
    """Findings by known rules, or an error of input: nothing else."""
    checked = 0
    for seed in range(block * 20, block * 20 + 20):
        draw = random.Random(seed)
        prices = any_prices(draw)
        settings = {"bar": draw.choice(["1d", "5m", "1h"]), "stamp": draw.choice(["open", "close"])}
        settings = settings | {"timezone": "America/New_York"} if draw.random() < 0.7 else {}
        signals = prices.select("symbol", "timestamp", score="close").with_columns(known_at=pl.col("timestamp"))
        calendar = draw.choice(["XNYS", "XHKG", "24/7"])
        try:
            found = Engine(prices=prices, signals=signals, calendar=calendar, open=False, **settings).check()
        except InputError:
            continue
        checked += 1
        assert {*found["rule"]} <= {*RULES}
    assert checked > 0
