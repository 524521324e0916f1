"""Scenarios that once told the engine and the simulator apart, as small as they got."""

import pytest
from oracle.comparing import differences
from oracle.scenario import DAY, Bar, Feed, Place, Scenario, Step
from oracle.terms import Account, Action, Listing

WHOLE_DAYS = tuple((day * DAY, (day + 1) * DAY) for day in range(6))


def bar(symbol, day, price):
    return Bar(symbol, day * DAY, (day + 1) * DAY, price, price, price, price, 100.0)


def scenario(rows, script, **settings):
    return Scenario((Feed("bar", rows, "1d"),), script, WHOLE_DAYS, **settings)


FOUND = {
    "a change of name at the instant of the first row": scenario(
        (bar("BB", 0, 9.0), bar("BB", 3, 12.0)),
        (Step(DAY, Place("o", "BB", 2.0)),),
        listings=(Listing("BB", multiplier=2.0),),
        actions=(Action("symbol-change", "BB", 1, new_symbol="BBX", known=DAY - 3_600),),
    ),
    "a sale at the end of a session settles with it": scenario(
        (bar("EE", 0, 11.25), bar("EE", 2, 12.0), bar("AA", 3, 9.75), bar("AA", 4, 9.75)),
        (Step(DAY, Place("o", "EE", -50.0, limit_price=12.0, time_in_force="CLS")),),
        accounts=(Account(capital=(("USD", 400.0),), settlement_days=1),),
    ),
    "what a split leaves nothing of when its amended terms hold": scenario(
        (bar("BB", 0, 10.0), bar("AA", 4, 9.0)),
        (Step(DAY, Place("o", "BB", 2.0, limit_price=8.0)),),
        actions=(Action("split", "BB", 3, ratio=0.25),),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_once_differed_agrees(name):
    """Nothing differs any more."""
    assert [] == list(differences(FOUND[name]))
