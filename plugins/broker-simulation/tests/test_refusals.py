"""Every reason with which an order is refused, at its edges; orders.md, refusals."""

import pytest

NAN, INFINITY = float("nan"), float("inf")


def last(world):
    return world.events[-1]


@pytest.mark.parametrize(
    ("quantity", "reason"), [(1e15, ""), (-1e15, ""), (1.1e15, "quantity-too-large"), (-1.1e15, "quantity-too-large")]
)
def test_quantities_have_a_largest(make_world, quantity, reason):
    """Above it floats are too coarse."""
    world = make_world()
    world.order(100, quantity)

    assert (0, "refused" if reason else "accepted", reason) == last(world)


@pytest.mark.parametrize(
    ("stated", "lot", "quantity", "accepted"),
    [
        (0, 10.0, 7.0, True),
        (1, 10.0, 30.0, True),
        (1, 10.0, -25.0, False),
        (1, 0.1, 0.3, True),
        (1, 0.1, 0.35, False),
        (1, 0.0, 0.35, True),
    ],
)
def test_where_the_lot_is_stated_quantities_are_multiples_of_it(make_world, stated, lot, quantity, accepted):
    """0.3 is three lots of 0.1, though 0.3 / 0.1 is a little less than 3."""
    world = make_world(instruments={"lot": lot, "lot_stated": stated})
    world.order(100, quantity)

    assert ((0, "accepted", "") if accepted else (0, "refused", "quantity-off-lot")) == last(world)


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("limit", {"limit_price": "bad"}),
        ("stop", {"stop_price": "bad"}),
        ("stop-limit", {"stop_price": "bad", "limit_price": 10.0}),
        ("stop-limit", {"stop_price": 10.0, "limit_price": "bad"}),
        ("trailing-stop", {"trail_amount": 1.0, "stop_price": "bad"}),
    ],
)
@pytest.mark.parametrize(
    ("price", "negative", "reason"),
    [
        (INFINITY, 1, "price-not-finite"),
        (-INFINITY, 1, "price-not-finite"),
        (0.0, 0, "price-not-positive"),
        (-1.0, 0, "price-not-positive"),
        (0.0, 1, ""),
        (-1.0, 1, ""),
    ],
)
def test_prices_are_finite_and_positive_unless_the_instrument_says_so(make_world, kind, terms, price, negative, reason):
    """Of every kind that has one."""
    world = make_world(instruments={"negative": negative})
    world.order(100, 5.0, kind, **{key: price if value == "bad" else value for key, value in terms.items()})

    assert (0, "refused" if reason else "accepted", reason) == last(world)


@pytest.mark.parametrize(
    ("quantity", "kind", "price", "rounded"),
    [
        (5.0, "limit", 10.3, 10.25),
        (5.0, "limit", 10.25, 10.25),
        (-5.0, "limit", 10.3, 10.5),
        (-5.0, "limit", 10.5, 10.5),
        (5.0, "stop", 10.3, 10.5),
        (-5.0, "stop", 10.3, 10.25),
    ],
)
def test_prices_off_the_tick_go_to_the_side_that_is_worse(make_world, quantity, kind, price, rounded):
    """A buying limit and a selling stop down, the others up; strict ticks refuse them."""
    tick = {"instruments": {"tick": 0.25}}
    world = make_world(**tick)
    world.order(100, quantity, kind, **{f"{kind}_price": price})
    assert rounded == world.state.orders.data[0][f"{kind}_price"]

    world = make_world(config={"strict_ticks": True}, **tick)
    world.order(100, quantity, kind, **{f"{kind}_price": price})
    assert ((0, "accepted", "") if price == rounded else (0, "refused", "price-off-tick")) == last(world)


def test_ticks_that_are_no_binary_fractions_leave_no_dust(make_world):
    """0.29 is 29 ticks of 0.01; three tenths of three are not exact either."""
    for tick, price in ((0.01, 0.29), (0.3, 0.9), (5.0, 15.0)):
        world = make_world(config={"strict_ticks": True}, instruments={"tick": tick})
        world.order(100, 5.0, "limit", limit_price=price)
        assert price == world.state.orders.data[0]["limit_price"]
        assert (0, "accepted", "") == last(world)
    for tick, price, rounded in ((0.3, 1.0, 0.9), (5.0, 17.0, 15.0), (0.01, 0.296, 0.29)):
        world = make_world(instruments={"tick": tick})
        world.order(100, 5.0, "limit", limit_price=price)
        assert pytest.approx(rounded, rel=1e-15) == world.state.orders.data[0]["limit_price"]


