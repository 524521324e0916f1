"""The simulator does what the tables of the page on matching say, cell by cell, by hand."""

import pytest
from oracle.scenario import (
    DAY,
    Amend,
    Bar,
    Bracket,
    Cancel,
    Feed,
    FillRules,
    Oco,
    Place,
    Quote,
    Scenario,
    Step,
    Trade,
)
from oracle.simulator import simulate

OPENS, CLOSES = 9 * 3_600 + 1_800, 16 * 3_600
TEN = 10 * 3_600
BUYS_AND_SELLS = pytest.mark.parametrize("side", [1, -1], ids=["buys", "sells"])


def turned(price, side):
    """Mirror a price around 10."""
    return price if side > 0 or price is None else 20.0 - price


def bar(day, opened, high, low, closed, side=1, volume=100.0, **more):
    """One daily bar of 09:30 to 16:00; for a sell, upside down."""
    high, low = (high, low) if side > 0 else (low, high)
    prices = [turned(price, side) for price in (opened, high, low, closed)]
    return Bar("A", day * DAY + OPENS, day * DAY + CLOSES, *prices, volume, **more)


def run(rows, steps, **settings):
    """Simulate bars after one quiet day."""
    rules = FillRules(**settings.pop("rules", {}))
    sessions = tuple((day * DAY + OPENS, day * DAY + CLOSES) for day in range(6))
    kind = {Bar: "bar", Quote: "quote", Trade: "trade"}[type(rows[0])]
    first = bar(0, 10.0, 10.0, 10.0, 10.0)
    feed = Feed(kind, (first, *rows) if kind == "bar" else tuple(rows), "1d")
    return simulate(Scenario((feed,), tuple(steps), sessions, rules=rules, **settings))


def fills(outcome):
    return [(float(fill.quantity), float(fill.reference), fill.reason, fill.formed_at) for fill in outcome.fills]


def states(outcome, order):
    return [(each.status, each.reason) for each in outcome.transitions if each.order == order]


LIMIT, STOP, BOTH = {"limit_price": 9.0}, {"stop_price": 11.0}, {"stop_price": 11.0, "limit_price": 11.5}
# prices of the next day, order, price, reason, whether at the open
TABLE = [
    ((10.0, 12.0, 9.5, 11.0), {}, 10.0, "next-open", True),
    ((8.5, 12.0, 8.0, 11.0), LIMIT, 8.5, "limit-better", True),
    ((9.0, 12.0, 8.0, 11.0), LIMIT, 9.0, "limit", True),
    ((10.0, 12.0, 9.0, 11.0), LIMIT, 9.0, "limit", False),
    ((10.0, 12.0, 8.0, 11.0), LIMIT, 9.0, "limit", False),
    ((None, 12.0, 8.0, 11.0), LIMIT, 9.0, "limit", False),
    ((None, 8.5, 8.0, 8.25), LIMIT, 8.25, "limit-better", False),
    ((None, None, None, 9.0), LIMIT, 9.0, "limit", False),
    ((12.0, 13.0, 10.0, 12.5), STOP, 12.0, "stop-gap", True),
    ((11.0, 13.0, 10.0, 12.5), STOP, 11.0, "stop", True),
    ((10.0, 11.0, 10.0, 10.5), STOP, 11.0, "stop", False),
    ((10.0, 13.0, 10.0, 12.5), STOP, 11.0, "stop", False),
    ((None, 13.0, 12.0, 12.5), STOP, 12.5, "stop-gap", False),
    ((12.0, 13.0, 11.0, 12.5), BOTH, 11.5, "limit", False),
    ((11.25, 13.0, 11.0, 12.5), BOTH, 11.25, "limit-better", True),
    ((10.0, 13.0, 10.0, 12.5), BOTH, 11.0, "limit-better", False),
]


@BUYS_AND_SELLS
@pytest.mark.parametrize(("prices", "order", "price", "reason", "at_open"), TABLE)
def test_a_bar_fills_an_order_submitted_before_it(prices, order, price, reason, at_open, side):
    """Each row of "At which price"."""
    terms = {name: turned(value, side) for name, value in order.items()}
    outcome = run([bar(1, *prices, side)], [Step(CLOSES, Place("o", "A", 10.0 * side, **terms))])
    formed = DAY + (OPENS if at_open else CLOSES)
    assert [(10.0 * side, turned(price, side), reason, formed)] == fills(outcome)


