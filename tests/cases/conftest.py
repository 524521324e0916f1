"""Published cases: what other projects' tests, papers and runs gave on the files beside the repository."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest


@dataclass(frozen=True)
class Shared:
    """The folder with real data and published results.

    Attributes:
        folder: Holds ``data`` and ``cases``.
    """

    folder: Path

    def case(self, name):
        """Return what is published of a case."""
        cases = json.loads((self.folder / "cases" / "cases.json").read_text(encoding="utf-8"))["cases"]
        return next(case for case in cases if case["id"] == name)

    def data(self, name):
        """Return a data file as a frame."""
        return pl.read_parquet(self.folder / "data" / f"{name}.parquet")

    def golden(self, name):
        """Return an artefact of a case as a frame, or as what its JSON says."""
        path = self.folder / "cases" / "golden" / name
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        return pl.read_parquet(path)


@pytest.fixture(scope="session")
def shared():
    """The folder beside the repository, or the one that ML4T_BACKTEST_SHARED names."""
    folder = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (folder / "cases" / "cases.json").is_file():
        pytest.skip(f"needs published cases in {folder / 'cases'}; set ML4T_BACKTEST_SHARED")
    return Shared(folder)
