"""A run that was killed goes on from its last snapshot as if nothing had happened."""

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import SnapshotError

HERE = Path(__file__).parent


class Wanderer(Strategy):
    """Use everything that a snapshot has to keep: random numbers, attributes, schedules, windows, records, tags."""

    def __init__(self):
        self.turns, self.weights, self.seen, self.pair = 0, None, {"last": 0.5}, ("a", {1, 2})
        self.fills = 0

    def on_start(self, context):
        context.subscribe("prices", history=4)
        context.schedule(self.weekly, "weekly", at="close")
        context.timer(self.nightly, every="60h")

    def nightly(self, context):
        context.order(context.symbols[-1], -2.0, tag="night")
        if self.turns % 2:
            context.timer(self.once, after="30h")

    def once(self, context):
        context.order(context.symbols[0], 3.0, tag="once")

    def weekly(self, context):
        context.order(context.symbols[0], 7.0, tag=f"week {self.turns}")

    def on_fill(self, fill, context):
        self.fills += 1

    def on_slice(self, market, context):
        self.turns += 1
        noise = context.rng.normal(size=len(context.symbols))
        score = np.nan_to_num(context.signal("score"))
        mean = np.nan_to_num(np.nanmean(context.history("close", 4), axis=0))
        self.weights = noise * 30 + np.round(mean) % 5 + score * 3
        self.seen["last"] = float(self.weights[0])
        context.record(turns=self.turns, fills=self.fills, cash=context.portfolio.cash)
        if self.turns % 3 == 0:
            context.order_target_quantities(np.round(self.weights), tag="third")
        if self.turns % 10 == 0:
            context.order_target_weights(np.full(len(context.symbols), 0.1))
            context.cancel_all(context.symbols[0])


def make(kit, **settings):
    prices = kit.bars(60, ("A", "B", "C", "D"))
    prices = prices.filter((pl.col("symbol") != "D") | (pl.col("timestamp") > date(2024, 1, 20)))  # D comes later
    score = prices.select("timestamp", "symbol", score=pl.col("close") % 7)
    source = kit.Source(score, name="scores", kind="signal", latency="1h", batch=7)
    return kit.engine(Wanderer(), kit.Source(prices, batch=5), source, seed=11, **settings)


def same(expected, actual):
    assert expected.decision_hash == actual.decision_hash
    assert expected.result_hash == actual.result_hash
    for frame in ("targets", "positions", "signals", "records"):
        assert getattr(expected, frame).equals(getattr(actual, frame)), frame


@pytest.mark.parametrize("stop", [1, 2, 13, 40, 77, 118, 119, 10_000])
def test_a_resumed_run_ends_as_the_whole_one(kit, tmp_path, stop):
    """Wherever the snapshot was taken: the first instant, amid, the last."""
    whole = make(kit).run()
    engine = make(kit)
    steps = engine.steps()
    for place, _ in enumerate(steps, 1):
        engine.snapshot(tmp_path / "snapshot")
        if place == stop:
            break
    steps.close()
    assert whole.fills.height > 40
    same(whole, make(kit).run(resume=tmp_path / "snapshot"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_run_goes_on_from_its_last_snapshot(kit, tmp_path, seed):
    """SIGKILL at a random point leaves a whole snapshot, old or new."""
    whole = make(kit).run()
    program = (
        "import sys, importlib.util, time\n"
        "def load(name, path):\n"
        "    spec = importlib.util.spec_from_file_location(name, path)\n"
        "    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); return module\n"
        f"kit = load('support', {str(HERE / 'conftest.py')!r}).Kit\n"
        f"engine = load('case', {str(Path(__file__))!r}).make(kit)\n"
        "for place, now in enumerate(engine.steps()):\n"
        f"    if place % 5 == 0: engine.snapshot({str(tmp_path / 'snapshot')!r})\n"
        "    print(place, flush=True); time.sleep(0.002)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    last = int(np.random.default_rng(seed).integers(1, 100))
    for line in process.stdout:
        if int(line) >= last:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert -signal.SIGKILL == process.wait()
    same(whole, make(kit).run(resume=tmp_path / "snapshot"))


def snapshot_of(engine, path, instants=30):
    steps = engine.steps()
    for _ in range(instants):
        next(steps)
    engine.snapshot(path)
    steps.close()
    return path


def refused(engine, path, message):
    with pytest.raises(SnapshotError, match=message):
        engine.run(resume=path)


def test_a_torn_snapshot_is_refused(kit, tmp_path):
    """Wherever it ends early."""
    path = snapshot_of(make(kit), tmp_path / "snapshot")
    whole = path.read_bytes()
    for size in (0, 10, 32, 33, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(make(kit), path, "is torn or was changed")


def test_a_changed_bit_is_noticed(kit, tmp_path):
    """Anywhere in the file."""
    path = snapshot_of(make(kit), tmp_path / "snapshot")
    whole = path.read_bytes()
    for place in np.random.default_rng(5).integers(0, len(whole), 5):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(place) % 8
        path.write_bytes(bytes(changed))
        refused(make(kit), path, "is torn or was changed")


def test_a_missing_snapshot_is_said(kit, tmp_path):
    """By its path."""
    refused(make(kit), tmp_path / "nowhere", "nowhere: the snapshot cannot be read: No such file")


def test_other_data_is_refused(kit, tmp_path):
    """One changed price far back is enough."""

    class Still(Strategy):
        def on_slice(self, market, context):
            pass

    prices = kit.bars(20)
    path = snapshot_of(kit.engine(Still(), kit.Source(prices)), tmp_path / "snapshot", 10)
    changed = prices.with_columns(close=pl.when(pl.arange(0, pl.len()) == 3).then(50.0).otherwise("close"))
    refused(kit.engine(Still(), kit.Source(changed)), path, "the data is not what the snapshot's run read")
    refused(kit.engine(Still(), kit.Source(prices[:-1])), path, "the data is not what the snapshot's run read")
    assert "done" == kit.engine(Still(), kit.Source(prices)).run(resume=path).status


def test_what_cannot_be_kept_is_refused_at_once(kit, tmp_path):
    """Nothing is pickled: an object in the strategy's state is an error that names its type."""

    class Holder(Strategy):
        def on_slice(self, market, context):
            self.kept = market

    with pytest.raises(SnapshotError, match="a snapshot cannot keep a Market: return plain values"):
        snapshot_of(kit.engine(Holder(), kit.Source(kit.bars(5))), tmp_path / "snapshot", 3)
    assert [] == list(tmp_path.iterdir())
