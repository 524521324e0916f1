"""Versions of distributions that a run file asks for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from ml4t.backtest.errors import PluginError

__all__ = ["check_requirements"]


def check_requirements(requirements: Iterable[str]) -> None:
    """Check that distributions are installed in versions that will do.

    Args:
        requirements: As in ``ml4t-backtest-feed-parquet>=0.3,<1``.

    Raises:
        PluginError: Names every requirement that is not met or not well-formed.
    """
    problems = [problem for problem in map(_unmet, requirements) if problem]
    if problems:
        raise PluginError(*problems)


def _unmet(requirement: str) -> str:
    """Return what is wrong with a requirement, or an empty string."""
    try:
        wanted = Requirement(requirement)
        have = version(wanted.name)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        return f"{requirement!r} is no requirement ({reason}), expected as in ml4t-backtest-feed-parquet>=0.3"
    except PackageNotFoundError:
        return f"{requirement} is required and not installed: pip install '{requirement}'"
    met = wanted.specifier.contains(have, prereleases=True)
    return "" if met else f"{requirement} is required, {wanted.name} {have} is installed: pip install '{requirement}'"
