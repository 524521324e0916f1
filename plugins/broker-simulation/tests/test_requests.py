"""What becomes of requests before anything fills."""

import pytest

from ml4t.backtest.state import REASONS

INFINITY = float("inf")


def test_accepted_order_leaves_two_transitions_and_joins_the_book(make_world):
    """Each request leaves at least one transition; open quantities count what works."""
    world = make_world()
    world.submit(100, {"symbol": 0, "quantity": 5.0, "tag": 3, "known_at": 99, "basket": 4})

    assert [(0, "submitted", ""), (0, "accepted", "")] == world.events
    assert [[0], []] == world.working
    assert 5.0 == world.state.books[0]["open_quantity"]
    order = world.state.orders.rows()[0]
    assert (0, 100, 99, 3, 4) == tuple(order[n] for n in ("id", "submitted_at", "known_at", "tag", "basket"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": 0.0}, "quantity-zero"),
        ({"quantity": -0.0}, "quantity-zero"),
        ({"quantity": INFINITY}, "quantity-not-finite"),
        ({"quantity": float("nan")}, "quantity-not-finite"),
        ({"quantity": 1.0, "kind": 6}, "order-kind-not-supported"),
        ({"quantity": 1.0, "kind": -1}, "order-kind-not-supported"),
        ({"quantity": 1.0, "time_in_force": 7}, "time-in-force-not-supported"),
        ({"quantity": 1.0, "time_in_force": -1}, "time-in-force-not-supported"),
        ({"quantity": 1.0, "symbol": 2}, "unknown-symbol"),
        ({"quantity": 1.0, "symbol": -1}, "unknown-symbol"),
        ({"quantity": 1.0, "account": 1}, "unknown-account"),
        ({"quantity": 1.0, "reason": REASONS.index("refused-by-risk")}, "refused-by-risk"),
    ],
)
def test_refused_with_the_documented_reason(make_world, fields, reason):
    """What the broker cannot do is refused, with the id kept and nothing in the book."""
    world = make_world()
    world.submit(100, fields, (0, 1.0))

    assert [(0, "submitted", ""), (0, "refused", reason)] == world.events[:2]
    assert [[1], []] == world.working
    assert 1.0 == world.state.books[0]["open_quantity"]


def test_cancel_by_id(make_world):
    """A cancelled order never fills, and the book forgets it."""
    world = make_world()
    world.submit(100, (0, 1.0), (0, 2.0), (0, 4.0))
    world.submit(100, {"action": 1, "order_id": 1})
    assert (1, "cancelled", "cancelled-by-strategy") == world.events[-1]
    assert [[0, 2], []] == world.working
    assert 5.0 == world.state.books[0]["open_quantity"]

    world.submit(100, {"action": 1, "order_id": 2}, {"action": 1, "order_id": 0})
    assert [[], []] == world.working
    assert 0.0 == world.state.books[0]["open_quantity"]


@pytest.mark.parametrize(("order", "reason"), [(7, "unknown-order"), (-1, "unknown-order"), (0, "already-done")])
def test_cancel_that_changes_nothing_is_recorded(make_world, order, reason):
    """A cancel of nothing is refused with the reason; the order keeps its status."""
    world = make_world()
    world.submit(100, (0, 1.0))
    world.match(200, (0, 100, 200, 10.0, 11.0))
    world.submit(200, {"action": 1, "order_id": order})

    assert (order, "refused", reason) == world.events[-1]
    assert 4 == world.state.orders.rows()[0]["status"]


def test_cancel_sees_an_order_of_the_same_round(make_world):
    """Requests are carried out in the order in which the strategy made them."""
    world = make_world()
    world.submit(100, (0, 1.0), {"action": 1, "order_id": 0})

    assert ["submitted", "accepted", "cancelled"] == [status for _, status, _ in world.events]


def test_new_target_replaces_what_is_left_of_the_old_one(make_world):
    """Only target orders of that symbol are cancelled, oldest first, with the reason."""
    world = make_world()
    target = {"symbol": 0, "quantity": 3.0, "is_target": 1}
    world.submit(100, target, (0, 1.0), {**target, "symbol": 1}, target)
    assert 6.0 == world.state.books[0]["target_quantity"]

    world.submit(100, {"action": 2, "symbol": 0}, {**target, "quantity": 9.0})
    cancelled = [event for event in world.events if event[1] == "cancelled"]
    assert [(0, "cancelled", "replaced-by-target"), (3, "cancelled", "replaced-by-target")] == cancelled
    assert [[1, 4], [2]] == world.working
    assert (10.0, 9.0) == tuple(world.state.books[0][n] for n in ("open_quantity", "target_quantity"))


def test_emptied_book_is_exactly_zero(make_world):
    """Sums and differences of fractions leave no dust where nothing works."""
    world = make_world()
    for quantity in (0.1, 0.2, 0.3):
        world.submit(100, {"symbol": 0, "quantity": quantity, "is_target": 1})
    world.match(200, (0, 100, 200, 10.0, 11.0))

    assert (0.0, 0.0) == tuple(world.state.books[0][n] for n in ("open_quantity", "target_quantity"))


def test_end_of_run_cancels_what_works_in_order_of_ids(make_world):
    """Working orders end as cancelled with reason end-of-run."""
    world = make_world()
    world.submit(100, (1, 1.0), (0, 2.0), (1, 3.0), (0, 0.0))
    world.state.now = 900
    world.broker.finish()

    assert [(k, "cancelled", "end-of-run") for k in range(3)] == world.events[-3:]
    assert 900 == world.state.order_events.rows()[-1]["timestamp"]
    assert [[], []] == world.working
