"""Orders that belong together: brackets, one-cancels-other, one-triggers-other."""

import pytest

NAN = float("nan")


def bracket(world, now, quantity, *, entry="market", stop=None, target=None, trail=None, **terms):
    """Submit an entry and its children as a bracket arrives: children of the entry, in the first child's group."""
    first = world.state.orders.count
    requests = [{"quantity": quantity, "kind": entry, "counts": 0, **terms}]
    children = []
    if stop is not None or trail is not None:
        kind = "stop" if trail is None else "trailing-stop"
        more = {} if trail is None else {"trail_amount": trail}
        children.append({"kind": kind, **({} if stop is None else {"stop_price": stop}), **more})
    if target is not None:
        children.append({"kind": "limit", "limit_price": target})
    base = {"quantity": -quantity, "parent": first, "group": first + 1, "counts": 0}
    requests.extend({**base, **child} for child in children)
    world.submit(now, *requests)
    return list(range(first, first + len(requests)))


def group(world, now, *legs):
    """Submit legs of which one cancels the others."""
    first = world.state.orders.count
    world.submit(now, *({"group": first, "counts": 0, **leg} for leg in legs))
    return list(range(first, first + len(legs)))


def limit(quantity, price, **more):
    return {"quantity": quantity, "kind": "limit", "limit_price": price, **more}


def stop(quantity, price, **more):
    return {"quantity": quantity, "kind": "stop", "stop_price": price, **more}


def test_children_are_held_until_the_entry_fills(make_world):
    """They see no price before; then all of the bar that fills the entry at its open."""
    world = make_world()
    entry, protective, target = bracket(world, 100, 5.0, stop=9.0, target=12.0)
    assert [(1, "held", "waits-for-parent"), (2, "held", "waits-for-parent")] == [
        e for e in world.events if e[1] == "held"
    ]
    world.bar(200, 10.0, 12.5, 9.5, 11.0)

    assert [(entry, 5.0, 10.0, "next-open"), (target, -5.0, 12.0, "limit")] == world.priced
    assert [("accepted", "parent-filled"), ("cancelled", "one-cancels-other")] == world.history(protective)
    assert [[], []] == world.working


def test_a_held_order_is_submitted_when_its_parent_fills(make_world):
    """Its submission is the instant at which that price formed."""
    world = make_world()
    _, protective, _ = bracket(world, 50, 5.0, stop=9.0, target=12.0)
    world.bar(200, 10.0, 11.0, 9.5, 11.0)

    assert 100 == world.state.orders.data[protective]["submitted_at"]


@pytest.mark.parametrize(("path", "filled"), [("pessimistic", 1), ("optimistic", 2), ("open-high-low-close", 2)])
@pytest.mark.parametrize("quantity", [5.0, -5.0])
def test_a_bar_that_touches_both_fills_the_one_that_the_path_names(make_world, path, filled, quantity):
    """Stop before target by default."""
    side = 1.0 if quantity > 0 else -1.0
    world = make_world(path=path)
    ids = bracket(world, 100, quantity, stop=10.0 - side, target=10.0 + side)
    world.bar(200, 10.0, 12.0, 8.0, 10.0)

    if path == "open-high-low-close" and quantity < 0:
        filled = 1  # the high comes first, and of a short position it is the stop's side
    assert [ids[0], ids[filled]] == [order for order, *_ in world.priced]


