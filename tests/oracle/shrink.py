"""Make a scenario that shows a difference smaller while it still shows one, and print it so that it can be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

from .scenario import Amend, Cancel, Costs, Feed, FillRules, Instrument, Oco, Place, Request, Scenario, Step, names_of


def smaller(scenario: Scenario, differs: Callable[[Scenario], bool], attempts: int = 400) -> Scenario:
    """Return a scenario that still differs, without what can be left out.

    Args:
        scenario: One that differs.
        differs: Whether a scenario differs; one that cannot be run does not.
        attempts: How many scenarios are tried at most.
    """
    shrunk = True
    while shrunk and attempts > 0:
        shrunk = False
        for candidate in _without_something(scenario):
            attempts -= 1
            if candidate != scenario and differs(candidate):
                scenario, shrunk = candidate, True
                break
            if attempts <= 0:
                break
    return scenario


def _without_something(scenario: Scenario) -> Iterator[Scenario]:
    for place in range(len(scenario.script)):
        yield replace(scenario, script=tidy(scenario.script[:place] + scenario.script[place + 1 :]))
    for number, feed in enumerate(scenario.feeds):
        for place in range(len(feed.rows) - 1, -1, -1):
            fewer = replace(feed, rows=feed.rows[:place] + feed.rows[place + 1 :])
            yield _with_feed(scenario, number, fewer)
    for place, step in enumerate(scenario.script):
        for simpler in _simpler(step.request):
            steps = (*scenario.script[:place], Step(step.at, simpler), *scenario.script[place + 1 :])
            yield replace(scenario, script=tidy(steps))
    yield from (
        *(replace(scenario, actions=_without(scenario.actions, place)) for place in range(len(scenario.actions))),
        *(replace(scenario, listings=_without(scenario.listings, place)) for place in range(len(scenario.listings))),
        *_simpler_accounts(scenario),
        replace(scenario, costs=Costs()),
        replace(scenario, instrument=Instrument()),
        replace(scenario, latency=0),
        replace(scenario, strict_ticks=False),
    )
    for name, value in vars(FillRules()).items():
        yield replace(scenario, rules=replace(scenario.rules, **{name: value}))


def _without(rows: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return rows[:place] + rows[place + 1 :]


def _simpler_accounts(scenario: Scenario) -> Iterator[Scenario]:
    for place, account in enumerate(scenario.accounts):
        for each in fields(account):
            if each.name not in ("name", "venue", "capital") and getattr(account, each.name) != each.default:
                simpler = replace(account, **{each.name: each.default})
                rows = (*scenario.accounts[:place], simpler, *scenario.accounts[place + 1 :])
                yield replace(scenario, accounts=rows)


def _with_feed(scenario: Scenario, number: int, feed: Feed) -> Scenario:
    feeds = (*scenario.feeds[:number], *((feed,) if feed.rows else ()), *scenario.feeds[number + 1 :])
    return replace(scenario, feeds=feeds)


def _simpler(request: Request) -> Iterator[Request]:
    if isinstance(request, Oco) and len(request.legs) > 2:
        for place in range(len(request.legs)):
            yield Oco(request.legs[:place] + request.legs[place + 1 :])
    if isinstance(request, Place):
        for name in ("reduce_only", "client_id", "parent", "time_in_force", "expires_at", "limit_offset"):
            default = Place.__dataclass_fields__[name].default
            if getattr(request, name) != default:
                yield replace(request, **{name: default})


def tidy(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Leave out requests about orders that are not made any more."""
    names = {name for step in steps for name in names_of(step.request)}
    kept = []
    for step in steps:
        request = step.request
        about = request.order if isinstance(request, (Amend, Cancel)) else getattr(request, "parent", "")
        if (about and about not in names) or (isinstance(step.at, str) and step.at not in names):
            continue
        kept.append(step)
    return tuple(kept)


def brief(value: Any) -> str:
    """Return Python that makes a value again, without what is as usual."""
    if isinstance(value, tuple):
        return "(" + "".join(f"{brief(each)}, " for each in value) + ")"
    if not is_dataclass(value):
        return repr(value)
    given = []
    for each in fields(value):
        part = getattr(value, each.name)
        usual = each.default if each.default_factory is MISSING else each.default_factory()
        if part != usual:
            given.append(f"{each.name}={brief(part)}")
    return f"{type(value).__name__}({', '.join(given)})"


def kind_of(difference: str) -> str:
    """Return what a difference is about, without its numbers."""
    about = difference.split(", transition")[0].split(":")[0]
    return "".join(letter for letter in about if not letter.isdigit())


def snippet(scenario: Scenario) -> str:
    """Return Python that runs a scenario through both and prints where they differ."""
    return "\n".join(
        [
            "# run in tests/ with the project's interpreter",
            "from oracle.comparing import differences",
            "from oracle.scenario import *",
            "from oracle.terms import *",
            "nan, inf = float('nan'), float('inf')",
            f"scenario = {brief(scenario)}",
            "print(*differences(scenario), sep='\\n')",
        ]
    )
