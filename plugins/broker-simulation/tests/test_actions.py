"""Corporate actions and working orders: docs/reference/corporate-actions.md."""

import numpy as np
import pytest

from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import Action

NAN = float("nan")
COLUMNS = ("quantity", "filled", "limit_price", "stop_price")


def action(kind, ratio=NAN, symbol=0, **figures):
    """One action, at once and without another instrument unless said otherwise."""
    return Action(
        **{
            **{"kind": kind, "symbol": symbol, "ratio": ratio, "amount": NAN, "currency": 0},
            **{"value": NAN, "other": -1, "pay_at": 0},
            **figures,
        }
    )


def split(world, now, ratio, kind="split"):
    """Split symbol A."""
    world.state.now = now
    world.broker.apply_action(action(kind, ratio))


def terms(world, order):
    """Return the TERMS row of an order."""
    return world.state.terms.data[world.state.orders.data[order]["terms"]]


def figures(world, order):
    """Return quantity, filled and prices of an order."""
    return [float(world.state.orders.data[order][name]) for name in COLUMNS]


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("kind", "prices"),
    [
        ("market", {}),
        ("limit", {"limit_price": 90.0}),
        ("stop", {"stop_price": 120.0}),
        ("stop-limit", {"stop_price": 120.0, "limit_price": 122.0}),
    ],
)
def test_a_split_multiplies_quantities_and_divides_prices(make_world, side, kind, prices):
    """Each kind of order stands as it would have been sent after the split."""
    world = make_world()
    order = world.order(0, side * 10.0, kind, **prices)

    split(world, 100, 4.0)

    expected = [40.0 * side, 0.0, prices.get("limit_price", NAN) / 4.0, prices.get("stop_price", NAN) / 4.0]
    np.testing.assert_array_equal(figures(world, order), expected)
    assert world.events[-1] == (order, "accepted", "corporate-action")


def test_a_stock_dividend_gives_more_for_each(make_world):
    """Ratio 0.5 makes three of two."""
    world = make_world()
    order = world.order(0, 10.0, "limit", limit_price=90.0)

    split(world, 100, 0.5, "stock-dividend")

    assert [15.0, 0.0, 60.0] == figures(world, order)[:3]


def test_a_trailing_stop_keeps_its_distance_in_proportion(make_world):
    """Amount, offset and extreme are divided; a percent stays."""
    world = make_world()
    world.state.instruments["mark"] = 100.0
    order = world.order(0, -10.0, "trailing-stop-limit", trail_amount=8.0, limit_offset=-1.0)
    percent = world.order(0, -10.0, "trailing-stop", trail_percent=0.1)

    split(world, 100, 2.0)

    assert (50.0, 4.0, -0.5, 46.0) == (
        float(terms(world, order)["extreme"]),
        float(terms(world, order)["trail_amount"]),
        float(terms(world, order)["limit_offset"]),
        figures(world, order)[3],
    )
    assert (0.1, 45.0) == (float(terms(world, percent)["trail_percent"]), figures(world, percent)[3])


def test_remainders_of_whole_lots_are_cut_to_whole_lots(make_world):
    """Three of two makes 13 of 9, and a fraction stays a fraction."""
    world = make_world()
    lots, fraction = world.order(0, -9.0), world.order(0, 2.5)

    split(world, 100, 1.5)

    assert (-13.0, 3.75) == (figures(world, lots)[0], figures(world, fraction)[0])


def test_prices_are_put_on_the_tick_to_the_worse_side(make_world):
    """A buying limit and a selling stop go down, the others up."""
    world = make_world(instruments={"tick": 0.01})
    buys = world.order(0, 10.0, "stop-limit", stop_price=100.01, limit_price=100.05)
    sells = world.order(0, -10.0, "stop-limit", stop_price=100.01, limit_price=100.05)

    split(world, 100, 2.0)

    assert [50.02, 50.01] == figures(world, buys)[2:]
    assert [50.03, 50.0] == figures(world, sells)[2:]