LEFT = [
    # entry (a buying limit or stop), path, bar, price of the entry, stop, target, what the children do in that bar
    # at the open: all of it
    ("limit", 10.0, "pessimistic", (9.5, 12.0, 8.0, 10.0), 8.5, 11.5, [(8.5, "stop")]),
    # below the open: the low is still to come, the high at most the close
    ("limit", 9.0, "pessimistic", (10.0, 12.0, 8.0, 9.5), 8.0, 10.0, [(8.0, "stop")]),
    ("limit", 9.0, "pessimistic", (10.0, 12.0, 8.5, 9.5), 8.0, 10.0, []),
    ("limit", 9.0, "pessimistic", (10.0, 12.0, 8.5, 9.5), 8.0, 9.5, [(9.5, "limit")]),
    ("limit", 9.0, "pessimistic", (10.0, 12.0, 8.5, 8.5), 8.0, 9.0, [(9.0, "limit")]),
    ("limit", 9.0, "pessimistic", (10.0, 12.0, 8.5, NAN), 8.0, 9.5, []),
    # above the open: the high is still to come, the low at least the close
    ("stop", 11.0, "pessimistic", (10.0, 12.0, 8.0, 10.5), 10.0, 12.0, [(12.0, "limit")]),
    ("stop", 11.0, "pessimistic", (10.0, 12.0, 8.0, 10.5), 10.25, 12.5, []),
    ("stop", 11.0, "pessimistic", (10.0, 12.0, 8.0, 10.5), 10.5, 12.5, [(10.5, "stop")]),
    ("stop", 11.0, "pessimistic", (10.0, 12.0, 8.0, 11.5), 11.0, 12.5, [(11.0, "stop")]),
    # where the open is unknown neither side is known to come later
    ("limit", 10.0, "pessimistic", (NAN, 12.0, 8.0, 10.5), 9.0, 11.0, []),
    ("limit", 10.0, "pessimistic", (NAN, 12.0, 8.0, 10.5), 9.0, 10.5, [(10.5, "limit")]),
    ("limit", 10.0, "pessimistic", (NAN, 12.0, 8.0, 9.5), 9.5, 10.5, [(9.5, "stop")]),
    # at the close: nothing
    ("limit", 10.0, "pessimistic", (NAN, 9.75, 8.0, 9.5), 9.5, 9.5, []),
    # on a known path phase 1 keeps high and low, phase 2 the low
    ("stop", 11.0, "open-high-low-close", (10.0, 12.0, 8.0, 9.0), 8.5, 12.0, [(12.0, "limit")]),
    ("stop", 11.0, "open-high-low-close", (10.0, 12.0, 8.0, 9.0), 8.5, 12.5, [(8.5, "stop")]),
    ("limit", 9.0, "open-high-low-close", (10.0, 12.0, 8.0, 9.5), 8.0, 10.0, [(8.0, "stop")]),
    ("limit", 9.0, "open-high-low-close", (10.0, 12.0, 8.5, 9.5), 8.0, 10.0, []),
    ("limit", 9.0, "open-high-low-close", (10.0, 12.0, 8.5, 9.5), 8.0, 9.5, [(9.5, "limit")]),
]


@pytest.mark.parametrize(("kind", "price", "path", "bar", "protective", "target", "expected"), LEFT)
def test_children_meet_what_is_left_of_the_bar(make_world, kind, price, path, bar, protective, target, expected):
    """Only prices that provably came after the entry; matching.md, released within a bar."""
    world = make_world(path=path)
    bracket(world, 100, 5.0, entry=kind, stop=protective, target=target, **{f"{kind}_price": price})
    world.bar(200, *bar)

    assert 0 == world.priced[0][0]
    assert expected == [(reference, reason) for _, _, reference, reason in world.priced[1:]]


def test_children_of_the_next_bar_see_nothing_of_the_bar_of_their_entry(make_world):
    """With ``children = "next-bar"``."""
    world = make_world(children="next-bar")
    bracket(world, 100, 5.0, stop=9.0, target=11.0)
    world.bar(200, 10.0, 12.0, 8.0, 10.0)
    assert [0] == [order for order, *_ in world.priced]
    world.bar(300, 10.0, 11.0, 9.5, 10.0)

    assert [(2, -5.0, 11.0, "limit")] == world.priced[1:]


def test_a_child_that_is_a_market_order_waits_for_the_next_bar(make_world):
    """Its price of this bar is past."""
    world = make_world()
    world.order(100, 5.0)
    world.order(100, -5.0, parent=0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)
    world.bar(300, 10.5, 11.0, 9.0, 10.0)

    assert [(0, 5.0, 10.0, "next-open"), (1, -5.0, 10.5, "next-open")] == world.priced


def test_a_trailing_child_begins_at_the_price_of_its_entry(make_world):
    """And follows what is left of the bar."""
    world = make_world()
    _, child = bracket(world, 100, 5.0, trail=2.0)
    world.bar(200, 10.0, 10.5, 9.5, 10.25)

    assert 8.5 == world.state.orders.data[child]["stop_price"]
    assert [0] == [order for order, *_ in world.priced]


def test_a_partly_filled_entry_releases_its_part_of_the_children(make_world):
    """In lots; what its children have filled counts; the rest follows."""
    world = make_world(volume_limit=0.5, instruments={"lot": 1.0})
    entry, target = bracket(world, 100, 10.0, target=12.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 9.0)
    assert [("accepted", "parent-filled")] == world.history(target)
    world.bar(300, 12.0, 13.0, 12.0, 12.0, 30.0)
    world.bar(400, 12.0, 13.0, 12.0, 12.0, 30.0)

    expected = [(entry, 4.0, 10.0), (entry, 6.0, 12.0), (target, -9.0, 12.0), (target, -1.0, 12.0)]
    assert expected == [fill[:3] for fill in world.priced]


def test_a_child_of_another_size_fills_in_proportion(make_world):
    """Half of the entry releases half of the child."""
    world = make_world(volume_limit=0.5)
    world.order(100, 10.0)
    world.order(100, 7.0, "limit", limit_price=11.0, parent=0)
    world.bar(200, 10.0, 10.5, 9.0, 10.0, 10.0)
    world.bar(300, NAN, NAN, NAN, 10.0, 100.0)

    assert [(0, 5.0), (1, 3.0)] == [fill[:2] for fill in world.priced]


