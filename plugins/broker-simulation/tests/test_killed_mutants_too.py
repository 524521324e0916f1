"""More corners that a small fault could hide in: parts of units, books, groups; see test_killed_mutants.py."""

import numpy as np
import pytest

NAN = float("nan")
FLAT = (10.0, 11.0, 9.0, 10.0)


def limit(quantity, price, **more):
    return {"quantity": quantity, "kind": "limit", "limit_price": price, **more}


@pytest.mark.parametrize("beside", [False, True])
def test_orders_and_fills_keep_their_account(make_world, beside):
    """On both paths."""
    world = make_world()
    world.state.accounts = np.concatenate([world.state.accounts, world.state.accounts])
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0)
    order = world.order(100, 5.0, account=1)
    world.bar(200, *FLAT)

    assert 1 == world.state.orders.data[order]["account"]
    assert [1] == world.state.fills.rows()["account"].tolist()


def test_a_row_that_filled_nothing_was_seen_all_the_same(make_world):
    """So a market order that waits for the next open is cancelled at once at its end."""
    world = make_world()
    order = world.order(150, 5.0)
    world.bar(200, *FLAT)
    world.cancel(200, order)

    assert [("cancelled", "cancelled-by-strategy")] == world.history(order)


def test_a_cancel_on_its_way_is_counted_once_and_is_of_one_order(make_world):
    """The book holds what the others have left, and they go on as they were."""
    world = make_world()
    for price in (1.0, 2.0, 10.0):
        world.order(50, 5.0, "limit", limit_price=price)
    world.cancel(150, 0)
    assert 10.0 == world.state.books[0]["open_quantity"]
    world.bar(200, 10.5, 11.0, 10.25, 10.0)

    assert 5.0 == world.state.books[0]["open_quantity"]
    assert [(2, 5.0)] == [fill[:2] for fill in world.priced]
    assert [[1], []] == world.working


def test_a_market_order_on_its_way_out_is_in_no_group(make_world):
    """The first group of the run goes on."""
    world = make_world()
    world.submit(50, limit(5.0, 10.0, group=0), limit(5.0, 1.0, group=0))
    world.order(50, 3.0)
    world.cancel(150, 2)
    world.bar(200, 10.5, 11.0, 9.5, 10.5)

    assert [(2, 3.0, 10.5), (0, 5.0, 10.0)] == [fill[:3] for fill in world.priced]


def test_an_amendment_of_this_instant_holds_from_the_close_of_the_session(make_world):
    """Nothing can come before it any more."""
    world = make_world()
    order = world.order(50, 5.0, "limit", limit_price=1.0)
    world.amend(200, order, limit_price=2.0)
    assert 1.0 == world.state.orders.data[order]["limit_price"]
    world.end_session(200)

    assert 2.0 == world.state.orders.data[order]["limit_price"]


def test_a_trailing_stop_limit_child_begins_at_the_price_of_its_entry(make_world):
    """As a trailing stop does; a limit child has no stop."""
    world = make_world()
    world.order(100, 5.0)
    trails = {"trail_amount": 2.0, "limit_offset": -0.5, "parent": 0}
    world.order(100, -5.0, "trailing-stop-limit", **trails)
    world.order(100, -5.0, "limit", limit_price=20.0, trail_amount=2.0, parent=0)
    world.bar(200, 10.0, 10.0, 10.0, 10.0)

    assert 8.0 == world.state.orders.data[1]["stop_price"]
    assert np.isnan(world.state.orders.data[2]["stop_price"])


def test_legs_that_count_are_counted_by_what_they_have_left(make_world):
    """After the fill of another."""
    world = make_world()
    world.submit(100, limit(2.0, 10.0, group=0, counts=1), limit(5.0, 1.0, group=0, counts=1))
    world.bar(200, *FLAT)

    assert 3.0 == world.state.books[0]["open_quantity"]


def test_a_leg_that_its_amendment_has_completed_ends_when_another_fills(make_world):
    """It filled five at the open, and from 150 on five is all it asks for."""
    world = make_world()
    world.state.positions[0]["quantity"] = -5.0
    world.submit(50, limit(8.0, 9.5, group=0), limit(10.0, 12.0, group=0, reduce_only=1))
    world.amend(150, 1, quantity=5.0)
    world.bar(200, *FLAT)

    assert [(1, 5.0, 10.0), (0, 3.0, 9.5)] == [fill[:3] for fill in world.priced]
    assert ("cancelled", "cancelled-by-strategy") == world.history(1)[-1]


