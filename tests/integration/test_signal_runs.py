"""From a column of predictions to orders, end to end."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ml4t.backtest import Engine, LookAheadError, OrderError, Strategy

DAYS = [date(2024, 1, 1) + timedelta(days=number) for number in range(60)]
SYMBOLS = ["A", "B", "C", "D"]


def market():
    """Return 60 daily bars of four symbols, and a score for each that is never twice the same."""
    generator = np.random.default_rng(7)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.01, (len(DAYS), len(SYMBOLS))), axis=0))
    opens = closes * np.exp(generator.normal(0, 0.002, closes.shape))
    keys = {"timestamp": np.repeat(np.array(DAYS, "datetime64[D]"), 4), "symbol": SYMBOLS * len(DAYS)}
    prices = pl.DataFrame({**keys, "open": opens.ravel(), "close": closes.ravel()})
    scores = pl.DataFrame({**keys, "score": generator.normal(size=closes.size)})
    return prices, scores


def run(strategy, prices, signals, **settings):
    """Run a strategy on daily bars of a market that never closes."""
    engine = Engine(prices=prices, signals=signals, strategy=strategy, capital=1_000_000, **settings)
    return engine.run()


def test_a_prediction_column_becomes_orders_in_a_few_lines():
    """The best two are held, the others sold; a label's order takes the next session's open, never its own."""
    prices, scores = market()
    result = run({"use": "signal", "long": 2, "rebalance": "daily"}, prices, scores)
    positions = result.positions.filter(pl.col("quantity") != 0)
    day = positions.filter(pl.col("session") == DAYS[30])
    known = scores.filter(pl.col("timestamp") == DAYS[29]).sort("score", descending=True)
    assert sorted(known["symbol"][:2]) == sorted(day["symbol"])
    first = result.fills.row(0, named=True)
    assert datetime(2024, 1, 2, tzinfo=UTC) == first["timestamp"]
    opened = prices.filter((pl.col("timestamp") == DAYS[1]) & (pl.col("symbol") == first["symbol"]))
    assert opened["open"][0] == first["price"]


def test_longs_and_shorts_share_the_gross():
    """Two of four symbols long and two short at a gross of one."""
    prices, scores = market()
    result = run({"use": "signal", "long": 2, "short": 2}, prices, scores)
    asked = result.targets.filter(pl.col("timestamp") == result.targets["timestamp"].max())["asked"]
    assert [-0.25, -0.25, 0.25, 0.25] == sorted(asked)


@pytest.mark.parametrize(
    ("rebalance", "count"), [("every-slice", 60), ("daily", 60), ("weekly", 9), ("monthly", 2), ("signal", 60)]
)
def test_rebalancing_happens_where_a_period_begins(rebalance, count):
    """60 days from 2024-01-01 lie in nine weeks and two months."""
    prices, scores = market()
    result = run({"use": "signal", "long": 1, "rebalance": rebalance}, prices, scores)
    assert count == result.targets["timestamp"].n_unique()


def test_nothing_is_done_while_nothing_is_known():
    """A period without a value is made up for at the first one."""
    prices, scores = market()
    late = scores.filter(pl.col("timestamp") >= DAYS[5])
    result = run({"use": "signal", "long": 1, "rebalance": "monthly"}, prices, late)
    assert datetime(2024, 1, 7, tzinfo=UTC) == result.targets["timestamp"].min()


def test_a_frame_of_weights_needs_no_strategy():
    """One wide frame of weights; what a release leaves out is sold."""
    prices, _ = market()
    weights = pl.DataFrame({"timestamp": [DAYS[0], DAYS[9]], "A": [0.5, None], "B": [0.5, 0.25]})
    result = Engine(prices=prices, weights=weights, capital=1_000_000).run()
    last = result.positions.filter((pl.col("session") == DAYS[-1]) & (pl.col("quantity") != 0))
    assert ["B"] == last["symbol"].to_list()
    assert 4 == result.fills.height


def test_shuffled_and_wide_inputs_give_the_same_run():
    """The order and shape of rows carry no information."""
    prices, scores = market()
    first = run({"use": "signal", "long": 2, "short": 1}, prices, scores)
    wide = {name: prices.pivot(on="symbol", index="timestamp", values=name) for name in ("open", "close")}
    mixed = scores.sample(fraction=1.0, shuffle=True, seed=3)
    signal = [{"use": "frame", "frame": mixed, "sort": True}]
    second = Engine(
        prices=wide, signal=signal, strategy={"use": "signal", "long": 2, "short": 1}, capital=1_000_000
    ).run()
    assert (first.decision_hash, first.result_hash) == (second.decision_hash, second.result_hash)


def test_a_run_file_over_parquet_gives_the_same_run_as_frames_in_python(tmp_path):
    """Where rows and settings come from makes no difference."""
    prices, scores = market()
    prices.write_parquet(tmp_path / "prices.parquet")
    scores.write_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "run.toml").write_text(
        "schema = 1\ncapital = 1_000_000\n"
        '[[feed]]\nuse = "parquet"\npath = "prices.parquet"\nprices = "raw"\n'
        '[[signal]]\nuse = "parquet"\npath = "predictions.parquet"\n'
        '[strategy]\nuse = "signal"\nlong = 2\nrebalance = "monthly"\n'
    )
    from_file = Engine.from_file(tmp_path / "run.toml").run()
    in_python = run({"use": "signal", "long": 2, "rebalance": "monthly"}, prices, scores)
    assert (in_python.decision_hash, in_python.result_hash) == (from_file.decision_hash, from_file.result_hash)


@pytest.mark.parametrize(
    ("strategy", "fault"),
    [
        ("weights", "no feed, signal source or table 'weights'; known are prices, signals"),
        ({"use": "signal", "signal": "scor"}, "no signal 'scor'; known are score"),
        ({"use": "signal", "signal": "scor", "rebalance": "signal"}, "no signal 'scor'; known are score"),
    ],
)
def test_a_signal_that_nobody_gives_is_an_error_before_the_first_instant(strategy, fault):
    """A run that never trades because of a name looks like a strategy that finds nothing to do."""
    prices, scores = market()
    with pytest.raises(LookAheadError, match=fault) as caught:
        run(strategy, prices, scores)
    assert "before the first instant" in caught.value.__notes__[0]


def test_weights_with_an_index_are_not_taken_by_their_place():
    """A pandas series is in an order of its own, which an array would forget."""

    class Labelled(Strategy):
        def on_slice(self, market, context):
            context.order_target_weights(pd.Series({"D": 0.5, "A": 0.5, "B": 0.0, "C": 0.0}))

    prices, scores = market()
    with pytest.raises(OrderError, match=r"a Series was given, expected an array in the order of context\.symbols"):
        run(Labelled(), prices, scores)
