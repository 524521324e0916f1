"""The fill rules that other engines need; docs/reference/matching.md, rules of other engines."""

import pytest

from ml4t.backtest.errors import RunFileError

NAN = float("nan")
SIDES = pytest.mark.parametrize("side", [1.0, -1.0], ids=["buying", "selling"])


def mirror(side, opened, high, low, close):
    """Return a bar, or its mirror image about 100."""
    if side > 0:
        return opened, high, low, close
    return 200.0 - opened, 200.0 - low, 200.0 - high, 200.0 - close


def at(side, price):
    """Return a price, or its mirror image about 100."""
    return price if side > 0 else 200.0 - price


def priced(world):
    """Return (order, quantity, reference price) of each fill."""
    return [row[:3] for row in world.priced]


class Slips:
    """Slippage of 10 against the order, in plain Python."""

    def params(self):
        import numpy as np

        return np.zeros(0)

    initial_state = params

    def describe(self):
        return "10 against the order"

    @staticmethod
    def function(orders, i, market, params, state):
        return 10.0 if orders[i]["quantity"] > 0 else -10.0


# --- path = "submission" ----------------------------------------------------------------------------------------


@SIDES
def test_submission_decides_whatever_comes_first_in_the_bar(make_world, side):
    """The bar opens beyond the target and comes back to the stop, which was submitted first."""
    world = make_world(path="submission")
    legs = [
        {"quantity": -side, "kind": "stop", "stop_price": at(side, 95.0)},
        {"quantity": -side, "kind": "limit", "limit_price": at(side, 110.0)},
    ]
    world.submit(100, *({"group": 0, "counts": 0, **leg} for leg in legs))
    world.bar(200, *mirror(side, 112.0, 113.0, 90.0, 100.0))
    assert [(0, -side, at(side, 95.0))] == priced(world)


@SIDES
@pytest.mark.parametrize(
    ("bar", "stop", "limit", "expected"),
    [
        ((103.0, 104.0, 101.0, 102.0), 102.0, 103.5, 103.0),  # opened beyond the stop
        ((103.0, 104.0, 101.0, 102.0), 102.0, 101.5, 101.5),  # and came back to the limit
        ((100.0, 104.0, 99.0, 103.0), 102.0, 102.5, 102.0),  # reached the stop, within the limit
        ((102.0, 105.0, 99.0, 100.0), 103.0, 101.0, 101.0),  # came back through the limit, against its open
        ((100.0, 105.0, 99.0, 101.0), 103.0, 102.0, None),  # came back, but closed above its open
        ((102.0, 105.0, 99.0, 101.5), 103.0, 101.0, None),  # did not come back to the limit
    ],
)
def test_submission_assumes_no_path_after_a_stop(make_world, side, bar, stop, limit, expected):
    """A stop-limit that its bar reaches fills there only where open and close prove it."""
    world = make_world(path="submission")
    world.order(100, side, "stop-limit", stop_price=at(side, stop), limit_price=at(side, limit))
    world.bar(200, *mirror(side, *bar))
    assert ([] if expected is None else [(0, side, at(side, expected))]) == priced(world)
    if expected is None:
        world.bar(300, *mirror(side, 100.5, 100.5, 100.5, 100.5))
        assert [(0, side, at(side, 100.5))] == priced(world)


def test_submission_fills_a_returning_stop_limit_before_orders_behind_it(make_world):
    """It fills in a later phase than it was reached; its group hears of it before the next order is looked at."""
    world = make_world(path="submission")
    legs = [
        {"quantity": 1.0, "kind": "stop-limit", "stop_price": 103.0, "limit_price": 101.0},
        {"quantity": 1.0, "kind": "stop", "stop_price": 104.0},
    ]
    world.submit(100, *({"group": 0, "counts": 0, **leg} for leg in legs))
    world.bar(200, 102.0, 105.0, 99.0, 100.0)
    assert [(0, 1.0, 101.0)] == priced(world)


# --- children = "complete", groups = "cancel" -------------------------------------------------------------------


def bracket(world, side, quantity, **children):
    """Submit a market entry with a stop at 95 (or other terms) and a target at 110."""
    stop = children or {"kind": "stop", "stop_price": at(side, 95.0)}
    base = {"quantity": -side * quantity, "parent": 0, "group": 1, "counts": 0}
    target = {"kind": "limit", "limit_price": at(side, 110.0)}
    world.submit(100, {"quantity": side * quantity, "counts": 0}, {**base, **stop}, {**base, **target})