@pytest.mark.parametrize(
    ("quantity", "trail", "accepted"),
    [
        (5.0, {"trail_amount": 0.0}, False),
        (5.0, {"trail_amount": -1.0}, False),
        (5.0, {"trail_amount": INFINITY}, False),
        (5.0, {"trail_percent": 0.0}, False),
        (5.0, {"trail_percent": -0.1}, False),
        (5.0, {"trail_percent": INFINITY}, False),
        (5.0, {"trail_amount": 1.0, "trail_percent": -0.1}, False),
        (5.0, {"trail_amount": -1.0, "trail_percent": 0.1}, False),
        (5.0, {}, False),
        (5.0, {"trail_amount": 1e-9}, True),
        (5.0, {"trail_percent": 1.0}, True),
        (-5.0, {"trail_percent": 1.0}, False),
        (-5.0, {"trail_percent": 0.99}, True),
    ],
)
def test_trails_are_above_zero_and_of_sales_below_the_price(make_world, quantity, trail, accepted):
    """An amount or a fraction."""
    world = make_world()
    world.order(100, quantity, "trailing-stop", **trail)

    assert ((0, "accepted", "") if accepted else (0, "refused", "trail-not-positive")) == last(world)


@pytest.mark.parametrize(("offset", "accepted"), [(0.0, True), (-0.5, True), (NAN, False), (INFINITY, False)])
def test_a_trailing_stop_limit_needs_an_offset(make_world, offset, accepted):
    """Signed, and finite."""
    world = make_world()
    world.order(100, 5.0, "trailing-stop-limit", trail_amount=1.0, limit_offset=offset)

    assert ((0, "accepted", "") if accepted else (0, "refused", "price-not-finite")) == last(world)


@pytest.mark.parametrize(("expires", "accepted"), [(0, False), (99, False), (100, False), (101, True)])
def test_a_date_has_to_be_in_the_future(make_world, expires, accepted):
    """An order with a date and without one is refused too."""
    world = make_world()
    world.order(100, 5.0, "limit", limit_price=1.0, time_in_force="GTD", expires_at=expires)

    assert ((0, "accepted", "") if accepted else (0, "refused", "expiry-passed")) == last(world)


@pytest.mark.parametrize("kind", ["market", "limit", "stop", "stop-limit", "trailing-stop", "trailing-stop-limit"])
@pytest.mark.parametrize("tif", ["GTC", "DAY", "GTD", "IOC", "FOK", "OPG", "CLS"])
def test_times_in_force_of_the_first_price_are_for_market_and_limit_orders(make_world, kind, tif):
    """Every other pair is accepted."""
    world = make_world()
    terms = {"limit_price": 1.0, "stop_price": 99.0, "trail_amount": 1.0, "limit_offset": 0.0, "expires_at": 500}
    world.order(100, 5.0, kind, time_in_force=tif, **terms)

    refused = tif in ("IOC", "FOK", "OPG", "CLS") and kind not in ("market", "limit")
    assert ((0, "refused", "time-in-force-not-supported") if refused else (0, "accepted", "")) == last(world)


def test_a_client_id_is_used_once(make_world):
    """Also by an order that was refused; no id is no id."""
    world = make_world()
    world.order(100, 5.0, client_id=1)
    world.order(100, 5.0, client_id=1)
    world.order(100, 0.0, client_id=2)
    world.order(100, 5.0, client_id=2)
    world.order(100, 5.0, client_id=3)
    for _ in range(2):
        world.order(100, 5.0)

    ends = [world.events[place][1:] for place in range(1, 14, 2)]
    used = ("refused", "client-id-used")
    assert [("accepted", ""), used, ("refused", "quantity-zero"), used, *[("accepted", "")] * 3] == ends


def test_what_was_refused_on_the_way_keeps_its_reason(make_world):
    """Orders, cancels, amendments and replaced targets that a risk manager or the engine has refused."""
    from ml4t.backtest.state import REASONS

    risk, price = REASONS.index("refused-by-risk"), REASONS.index("price-not-finite")
    world = make_world()
    target = world.order(100, 5.0, is_target=1)
    world.submit(100, {"action": 1, "order_id": target, "reason": risk})
    assert (target, "refused", "refused-by-risk") == last(world)
    world.submit(100, {"action": 3, "order_id": target, "quantity": 3.0, "reason": price})
    assert (target, "refused", "price-not-finite") == last(world)
    count = len(world.events)
    world.submit(100, {"action": 2, "symbol": 0, "reason": risk})

    assert count == len(world.events)
    assert [[target], []] == world.working


@pytest.mark.parametrize(
    ("asked", "reason"), [(9.0, "changed-by-risk"), (5.0, ""), (NAN, ""), (0.0, ""), (INFINITY, "")]
)
def test_a_quantity_that_risk_changed_is_told(make_world, asked, reason):
    """With the transition to submitted."""
    world = make_world()
    world.order(100, 5.0, asked=asked)

    assert [(0, "submitted", reason), (0, "accepted", "")] == world.events
