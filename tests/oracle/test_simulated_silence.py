"""The simulator does what the page on accounts says of symbols without prices, and of the order of one instant."""

from decimal import Decimal

import pytest
from oracle.scenario import DAY, Bar, Feed, Place, Scenario, Step
from oracle.silence import TooSilentError
from oracle.simulator import simulate
from oracle.terms import Account, Action, Listing, Rate

OPENS, CLOSES = 9 * 3_600 + 1_800, 16 * 3_600


def flat(symbol, days, price=10.0, whole_days=False):
    """Flat daily bars, of a session or of a whole day."""
    begin, end = (0, DAY) if whole_days else (OPENS, CLOSES)
    return [Bar(symbol, day * DAY + begin, day * DAY + end, *[price] * 4, 100.0) for day in days]


def run(rows, steps, whole_days=False, **settings):
    """Simulate daily bars."""
    begin, end = (0, DAY) if whole_days else (OPENS, CLOSES)
    feed = Feed("bar", tuple(sorted(rows, key=lambda row: (row.end, row.symbol))), "1d")
    days = (max(row.end for row in rows) - 1) // DAY + 1
    sessions = tuple((day * DAY + begin, day * DAY + end) for day in range(days))
    return simulate(Scenario((feed,), tuple(steps), sessions, **settings))


def silent(policy):
    """A has prices on days 0 and 1, B on ten days."""
    account = Account(capital=(("USD", 1000.0),), on_silence=policy)
    steps = [Step(CLOSES, Place("o", "A", 10.0)), Step(8 * DAY + CLOSES, Place("late", "A", -10.0))]
    return run([*flat("A", (0, 1)), *flat("B", range(10))], steps, accounts=(account,))


@pytest.mark.parametrize(("policy", "equity", "held"), [("hold", 1000, 10), ("last", 1000, 0), ("zero", 900, 0)])
def test_silence_is_ended_by_policy(policy, equity, held):
    """The sixth session without a price: too old; orders are refused."""
    outcome = silent(policy)
    assert [1000.0] * 7 == [float(sample.equity) for sample in outcome.samples[:7]]
    assert (equity, held) == (float(outcome.samples[7].equity), int(outcome.positions["A"]))
    assert [0.0] * 2 + [100.0] * 5 == [float(sample.stale) for sample in outcome.samples[:7]]
    late = [(each.status, each.reason) for each in outcome.transitions if each.order == 1]
    assert ("refused", "mark-too-old") == late[-1]


def test_silence_stops_the_run_by_default():
    """A position that nobody can value any more."""
    with pytest.raises(TooSilentError):
        silent("stop")


def test_where_sessions_touch_an_action_comes_after_all_else_of_the_instant():
    """The bar that ends when the ex session opens fills the order as it was, and is sampled in the old units."""
    order = Step(DAY, Place("o", "A", 10.0, limit_price=9.0))
    rows = [*flat("A", (0,), whole_days=True), *flat("A", (1,), 9.0, whole_days=True)]
    rows += flat("A", (2,), 4.5, whole_days=True)
    outcome = run(rows, [order], whole_days=True, actions=(Action("split", "A", 2, ratio=2.0),))
    assert [(Decimal(10), 2 * DAY)] == [(fill.quantity, fill.known_at) for fill in outcome.fills]
    assert [Decimal(10), Decimal(20)] == [sample.quantities["A"] for sample in outcome.samples[1:]]


def test_funding_falls_on_the_position_held_strictly_before():
    """What fills at the instant of the payment does not pay; what closes there does."""
    account = Account(funding=(Rate("A", DAY + CLOSES, 0.5), Rate("A", 2 * DAY + CLOSES, 0.5)))
    steps = [Step(CLOSES, Place("in", "A", 1.0)), Step(DAY + CLOSES, Place("out", "A", -1.0))]
    listings = (Listing("A", "perpetual"),)
    outcome = run(flat("A", range(4)), steps, listings=listings, accounts=(account,))
    assert [(2, Decimal(-5))] == [(each.at // DAY, each.amount) for each in outcome.ledger if each.kind == "funding"]