@SIDES
def test_complete_children_wait_for_the_whole_entry_and_the_next_bar(make_world, side):
    """The second bar completes the entry and touches the stop, which acts in the third, for all of it."""
    world = make_world(children="complete", volume_limit=1.0)
    bracket(world, side, 15.0)
    low = mirror(side, 100.0, 101.0, 90.0, 100.0)
    world.bar(200, *low, 10.0)
    assert [] == [event for event in world.events if event[2] == "parent-filled"]
    world.bar(300, *low, 50.0)
    world.bar(400, *low, 50.0)
    assert [(0, side * 10.0, 100.0), (0, side * 5.0, 100.0), (1, -side * 15.0, at(side, 95.0))] == priced(world)


def test_complete_children_of_an_entry_that_ends_in_part_end_with_it(make_world):
    """They never came to life."""
    world = make_world(children="complete", volume_limit=1.0)
    bracket(world, 1.0, 15.0)
    world.bar(200, 100.0, 101.0, 99.0, 100.0, 10.0)
    world.cancel(200, 0)
    assert [("cancelled", "parent-ended")] * 2 == [event[1:] for event in world.events[-2:]]
    assert [[], []] == world.working


@SIDES
def test_complete_trailing_children_begin_at_the_submission(make_world, side):
    """With the last price that was known then, and they do not move before the entry."""
    world = make_world(children="complete", trail="close", instruments={"mark": 100.0})
    bracket(world, side, 5.0, kind="trailing-stop", trail_amount=4.0)
    assert at(side, 96.0) == world.state.orders.rows()["stop_price"][1]
    world.bar(200, *mirror(side, 105.0, 107.0, 104.0, 106.0))
    assert at(side, 96.0) == world.state.orders.rows()["stop_price"][1]
    world.bar(300, *mirror(side, 106.0, 108.0, 105.0, 107.0))
    assert at(side, 103.0) == world.state.orders.rows()["stop_price"][1]


def test_cancel_ends_the_others_of_a_group_at_any_fill(make_world):
    """A partial fill of 10 ends an order of 50, of which ``reduce`` would leave 40."""
    for groups, left in (("reduce", 40.0), ("cancel", 50.0)):
        world = make_world(groups=groups, volume_limit=1.0)
        legs = [{"quantity": 50.0, "kind": "limit", "limit_price": price} for price in (100.0, 90.0)]
        world.submit(100, *({"group": 0, "counts": 0, **leg} for leg in legs))
        world.bar(200, 100.0, 101.0, 99.0, 100.0, 10.0)
        other = world.state.orders.rows()[1]
        assert left == other["quantity"]
        assert ("cancelled" if groups == "cancel" else "accepted") == world.events[-1][1]
        assert "one-cancels-other" == world.events[-1][2]


def test_cancel_leaves_a_sibling_until_a_child_is_complete(make_world):
    """The stop fills 10 of 20, and 10 more; then the target ends."""
    world = make_world(groups="cancel", volume_limit=1.0)
    bracket(world, 1.0, 20.0)
    world.bar(200, 100.0, 101.0, 99.0, 100.0, 20.0)
    world.bar(300, 94.0, 94.0, 94.0, 94.0, 10.0)
    assert "partial" == world.events[-1][1]
    world.bar(400, 94.0, 94.0, 94.0, 94.0, 10.0)
    assert [(1, "filled", "next-open"), (2, "cancelled", "one-cancels-other")] == world.events[-2:]
    assert 20.0 == abs(world.state.orders.rows()["quantity"][2])


# --- reached ----------------------------------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize(
    ("reached", "second"), [("stops", [(0, 5.0, 95.0)]), ("everything", [(0, 5.0, 95.0)]), ("nothing", [])]
)
def test_reached_says_whether_a_stop_that_filled_in_part_stays_reached(make_world, side, reached, second):
    """10 of 15 fill where the bar reaches 102; the next one opens at 95."""
    world = make_world(reached=reached, volume_limit=1.0)
    world.order(100, side * 15.0, "stop", stop_price=at(side, 102.0))
    world.bar(200, *mirror(side, 100.0, 103.0, 99.0, 100.0), 10.0)
    world.bar(300, *mirror(side, 95.0, 96.0, 94.0, 95.0), 10.0)
    first = [(0, side * 10.0, at(side, 102.0))]
    assert first + [(order, side * quantity, at(side, price)) for order, quantity, price in second] == priced(world)
    if reached == "nothing":
        world.bar(400, *mirror(side, 100.0, 103.0, 99.0, 100.0), 10.0)
        assert (0, side * 5.0, at(side, 102.0)) == priced(world)[-1]


