"""Where caches live."""

import os

import pytest

from ml4t.backtest.core.cache import cache_folder


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("ML4T_BACKTEST_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_own_variable_comes_first(monkeypatch, tmp_path):
    """``ML4T_BACKTEST_CACHE`` is the folder itself."""
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = cache_folder("calendars", "v1")
    assert tmp_path / "own" / "calendars" / "v1" == folder
    assert folder.is_dir()


def test_the_shared_cache_folder_gets_a_folder_of_ours(monkeypatch, tmp_path):
    """``XDG_CACHE_HOME`` is shared with other programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "ml4t-backtest" == cache_folder()


@pytest.mark.parametrize(
    ("platform", "place"), [("linux", ".cache/ml4t-backtest"), ("darwin", "Library/Caches/ml4t-backtest")]
)
def test_without_settings_the_platforms_place_is_taken(monkeypatch, tmp_path, platform, place):
    """Below the user's home; a relative ``XDG_CACHE_HOME`` is ignored, as its specification says."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr("sys.platform", platform)
    assert tmp_path / place == cache_folder()


def test_an_unwritable_place_falls_back_to_a_private_temporary_folder(monkeypatch, tmp_path):
    """A run does not fail for want of a cache, and the same folder is found again."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder("calendars")
    assert (tmp_path, "calendars") == (folder.parents[1], folder.name)
    assert 0o700 == folder.parent.stat().st_mode & 0o777
    assert folder == cache_folder("calendars")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_planted_temporary_folder_is_not_taken(monkeypatch, tmp_path):
    """A link in place of the folder may lead to somebody else's."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "foreign").mkdir()
    (tmp_path / f"ml4t-backtest-{os.getuid()}").symlink_to(tmp_path / "foreign")
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache_folder("calendars")
    assert [] == list((tmp_path / "foreign").iterdir())