NOT_FILLED = [
    ((10.0, 12.0, 9.25, 11.0), LIMIT, {}),
    ((10.0, 12.0, 9.0, 11.0), LIMIT, {"limit": "cross"}),
    ((10.0, 10.75, 9.0, 10.0), STOP, {}),
    ((10.0, 13.0, 8.0, 10.0), LIMIT, {"sees": "close"}),
    ((10.0, 13.0, 8.0, 10.0), STOP, {"sees": "close"}),
    ((None, 12.0, 9.0, 11.0), {}, {}),
    ((10.0, 12.0, 9.0, None), {}, {"market": "close"}),
    ((10.0, 12.0, 9.0, 11.0), {}, {"market": "vwap"}),
    ((10.0, 12.0, 8.0, 11.0), LIMIT, {"volume_limit": 0.001}),
]


@BUYS_AND_SELLS
@pytest.mark.parametrize(("prices", "order", "rules"), NOT_FILLED)
def test_an_order_waits_where_its_price_is_not_there(prices, order, rules, side):
    """What the table does not name does not fill."""
    terms = {name: turned(value, side) for name, value in order.items()}
    outcome = run([bar(1, *prices, side)], [Step(CLOSES, Place("o", "A", 10.0 * side, **terms))], rules=rules)
    assert [] == fills(outcome)
    assert ("cancelled", "end-of-run") == states(outcome, 0)[-1]


@BUYS_AND_SELLS
@pytest.mark.parametrize(
    ("order", "price", "reason", "day"),
    [
        ({}, 8.0, "next-open", 2),
        ({"time_in_force": "CLS"}, 8.75, "at-close", 1),
        ({"time_in_force": "OPG"}, 8.0, "at-open", 2),
        (LIMIT, 8.75, "limit-better", 1),
        ({"stop_price": 8.5}, 8.75, "stop-gap", 1),
        ({"time_in_force": "IOC"}, 8.0, "next-open", 2),
        ({**LIMIT, "time_in_force": "IOC"}, 8.75, "limit-better", 1),
    ],
)
def test_in_session_only_the_close_is_left_of_the_day(order, price, reason, day, side):
    """The column "in session, 10:00"."""
    terms = {name: turned(value, side) if name.endswith("price") else value for name, value in order.items()}
    rows = [bar(1, 8.0, 12.0, 7.0, 8.75, side), bar(2, 8.0, 8.0, 8.0, 8.0, side)]
    outcome = run(rows, [Step(DAY + TEN, Place("o", "A", 10.0 * side, **terms))])
    at_open = reason in ("next-open", "at-open")
    assert [(10.0 * side, turned(price, side), reason, day * DAY + (OPENS if at_open else CLOSES))] == fills(outcome)


@BUYS_AND_SELLS
@pytest.mark.parametrize(("path", "first"), [("pessimistic", 1), ("optimistic", 2)])
def test_the_path_decides_between_stop_and_target(path, first, side):
    """Both are touched within the range."""
    family = Bracket("b", "A", 10.0 * side, stop_price=turned(9.0, side), target_price=turned(11.0, side))
    rows = [bar(1, 10.0, 10.0, 10.0, 10.0, side), bar(2, 10.0, 11.5, 8.5, 10.0, side)]
    outcome = run(rows, [Step(CLOSES, family)], rules={"path": path})
    assert [0, first] == [fill.order for fill in outcome.fills]
    assert ("cancelled", "one-cancels-other") == states(outcome, 3 - first)[-1]


def test_the_high_is_first_on_the_path_of_a_bar():
    """With open-high-low-close a long target is met before its stop, a short stop before its target."""
    for side, first in ((1, 2), (-1, 1)):
        family = Bracket("b", "A", 10.0 * side, stop_price=10.0 - side, target_price=10.0 + side)
        rows = [bar(1, 10.0, 10.0, 10.0, 10.0), bar(2, 10.0, 11.5, 8.5, 10.0)]
        outcome = run(rows, [Step(CLOSES, family)], rules={"path": "open-high-low-close"})
        assert [0, first] == [fill.order for fill in outcome.fills]


