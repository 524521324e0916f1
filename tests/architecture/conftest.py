"""Where the distributions of the workspace are."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def distributions(repository: Path) -> list[Path]:
    """The folders under plugins/ and contrib/ that are distributions, sorted."""
    roots = (repository / "plugins", repository / "contrib")
    return sorted(path.parent for root in roots for path in root.glob("*/pyproject.toml"))
