"""What the command does with bad input, failing strategies and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from ml4t_backtest_cli.main import DONE, FAILED, INPUT, INTERRUPTED, main

RUN_FILE = """
schema = 1
name = "small"
capital = { USD = 10_000 }

[clock]
calendar = "24/7"

[[feed]]
use = "parquet"
path = "prices.parquet"
bar = "1d"
prices = "raw"

[strategy]
use = "trading:Trading"
"""

STRATEGY = """
import os
import time

from ml4t.backtest import Strategy
from ml4t.backtest.errors import DataError


class Trading(Strategy):
    def __init__(self, fail_at=None, pause=0.0):
        self.fail_at, self.pause, self.slices = fail_at, pause, 0

    def on_slice(self, market, context):
        self.slices += 1
        if self.slices == 1:
            context.order("AAA", 10)
        if self.slices == self.fail_at:
            raise ValueError("the strategy lost its way")
        if self.pause:
            open("running", "w").close()
            time.sleep(self.pause)


class Sulking(Trading):
    def on_end(self, context):
        raise KeyError("and would not say goodbye")


class Misled(Trading):
    def on_slice(self, market, context):
        raise DataError("the weights do not add up")
"""


def daily(days: int = 30) -> pl.DataFrame:
    rows = [
        (symbol, date(2024, 1, 1) + timedelta(days=day), price, price + 1, price - 1, price, 100.0)
        for day in range(days)
        for symbol, price in (("AAA", 100.0 + day), ("BBB", 50.0))
    ]
    return pl.DataFrame(rows, ["symbol", "timestamp", "open", "high", "low", "close", "volume"], orient="row")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a run file, its prices and its strategy, which is also the current one."""
    (tmp_path / "run.toml").write_text(RUN_FILE)
    (tmp_path / "trading.py").write_text(STRATEGY)
    daily().write_parquet(tmp_path / "prices.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_price(frame: pl.DataFrame, column: str, row: int, value: object) -> pl.DataFrame:
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, strict=False))


def test_run_writes_a_new_run_folder_each_time(folder, capsys):
    """The folder is printed; results are never overwritten."""
    assert DONE == main(["run", "run.toml", "--quiet"])
    assert DONE == main(["run", "run.toml", "--quiet"])
    assert ["runs/small", "runs/small-2"] == capsys.readouterr().out.splitlines()
    manifest = json.loads((folder / "runs" / "small" / "manifest.json").read_text())
    assert "done" == manifest["status"]
    assert 1 == pl.read_parquet(folder / "runs" / "small" / "fills.parquet").height


def test_run_says_loudly_that_nothing_was_paid(folder, capsys):
    """No costs are named in the header and in the summary."""
    assert DONE == main(["run", "run.toml"])
    out = capsys.readouterr().out
    assert "costs: none" in out
    assert "NONE: no costs were charged" in out


def test_run_says_its_profile_its_rules_and_who_judges_risk(folder, capsys):
    """What a broker and risk managers do to orders is seen before the run."""
    settings = ("broker.profile=realistic", "risk=[{use='max-position', fraction=0.05}]")
    assert DONE == main(["run", "run.toml", "--set", settings[0], "--set", settings[1]])
    out = capsys.readouterr().out
    assert "broker: limit cross, volume limit 0.1, volume basis trailing, profile realistic" in out
    assert "risk: max-position fraction 0.05" in out


def test_run_says_what_its_stamps_and_days_are_taken_for(folder, capsys):
    """A calendar that was forgotten is seen in the first line."""
    assert DONE == main(["run", "run.toml"])
    out = capsys.readouterr().out
    assert "calendar 24/7: each day in UTC is a session" in out
    assert "stamps are names of sessions" in out


def test_settings_can_be_changed_from_the_command(folder, capsys):
    """``--set`` wins over the run file."""
    assert DONE == main(["run", "run.toml", "--set", "broker.fill.use=same-close", "--set", "name=other"])
    out = capsys.readouterr().out
    assert "fills at the same close" in out
    assert (folder / "runs" / "other" / "manifest.json").exists()