@BUYS_AND_SELLS
@pytest.mark.parametrize(
    ("prices", "children", "expected"),
    [
        ((10.0, 10.5, 8.0, 9.5), "same-bar", [9.0, 8.5]),  # the low came after the entry on its way down
        ((10.0, 12.0, 9.0, 9.5), "same-bar", [9.0]),  # the high may have been before it
        ((10.0, 12.0, 9.0, 11.5), "same-bar", [9.0, 11.0]),  # the close was after it
        ((10.0, 10.5, 8.0, 9.5), "next-bar", [9.0]),
        ((8.75, 12.0, 8.6, 9.5), "same-bar", [8.75, 11.0]),  # at the open: all of the bar is left
    ],
)
def test_children_see_what_is_left_of_the_bar_of_their_entry(prices, children, expected, side):
    """The table of "Released within a bar"."""
    levels = {"entry_limit": 9.0, "stop_price": 8.5, "target_price": 11.0}
    family = Bracket("b", "A", 10.0 * side, **{name: turned(level, side) for name, level in levels.items()})
    outcome = run([bar(1, *prices, side)], [Step(CLOSES, family)], rules={"children": children})
    assert [turned(price, side) for price in expected] == [float(fill.reference) for fill in outcome.fills]


@BUYS_AND_SELLS
@pytest.mark.parametrize(
    ("prices", "rules", "expected"),
    [
        ((10.0, 12.0, 9.5, 11.5), {}, None),  # the level moves up to 11, the close stays above it
        ((10.0, 12.0, 9.5, 10.5), {}, (11.0, "stop")),  # and comes back through it
        ((10.0, 12.0, 8.5, 11.5), {}, (9.0, "stop")),  # the old level is met first
        ((8.0, 12.0, 7.5, 11.5), {}, (8.0, "stop-gap")),
        ((10.0, 12.0, 9.5, 10.5), {"trail": "close"}, None),
    ],
)
def test_a_trailing_stop_follows_after_it_was_met(prices, rules, expected, side):
    """A selling one 1 below the best price, which is 10 when it is accepted."""
    order = Place("o", "A", -10.0 * side, trail_amount=1.0)
    outcome = run([bar(1, *prices, side)], [Step(CLOSES, order)], rules=rules)
    found = [(turned(float(fill.reference), side), fill.reason) for fill in outcome.fills]
    assert ([] if expected is None else [expected]) == found


def test_a_cancel_in_session_does_not_undo_the_fill_at_the_open():
    """With daily bars the fill becomes known after the cancel."""
    steps = [Step(CLOSES, Place("o", "A", 10.0)), Step(DAY + TEN, Cancel("o"))]
    outcome = run([bar(1, 10.0, 11.0, 9.0, 10.0)], steps)
    assert [(10.0, 10.0, "next-open", DAY + OPENS)] == fills(outcome)
    assert [("accepted", "cancel-requested"), ("filled", "next-open")] == states(outcome, 0)[-2:]


def test_a_cancelled_limit_order_ends_with_the_row_that_did_not_fill_it():
    """Its range and its close formed after the cancel."""
    steps = [Step(CLOSES, Place("o", "A", 10.0, limit_price=9.0)), Step(DAY + TEN, Cancel("o"))]
    outcome = run([bar(1, 10.0, 11.0, 8.0, 8.5)], steps)
    assert [] == fills(outcome)
    assert ("cancelled", "cancelled-by-strategy") == states(outcome, 0)[-1]


def test_a_cancel_at_the_close_is_immediate():
    """No bar is under way."""
    steps = [Step(CLOSES, Place("o", "A", 10.0, limit_price=9.0)), Step(DAY + CLOSES, Cancel("o"))]
    outcome = run([bar(1, 10.0, 11.0, 9.5, 10.0), bar(2, 8.0, 8.0, 8.0, 8.0)], steps)
    assert [("accepted", ""), ("cancelled", "cancelled-by-strategy")] == states(outcome, 0)[-2:]


def test_amended_terms_hold_for_prices_that_form_later():
    """The open of the day meets the old limit, the close the new one."""
    steps = [Step(CLOSES, Place("o", "A", 10.0, limit_price=9.0)), Step(DAY + TEN, Amend("o", limit_price=10.5))]
    assert [(10.0, 10.25, "limit-better", DAY + CLOSES)] == fills(run([bar(1, 10.0, 11.0, 8.0, 10.25)], steps))
    assert [(10.0, 8.5, "limit-better", DAY + OPENS)] == fills(run([bar(1, 8.5, 11.0, 8.0, 10.25)], steps))


