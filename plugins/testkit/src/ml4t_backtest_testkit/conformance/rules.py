"""What every conformance class is: numbered rules that cannot be taken away in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["Conformance"]

_KIT = "ml4t_backtest_testkit."


class Conformance:
    """Be the root of the conformance classes.

    A plugin's test is a subclass, called ``Test…``, with one fixture. Every rule is a test whose docstring
    begins with its number. A subclass that does not keep one overrides the test and says why with
    ``@pytest.mark.xfail(reason=…)``; taking a rule away without that fails.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        guard = "test_no_rule_was_taken_away"
        if guard in vars(cls) and not cls.__module__.startswith(_KIT):
            raise TypeError(f"{cls.__name__} overrides {guard}, which watches over the other rules: remove it")

    def test_no_rule_was_taken_away(self) -> None:
        """TK-00: a rule that is removed or overridden is marked as expected to fail, with a reason."""
        assert [
            f"{name} was {'removed' if mine is None else 'overridden'} without xfail(reason=…)"
            for name, rule in _rules(type(self))
            if (mine := getattr(type(self), name, None)) is not rule and not _excused(mine)
        ] == []


def _rules(cls: type) -> Iterator[tuple[str, object]]:
    """Yield name and function of each rule of the kit, the most derived definition only."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if not base.__module__.startswith(_KIT):
            continue
        for name, rule in vars(base).items():
            if name.startswith("test_") and name not in seen:
                seen.add(name)
                yield name, rule


def _excused(test: object) -> bool:
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)