@pytest.mark.parametrize(("opened", "later"), [(11.0, []), (9.5, [(1, -10.0, 9.5)])])
def test_after_the_open_a_further_fill_of_the_entry_holds_its_children_for_the_rest_of_the_bar(
    make_world, opened, later
):
    """Which price came first is not known then; where it fills at the open they see all of the bar."""
    world = make_world(volume_limit=0.5, path="optimistic")
    bracket(world, 100, 10.0, entry="limit", limit_price=10.0, stop=9.75)
    world.bar(200, 11.0, 11.0, 10.0, 10.5, 8.0)
    world.bar(300, opened, 11.0, 9.5, 10.5, 100.0)
    assert [(0, 4.0, 10.0), (0, 6.0, min(opened, 10.0)), *later] == [fill[:3] for fill in world.priced]
    world.bar(400, 11.0, 11.0, 9.5, 10.5, 100.0)

    assert 0.0 == world.state.positions[0]["quantity"]


@pytest.mark.parametrize(
    ("status", "reason", "end"),
    [
        ("cancelled", "cancelled-by-strategy", lambda world: world.cancel(100, 0)),
        ("expired", "day-over", lambda world: world.bar(200, 10.0, 11.0, 9.0, 10.0)),
    ],
)
def test_children_of_an_entry_that_ends_unfilled_are_cancelled(make_world, status, reason, end):
    """And the children of these."""
    world = make_world()
    ids = bracket(world, 100, 5.0, entry="limit", limit_price=1.0, stop=0.5, target=2.0, time_in_force="DAY")
    grandchild = world.order(100, 5.0, "limit", limit_price=1.0, parent=ids[2])
    end(world)

    assert (status, reason) == world.history(0)[-1]
    for child in (*ids[1:], grandchild):
        assert [("cancelled", "parent-ended")] == world.history(child)
    assert [[], []] == world.working


def test_children_of_an_entry_that_ends_partly_filled_are_cut_to_its_part(make_world):
    """They go on with that; told as parent-ended."""
    world = make_world(volume_limit=0.5)
    _, protective, target = bracket(world, 100, 10.0, stop=9.0, target=12.0, time_in_force="IOC")
    world.bar(200, 10.0, 11.0, 9.5, 10.0, 8.0)

    for child in (protective, target):
        assert [("accepted", "parent-filled"), ("accepted", "parent-ended")] == world.history(child)
        assert -4.0 == world.state.orders.data[child]["quantity"]
    world.bar(300, 10.0, 12.0, 9.5, 10.0, 100.0)
    assert [(0, 4.0), (target, -4.0)] == [fill[:2] for fill in world.priced]
    assert ("cancelled", "one-cancels-other") == world.history(protective)[-1]


def test_children_that_come_when_the_entry_is_over(make_world):
    """Of one that filled they work at once; of one that ended or was refused they end at once."""
    world = make_world()
    filled = world.order(100, 5.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)
    ended = world.order(200, 5.0, "limit", limit_price=1.0)
    world.cancel(200, ended)
    refused = world.order(200, NAN)

    assert [] == world.history(world.order(200, -5.0, "limit", limit_price=12.0, parent=filled))
    assert ("accepted", "") == world.events[-1][1:]
    for parent in (ended, refused):
        child = world.order(200, -5.0, "limit", limit_price=12.0, parent=parent)
        assert (child, "cancelled", "parent-ended") == world.events[-1]


def test_a_child_of_a_partly_filled_entry_works_at_once(make_world):
    """Up to the part that has filled."""
    world = make_world(volume_limit=0.5)
    world.order(100, 10.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 8.0)
    child = world.order(200, -10.0, "limit", limit_price=9.0, parent=0)
    world.bar(300, NAN, 10.0, 8.0, 9.5, 100.0)

    assert [(child, -4.0)] == [fill[:2] for fill in world.priced[1:]]


def test_a_fill_of_one_leg_is_taken_off_the_others(make_world):
    """What is left with nothing ends; amounts are absolute, whatever the side."""
    world = make_world()
    group(world, 100, limit(5.0, 10.0), stop(8.0, 99.0), limit(-5.0, 99.0), limit(-2.0, 99.0))
    world.bar(200, 10.0, 11.0, 9.0, 10.0)

    assert [("accepted", "one-cancels-other")] == world.history(1)
    assert [("cancelled", "one-cancels-other")] == world.history(2) == world.history(3)
    assert 3.0 == world.state.orders.data[1]["quantity"]
    assert [[1], []] == world.working


