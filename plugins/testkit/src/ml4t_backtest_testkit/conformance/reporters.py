"""Rules of reporters."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.interfaces import Reporter
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.engines import RandomTrader, plain_engine
from ml4t_backtest_testkit.market import random_market

__all__ = ["ReporterConformance"]

MakeReporter = Callable[[], Reporter]


class _Fails(RandomTrader):
    def on_slice(self, market: object, context: object) -> None:
        super().on_slice(market, context)  # type: ignore[arg-type]  # passed on
        if len(self.asked) == 5:
            raise RuntimeError("as the test wants it")


class ReporterConformance(Conformance):
    """Check a reporter; override the fixture ``make_reporter``."""

    @pytest.fixture
    def make_reporter(self) -> MakeReporter:
        """A function without arguments that returns a new reporter."""
        raise NotImplementedError("override the fixture make_reporter: () -> a new Reporter")

    @pytest.fixture
    def prices(self) -> pl.DataFrame:
        """Daily bars."""
        return random_market(seed=51, symbols=3, bars=30)

    @pytest.fixture
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The current folder of the run, which is to stay empty."""
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    def test_it_is_a_reporter(self, make_reporter: MakeReporter) -> None:
        """TK-R01: it derives from Reporter."""
        assert isinstance(make_reporter(), Reporter)

    def test_it_writes_under_its_folder_only(
        self, make_reporter: MakeReporter, prices: pl.DataFrame, tmp_path: Path, elsewhere: Path
    ) -> None:
        """TK-R02: files appear under the run's folder and nowhere else."""
        out = tmp_path / "out"
        plain_engine(RandomTrader(), prices, reporter=[make_reporter()]).run(out)
        strangers = [path for path in _files(tmp_path) if out not in path.parents]
        assert strangers == []

    def test_without_a_folder_it_writes_nothing(
        self, make_reporter: MakeReporter, prices: pl.DataFrame, tmp_path: Path, elsewhere: Path
    ) -> None:
        """TK-R03: a run without a folder leaves no file."""
        plain_engine(RandomTrader(), prices, reporter=[make_reporter()]).run()
        assert _files(tmp_path) == []

    def test_files_are_renamed_into_place(
        self,
        make_reporter: MakeReporter,
        prices: pl.DataFrame,
        tmp_path: Path,
        elsewhere: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """TK-R04: each file is written under a temporary name and renamed; no temporary file is left."""
        placed: set[Path] = set()
        for name in ("replace", "rename"):
            monkeypatch.setattr(os, name, _noting(placed, getattr(os, name)))
        plain_engine(RandomTrader(), prices, reporter=[make_reporter()]).run(tmp_path / "out")
        assert [path for path in _files(tmp_path / "out") if path not in placed] == []

    def test_a_failed_run_is_reported(
        self, make_reporter: MakeReporter, prices: pl.DataFrame, tmp_path: Path, elsewhere: Path
    ) -> None:
        """TK-R05: after an error in the strategy the reporter does its work, and the error is the strategy's."""
        good, bad = tmp_path / "good", tmp_path / "bad"
        plain_engine(RandomTrader(), prices, reporter=[make_reporter()]).run(good)
        with pytest.raises(RuntimeError, match="as the test wants it"):
            plain_engine(_Fails(), prices, reporter=[make_reporter()]).run(bad)
        assert {path.name for path in _files(good)} == {path.name for path in _files(bad)}

    def test_a_run_in_which_nothing_happened_is_reported(
        self, make_reporter: MakeReporter, prices: pl.DataFrame, tmp_path: Path, elsewhere: Path
    ) -> None:
        """TK-R06: no order, no fill and no trade are no error."""
        result = plain_engine(_Idle(), prices.head(3), reporter=[make_reporter()]).run(tmp_path / "out")
        assert result.status == "done"

    def test_it_changes_nothing(
        self, make_reporter: MakeReporter, prices: pl.DataFrame, tmp_path: Path, elsewhere: Path
    ) -> None:
        """TK-R07: a run with the reporter has the hashes of one without."""
        without = plain_engine(RandomTrader(), prices).run()
        result = plain_engine(RandomTrader(), prices, reporter=[make_reporter()]).run(tmp_path / "out")
        assert (without.decision_hash, without.result_hash) == (result.decision_hash, result.result_hash)


class _Idle(Strategy):
    def on_slice(self, market: object, context: object) -> None:
        """Do nothing."""


def _noting(placed: set[Path], move: Callable[[str, str], None]) -> Callable[[str, str], None]:
    def noted(source: str, target: str) -> None:
        placed.add(Path(target).absolute())
        move(source, target)

    return noted


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
