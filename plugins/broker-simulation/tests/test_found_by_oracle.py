"""What random scenarios of tests/oracle found, by hand and small. Bars begin 100 before they end."""

import pytest

NAN = float("nan")


def pair(world, now, *legs):
    """Submit orders of which one cancels the others."""
    first = world.state.orders.count
    world.submit(now, *[{"group": first, "counts": 0, **leg} for leg in legs])
    return list(range(first, world.state.orders.count))


def trailing(quantity, amount, **more):
    kind = "trailing-stop-limit" if "limit_offset" in more else "trailing-stop"
    return {"quantity": quantity, "kind": kind, "trail_amount": amount, **more}


@pytest.mark.parametrize(("opened", "low"), [(9.97, 9.0), (10.5, 9.0)])
def test_an_order_waits_rather_than_pay_beyond_its_limit(make_world, make_model, opened, low):
    """At the open and in the range alike."""
    world = make_world(beyond_limit="wait", slippage=make_model(lambda orders, i, market, params, state: 0.1))
    order = world.order(100, 10.0, "limit", limit_price=10.0)
    world.bar(200, opened, 12.0, low, 11.0)
    assert [] == world.fills
    assert [] == world.history(order)


def test_a_trailing_child_does_not_follow_the_bar_that_it_does_not_see(make_world):
    """With children from the next bar on its level is still that of its own stop."""
    world = make_world(children="next-bar")
    world.submit(
        100,
        {"quantity": -100.0, "counts": 0},
        {**trailing(-100.0, 0.25, stop_price=10.0), "parent": 0, "counts": 0},
    )
    world.bar(200, 10.75, 10.75, 10.75, 10.75)
    world.bar(300, 10.75, 11.0, 10.4, 11.0)
    assert [(0, -100.0, 10.75, "next-open")] == world.priced[:1]
    assert 1 == len(world.fills)
    assert 10.75 == float(world.state.orders.data[1]["stop_price"])


@pytest.mark.parametrize(("kind", "children"), [("limit", "next-bar"), ("market", "same-bar")])
def test_a_day_child_is_of_the_session_that_it_sees_first(make_world, kind, children):
    """One that waits for the next bar is not of the session of its parent's."""
    world = make_world(closes=(200, 300, 400), opens=(100, 200, 300), children=children)
    world.submit(
        100,
        {"quantity": 10.0, "counts": 0},
        {"quantity": 1.0, "kind": kind, "limit_price": 5.0 if kind == "limit" else NAN, "parent": 0, "counts": 0}
        | {"time_in_force": "DAY"},
    )
    world.bar(200, 10.0, 10.0, 10.0, 10.0)
    world.end_session(200)
    assert [("accepted", "parent-filled")] == world.history(1)


def test_a_day_order_that_the_close_triggers_is_of_that_session(make_world):
    """Nothing is left of the bar for its limit, but there was a price that it could take."""
    world = make_world(closes=(200, 300), opens=(100, 200))
    order = world.order(150, 10.0, "stop-limit", stop_price=10.0, limit_price=9.0, time_in_force="DAY")
    world.bar(200, 8.0, 10.5, 8.0, 10.5)
    world.end_session(200)
    assert [("accepted", "triggered"), ("expired", "day-over")] == world.history(order)


def test_an_order_on_open_takes_amended_terms_where_its_bar_begins_later(make_world):
    """The session began before the amendment, its first bar after it."""
    world = make_world(closes=(100, 400), opens=(0, 150))
    order = world.order(50, 10.0, "limit", limit_price=10.0, time_in_force="OPG")
    world.amend(180, order, limit_price=11.0)
    world.bar(300, 10.5, 10.5, 10.5, 10.5)
    assert [(order, 10.0, 10.5, 200)] == world.fills


def test_a_released_market_child_does_not_take_the_close_that_released_it(make_world):
    """It waits for the next bar, whatever else is asked for at that close."""
    world = make_world("same-close")
    world.submit(100, {"quantity": 5.0, "counts": 0}, {"quantity": 30.0, "parent": 0, "counts": 0})
    world.match(200, (0, 100, 200, 10.0, 10.75))
    world.order(200, 10.0, "limit", limit_price=1.0)
    world.match_now((0, 100, 200, 10.0, 10.75))
    assert [(0, 5.0, 10.75, 200)] == world.fills


def test_a_stop_that_the_open_reached_goes_on_with_its_amended_limit(make_world):
    """Old terms at the open, new ones at the close, of one bar."""
    world = make_world()
    order = world.order(100, 5.0, "stop-limit", stop_price=9.375, limit_price=9.5)
    world.amend(150, order, stop_price=9.75, limit_price=10.625)
    world.bar(200, 10.0, 10.125, 9.625, 9.875)
    assert [(order, 5.0, 9.875, "limit-better")] == world.priced
    assert ("accepted", "triggered") in world.history(order)


@pytest.mark.parametrize("close", [11.5, 12.5])
def test_a_triggered_trailing_limit_keeps_its_limit_when_amended(make_world, close):
    """The quantity is amended while the bar that triggers it is under way."""
    world = make_world()
    world.submit(100, trailing(2.0, 1.5, limit_offset=1.0, stop_price=11.0))
    world.amend(150, 0, quantity=5.0)
    world.bar(200, 12.5, 12.5, 10.5, close)
    world.bar(300, 11.75, 12.5, 11.75, 12.5)
    assert [(0, 5.0, 11.5 if close == 11.5 else 11.75, "limit-better")] == world.priced
    assert 12.0 == float(world.state.orders.data[0]["limit_price"])


