"""One source, two ways to run it, the same bytes in every table."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(script, *arguments, **variables):
    """Run a script in a process of its own, warnings being errors."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "ML4T_"))}
    command = [sys.executable, "-W", "error", str(script), *arguments]
    done = subprocess.run(
        command, env={**environment, **variables}, capture_output=True, text=True, timeout=300, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_tables_are_the_same_to_the_byte():
    """Compiled, interpreted, and compiled with every index checked."""
    compiled = json.loads(run(HERE / "drive_core.py"))
    interpreted = json.loads(run(HERE / "drive_core.py", NUMBA_DISABLE_JIT="1"))

    assert compiled == interpreted
    assert all(each["fills"] > 50 for each in compiled.values())


@pytest.mark.slow
def test_no_index_leaves_its_array(tmp_path):
    """The core is compiled without checks; with them it does the same."""
    checked = json.loads(run(HERE / "drive_core.py", NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path)))

    assert json.loads(run(HERE / "drive_core.py")) == checked


ONE_FILL = """
import sys
from types import SimpleNamespace

import numpy as np

from ml4t_backtest_engine_standard.compiled_cache import prepare_cache

prepare_cache(["ml4t_backtest_broker_simulation"])
from ml4t.backtest.interfaces import ExecutionModels, FillRules, Setup
from ml4t.backtest.state import REQUEST, RunState
from ml4t_backtest_broker_simulation.broker import SimulationBroker


model = SimpleNamespace(
    function=None, rules=FillRules(), params=lambda: np.zeros(0), initial_state=lambda: np.zeros(0)
)
state = RunState()
state.add_symbols(["A"])
broker = SimulationBroker(SimulationBroker.Config(), Setup(name="simulation"))
portfolio = SimpleNamespace(apply_fill=lambda *arguments: 0.0)
broker.open(state, ExecutionModels(fill=model), portfolio)
requests = np.zeros(1, REQUEST)
requests["quantity"], requests["group"], requests["parent"] = 1.0, -1, -1
broker.submit(requests)
times, symbol = np.ones(1, np.int64), np.zeros(1, np.int32)
bars = SimpleNamespace(
    known_at=times, event_time=times, bar_start=times, symbol=symbol, values=np.full((1, 1), 10.0),
    ohlcv=np.array([0, -1, -1, -1, -1]), spec=SimpleNamespace(name="bars", kind="bar", fields=("open",)),
)
broker.match(bars, 0, 1)
print(state.fills.rows()["price"][0])
"""


@pytest.mark.slow
def test_edited_helper_of_the_core_is_noticed(tmp_path, repository_root):
    """Numba looks at the file of the entry only: without our folder the next process fills at a stale price."""
    name = "ml4t_backtest_broker_simulation"
    package = tmp_path / "path" / name
    shutil.copytree(repository_root / "plugins" / "broker-simulation" / "src" / name, package)
    script = tmp_path / "one_fill.py"
    script.write_text(ONE_FILL)
    cache = {"PYTHONPATH": str(package.parent), "ML4T_BACKTEST_CACHE": str(tmp_path / "cache")}
    assert "10.0" == run(script, **cache).strip()

    helper = package / "view.py"
    text = helper.read_text()
    helper.write_text(text.replace("value: float = values[row, r]", "value: float = values[row, r] + 1.0"))
    assert text != helper.read_text()
    (stale,) = (tmp_path / "cache" / "compiled").iterdir()
    assert "10.0" == run(script, **cache, NUMBA_CACHE_DIR=str(stale)).strip()
    assert "11.0" == run(script, **cache).strip()
