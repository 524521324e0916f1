"""Runs that end before their time: what was recorded is kept, and nothing looks whole that is not."""

import json
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t_backtest_cli.main import FAILED, INTERRUPTED, main

RUN_FILE = """
schema = 1
name = "short"
capital = { USD = 10_000 }
clock = { calendar = "24/7" }
feed = [{ use = "parquet", path = "prices.parquet", bar = "1d", prices = "raw" }]
strategy = { use = "trading:Trading" }
"""

STRATEGY = '''
import os
import signal
from pathlib import Path

from ml4t.backtest import Strategy


class Trading(Strategy):
    """Trade daily, and come to grief in a given callback on the eighth day."""

    def __init__(self, where="", how="raise"):
        self.where, self.how, self.slices, self.ends = where, how, 0, 0
        self.grief("__init__")

    def grief(self, here):
        if here != self.where or (here not in ("__init__", "on_start", "on_end") and self.slices < 8):
            return
        if self.how == "raise":
            raise ValueError(f"lost in {here}")
        for _ in range(2 if self.how == "twice" else 1):
            signals = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM}
            os.kill(os.getpid(), signals.get(self.how, signal.SIGINT))

    def on_start(self, context):
        context.schedule(self.scheduled, "daily", at="12:00")
        self.grief("on_start")

    def scheduled(self, context):
        self.grief("scheduled")

    def before_trading_start(self, context):
        self.grief("before_trading_start")

    def on_event(self, event, context):
        self.grief("on_event")

    def on_slice(self, market, context):
        self.slices += 1
        context.order("AAA", 1.0)
        self.grief("on_slice")

    def on_fill(self, fill, context):
        self.grief("on_fill")

    def after_trading_end(self, context):
        self.grief("after_trading_end")

    def on_end(self, context):
        self.ends += 1
        Path("ends").write_text(str(self.ends))
        self.grief("on_end")
'''
FRAMES = ("orders", "fills", "targets", "trades", "ledger", "positions", "equity", "books", "signals", "records")
CALLBACKS = ("scheduled", "before_trading_start", "on_event", "on_slice", "on_fill", "after_trading_end", "on_end")


def prices() -> pl.DataFrame:
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(20)]
    columns = {name: [10.0 + day for day in range(20)] for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"symbol": ["AAA"] * 20, "timestamp": days, **columns})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a run file, its prices and its strategy, which is also the current one."""
    (tmp_path / "run.toml").write_text(RUN_FILE)
    (tmp_path / "trading.py").write_text(STRATEGY)
    prices().write_parquet(tmp_path / "prices.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(where, how):
    return ["run", "run.toml", "--quiet", "--set", f"strategy.where={where}", "--set", f"strategy.how={how}"]


def recorded(folder):
    """Read a run folder whole: the manifest and every table."""
    tables = {name: pl.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
    json.loads((folder / "metrics.json").read_text())
    assert [] == [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return json.loads((folder / "manifest.json").read_text()), tables


@pytest.mark.parametrize("where", CALLBACKS)
def test_a_strategy_that_raises_leaves_a_readable_run(folder, capsys, where):
    """Exit code 1; the error says what, in which callback of whom, and when; on_end is called exactly once."""
    assert FAILED == main(command(where, "raise"))
    err = capsys.readouterr().err
    manifest, tables = recorded(folder / "runs" / "short")

    assert f"error: ValueError: lost in {where}" in err
    assert "Traceback" not in err
    assert "failed" == manifest["status"]
    assert manifest["error"].startswith(f"ValueError: lost in {where}\nraised in ")
    assert ("schedule" if where == "scheduled" else where) in manifest["error"].splitlines()[1]
    assert '"trading:Trading"' in manifest["error"]
    assert "at 2024-01-" in manifest["error"]
    assert "1" == (folder / "ends").read_text()
    days = 20 if where == "on_end" else 8
    assert days - 1 <= tables["equity"].height <= days + 1
    assert days - 1 <= tables["fills"].height <= days
    ends = tables["orders"].group_by("order_id", maintain_order=True).agg(pl.col("status", "reason").last())
    assert {"filled", "cancelled"} >= set(ends["status"].cast(pl.String))


def test_a_strategy_that_raises_at_the_start_leaves_an_empty_run(folder, capsys):
    """Before the first instant there is nothing to record but the failure."""
    assert FAILED == main(command("on_start", "raise"))
    manifest, tables = recorded(folder / "runs" / "short")

    assert "failed" == manifest["status"]
    assert "before the first instant" in manifest["error"]
    assert 0 == tables["orders"].height == tables["fills"].height


@pytest.mark.parametrize("where", CALLBACKS[:-1])
def test_ctrl_c_finishes_the_instant(folder, capsys, where):
    """Exit code 130; the instant under way is whole, and the manifest says interrupted."""
    assert INTERRUPTED == main(command(where, "once"))
    manifest, tables = recorded(folder / "runs" / "short")

    assert ("interrupted", "stopped by the user") == (manifest["status"], manifest["error"])
    assert "interrupted; what was recorded is in runs/short" in capsys.readouterr().err
    assert "1" == (folder / "ends").read_text()
    assert 7 <= tables["fills"].height <= 8
    assert tables["equity"]["timestamp"][-1] == tables["orders"]["timestamp"][-1]


def test_a_second_ctrl_c_stops_at_once(folder, capsys):
    """A callback that hangs cannot hold up the user; what came before it is kept."""
    assert INTERRUPTED == main(command("on_slice", "twice"))
    manifest, tables = recorded(folder / "runs" / "short")

    assert "interrupted" == manifest["status"]
    assert 7 == tables["fills"].height
    assert "Traceback" not in capsys.readouterr().err


def test_termination_ends_the_command_as_ctrl_c_does(folder, capsys):
    """A time limit, a container or a service manager sends it; afterwards it means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    assert INTERRUPTED == main([*command("on_slice", "terminate"), "--set", "feed.0.stream=true"])
    manifest, tables = recorded(folder / "runs" / "short")

    assert ("interrupted", "stopped by the user") == (manifest["status"], manifest["error"])
    assert 7 <= tables["fills"].height <= 8
    assert before == signal.getsignal(signal.SIGTERM)


