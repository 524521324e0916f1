"""Every defect that synthetic markets can have is found by the check, and none in a clean market."""

import re
from datetime import date
from functools import cache

import pytest

from ml4t.backtest import Engine
from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.errors import InputError
from ml4t_backtest_calendar_market.calendar import MarketCalendar
from ml4t_backtest_data_synthetic import DEFECTS, generate
from ml4t_backtest_gate_standard.findings.rules import RULES

INTRADAY = ("gaps", "open-stamped", "outside-session")
# What a defect brings with it of necessity.
FOLLOWS = {
    "missing-key": {"missing-session"},
    "not-a-number": {"missing-value"},
    "high-below-low": {"close-outside-range"},
}
# A bar is known at its end at the earliest, whatever is said: the check tells, and a run goes on.
CLAMPED = "negative-latency"
FULL = {"splits": 0.5, "dividends": 2.0}


@cache
def exchange():
    """Return the sessions of New York."""
    calendar = MarketCalendar(MarketCalendar.Config(name="XNYS"))
    rows = calendar.sessions(date(2019, 1, 1), date(2022, 12, 31))
    return SessionTable(rows, timezone=calendar.timezone, name="XNYS")


def market_of(seed, bar="1d", **settings):
    """Return a market of ten symbols: a year of days, or ten days of five minutes."""
    sessions = 252 if bar == "1d" else 10
    return generate(symbols=10, sessions=sessions, bar=bar, seed=seed, table=exchange(), **settings)


def check(market):
    """Return what the gate finds in the frames of a market."""
    bars, quotes = market.bars, market.quotes
    daily = market.config.daily
    stamps = {} if daily else {"bar": market.config.bar, "stamp": "close"}
    feed = [{"use": "frame", "name": "bars", "frame": bars, "prices": "raw", **stamps}]
    feed += [{"use": "frame", "name": "quotes", "frame": quotes, "latency": "0s", "drives": False}]
    signal = [{"use": "frame", "name": "signals", "frame": market.signals, "latency": "0s"}]
    engine = Engine(feed=feed, signal=signal, actions=market.actions, calendar="XNYS", open=False)
    return engine.check()


@pytest.mark.parametrize("bar", ["1d", "5m"])
@pytest.mark.parametrize("seed", range(3))
def test_a_clean_market_has_no_findings(seed, bar):
    """With splits, dividends and regimes of turbulence, as long as the actions are told."""
    found = check(market_of(seed, bar, **FULL))
    assert [] == found["rule"].to_list()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", DEFECTS)
def test_each_planted_defect_is_found_and_nothing_else(rule, seed):
    """By the rule that is for it, at the rows where it was planted."""
    market = market_of(seed, "5m" if rule in INTRADAY else "1d", defects=(rule,))
    found = check(market)
    assert rule in found["rule"].to_list()
    assert {rule} == {*found["rule"]} - FOLLOWS.get(rule, set())
    planted = market.defects["row"].drop_nulls().to_list()
    named = re.findall(r" row (\d+) ", " ".join(found.filter(found["rule"] == rule)["rows"].explode().drop_nulls()))
    assert not planted or {int(row) for row in named} <= {*planted}
    assert not planted or named or rule == "unknown-symbols"


@pytest.mark.parametrize("rule", [rule for rule in DEFECTS if RULES[rule].severity == "error" and rule != CLAMPED])
def test_a_run_refuses_each_defect_that_is_an_error(rule):
    """Before it begins, and without a folder."""
    market = market_of(1, defects=(rule,))
    with pytest.raises(InputError):
        Engine(prices=market.bars, signals=market.signals, calendar="XNYS", strategy="signal", price_basis="raw")


def test_every_rule_can_be_planted_or_has_a_test_of_its_own():
    """A rule without a defect that shows it may never fire."""
    assert {*RULES} == {*DEFECTS}