def test_what_had_filled_is_counted_in_new_units_too(make_world):
    """The order ends when the rest has filled, and its fills need not sum to its quantity."""
    world = make_world(volume_limit=0.5)
    order = world.order(0, 10.0)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)

    split(world, 150, 3.0)

    assert [30.0, 12.0] == figures(world, order)[:2]
    assert ("partial", "corporate-action") == world.events[-1][1:]
    world.bar(200, 4.0, 4.0, 4.0, 4.0)
    world.broker.finish()
    assert [(0, 4.0), (0, 18.0)] == [fill[:2] for fill in world.priced]
    assert "filled" == world.events[-1][1]


def test_volumes_of_the_row_before_are_counted_in_new_units(make_world):
    """A cap on the volume that was known before is as large as it was."""
    world = make_world(volume_limit=0.5, volume_basis="trailing")
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)
    world.order(100, 100.0)

    split(world, 150, 2.0)
    world.bar(200, 5.0, 5.0, 5.0, 5.0, volume=1.0)

    assert [(0, 8.0)] == [fill[:2] for fill in world.priced]


def test_volumes_of_symbols_that_no_row_has_shown_are_left_alone(make_world):
    """A symbol whose column came after the newest row has none."""
    world = make_world(volume_limit=0.5, volume_basis="trailing")
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)
    world.state.add_symbols(["C"])

    world.broker.apply_action(action("split", 2.0, symbol=2))

    assert [8.0] == [values[2, 0] for values in world.broker._volumes.values()]


def test_an_order_of_which_nothing_is_left_ends_with_its_family(make_world):
    """A reverse split of one share ends the entry, and with it children and legs."""
    world = make_world()
    entry = world.order(0, 3.0, "limit", limit_price=9.0)
    child = world.order(0, -20.0, "stop", stop_price=8.0, parent=entry)
    leg = world.order(0, 3.0, "limit", limit_price=9.0, group=2)
    other = world.order(0, 20.0, "stop", stop_price=12.0, group=2)

    split(world, 100, 0.1)

    ends = [event for event in world.events if event[1] == "cancelled"]
    assert [
        (entry, "cancelled", "corporate-action"),
        (leg, "cancelled", "corporate-action"),
        (child, "cancelled", "parent-ended"),
        (other, "cancelled", "one-cancels-other"),
    ] == ends
    assert [[], []] == world.working
    assert 0.0 == world.state.books["open_quantity"][0]


def test_what_filled_is_kept_of_an_order_of_which_nothing_is_left(make_world):
    """Children stay for the part that had filled, as after any end of an entry."""
    world = make_world(volume_limit=0.5)
    entry = world.order(0, 11.0, "limit", limit_price=10.0)
    child = world.order(0, -11.0, "stop", stop_price=8.0, parent=entry)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=20.0)

    split(world, 150, 0.5)

    assert (entry, "cancelled", "corporate-action") in world.events
    assert [5.0, 5.0, -5.0] == [*figures(world, entry)[:2], figures(world, child)[0]]
    assert [[child], []] == world.working


def test_a_leg_keeps_what_its_group_took_off_it(make_world):
    """The part of a child is that of the entry, less what the other child has filled."""
    world = make_world(volume_limit=0.1)
    entry = world.order(0, 10.0)
    stop = world.order(0, -10.0, "stop", stop_price=8.0, parent=entry, group=1)
    target = world.order(0, -10.0, "limit", limit_price=12.0, parent=entry, group=1)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=100.0)
    world.bar(200, 12.0, 12.0, 12.0, 12.0, volume=40.0)
    assert -6.0 == figures(world, stop)[0]

    split(world, 250, 1.5)

    assert [-9.0, -15.0, -15.0] == [
        figures(world, stop)[0],
        float(terms(world, stop)["whole"]),
        figures(world, target)[0],
    ]
    world.bar(300, 5.0, 5.0, 5.0, 5.0)
    world.broker.finish()
    assert [10.0, -4.0, -9.0] == [fill[1] for fill in world.priced]


