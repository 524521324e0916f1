"""The engine and the simulator agree, fill by fill, transition by transition, and in every row of ledger and equity.

Some hundred scenarios in every run; ten thousand of orders and ten thousand of accounts with

    uv run pytest tests/oracle -m exhaustive

What differs is made smaller and shown as Python that can be run.
"""

from dataclasses import replace

import pytest
from oracle.comparing import differences
from oracle.scenario import Scenario
from oracle.scenarios import random_scenario
from oracle.shrink import kind_of, smaller, snippet
from oracle.variants import below_zero, in_fractions, without_volume
from oracle.worlds import random_world

from ml4t.backtest import BacktestError

A_FEW, TEN_THOUSAND, PIECE = 180, 10_000, 30
VARIANTS = [below_zero, in_fractions, without_volume]


def differs(scenario: Scenario, kind: str) -> bool:
    """Whether the two disagree in that; a smaller scenario that neither can run shows nothing."""
    try:
        return kind in map(kind_of, differences(scenario))
    except (AssertionError, BacktestError, LookupError, ValueError):
        return False


def check(seeds, change=lambda scenario: scenario, make=random_scenario):
    """Compare the scenarios of seeds; fail with the first that differs, as small as it gets."""
    for seed in seeds:
        scenario = change(make(seed))
        found = list(differences(scenario))
        if found:
            small = smaller(scenario, lambda smaller: differs(smaller, kind_of(found[0])))  # noqa: B023
            pytest.fail("\n".join([f"seed {seed}:", *found[:3], "smaller:", *differences(small), snippet(small)]))


@pytest.mark.parametrize("first", range(0, A_FEW, PIECE))
def test_random_scenarios_agree(first):
    """Every kind of order, time in force, family, amendment, cancel, rule and cost, on every kind of feed."""
    check(range(first, first + PIECE))


@pytest.mark.parametrize("first", range(0, A_FEW, PIECE))
def test_random_worlds_agree(first):
    """Accounts, currencies, instruments, corporate actions and payments, with all of the above."""
    check(range(first, first + PIECE), make=random_world)


@pytest.mark.parametrize("change", VARIANTS)
def test_other_numbers_agree(change):
    """Prices around zero, fractions of units, no volumes."""
    check(range(20), change)


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", VARIANTS)
def test_a_thousand_scenarios_with_other_numbers_agree(change):
    """The same at length."""
    check(range(1_000), change)


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, TEN_THOUSAND, 500))
def test_ten_thousand_scenarios_agree(first):
    """The same at length."""
    check(range(first, first + 500))


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, TEN_THOUSAND, 500))
def test_ten_thousand_worlds_agree(first):
    """The same at length."""
    check(range(first, first + 500), make=random_world)


def test_a_difference_is_made_smaller():
    """The shrinker keeps what matters and leaves out the rest."""
    scenario = random_scenario(3)
    assert 1 < len(scenario.script)
    wanted = scenario.script[0]

    def has_it(candidate):
        return wanted in candidate.script

    small = smaller(scenario, has_it)
    assert (wanted,) == small.script
    assert sum(len(feed.rows) for feed in small.feeds) <= 1
    assert "differences(scenario)" in snippet(replace(small, latency=0))
