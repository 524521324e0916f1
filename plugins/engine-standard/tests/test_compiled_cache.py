"""The folder of compiled code is named by all the sources that go in."""

import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ml4t_backtest_engine_standard.compiled_cache import prepare_cache


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Start without a folder, in a cache of the test's own; whatever is set is undone."""
    for name in ("NUMBA_CACHE_DIR", "ML4T_BACKTEST_COMPILED"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "numba.core.config", SimpleNamespace(CACHE_DIR="elsewhere"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules on the path."""
    folder = tmp_path / "path" / "some_models"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('never imported')\n")
    (folder / "helper.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def folder_of(*contributors):
    assert prepare_cache(contributors) is None
    return os.environ["NUMBA_CACHE_DIR"]


def test_same_sources_same_folder(package, tmp_path):
    """The folder exists, lies in the cache, and numba is told even where it was imported before."""
    folder = folder_of("some_models.models")

    assert folder == folder_of("some_models.models") == sys.modules["numba.core.config"].CACHE_DIR
    assert Path(folder).is_dir()
    assert Path(folder).is_relative_to(tmp_path / "cache")


def test_edit_anywhere_in_a_contributor_is_another_folder(package):
    """Also in a file that defines nothing compiled itself."""
    before = folder_of("some_models")
    (package / "helper.py").write_text("x = 2\n")

    assert before != folder_of("some_models")


def test_local_files_count_where_they_are_compiled(tmp_path):
    """An edit of a model beside the run file counts, one of a strategy in plain Python does not."""
    (tmp_path / "my_models.py").write_text("from numba import njit\n")
    (tmp_path / "my_strategy.py").write_text("y = 1\n")
    before = folder_of(tmp_path)
    (tmp_path / "my_strategy.py").write_text("y = 2\n")
    assert before == folder_of(tmp_path)

    (tmp_path / "my_models.py").write_text("from numba import njit  # edited\n")
    assert before != folder_of(tmp_path)


def test_contributors_are_distinguished_and_their_order_is_not(package, tmp_path):
    """Nothing depends on the order in which components are named."""
    (tmp_path / "my_models.py").write_text("from numba import njit\n")

    assert folder_of("some_models", tmp_path) == folder_of(tmp_path, "some_models")
    assert folder_of("some_models") != folder_of()
    assert folder_of() == folder_of("no_such_module")


def test_folder_of_the_user_is_left_alone(monkeypatch, package):
    """Who sets NUMBA_CACHE_DIR knows why."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/chosen")

    assert prepare_cache(["some_models"]) is None
    assert "/chosen" == os.environ["NUMBA_CACHE_DIR"]


def test_note_where_nothing_can_be_kept(monkeypatch, tmp_path):
    """No writable folder: a temporary one, and a note that says so."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    blocked.chmod(stat.S_IRUSR)
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(blocked / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    note = prepare_cache([])

    assert note is not None
    assert "the user's cache cannot be written" in note
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_relative_to(tmp_path)
