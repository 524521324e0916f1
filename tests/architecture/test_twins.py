"""Modules that several distributions hold in the same words."""

from collections.abc import Sequence
from pathlib import Path

import pytest

# Plugins may not import each other, and the kernel stays small; what they share is written once and kept equal.
TWINS = {
    "files.py": ("feed-parquet", "feed-csv", "signal-parquet"),
    "long.py": ("feed-frame", "signal-frame"),
}


def differing(paths: Sequence[Path]) -> list[str]:
    """Return the files whose text is not that of the first."""
    first, *others = paths
    return [str(path) for path in others if path.read_bytes() != first.read_bytes()]


@pytest.mark.parametrize("name", sorted(TWINS))
def test_twins_are_equal(repository, name):
    """A correction in one of them reaches all."""
    folders = [repository / "plugins" / plugin / "src" for plugin in TWINS[name]]
    paths = [path for folder in folders for path in folder.glob(f"*/{name}")]
    assert (len(folders), []) == (len(paths), differing(paths))


def test_a_difference_is_found(tmp_path):
    """The rule must be able to fail."""
    for name, text in (("a.py", "x = 1\n"), ("b.py", "x = 1\n"), ("c.py", "x = 2\n")):
        (tmp_path / name).write_text(text)
    assert [str(tmp_path / "c.py")] == differing(sorted(tmp_path.iterdir()))