def test_a_resized_trailing_stop_keeps_what_it_has_followed(make_world):
    """The level moves between the request and the instant from which it holds."""
    world = make_world(config={"latency": "250ns"})
    world.submit(100, trailing(-2.0, 1.0, stop_price=9.0))
    world.amend(400, 0, quantity=-5.0)
    world.bar(500, 10.0, 12.0, 10.0, 12.0)
    world.bar(700, 12.0, 12.0, 11.5, 12.0)
    assert 11.0 == float(world.state.orders.data[0]["stop_price"])


def test_a_fill_before_an_amendment_counts_by_the_old_quantity(make_world):
    """What the open left with nothing ends, though more was asked for in session."""
    world = make_world()
    legs = pair(
        world, 100, trailing(1.0, 9.0, stop_price=19.0), {"quantity": 1.0, "kind": "limit", "limit_price": 12.5}
    )
    world.amend(150, legs[0], quantity=2.0)
    world.bar(200, 9.5, 10.5, 8.0, 9.0)
    assert [(legs[1], 1.0, 9.5, 100)] == world.fills
    assert ("cancelled", "one-cancels-other") == world.history(legs[0])[-1]


def test_a_fill_after_an_amendment_counts_by_the_new_quantity(make_world):
    """The close leaves the rest of the amended quantity."""
    world = make_world()
    legs = pair(world, 100, trailing(1.0, 9.0, stop_price=19.0), {"quantity": 1.0, "kind": "stop", "stop_price": 10.0})
    world.amend(150, legs[0], quantity=3.0)
    world.bar(200, 9.5, 10.5, 8.0, 9.0)
    assert [(legs[1], 1.0, 10.0, 200)] == world.fills
    assert ("accepted", "one-cancels-other") == world.history(legs[0])[-1]
    assert 2.0 == float(world.state.orders.data[legs[0]]["quantity"])


def test_a_cancel_of_a_leg_that_had_filled_ends_no_other(make_world):
    """Legs of 2 and 5: the open filled the first before its cancel, and 3 are left of the second."""
    world = make_world()
    sell = {"kind": "limit", "quantity": -2.0, "limit_price": 10.0}
    legs = pair(world, 100, sell, {**sell, "quantity": -5.0, "limit_price": 12.5})
    world.cancel(150, legs[0])
    world.bar(200, 11.5, 12.0, 11.0, 11.5)
    world.bar(300, 12.0, 13.0, 11.5, 13.0)
    assert [(legs[0], -2.0, 11.5, 100), (legs[1], -3.0, 12.5, 300)] == world.fills


def test_the_first_of_two_cancels_in_a_group_holds_for_both(make_world):
    """With latency the second would act later, and a price between them would fill."""
    world = make_world(config={"latency": "40ns"})
    sell = {"kind": "limit", "quantity": -5.0, "limit_price": 11.0}
    legs = pair(world, 50, {**sell, "kind": "stop", "stop_price": 9.0, "limit_price": NAN}, sell)
    world.cancel(110, legs[0])
    world.cancel(165, legs[1])
    world.bar(200, 10.5, 11.5, 10.0, 10.0)
    assert [] == world.fills
    assert [("cancelled", "cancelled-by-strategy")] * 2 == [world.history(leg)[-1] for leg in legs]


def test_a_price_that_only_the_old_terms_saw_counts_for_the_day(make_world):
    """The open was there before the amendment, and the bar has no close."""
    world = make_world(closes=(200, 300), opens=(100, 200))
    order = world.order(100, 20.0, "limit", limit_price=8.5, time_in_force="DAY")
    world.amend(150, order, quantity=10.0)
    world.bar(200, 12.0, 12.0, 10.5, NAN)
    world.end_session(200)
    assert ("expired", "day-over") == world.history(order)[-1]


def test_a_child_on_open_waits_for_the_next_session(make_world):
    """The open of the bar that releases it is past, though that bar ends when the next session opens."""
    world = make_world(closes=(200, 300), opens=(100, 200))
    child = {"quantity": -10.0, "kind": "limit", "limit_price": 10.0, "time_in_force": "OPG"}
    world.submit(100, {"quantity": 2.0, "kind": "stop", "stop_price": 10.25}, {**child, "parent": 0, "counts": 0})
    world.bar(200, 10.125, 10.375, 10.125, 10.375)
    world.bar(300, 10.5, 10.5, 10.5, 10.5)
    assert [(0, 2.0, 10.25, 200), (1, -10.0, 10.5, 200)] == world.fills


@pytest.mark.parametrize(("force", "reason"), [("IOC", "remainder-of-ioc"), ("FOK", "not-whole")])
def test_amended_terms_come_too_late_for_an_order_that_had_its_price(make_world, force, reason):
    """The open was its first price and did not fill it; the close is nothing to it."""
    world = make_world()
    order = world.order(100, 1.0, "limit", limit_price=8.75, time_in_force=force)
    world.amend(150, order, limit_price=10.5)
    world.bar(200, 10.0, 10.0, 9.0, 9.5)
    assert [] == world.fills
    assert ("cancelled", reason) == world.history(order)[-1]
