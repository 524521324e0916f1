"""Figures of orders that small faults in corporate actions would change."""

import numpy as np
import pytest

from ml4t.backtest.interfaces import Action

NAN = float("nan")


def split(world, now, ratio):
    """Split symbol A."""
    world.state.now = now
    world.broker.apply_action(Action("split", 0, ratio, NAN, 0, NAN, -1, 0))


def quantity_of(world, order):
    """Return the quantity of an order."""
    return float(world.state.orders.data[order]["quantity"])


def test_one_unit_that_had_filled_is_counted_in_new_units(make_world):
    """The run knows why its fills do not sum to what has filled."""
    world = make_world(volume_limit=0.5)
    order = world.order(0, 10.0)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=2.0)

    split(world, 150, 3.0)
    world.broker.finish()

    assert 3.0 == float(world.state.orders.data[order]["filled"])


def test_a_row_that_is_met_again_after_a_split_is_still_known(make_world):
    """Its time is no volume."""
    world = make_world(volume_limit=0.5, volume_basis="trailing")
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)

    split(world, 100, 2.0)

    assert [100.0] == [values[4, 0] for values in world.broker._volumes.values()]


@pytest.mark.parametrize(("quantity", "prices"), [(1.0, [50.01, 50.02]), (-1.0, [50.0, 50.03])])
def test_prices_of_one_unit_are_put_on_the_tick_too(make_world, quantity, prices):
    """Stop and limit go to the worse side, those of an amendment as well; a trailing stop is not put on ticks."""
    world = make_world(config={"latency": "1us"}, instruments={"tick": 0.01, "lot": 0.0})
    order = world.order(0, quantity, "stop-limit", stop_price=100.01, limit_price=100.05)
    amended = world.order(0, quantity, "stop-limit", stop_price=1.0, limit_price=1.0)
    world.state.instruments["mark"] = 100.01
    trailing = world.order(0, quantity, "trailing-stop", trail_amount=10.0)
    world.amend(2000, amended, stop_price=100.01, limit_price=100.05)

    split(world, 2500, 2.0)

    orders, terms = world.state.orders.data, world.state.terms.data
    assert prices == [float(orders[order][name]) for name in ("stop_price", "limit_price")]
    row = terms[orders[amended]["terms"]]
    assert prices == [float(row[name]) for name in ("next_stop_price", "next_limit_price")]
    assert (100.01 + (10.0 if quantity > 0.0 else -10.0)) / 2.0 == float(orders[trailing]["stop_price"])


def test_an_order_of_which_nothing_is_left_has_its_quantity_in_new_units(make_world):
    """So that its record says what it was for."""
    world = make_world()
    order = world.order(0, 3.0)

    split(world, 100, 0.1)

    assert pytest.approx(0.3) == quantity_of(world, order)


def test_what_an_amendment_leaves_is_what_has_not_filled(make_world):
    """4 of 10 have filled; 16 leave 12, which are 24."""
    world = make_world(config={"latency": "1us"}, volume_limit=0.5)
    order = world.order(0, 10.0, "limit", limit_price=10.0)
    world.bar(1500, 10.0, 10.0, 10.0, 10.0, start=1200, volume=8.0)
    world.amend(2000, order, quantity=16.0)

    split(world, 2500, 2.0)

    row = world.state.terms.data[world.state.orders.data[order]["terms"]]
    assert 32.0 == float(row["next_quantity"])
    assert 12.0 == float(world.state.books["open_quantity"][0])


def test_an_amendment_that_leaves_nothing_waits_for_its_instant(make_world):
    """What is left to change is nothing, and what is to end does not count."""
    world = make_world(config={"latency": "1us"})
    order = world.order(0, 10.0, "limit", limit_price=30.0, is_target=1)
    world.amend(2000, order, quantity=1.0)

    split(world, 2500, 0.5)

    row = world.state.orders.data[order]
    terms = world.state.terms.data[row["terms"]]
    assert (0, 3000) == (int(row["counts"]), int(row["cancelled_at"]))
    assert (0.0, 0) == (float(terms["next_quantity"]), int(terms["amended_at"]))
    assert [0.0, 0.0] == [float(world.state.books[name][0]) for name in ("open_quantity", "target_quantity")]


@pytest.mark.parametrize(("lot", "after"), [(0.0, 10.5), (2.0, 10.5), (7.0, 7.0), (0.5, 10.5), (0.25, 10.5)])
def test_remainders_are_cut_to_lots_of_their_size(make_world, lot, after):
    """7 become 10.5: cut where they were whole lots."""
    world = make_world(instruments={"lot": lot})
    order = world.order(0, 10.0)
    world.state.orders.data[order]["quantity"] = -7.0

    split(world, 100, 1.5)

    assert -after == quantity_of(world, order)


@pytest.mark.parametrize(("ratio", "after"), [(0.7, 29_360_240.0), (1.1, 46_137_520.0)])
def test_many_lots_are_not_cut_for_what_floats_are_off(make_world, ratio, after):
    """Of 40 million shares the product is off by some billionths of a share."""
    world = make_world()
    order = world.order(0, 41_943_200.0)

    split(world, 100, ratio)

    assert after == quantity_of(world, order)


@pytest.mark.parametrize(("step", "filled"), [(1.0, 5.0), (0.5, 4.5), (0.0, 3.0 * 1.5)])
def test_what_had_filled_is_rounded_to_the_step(make_world, step, filled):
    """3 of 10 become 4.5."""
    world = make_world(volume_limit=0.5, instruments={"quantity_step": step})
    order = world.order(0, 10.0)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=6.0)

    split(world, 150, 1.5)

    assert filled == float(world.state.orders.data[order]["filled"])


def test_transitions_are_numbered_on(make_world):
    """Each has a number of its own, also those that follow."""
    world = make_world()
    for quantity in (3.0, 30.0, 40.0):
        world.order(0, quantity)

    split(world, 100, 0.1)
    world.bar(200, 10.0, 10.0, 10.0, 10.0)

    numbers = world.state.order_events.rows()["sequence"].tolist()
    assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers


def test_what_waits_is_counted_without_what_has_filled(make_world):
    """4 of 10 have filled, 6 are 12."""
    world = make_world(volume_limit=0.5)
    world.order(0, 10.0, is_target=1)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)

    split(world, 150, 2.0)

    assert [12.0, 12.0] == [float(world.state.books[name][0]) for name in ("open_quantity", "target_quantity")]
    np.testing.assert_array_equal(world.state.books["open_quantity"], [12.0, 0.0])