@pytest.mark.parametrize(
    ("stop", "target", "expected"), [(9.5, 11.0, []), (9.5, 10.375, [10.375]), (10.0, 11.0, [10.0])]
)
def test_an_entry_in_the_range_at_the_open_itself_leaves_neither_side(make_world, stop, target, expected):
    """Where limits have to be crossed; what came before it is not known, what came after is its price and the close."""
    world = make_world(limit="cross")
    world.order(100, 5.0, "limit", limit_price=10.0)
    children = ({"kind": "stop", "stop_price": stop}, {"kind": "limit", "limit_price": target})
    world.submit(100, *({"quantity": -5.0, "parent": 0, "group": 1, **child} for child in children))
    world.bar(200, 10.0, 12.0, 9.0, 10.5)

    assert [10.0, *expected] == [price for _, _, price, _ in world.priced]


@pytest.mark.parametrize("size", [0.5, 1.0])
def test_parts_of_a_unit_are_bought_like_units(make_world, size):
    """Ticks, trails and the volume of quotes have the side of the order, however small it is."""
    world = make_world(instruments={"tick": 0.25})
    world.state.instruments["mark"] = 10.0
    world.order(100, size, "limit", limit_price=9.9)
    world.order(100, size, "trailing-stop", trail_amount=1.0)
    world.order(100, -size, "trailing-stop", trail_amount=1.0)
    world.bar(200, 10.0, 10.5, 9.9, 10.25)
    assert 9.75 == world.state.orders.data[0]["limit_price"]
    assert [10.9, 9.5] == pytest.approx(world.state.orders.data["stop_price"][1:3].tolist())

    world = make_world(volume_limit=0.5, instruments={"lot": 0.125})
    for quantity in (size, -size, size, -size):
        world.order(100, quantity)
    world.quote(101, 9.0, 11.0, bid_size=2.0 * size, ask_size=2.0 * size)
    assert [(0, size), (1, -size)] == [fill[:2] for fill in world.priced]


def test_a_child_fills_no_more_than_its_entry_has_by_now(make_world):
    """4 and 4, then 2 and 2: what it has filled before counts."""
    world = make_world(volume_limit=0.5)
    world.order(100, 10.0, "limit", limit_price=10.0)
    world.order(100, -10.0, "limit", limit_price=12.0, parent=0)
    for now, price, volume in ((200, 10.0, 8.0), (300, 12.0, 100.0), (400, 10.0, 4.0), (500, 12.0, 100.0)):
        world.bar(now, price, price, price, price, volume)

    assert [(0, 4.0), (1, -4.0), (0, 2.0), (1, -2.0)] == [fill[:2] for fill in world.priced]


@pytest.mark.parametrize("kind", ["limit", "stop"])
def test_a_child_of_the_first_order_needs_the_price_of_its_kind(make_world, kind):
    """Its number is 0, and it is a parent like others."""
    world = make_world()
    world.order(100, 5.0)
    world.order(100, -5.0, kind, **{f"{kind}_price": NAN}, parent=0)

    assert (1, "refused", "price-missing") == world.events[-1]


def test_with_a_volume_limit_a_new_symbol_does_not_hide_the_rows_behind_it(make_world):
    """Its volume is noted, and the next row met."""
    world = make_world(volume_limit=0.5)
    world.order(100, 2.0)
    world.match(200, (2, 100, 200, 7.0, 7.0), (1, 100, 200, 8.0, 8.0), (0, 100, 200, 10.0, 10.0))

    assert [(0, 2.0, 10.0, "next-open")] == world.priced


def test_children_that_count_are_cut_in_the_book_too(make_world):
    """To the part that their entry has filled."""
    world = make_world(volume_limit=0.5)
    world.order(100, 10.0, time_in_force="IOC")
    world.order(100, -10.0, "limit", limit_price=20.0, parent=0, counts=1)
    world.bar(200, *FLAT, 8.0)

    assert -4.0 == world.state.books[0]["open_quantity"]


@pytest.mark.parametrize(("tif", "reason"), [("IOC", "remainder-of-ioc"), ("FOK", "not-whole")])
def test_an_amendment_after_the_first_price_comes_too_late(make_world, tif, reason):
    """The open was the one price that it could take; the close does not meet its new limit."""
    world = make_world()
    order = world.order(50, 5.0, "limit", limit_price=9.0, time_in_force=tif)
    world.amend(150, order, limit_price=12.0)
    world.bar(200, *FLAT)

    assert [] == world.priced
    assert ("cancelled", reason) == world.history(order)[-1]
