"""Rules of the run directory."""

import datetime as dt
import json
import os

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import Setup
from ml4t.backtest.state import EQUITY, LEDGER, RunState
from ml4t_backtest_engine_standard.result.journal import Journal
from ml4t_backtest_engine_standard.result.result import Result
from ml4t_backtest_reporter_parquet.reporter import FILES, ParquetReporter

DAY = 86_400_000_000_000


class Accounting:
    def trades(self):
        return pl.DataFrame({"symbol": ["AAA"]})

    def metrics(self):
        return {"total_return": 0.25, "sharpe": float("nan")}

    def equity(self):
        return 1250.0


def a_result(**settings) -> Result:
    state = RunState()
    state.add_symbols(["AAA"])
    state.ledger.restore(np.array([(0, -1, -1, 0, 0, 1000.0, 1000.0, 0, 0.0, 0.0, 0.0)], LEDGER))
    equity = np.zeros(1, EQUITY)
    equity["timestamp"], equity["session"], equity["equity"] = DAY, 1, 1250.0
    state.equity.restore(equity)
    return Result(state=state, journal=Journal(state), portfolio=Accounting(), **settings)


def reporter(**settings) -> ParquetReporter:
    return ParquetReporter(ParquetReporter.Config(**settings), Setup(name="parquet"))


def test_run_directory_holds_every_file_and_nothing_else(tmp_path):
    """All files are there after a run, and no temporary one."""
    out = tmp_path / "runs" / "one"
    reporter().started((), out)
    assert not out.exists()
    reporter().finished(a_result(), out)
    assert sorted(FILES) == sorted(path.name for path in out.iterdir())


def test_run_directory_can_be_read_with_polars_alone(tmp_path):
    """Timestamps are UTC nanoseconds, sessions dates."""
    reporter().finished(a_result(), tmp_path)
    equity = pl.read_parquet(tmp_path / "equity.parquet")
    assert (pl.Datetime("ns", "UTC"), dt.date(1970, 1, 2), 1250.0) == (
        equity["timestamp"].dtype,
        equity["session"][0],
        equity["equity"][0],
    )
    assert ["deposit"] == pl.read_parquet(tmp_path / "ledger.parquet")["kind"].to_list()


def test_metrics_that_are_not_defined_are_null(tmp_path):
    """JSON has no NaN."""
    reporter().finished(a_result(), tmp_path)
    assert {"total_return": 0.25, "sharpe": None} == json.loads((tmp_path / "metrics.json").read_text())


def test_manifest_says_how_the_run_ended(tmp_path):
    """A failed run keeps what was recorded."""
    reporter().finished(a_result(status="failed", error="ValueError: no"), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert ("failed", "ValueError: no") == (manifest["status"], manifest["error"])


def test_manifest_is_written_last(tmp_path, monkeypatch):
    """A process killed while writing leaves no manifest, also where an older one was."""
    renamed = []
    monkeypatch.setattr(os, "replace", lambda source, target: renamed.append(target.name))
    (tmp_path / "manifest.json").write_text("{}")
    reporter(overwrite=True).finished(a_result(), tmp_path)
    assert "manifest.json" == renamed[-1]
    assert [] == list(tmp_path.iterdir())


def test_folder_with_files_is_refused_before_the_run(tmp_path):
    """Results are never overwritten by accident."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"is not empty: choose another .* or set overwrite = true"):
        reporter().started((), tmp_path)
    reporter(overwrite=True).started((), tmp_path)
    reporter(overwrite=True).finished(a_result(), tmp_path)
    assert "mine" == (tmp_path / "mine.txt").read_text()


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    """The run folder must be a folder."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="is a file"):
        reporter().started((), tmp_path / "taken")


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    """No folder, no files."""
    monkeypatch.chdir(tmp_path)
    reporter().started((), None)
    reporter().finished(a_result(), None)
    assert [] == list(tmp_path.iterdir())
