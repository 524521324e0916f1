"""The comparison notices what differs; environments that cannot be made are said to be absent."""

import subprocess
from datetime import date

import polars as pl
import pytest

FILL = {"ref": "a", "time": date(2021, 3, 1), "symbol": "AA", "quantity": 5.0, "price": 100.0, "commission": 0.5}
OTHER = FILL | {"ref": "b", "quantity": -5.0}


@pytest.mark.parametrize(
    "change",
    [
        {"ref": "c"},
        {"time": date(2021, 3, 2)},
        {"symbol": "BB"},
        {"quantity": 6.0},
        {"quantity": float("nan")},
        {"price": 100.001},
        {"price": None},
        {"commission": 0.501},
    ],
)
def test_each_difference_of_a_fill_is_found(native, change):
    """One changed fill of two is named, and an equal pair is not."""
    theirs = pl.DataFrame([FILL, OTHER])
    assert native.differing_fills(theirs, pl.DataFrame([OTHER, FILL])).is_empty()
    found = native.differing_fills(theirs, pl.DataFrame([FILL | change, OTHER], schema=theirs.schema))
    assert {"a"} == set(found["ref"]) - {change.get("ref")}


def test_fills_missing_on_one_side_are_found(native):
    """In either direction."""
    both, one = pl.DataFrame([FILL, OTHER]), pl.DataFrame([FILL])
    assert ["b"] == native.differing_fills(both, one)["ref"].to_list()
    assert ["b"] == native.differing_fills(one, both)["ref"].to_list()


def test_scenarios_have_names_of_their_own(environments, scenarios):
    """A name and an engine that has an environment."""
    names = [(one.peer, one.name) for one in scenarios.SCENARIOS]
    assert len(names) == len(set(names))
    assert {peer for peer, _ in names} <= set(environments.REQUIREMENTS)


def test_an_environment_that_cannot_be_made_is_absent(environments, monkeypatch, tmp_path):
    """What uv said is the reason for which tests are skipped."""

    def refused(*arguments, **keywords):
        return subprocess.CompletedProcess(arguments, 2, "", "error: no network\n")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV", "uv")
    monkeypatch.setattr(environments.subprocess, "run", refused)
    with pytest.raises(environments.PeerAbsent, match="no network"):
        environments.environment("backtrader")


def test_without_uv_an_environment_is_absent(environments, monkeypatch, tmp_path):
    """Neither on the path nor as a module."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environments.PeerAbsent, match="pip install uv"):
        environments.environment("backtrader")
