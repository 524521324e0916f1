"""What must never happen stops the run with the order that it happened to; matching.md, the last section.

A model may write where it should not: that is how these tests bring the tables out of order.
"""

import pytest

from ml4t.backtest.errors import BacktestError
from ml4t.backtest.state import CANCELLED


def cancelling(orders, i, market, params, state):
    orders[i]["status"] = CANCELLED
    return 0.0


def postponing(orders, i, market, params, state):
    orders[i]["submitted_at"] = 1000
    return 0.0


def flattening(orders, i, market, params, state):
    for name in ("open", "high", "low", "close"):
        market[1][name] = 1.0
    return 0.0


def above_the_high(orders, i, market, params, state):
    return 12.5


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a limit order"])
@pytest.mark.parametrize(
    ("kind", "function", "what"),
    [
        ("slippage", cancelling, "from one state to another"),
        ("slippage", postponing, "formed before it could be"),
        ("function", above_the_high, "outside the row"),
    ],
)
def test_a_fill_against_the_rules_is_refused(make_world, make_model, kind, function, what, beside):
    """By the path of plain market orders and by that of all others."""
    world = make_world(**{kind: function if kind == "function" else make_model(function)})
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0)
    world.order(100, 5.0)
    with pytest.raises(BacktestError, match=what) as raised:
        world.bar(200, 10.0, 12.0, 9.0, 11.0)
    assert f"order {int(beside)}" in str(raised.value)


def test_a_price_outside_what_the_row_shows_is_refused(make_world, make_model):
    """Also one that the core has found itself."""
    world = make_world(slippage=make_model(flattening))
    world.order(100, 5.0, "limit", limit_price=10.0)
    with pytest.raises(BacktestError, match="outside the row"):
        world.bar(200, 10.0, 12.0, 9.0, 11.0)


def test_fills_never_exceed_the_quantity(make_world):
    """A step coarser than the lot would round 2.5 of 2.6 to 3."""
    world = make_world(volume_limit=0.5, instruments={"lot": 0.5, "quantity_step": 1.0})
    world.order(100, 2.6)
    with pytest.raises(BacktestError, match="more than its quantity"):
        world.bar(200, 10.0, 12.0, 9.0, 11.0, 5.0)


@pytest.mark.parametrize(("difference", "right"), [(0.5, False), (-0.5, False), (1e-10, True)])
def test_in_the_end_the_fills_of_each_order_sum_to_what_it_has_filled(make_world, difference, right):
    """Up to half a step for each fill."""
    world = make_world()
    world.order(100, 5.0)
    world.bar(200, 10.0, 12.0, 9.0, 11.0)
    world.state.orders.data[0]["filled"] += difference
    if right:
        world.broker.finish()
    else:
        with pytest.raises(BacktestError, match="do not sum"):
            world.broker.finish()


def test_dust_of_partial_fills_is_no_fault(make_world):
    """A thousand parts of a tenth, each rounded to the step."""
    world = make_world(volume_limit=0.1, instruments={"lot": 0.1, "quantity_step": 1e-9})
    world.order(100, 100.0)
    for now in range(200, 200 + 100 * 1000, 100):
        world.bar(now, 10.0, 12.0, 9.0, 11.0, 1.0)
    world.broker.finish()

    assert 100.0 == world.state.orders.data[0]["filled"]
    assert ("filled", "next-open") == world.history(0)[-1]


def test_quantities_beyond_the_grain_of_the_step_are_left_alone(make_world):
    """Above 2**52 steps every float is a multiple already."""
    world = make_world(volume_limit=0.5)
    world.order(100, 1e15)
    world.bar(200, 10.0, 12.0, 9.0, 11.0, 3e14)

    assert 1.5e14 == world.state.orders.data[0]["filled"]
