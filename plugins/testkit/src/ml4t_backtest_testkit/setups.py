"""What a component is given by the engine, for tests that build one by hand."""

from __future__ import annotations

from pathlib import Path

from ml4t.backtest.interfaces import Setup
from ml4t.backtest.plugins import find_standard

__all__ = ["make_setup"]


def make_setup(name: str, base_dir: Path | None = None, *, seed: int = 0) -> Setup:
    """Return a Setup with the row checks that sources are given.

    Args:
        name: The component's name.
        base_dir: Folder against which relative paths are read; by default the current one.
        seed: The run's seed.

    Raises:
        UnknownComponent: The distribution with the checks is not installed.
    """
    return Setup(name=name, seed=seed, base_dir=base_dir or Path(), gate=find_standard("gate").load()())