def test_ctrl_c_before_the_run_leaves_nothing(folder, capsys):
    """While components are made there is no run yet, and no folder."""
    assert INTERRUPTED == main(command("__init__", "once"))
    assert "interrupted\n" == capsys.readouterr().err
    assert not (folder / "runs").exists()


def run_and_kill(folder, code):
    """Run a program in the folder and see it killed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert -signal.SIGKILL == done.returncode, done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("where", ["on_slice", "on_end"])
def test_a_killed_run_leaves_no_file_that_looks_whole(folder, where):
    """Files are written at the end: before it there are none."""
    run_and_kill(folder, f"from ml4t_backtest_cli.main import main; main({command(where, 'kill')!r})")
    assert [] == list(folder.glob("runs/**/*.parquet")) + list(folder.glob("runs/**/*.json"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("table", ["orders", "trades", "records"])
def test_a_run_killed_while_it_writes_has_no_manifest(folder, capsys, table):
    """What has its name is whole; the manifest comes last; and the next run takes another folder."""
    run_and_kill(
        folder,
        f"""
import os, signal
import polars as pl
from ml4t_backtest_cli.main import main

write = pl.DataFrame.write_parquet

def tear(frame, file, **settings):
    write(frame, file, **settings)
    if file.name.startswith(".{table}.parquet"):
        os.truncate(file, file.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

pl.DataFrame.write_parquet = tear
main(["run", "run.toml", "--quiet"])
""",
    )
    left = folder / "runs" / "short"

    assert not (left / "manifest.json").exists()
    whole = sorted(path.stem for path in left.glob("[!.]*.parquet"))
    assert sorted(FRAMES[: FRAMES.index(table)]) == whole
    for name in whole:
        pl.read_parquet(left / f"{name}.parquet")
    assert 0 == main(["run", "run.toml", "--quiet"])
    assert "runs/short-2\n" == capsys.readouterr().out


class Failing(Strategy):
    """Raise on the third slice."""

    slices = 0

    def on_slice(self, market, context):
        self.slices += 1
        context.order("AAA", 1.0)
        if self.slices == 3:
            raise KeyError("third")


def test_in_python_the_error_is_the_strategys_own(tmp_path):
    """The exception keeps its type, gains a note, and the result of what was recorded is at hand."""
    engine = Engine(prices=prices(), bar="1d", strategy=Failing(), reporter=[])
    with pytest.raises(KeyError, match="third") as caught:
        engine.run()

    line = caught.traceback[-1].lineno + 1
    told = (
        f'raised in on_slice of strategy "Failing" at 2024-01-04T00:00:00+00:00, line {line} of {Path(__file__).name}'
    )
    assert [told] == caught.value.__notes__
    assert "failed" == engine.result.status
    assert 2 == engine.result.fills.height


def test_steps_that_are_left_early_are_an_interrupted_run():
    """Who stops iterating has a result up to there."""
    engine = Engine(prices=prices(), bar="1d", strategy=Buying(), reporter=[])
    steps = engine.steps()
    for _ in range(5):
        next(steps)
    steps.close()

    assert "interrupted" == engine.result.status
    assert 4 == engine.result.fills.height


class Buying(Strategy):
    """Buy one a day."""

    def on_slice(self, market, context):
        context.order("AAA", 1.0)
