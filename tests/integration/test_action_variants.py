"""Random runs through corporate actions end alike however they are driven, read and interrupted."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t_backtest_testkit import random_market
from ml4t_backtest_testkit.random_orders import RandomOrders

DAYS = 40


def market(seed):
    """Daily bars, and actions of every kind at random sessions; a ticker passes on, another is given up."""
    rng = np.random.default_rng(seed)
    prices = random_market(seed=seed, symbols=("A", "B", "C", "D"), bars=DAYS, missing=0.05)
    first = prices["timestamp"].min()

    def day(low=2, high=DAYS - 2):
        return first + timedelta(days=int(rng.integers(low, high)))

    changed, gone = day(10, 20), day(20, 30)
    rows = [
        {"symbol": "A", "kind": "split", "ex_date": day(3, 10), "ratio": float(rng.choice([0.1, 0.5, 2.0, 3.0]))},
        {"symbol": "A", "kind": "stock-dividend", "ex_date": day(11), "ratio": float(rng.uniform(0.05, 0.5))},
        {"symbol": "B", "kind": "symbol-change", "ex_date": changed, "new_symbol": "BB"},
        {"symbol": "A", "kind": "spin-off", "ex_date": day(), "ratio": 0.25, "value": 7.0, "new_symbol": "N"},
        {"symbol": "C", "kind": "delisting", "ex_date": gone, "value": float(rng.choice([0.0, 50.0]))},
        {"symbol": "D", "kind": "merger", "ex_date": day(25), "ratio": 0.5, "amount": 3.0, "new_symbol": "A"},
    ]
    paid = day(3, 15)
    pay = {"ex_date": paid, "pay_date": paid + timedelta(days=int(rng.integers(0, 6)))}
    rows += [{"symbol": symbol, "kind": "dividend", "amount": float(rng.uniform(0.1, 2.0)), **pay} for symbol in "AD"]
    for row in rows:
        row["known_at"] = row["ex_date"] - timedelta(days=int(rng.integers(1, 4)))
    renamed = (pl.col("symbol") == "B") & (pl.col("timestamp") >= changed)
    prices = prices.with_columns(symbol=pl.when(renamed).then(pl.lit("BB")).otherwise("symbol"))
    return prices.sort("timestamp", "symbol"), pl.DataFrame(rows, infer_schema_length=None)


def engine(seed, batch_rows=0):
    """Return an engine over a random market whose strategy asks for anything."""
    prices, actions = market(seed)
    feed = {"use": "frame", "name": "prices", "frame": prices, "prices": "raw", "batch_rows": batch_rows}
    account = {"type": "unlimited"}
    return Engine(feed=feed, actions=actions, strategy=RandomOrders(), account=account, capital=1e6, seed=seed)


def ending(result):
    """Return what a run leaves behind."""
    assert "done" == result.status
    kept = (result.fills, result.orders, result.ledger, result.equity, result.positions)
    return [frame.write_csv() for frame in kept], result.state.symbols.names, result.result_hash


@pytest.mark.parametrize("seed", range(6))
def test_steps_batches_and_snapshots_do_not_matter(seed, tmp_path):
    """Whole, in steps, in pieces, and from a snapshot amid the actions."""
    whole = engine(seed).run()
    expected = ending(whole)
    assert whole.orders.filter(reason="corporate-action").height > 0
    assert {"A", "BB", "N"} < set(expected[1])
    for batch_rows in (1, 7):
        assert expected == ending(engine(seed, batch_rows).run())
    stepped = engine(seed)
    for _ in stepped.steps():
        pass
    assert expected == ending(stepped.result)
    for stop in np.random.default_rng(seed).integers(2, DAYS, 3).tolist():
        first = engine(seed)
        steps = first.steps()
        for _ in range(stop):
            next(steps)
        first.snapshot(tmp_path / "snapshot")
        steps.close()
        assert expected == ending(engine(seed).run(resume=tmp_path / "snapshot"))
