"""The same run has the same fingerprints, however and wherever it is run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t_backtest_data_sample import prices

# Names that sort differently by code point, by locale and by case.
SYMBOLS = ("Zeta", "alpha", "Äther", "Beta", "ætna")
SESSIONS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one market and its predictions, written in several orders and formats."""
    path = tmp_path_factory.mktemp("variants")
    shutil.copy(Path(__file__).with_name("variants.py"), path)
    rng = np.random.default_rng(11)
    days = prices()["timestamp"].unique().sort()
    days = days.filter(days.dt.year() >= 2018)[:SESSIONS]
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (SESSIONS, len(SYMBOLS))), axis=0))
    opened = close * np.exp(rng.normal(0, 0.01, close.shape))
    columns = {"open": opened, "high": np.maximum(opened, close) * 1.01, "low": np.minimum(opened, close) * 0.99}
    columns |= {"close": close, "volume": rng.integers(100, 9_999, close.shape).astype(float)}
    bars = pl.DataFrame(
        {"symbol": SYMBOLS * SESSIONS, "timestamp": days.gather(np.repeat(np.arange(SESSIONS), len(SYMBOLS)))}
        | {name: values.ravel() for name, values in columns.items()}
    )
    holes = pl.Series(rng.random(bars.height))
    bars = bars.with_columns(open=pl.when(holes < 0.03).then(None).otherwise("open")).filter(holes < 0.97)
    scores = bars.select("symbol", "timestamp", score=pl.Series(rng.normal(size=bars.height)))
    write = {"by_stamp": bars.sort("timestamp", "symbol"), "by_symbol": bars.sort("symbol", "timestamp")}
    write |= {"shuffled": bars.sample(fraction=1, shuffle=True, seed=3), "scores": scores}
    write["inside"] = write["shuffled"].sort("timestamp", maintain_order=True)
    write |= {"scores_shuffled": scores.sample(fraction=1, shuffle=True, seed=4)}
    write |= {"scores_by_symbol": scores.sort("symbol", "timestamp")}
    for name, frame in write.items():
        frame.write_parquet(path / f"{name}.parquet")
    write["by_stamp"].write_csv(path / "by_stamp.csv")
    return path


def hashes(folder, which, **environment):
    """Return name of a way -> (decision hash, result hash, fills) as a fresh process prints them."""
    command = [sys.executable, str(folder / "variants.py"), str(folder), which]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reference(folder):
    """Every way, in one process with the environment that the tests have."""
    return hashes(folder, "all")


@pytest.mark.parametrize("run", ["bars", "sample", "pair"])
def test_form_and_order_of_the_input_do_not_matter(reference, run):
    """Parquet, CSV, frames, batches of any size, rows in any order, Python or run file: the same run."""
    ways = {name: found for name, found in reference.items() if name.startswith(f"{run}:")}
    expected = next(iter(ways.values()))

    assert len(ways) > 1
    assert {} == {name: found for name, found in ways.items() if found != expected}
    assert expected[2] > 50


def test_different_runs_are_not_equal(reference):
    """Hashes that are equal for everything would prove nothing."""
    assert 3 == len({found[0] for found in reference.values()})
    assert 3 == len({found[1] for found in reference.values()})


ENVIRONMENTS = {
    "another hash seed and zone, one thread": {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "POLARS_MAX_THREADS": "1"},
    "yet another, two threads": {"PYTHONHASHSEED": "31", "TZ": "America/New_York", "POLARS_MAX_THREADS": "2"},
    "a plain locale": {"PYTHONHASHSEED": "random", "LC_ALL": "C", "LANG": "C", "TZ": "UTC"},
    "interpreted": {"NUMBA_DISABLE_JIT": "1"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_fresh_processes_agree(folder, reference, name):
    """Hash seed, time zone, threads, locale and compilation are no inputs of a run."""
    found = hashes(folder, "few", **ENVIRONMENTS[name])

    assert {way: reference[way] for way in found} == found
