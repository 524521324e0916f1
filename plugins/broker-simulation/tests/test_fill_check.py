"""A portfolio that looks at fills ends orders that it cannot pay for."""

import numba
import numpy as np
import pytest


def within(orders, i, market, commission, instruments, positions, accounts, params):
    """Pay up to the first number of the params, commission included."""
    return 1.0 if market[0]["quantity"] * market[0]["price"] + commission <= params[0] else 0.0


def broken(*arguments):
    """Raise."""
    raise ZeroDivisionError("no money")


@pytest.fixture(params=["compiled", "called back"])
def make_checked(request, make_world, make_model):
    """Worlds whose portfolio has 100 to spend."""

    def make(function=within, **settings):
        compiles = request.param == "compiled" and function is within
        affords = numba.njit(error_model="numpy")(function) if compiles else function
        return make_world(
            portfolio={"affords": affords, "affords_params": np.array([100.0])},
            slippage=make_model(lambda orders, i, market, params, state: 0.5),
            commission=make_model(lambda orders, i, market, params, state: 5.0),
            **settings,
        )

    return make


@pytest.mark.parametrize(("quantity", "pays"), [(10.0, True), (11.0, False)])
def test_a_fill_has_to_be_paid_for(make_checked, quantity, pays):
    """At the price paid, with commission: 10 at 9 + 0.5 are 95, and 5 to trade."""
    world = make_checked()
    order = world.order(0, quantity)

    world.bar(100, 9.0, 9.0, 9.0, 9.0)

    assert (("filled", "next-open") if pays else ("cancelled", "no-buying-power")) == world.history(order)[-1]
    assert int(pays) == len(world.fills)
    assert [[], []] == world.working


def test_children_end_with_an_entry_that_cannot_be_paid(make_checked):
    """And legs with the leg."""
    world = make_checked()
    entry = world.order(0, 11.0, "limit", limit_price=9.0)
    child = world.order(0, -11.0, "stop", stop_price=8.0, parent=entry)

    world.bar(100, 9.0, 9.0, 9.0, 9.0)

    assert [(entry, "cancelled", "no-buying-power"), (child, "cancelled", "parent-ended")] == world.events[-2:]


def test_what_filled_before_is_kept(make_checked):
    """A second part that cannot be paid ends the rest."""
    world = make_checked(volume_limit=1.0)
    order = world.order(0, 25.0)
    world.bar(100, 9.0, 9.0, 9.0, 9.0, volume=8.0)
    world.bar(200, 9.0, 9.0, 9.0, 9.0, volume=50.0)

    assert [(order, 8.0, 9.5)] == [fill[:3] for fill in world.fills]
    assert ("cancelled", "no-buying-power") == world.history(order)[-1]
    world.broker.finish()


def test_an_error_of_the_check_is_raised_and_nothing_fills(make_checked):
    """As for any model."""
    world = make_checked(broken)
    world.order(0, 1.0)

    with pytest.raises(ZeroDivisionError, match="no money"):
        world.bar(100, 9.0, 9.0, 9.0, 9.0)

    assert [] == world.fills
    assert [[0], []] == world.working