def test_reached_nothing_lets_a_stop_without_volume_wait_for_its_level_again(make_world):
    """No transition says that it was triggered."""
    world = make_world(reached="nothing", volume_limit=1.0)
    world.order(100, 15.0, "stop", stop_price=102.0)
    world.bar(200, 100.0, 103.0, 99.0, 100.0, 0.0)
    world.bar(300, 95.0, 96.0, 94.0, 95.0, 20.0)
    assert [] == world.priced
    assert [] == world.history(0)


@SIDES
@pytest.mark.parametrize(("reached", "count"), [("stops", 1), ("nothing", 1), ("everything", 2)])
def test_reached_everything_keeps_a_limit_reached(make_world, side, reached, count):
    """What volume left over of a limit order at 100 fills at a close of 110."""
    world = make_world("close", sees="close", reached=reached, volume_limit=0.1)
    world.order(100, side * 15.0, "limit", limit_price=at(side, 100.0))
    world.bar(200, *mirror(side, 99.0, 99.0, 99.0, 99.0), 100.0)
    world.bar(300, *mirror(side, 110.0, 110.0, 110.0, 110.0), 100.0)
    expected = [(0, side * 10.0, at(side, 99.0)), (0, side * 5.0, at(side, 110.0))]
    assert expected[:count] == priced(world)


def test_reached_everything_lets_one_close_reach_stop_and_limit(make_world):
    """A stop-limit at 101, limit 102, and a close of 101.5; the default waits for the next close."""
    for reached, expected in (("everything", [(0, 1.0, 101.5)]), ("stops", [])):
        world = make_world("close", sees="close", reached=reached)
        world.order(100, 1.0, "stop-limit", stop_price=101.0, limit_price=102.0)
        world.bar(200, 101.5, 101.5, 101.5, 101.5)
        assert expected == priced(world)


def test_reached_everything_hides_a_used_up_row_from_orders_behind(make_world):
    """The first takes it, the second is turned away but reached, the third is not looked at."""
    world = make_world("close", sees="close", reached="everything", volume_limit=0.1)
    world.order(100, 10.0)
    for _ in range(2):
        world.order(100, 1.0, "stop", stop_price=105.0)
    world.bar(200, 106.0, 106.0, 106.0, 106.0, 100.0)
    world.bar(300, 100.0, 100.0, 100.0, 100.0, 100.0)
    assert [(0, 10.0, 106.0), (1, 1.0, 100.0)] == priced(world)
    world.bar(400, 105.0, 105.0, 105.0, 105.0, 100.0)
    assert (2, 1.0, 105.0) == priced(world)[-1]


@pytest.mark.parametrize("volume", [0.0, NAN])
def test_reached_everything_hides_a_row_without_volume(make_world, volume):
    """The stop that its close reaches is not triggered."""
    world = make_world("close", sees="close", reached="everything", volume_limit=0.1)
    world.order(100, 1.0, "stop", stop_price=105.0)
    world.bar(200, 106.0, 106.0, 106.0, 106.0, volume)
    world.bar(300, 100.0, 100.0, 100.0, 100.0, 100.0)
    assert [] == world.priced


# --- volume_shared ----------------------------------------------------------------------------------------------


def test_volume_that_is_not_shared_is_each_order_s(make_world):
    """Two orders of 80 take 50 each of a bar of 100 at one half."""
    for shared, second in ((True, []), (False, [(1, 50.0, 100.0)])):
        world = make_world(volume_limit=0.5, volume_shared=shared)
        world.submit(100, (0, 80.0), (0, 80.0))
        world.bar(200, 100.0, 101.0, 99.0, 100.0, 100.0)
        assert [(0, 50.0, 100.0), *second] == priced(world)