def test_folder_that_is_not_empty_is_refused(folder, capsys):
    """``--out`` never overwrites."""
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    assert INPUT == main(["run", "run.toml", "--quiet", "--out", "mine"])
    assert "is not empty" in capsys.readouterr().err
    assert ["notes.txt"] == [path.name for path in (folder / "mine").iterdir()]


def missing_file(folder):
    (folder / "prices.parquet").unlink()


def missing_column(folder):
    daily().drop("open").write_parquet(folder / "prices.parquet")


def unsorted_rows(folder):
    daily().reverse().write_parquet(folder / "prices.parquet")


def duplicate_row(folder):
    pl.concat([daily().head(1), daily()]).write_parquet(folder / "prices.parquet")


def bad_price(folder):
    frame = daily().with_columns(pl.when(pl.int_range(pl.len()) == 7).then(-1.0).otherwise("low").alias("low"))
    frame.write_parquet(folder / "prices.parquet")


def naive_intraday_stamps(folder):
    start = datetime(2024, 1, 2, 9, 30)
    stamps = [start + timedelta(minutes=row // 2) for row in range(60)]
    daily().with_columns(pl.Series("timestamp", stamps)).write_parquet(folder / "prices.parquet")


def change_run_file(before: str, after: str):
    def change(folder):
        text = (folder / "run.toml").read_text()
        assert before in text
        (folder / "run.toml").write_text(text.replace(before, after))

    return change


BAD_INPUT = {
    "a missing file": (missing_file, ["prices.parquet"]),
    "a missing column": (missing_column, ["prices.parquet", "open"]),
    "unsorted rows": (unsorted_rows, ["prices.parquet", "row", "sort"]),
    "a duplicate row": (duplicate_row, ["prices.parquet", "row", "AAA"]),
    "a price that cannot be": (bad_price, ["prices.parquet", "row 7", "low"]),
    "naive intraday stamps": (naive_intraday_stamps, ["prices.parquet", "stamp", "timezone"]),
    "an unknown key": (change_run_file("capital =", "capitol ="), ["run.toml", "capitol", '"capital"']),
    "an unknown key of a feed": (change_run_file("path =", "paht ="), ["feed.0.paht", '"path"']),
    "a wrong type": (change_run_file('name = "small"', "name = 5"), ["run.toml", "name", "5", "str"]),
    "an unknown component": (
        change_run_file('use = "parquet"', 'use = "parket"'),
        ['"parket"', 'did you mean "parquet"'],
    ),
    "a strategy that is not there": (change_run_file("trading:Trading", "trading:Gone"), ["Gone", "trading"]),
    "no TOML": (change_run_file("schema = 1", "schema = = 1"), ["run.toml", "line 2"]),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_error_and_leaves_nothing_behind(folder, capsys, case):
    """The error names the file, the place and the remedy; exit code 2, no traceback, nothing half-written."""
    spoil, expected = BAD_INPUT[case]
    spoil(folder)
    before = sorted(path.name for path in folder.iterdir())
    code = main(["run", "run.toml"])
    err = capsys.readouterr().err
    assert INPUT == code, err
    assert [] == [text for text in expected if text not in err], err
    assert "Traceback" not in err
    assert all(line.startswith(("error: ", "    ")) for line in err.splitlines()), err
    after = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    assert before == after


def test_null_price_is_a_finding_and_no_error(folder, capsys):
    """A null field stops no run; the symbol cannot fill there and the summary says so."""
    set_price(daily(), "open", 2, None).write_parquet(folder / "prices.parquet")
    assert DONE == main(["run", "run.toml"])
    assert "1 of 60 rows have no open" in capsys.readouterr().out
    fills = pl.read_parquet(folder / "runs" / "small" / "fills.parquet")
    assert [102.0] == fills["price"].to_list()


def test_strategy_that_raises_ends_the_run_with_what_was_recorded(folder, capsys):
    """Exit code 1, whose error it was and when, and a run folder that says failed."""
    assert FAILED == main(["run", "run.toml", "--quiet", "--set", "strategy.fail_at=10"])
    err = capsys.readouterr().err
    assert "error: ValueError: the strategy lost its way" in err
    assert "2024-01-1" in err
    assert "Traceback" not in err
    manifest = json.loads((folder / "runs" / "small" / "manifest.json").read_text())
    assert "failed" == manifest["status"]
    assert "the strategy lost its way" in manifest["error"]
    assert 1 == pl.read_parquet(folder / "runs" / "small" / "fills.parquet").height


def test_error_of_a_run_is_told_once_whole_and_on_standard_error(folder, capsys):
    """The summary says that the run failed; why is told where errors belong, also what on_end added."""
    arguments = ["--set", "strategy.fail_at=10", "--set", "strategy.use=trading:Sulking"]
    assert FAILED == main(["run", "run.toml", *arguments])
    out, err = capsys.readouterr()
    assert "the run failed; the figures are those up to there" in out
    assert "lost its way" not in out
    lost, silent = [
        f"line {row} of trading.py"
        for row, line in enumerate((folder / "trading.py").read_text().splitlines(), 1)
        if "lost its way" in line or "say goodbye" in line
    ]
    assert [
        "error: ValueError: the strategy lost its way",
        f'error: raised in on_slice of strategy "trading:Sulking" at 2024-01-11T00:00:00+00:00, {lost}',
        "error: KeyError: 'and would not say goodbye'",
        f'error: raised in on_end of strategy "trading:Sulking" at 2024-01-11T00:00:00+00:00, {silent}',
    ] == err.splitlines()


def test_bad_input_that_shows_up_in_a_run_says_whose_it_was(folder, capsys):
    """The exit code is that of bad input, and the place is named as for every other error."""
    assert INPUT == main(["run", "run.toml", "--set", "strategy.use=trading:Misled"])
    out, err = capsys.readouterr()
    assert "the run failed" in out
    assert "error: the weights do not add up" == err.splitlines()[0]
    assert 'error: raised in on_slice of strategy "trading:Misled" at 2024' in err


def test_interrupt_finishes_the_instant_and_keeps_what_was_recorded(folder):
    """Ctrl-C ends with 130, and the run folder says interrupted."""
    script = textwrap.dedent("""
        import sys
        from ml4t_backtest_cli.main import main
        sys.exit(main(["run", "run.toml", "--quiet", "--set", "strategy.pause=0.05"]))
    """)
    command = subprocess.Popen([sys.executable, "-c", script], cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "running").exists() and command.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert INTERRUPTED == command.returncode, err
    assert "Traceback" not in err
    manifest = json.loads((folder / "runs" / "small" / "manifest.json").read_text())
    assert "interrupted" == manifest["status"]
    assert 0 < pl.read_parquet(folder / "runs" / "small" / "equity.parquet").height < 30


def test_demo_says_what_its_prices_are_and_when_orders_fill(tmp_path, monkeypatch, capsys):
    """Adjusted closes and fills at the next close: both are said, and all of it runs on real prices."""
    monkeypatch.chdir(tmp_path)
    assert DONE == main(["demo", "--set", "end=1995-12-29"])
    out = capsys.readouterr().out
    assert "adjusted closes" in out
    assert "fills at the next close" in out
    targets = pl.read_parquet(tmp_path / "runs" / "demo" / "targets.parquet")
    assert 59 == targets["timestamp"].n_unique()


def test_copied_demo_runs_by_itself(tmp_path, monkeypatch):
    """What a user copies works as it is."""
    monkeypatch.chdir(tmp_path)
    assert DONE == main(["demo", "--copy", "mine"])
    assert DONE == main(["run", "mine/demo.toml", "--quiet", "--set", "end=1992-12-31"])