def test_one_takes_its_quantity_off_what_the_other_has_left():
    """Legs of 10 and 25: 15 are left, and they may still fill."""
    legs = Oco((Place("a", "A", 10.0, limit_price=9.0), Place("b", "A", 25.0, stop_price=11.0)))
    outcome = run([bar(1, 10.0, 10.0, 9.0, 9.5), bar(2, 12.0, 12.0, 12.0, 12.0)], [Step(CLOSES, legs)])
    assert [10.0, 15.0] == [float(fill.quantity) for fill in outcome.fills]
    assert ("accepted", "one-cancels-other") in states(outcome, 1)


def test_a_volume_cap_is_shared_and_carried_over():
    """10 % of 100 a bar, truncated to lots, first come first served."""
    steps = [Step(CLOSES, Place("a", "A", 15.0)), Step(CLOSES, Place("b", "A", 10.0))]
    rows = [bar(day, 10.0, 10.0, 10.0, 10.0, volume=105.0) for day in (1, 2, 3)]
    outcome = run(rows, steps, rules={"volume_limit": 0.125})  # 13 a bar
    assert [(0, 13.0), (0, 2.0), (1, 10.0)] == [(fill.order, float(fill.quantity)) for fill in outcome.fills]


@pytest.mark.parametrize(("force", "last"), [("IOC", "remainder-of-ioc"), ("FOK", "not-whole")])
def test_at_once_or_not(force, last):
    """IOC takes what there is, FOK all or nothing."""
    outcome = run(
        [bar(1, 10.0, 10.0, 10.0, 10.0, volume=100.0)],
        [Step(CLOSES, Place("a", "A", 15.0, time_in_force=force))],
        rules={"volume_limit": 0.1},
    )
    assert ("cancelled", last) == states(outcome, 0)[-1]
    assert ([10.0] if force == "IOC" else []) == [float(fill.quantity) for fill in outcome.fills]


def test_a_day_order_is_of_the_first_session_whose_prices_it_could_take():
    """A market order at 10:00 with daily bars is of the next session, a limit order of this one."""
    rows = [bar(1, 10.0, 10.0, 10.0, 10.0), bar(3, None, 10.0, 10.0, 10.0), bar(4, 9.0, 9.0, 9.0, 9.0)]
    market = run(rows, [Step(DAY + TEN, Place("o", "A", 10.0, time_in_force="DAY"))])
    assert [(10.0, 9.0, "next-open", 4 * DAY + OPENS)] == fills(market)
    limit = run(rows, [Step(DAY + TEN, Place("o", "A", 10.0, limit_price=9.0, time_in_force="DAY"))])
    assert ("expired", "day-over") == states(limit, 0)[-1]
    assert DAY + CLOSES == limit.transitions[-1].at


def test_quotes_fill_buys_at_the_ask_and_sells_at_the_bid():
    """With the size at the order's side as volume."""
    rows = [Quote("A", OPENS + place, 9.0, 10.0, 11.0, 20.0) for place in range(1, 4)]
    steps = [Step(OPENS + 1, Place("a", "A", 15.0)), Step(OPENS + 1, Place("b", "A", -15.0))]
    outcome = run(rows, steps, rules={"volume_limit": 1.0})
    found = [(fill.order, float(fill.quantity), float(fill.reference), fill.reason) for fill in outcome.fills]
    assert [(0, 15.0, 11.0, "quote"), (1, -10.0, 9.0, "quote"), (1, -5.0, 9.0, "quote")] == found


def test_reduce_only_closes_and_never_opens():
    """It is cut to the position; without one it is cancelled when it would fill."""
    rows = [bar(1, 10.0, 10.0, 10.0, 10.0), bar(2, 10.0, 10.0, 10.0, 10.0), bar(3, 10.0, 10.0, 10.0, 10.0)]
    close = Place("b", "A", -25.0, reduce_only=True)
    outcome = run(rows, [Step(CLOSES, Place("a", "A", 10.0)), Step(CLOSES, close)])
    assert [10.0, -10.0] == [float(fill.quantity) for fill in outcome.fills]
    assert ("cancelled", "nothing-to-reduce") == states(outcome, 1)[-1]