# --- slippage ---------------------------------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize(
    ("beyond", "first", "price"), [("clip", 200, 103.0), ("wait", 300, 93.0), ("ignore", 200, 110.0)]
)
def test_beyond_limit_clips_waits_or_pays(make_world, side, beyond, first, price):
    """A limit of 103, an open of 100 and slippage of 10; the next bar opens at 83."""
    world = make_world(beyond_limit=beyond, slippage=Slips())
    world.order(100, side, "limit", limit_price=at(side, 103.0))
    world.bar(200, *mirror(side, 100.0, 101.0, 99.5, 100.0))
    world.bar(300, *mirror(side, 83.0, 84.0, 82.0, 83.0))
    assert [(0, side, at(side, price))] == [fill[:3] for fill in world.fills]
    assert first == world.state.fills.rows()["known_at"][0]


@SIDES
@pytest.mark.parametrize(
    ("slippage_on", "expected"),
    [
        ("all", [110.0, 110.0, 110.0, 112.0, 112.0, 101.0]),
        ("opens-and-stops", [110.0, 110.0, 100.0, 112.0, 112.0, 91.0]),
        ("stops", [100.0, 100.0, 100.0, 112.0, 112.0, 91.0]),
    ],
)
def test_slippage_on_says_which_fills_slip(make_world, side, slippage_on, expected):
    """Market at the open, stop beyond the open, at the close, stop in the range, stop-limit at its stop, a limit."""
    world = make_world(slippage_on=slippage_on, beyond_limit="ignore", slippage=Slips(), path="submission")
    limits = {"limit_price": at(side, 130.0)}
    world.submit(
        100,
        {"quantity": side},
        {"quantity": side, "kind": "stop", "stop_price": at(side, 99.0)},
        {"quantity": side, "time_in_force": "CLS"},
        {"quantity": side, "kind": "stop", "stop_price": at(side, 102.0)},
        {"quantity": side, "kind": "stop-limit", "stop_price": at(side, 102.0), **limits},
        {"quantity": side, "kind": "limit", "limit_price": at(side, 91.0)},
    )
    world.bar(200, *mirror(side, 100.0, 103.0, 91.0, 100.0))
    prices = {fill[0]: fill[2] for fill in world.fills}
    assert [at(side, price) for price in expected] == [prices[order] for order in range(6)]


@SIDES
def test_slippage_within_the_bar_ends_at_its_high_or_low(make_world, side):
    """A market order and a stop; without the rule both pay what no bar showed."""
    for within, expected in (("anywhere", [110.0, 112.0]), ("bar", [103.0, 103.0])):
        world = make_world(slippage_within=within, slippage=Slips())
        world.order(100, side)
        world.order(100, side, "stop", stop_price=at(side, 102.0))
        world.bar(200, *mirror(side, 100.0, 103.0, 99.0, 100.0))
        assert [at(side, price) for price in expected] == [fill[2] for fill in world.fills]


def test_slippage_within_the_bar_holds_a_sale_at_its_limit_instead(make_world):
    """A selling limit order that opens better may slip below the low, a buying one not above the high."""
    world = make_world(slippage_within="bar", slippage=Slips())
    world.order(100, -1.0, "limit", limit_price=95.0)
    world.order(100, 1.0, "limit", limit_price=105.0)
    world.bar(200, 100.0, 101.0, 99.0, 100.0)
    assert [(0, -1.0, 95.0), (1, 1.0, 101.0)] == [fill[:3] for fill in world.fills]


def test_a_stop_limit_with_one_price_slips_beyond_it(make_world):
    """Reached within the bar it pays as a stop does; opened beyond it, it is a limit order."""
    for opened, expected in ((100.0, 103.0), (102.5, 102.0)):
        world = make_world(slippage_on="stops", slippage_within="bar", path="submission", slippage=Slips())
        world.order(100, 1.0, "stop-limit", stop_price=102.0, limit_price=102.0)
        world.bar(200, opened, 103.0, 99.0, 103.0)
        assert [(0, 1.0, expected)] == [fill[:3] for fill in world.fills]


@pytest.mark.parametrize(
    "rule", ["path", "children", "groups", "reached", "beyond_limit", "slippage_on", "slippage_within"]
)
def test_a_value_that_no_rule_has_is_refused(make_world, rule):
    """With those that are known."""
    with pytest.raises(RunFileError, match=f"{rule} of the fill model was 'always'; known are "):
        make_world(**{rule: "always"})
