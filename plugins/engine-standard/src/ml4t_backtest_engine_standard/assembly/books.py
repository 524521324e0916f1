"""Several strategies on one account: the names of their books and their shares of the capital."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import Any

from ml4t.backtest.interfaces import Setup, Strategy
from ml4t_backtest_engine_standard.assembly.config import Errors

__all__ = ["Book", "build_strategies", "read_strategies"]

_CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Book:
    """One strategy of several.

    Attributes:
        name: Of its book.
        share: Fraction of the capital.
        strategy: What decides.
        setup: Its surroundings; its random stream derives from the book's name.
    """

    name: str
    share: float
    strategy: Strategy
    setup: Setup


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One ``[[strategy]]``: what is left for the strategy, the name of its book, and its share."""

    table: Mapping[str, Any]
    where: str
    name: str
    share: float


def build_strategies(
    value: Any, build: Callable[[str, Any, str], Any], seed: int, base_dir: Path, errors: Errors
) -> list[Book]:
    """Return the strategies of a run; what is wrong is noted among the errors.

    Args:
        value: The setting.
        build: Builds a component of a kind from a table; None after an error.
        seed: Seed of the run.
        base_dir: Where paths begin.
        errors: Takes every mistake.
    """
    if value is None:
        errors.add("strategy", 'is missing: name one, as in [strategy] use = "signal"')
        return []
    books = []
    entries = read_strategies(value, errors)
    for entry in entries:
        strategy = build("strategy", entry.table, entry.where)
        if problem := _problem_of(strategy):
            errors.add(f"{entry.where}:", f"{type(strategy).__name__} {problem}")
        name = entry.name if len(entries) > 1 else type(strategy).__name__
        setup = Setup(name=name, seed=seed, base_dir=base_dir)
        books.append(Book(name=entry.name, share=entry.share, strategy=strategy, setup=setup))
    if not errors.problems and any(one.strategy is other.strategy for one, other in combinations(books, 2)):
        errors.add("strategy:", "one instance is given twice: make one for each book")
    return books


def read_strategies(value: Any, errors: Errors) -> list[Entry]:
    """Return the strategies of a run; what is wrong is noted among the errors.

    Args:
        value: The setting: a table, a name, a class or an instance, or a list of these.
        errors: Takes every mistake.
    """
    several = isinstance(value, list | tuple)
    values: Sequence[Any] = value if several else [value]
    if not values:
        errors.add("strategy", 'is empty: name one, as in [strategy] use = "signal"')
        return []
    tables = [dict(each) if isinstance(each, Mapping) else {"use": each} for each in values]
    if len(tables) == 1:
        table, where = tables[0], "strategy.0" if several else "strategy"
        name, share = (table.pop("book", ""), table.pop("share", 1)) if several else ("", 1)
        if share != 1:
            errors.add(f"{where}.share", f"was {share!r}: one strategy has the whole capital, remove it")
        return [Entry(table=table, where=where, name=str(name), share=1.0)]
    names = [table.pop("book", None) or _name_of(table.get("use")) for table in tables]
    shares = _shares([table.pop("share", None) for table in tables], errors)
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name:
            errors.add(f"strategy.{place}.book", f"was {name!r}, expected a name")
        elif name in names[:place]:
            errors.add(f"strategy.{place}.book", f"is {name!r} like another: give each book a name of its own")
    rows = zip(tables, names, shares, strict=True)
    return [
        Entry(table=table, where=f"strategy.{place}", name=str(name), share=share)
        for place, (table, name, share) in enumerate(rows)
    ]


def _problem_of(strategy: object) -> str:
    """Return why something is no strategy; empty where it is one, and for None, whose problem was noted."""
    if strategy is None:
        return ""
    if not isinstance(strategy, Strategy):
        return "does not derive from ml4t.backtest.Strategy"
    names = ("on_slice", "on_event", "on_signal", "before_trading_start", "after_trading_end", "on_start")
    if any(getattr(type(strategy), name) is not getattr(Strategy, name) for name in names):
        return ""
    return "has no callback that sees data: write on_slice, on_event or on_signal"


def _name_of(use: Any) -> str:
    if isinstance(use, str):
        return use.rpartition(":")[2]
    return str(getattr(use, "__name__", type(use).__name__))


def _shares(given: Sequence[Any], errors: Errors) -> list[float]:
    """Return fractions of the capital; equal ones where none is given."""
    equal = [1.0 / len(given)] * len(given)
    if all(each is None for each in given):
        return equal
    for place, each in enumerate(given):
        if each is None:
            errors.add(f"strategy.{place}.share", "is missing: give one to every strategy, or to none")
        elif isinstance(each, bool) or not isinstance(each, int | float) or not (isfinite(each) and each > 0):
            errors.add(f"strategy.{place}.share", f"was {each!r}, expected a fraction of the capital above 0")
    if errors.problems:
        return equal
    total = sum(given)
    if abs(total - 1.0) > _CLOSE:
        errors.add("strategy:", f"the shares sum to {total:g}, expected 1: the books together are the account")
    return [each / total for each in given]
