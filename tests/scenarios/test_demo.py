"""The demo's outcome is pinned, so that no change moves it unseen."""

import json
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from ml4t_backtest_cli.main import DONE, main
from ml4t_backtest_data_sample import prices

# The figures of the demo as first published. They move when the sample prices, the demo's settings or a rule
# of docs/reference move, and then this file moves with them and the change log says why. The hashes are not
# pinned: they are of float64 bits, whose last ones may differ with the processor and its libraries (the
# strategy divides and compares with NumPy); what a person is told of the run, fills and cents, may not.
FILLS = 2_336
FINAL_EQUITY = 1_097_615_845.68
COMMISSION = 15_784_222.47
SLIPPAGE = 15_784_230.03
CLOSED_ROUND_TRIPS = 1_899


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The run folder of the demo."""
    path = tmp_path_factory.mktemp("demo") / "run"
    assert DONE == main(["demo", "--quiet", "--out", str(path)])
    return path


def test_the_demo_comes_out_as_published(folder):
    """Number of fills, and money rounded to cents."""
    metrics = json.loads((folder / "metrics.json").read_text())
    trades = pl.read_parquet(folder / "trades.parquet")

    assert FILLS == pl.read_parquet(folder / "fills.parquet").height == metrics["n_fills"]
    assert FINAL_EQUITY == round(metrics["final_equity"], 2)
    assert (COMMISSION, SLIPPAGE) == (round(metrics["commission"], 2), round(metrics["slippage"], 2))
    assert CLOSED_ROUND_TRIPS == trades.filter(~pl.col("is_open")).height


def test_the_demo_fills_at_the_close_after_the_decision(folder):
    """One rebalancing a month, decided at a session's close and filled at the next session's."""
    fills = pl.read_parquet(folder / "fills.parquet")
    decisions = pl.read_parquet(folder / "targets.parquet")["timestamp"].unique().sort()
    sessions = pl.read_parquet(folder / "equity.parquet")["timestamp"]
    following = dict(pairwise(sessions))

    assert 383 == len(decisions) == decisions.dt.strftime("%Y-%m").n_unique()
    assert {(at, following[at]) for at in decisions} >= set(fills.select("submitted_at", "timestamp").unique().rows())


def test_a_plain_loop_agrees(folder):
    """Momentum, sizes and costs written out over a table of closes: the same fills, the same money."""
    table = prices().pivot("symbol", index="timestamp", values="close").sort("timestamp")
    days = table["timestamp"].to_list()
    symbols = sorted(table.columns[1:])
    close = table.select(symbols).to_numpy()
    cash, held, fills = 1_000_000.0, np.zeros(len(symbols)), []
    for today in range(days.index(date(1991, 2, 1)), len(days) - 1):
        if days[today].month == days[today - 1].month:
            continue
        best = np.argsort(close[today - 21] / close[today - 252], kind="stable")[::-1][:5]
        weights = np.zeros(len(symbols))
        weights[best] = 0.2
        wanted = weights * (cash + held @ close[today]) / close[today]
        orders = np.where(weights == 0, -held, np.trunc(wanted - held))
        for place in np.flatnonzero(orders):
            quantity, reference = orders[place], close[today + 1, place]
            price = reference * (1 + 0.0005 * np.sign(quantity))
            cash -= quantity * price + 0.0005 * abs(quantity) * price
            fills.append((days[today + 1], symbols[place], quantity))
        held += orders
    found = pl.read_parquet(folder / "fills.parquet").select(pl.col("timestamp").dt.date(), "symbol", "quantity")

    assert fills == found.rows()
    assert cash + held @ close[-1] == pytest.approx(FINAL_EQUITY, abs=0.01)


def test_the_demo_is_the_same_twice(folder, tmp_path):
    """On one machine even the bits agree."""
    assert DONE == main(["demo", "--quiet", "--out", str(tmp_path / "again")])
    hashes = [
        [json.loads((path / "manifest.json").read_text())[name] for name in ("decision_hash", "result_hash")]
        for path in (folder, tmp_path / "again")
    ]
    assert hashes[0] == hashes[1]