def test_new_terms_that_are_under_way_are_restated(make_world):
    """An amendment asked for before the split holds after it in new units."""
    world = make_world(config={"latency": "1us"})
    order = world.order(0, 10.0, "stop-limit", stop_price=30.0, limit_price=32.0)
    world.amend(2000, order, quantity=16.0, limit_price=36.0, stop_price=34.0)

    split(world, 2500, 2.0)
    world.bar(4000, 15.0, 18.0, 15.0, 17.0, start=3000)

    assert [32.0, 32.0, 18.0, 17.0] == figures(world, order)
    assert [(order, 32.0, 17.0, "limit-better")] == world.priced


def test_new_terms_that_leave_nothing_end_the_order_when_they_hold(make_world):
    """Prices that formed before still fill it."""
    world = make_world(config={"latency": "1us"})
    order, other = (world.order(0, 10.0, "limit", limit_price=30.0) for _ in range(2))
    world.amend(2000, order, quantity=1.0)

    split(world, 2500, 0.5)

    assert 5.0 == world.state.books["open_quantity"][0]
    world.bar(4000, 70.0, 70.0, 70.0, 70.0, start=3500)
    assert ("cancelled", "corporate-action") == world.history(order)[-1]
    assert [[other], []] == world.working


@pytest.mark.parametrize(
    ("kind", "reason"), [("merger", "corporate-action"), ("delisting", "corporate-action"), ("expiry", "delisted")]
)
def test_orders_end_where_the_instrument_ends(make_world, kind, reason):
    """Working and held orders of the symbol end with the reason of the action, those of others stay."""
    world = make_world()
    entry = world.order(0, 10.0, "limit", limit_price=9.0)
    world.order(0, -10.0, "stop", stop_price=8.0, parent=entry)
    world.submit(0, (1, 5.0))

    world.broker.apply_action(action(kind))

    assert [(0, "cancelled", reason), (1, "cancelled", reason)] == world.events[-2:]
    assert [[], [2]] == world.working
    assert [0.0, 5.0] == world.state.books["open_quantity"].tolist()


@pytest.mark.parametrize("kind", ["dividend", "spin-off", "symbol-change"])
def test_other_actions_leave_orders_alone(make_world, kind):
    """Not a byte changes."""
    world = make_world()
    world.order(0, 10.0, "limit", limit_price=9.0)
    before = world.tables

    world.broker.apply_action(action(kind, 0.5, value=3.0, amount=1.0, other=1))

    assert before == world.tables


def test_a_split_of_a_symbol_without_orders_changes_nothing(make_world):
    """Orders of other symbols are not looked at."""
    world = make_world()
    world.order(0, 10.0, "limit", limit_price=9.0)
    before = world.tables

    world.broker.apply_action(action("split", 2.0, symbol=1))

    assert before == world.tables


def test_books_are_counted_again(make_world):
    """Targets, held orders and orders whose end was asked for count as before."""
    world = make_world(config={"latency": "1us"})
    for quantity, is_target, counts in ((10.0, 1, 1), (-4.0, 0, 1), (7.0, 0, 0)):
        world.submit(0, {"quantity": quantity, "is_target": is_target, "counts": counts})

    split(world, 100, 2.0)

    book = world.state.books[0]
    assert (12.0, 20.0) == (float(book["open_quantity"]), float(book["target_quantity"]))


@pytest.mark.parametrize(("ended", "reason"), [(1, "delisted"), (2, "not-listed"), (3, "mark-too-old")])
@pytest.mark.parametrize("reduce_only", [0, 1])
def test_orders_on_what_does_not_trade_are_refused(make_world, ended, reason, reduce_only):
    """Also those that only reduce."""
    world = make_world(instruments={"ended": ended})
    world.order(0, -10.0, reduce_only=reduce_only)

    assert (0, "refused", reason) == world.events[-1]


def test_what_splits_made_of_fills_outlives_a_snapshot(make_world):
    """A broker that goes on elsewhere still knows why fills do not sum to what has filled."""
    world = make_world(volume_limit=0.5)
    world.order(0, 10.0)
    world.bar(100, 10.0, 10.0, 10.0, 10.0, volume=8.0)
    split(world, 150, 3.0)
    kept = world.broker.get_state()
    world.broker._restated = {}
    with pytest.raises(RunError, match="do not sum"):
        world.broker.finish()

    world.broker.set_state(kept)
    world.broker.finish()

    assert {0: 8.0} == world.broker._restated