def test_a_partial_fill_of_one_leg_is_taken_off_the_others_too(make_world):
    """Each time; a leg that has filled in part keeps that."""
    world = make_world(volume_limit=0.5)
    group(world, 100, limit(10.0, 10.0), limit(-10.0, 10.5))
    world.bar(200, 10.0, 10.0, 9.0, 9.5, 8.0)
    assert -6.0 == world.state.orders.data[1]["quantity"]
    world.bar(300, 10.5, 11.0, 10.25, 10.5, 4.0)

    assert [(0, 4.0), (1, -2.0)] == [fill[:2] for fill in world.priced]
    assert [8.0, -6.0] == world.state.orders.data[:2]["quantity"].tolist()


@pytest.mark.parametrize("leg", [0, 1, 2])
def test_when_a_leg_ends_without_a_fill_the_others_are_cancelled(make_world, leg):
    """Cancelled or expired, whichever it was."""
    world = make_world()
    legs = [limit(5.0, 1.0), limit(5.0, 1.0), limit(5.0, 1.0)]
    legs[leg]["time_in_force"] = "DAY"
    group(world, 100, *legs)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)

    assert [("expired", "day-over")] == world.history(leg)
    for other in {0, 1, 2} - {leg}:
        assert [("cancelled", "one-cancels-other")] == world.history(other)


@pytest.mark.parametrize("leg", [0, 1, 2])
def test_when_a_leg_is_refused_the_others_end(make_world, leg):
    """Those before it are cancelled, those after it end as they come."""
    world = make_world()
    legs = [limit(5.0, 1.0), limit(5.0, 1.0), limit(5.0, 1.0)]
    legs[leg]["limit_price"] = -1.0
    group(world, 100, *legs)

    assert (leg, "refused", "price-not-positive") in world.events
    for other in {0, 1, 2} - {leg}:
        assert (other, "cancelled", "one-cancels-other") in world.events
    assert [[], []] == world.working


def test_a_leg_whose_price_is_not_given_is_refused(make_world):
    """A leg or child needs the price of its kind; a single order names what is wrong with it."""
    for request, reason in (
        ({**limit(5.0, NAN), "group": 0}, "price-missing"),
        ({**stop(5.0, NAN), "group": 0}, "price-missing"),
        (limit(5.0, NAN), "price-not-finite"),
        (stop(5.0, NAN), "price-not-finite"),
    ):
        world = make_world()
        world.submit(100, request)
        assert (0, "refused", reason) == world.events[-1]


@pytest.mark.parametrize("link", ["parent", "group"])
@pytest.mark.parametrize(("symbol", "other", "reason"), [(1, 0, "group-not-one-symbol"), (0, 5, "unknown-order")])
def test_orders_that_belong_together_are_of_one_symbol_and_known(make_world, link, symbol, other, reason):
    """What is named must have come before."""
    world = make_world()
    world.order(100, 5.0, "limit", limit_price=1.0)
    world.submit(100, {**limit(5.0, 1.0), "symbol": symbol, link: other})

    assert (1, "refused", reason) == world.events[-1]


def test_nothing_of_a_family_reaches_other_orders(make_world):
    """A market order, a single limit order and another family of the same symbol go on."""
    world = make_world()
    world.order(150, 5.0)
    world.order(100, 5.0, "limit", limit_price=1.0)
    group(world, 100, limit(5.0, 1.0), limit(5.0, 0.5))
    group(world, 100, limit(5.0, 10.0), limit(5.0, 0.5))
    world.bar(200, 10.0, 11.0, 9.0, 10.0)

    assert [[0, 1, 2, 3], []] == world.working


def test_in_one_bar_a_bracket_can_begin_and_end_and_begin_again(make_world):
    """Each order fills once a row; the target's own child waits for what is left of it."""
    world = make_world()
    _, target = bracket(world, 100, 5.0, target=11.0)
    again = world.order(100, 5.0, "limit", limit_price=10.5, parent=target)
    world.bar(200, 10.0, 12.0, 9.0, 10.0)

    assert [(0, 10.0), (target, 11.0), (again, 10.5)] == [(order, price) for order, _, price, _ in world.priced]


def test_a_child_may_be_of_the_group_of_another_child_that_has_filled_in_part(make_world):
    """Stop and target of a bracket share what the entry has filled."""
    world = make_world(volume_limit=0.5)
    entry, protective, target = bracket(world, 100, 10.0, stop=9.0, target=12.0)
    for now, bar, volume in (
        (200, (10.0, 10.5, 9.5, 10.0), 100.0),
        (300, (11.0, 12.0, 11.0, 11.0), 8.0),
        (400, (9.5, 9.5, 8.0, 8.5), 100.0),
    ):
        world.bar(now, *bar, volume)

    assert [(entry, 10.0), (target, -4.0), (protective, -6.0)] == [fill[:2] for fill in world.priced]
    assert ("cancelled", "one-cancels-other") == world.history(target)[-1]
