"""Cancels and amendments: they act on prices that form after them; orders.md, cancel and amend."""

import pytest

NAN = float("nan")
FLAT = (10.0, 11.0, 9.0, 10.0)


def limit(world, now, quantity=5.0, price=9.0, **more):
    return world.order(now, quantity, "limit", limit_price=price, **more)


def quantity_in_book(world):
    return float(world.state.books[0]["open_quantity"])


def test_an_order_of_this_instant_ends_at_once(make_world):
    """No price can have met it."""
    world = make_world()
    order = limit(world, 150)
    world.cancel(150, order)

    assert [("cancelled", "cancelled-by-strategy")] == world.history(order)
    assert [[], []] == world.working
    assert 0.0 == quantity_in_book(world)


def test_an_order_ends_at_once_where_the_newest_row_ended_at_this_instant(make_world):
    """No bar is under way."""
    world = make_world()
    order = limit(world, 100, price=1.0)
    world.bar(200, *FLAT)
    world.cancel(200, order)

    assert [("cancelled", "cancelled-by-strategy")] == world.history(order)


@pytest.mark.parametrize(
    ("cancelled", "bar", "fill"),
    [
        (150, (8.5, 11.0, 8.0, 10.0), (8.5, 100)),
        (100, (8.5, 11.0, 8.0, 10.0), None),
        (150, (10.0, 11.0, 8.0, 8.5), None),
        (200, (10.0, 11.0, 8.0, 8.5), None),
        (201, (10.0, 11.0, 8.0, 10.0), (9.0, 200)),
    ],
)
def test_a_cancel_while_a_bar_is_under_way_leaves_the_prices_before_it(make_world, cancelled, bar, fill):
    """The open of the day fills, though it is known only at its end; range and close do not."""
    world = make_world()
    order = limit(world, 50)
    world.cancel(cancelled, order)
    assert [("accepted", "cancel-requested")] == world.history(order)
    assert 0.0 == quantity_in_book(world)
    world.bar(200, *bar)

    fills = world.state.fills.rows()
    assert ([fill] if fill else []) == list(zip(fills["price"].tolist(), fills["formed_at"].tolist(), strict=True))
    if cancelled <= 200:
        end = ("filled", "limit-better") if fill else ("cancelled", "cancelled-by-strategy")
        assert [("accepted", "cancel-requested"), end] == world.history(order)
    assert 0.0 == quantity_in_book(world)


def test_a_plain_market_order_under_way_is_cancelled_likewise(make_world):
    """Its open came before, or it ends with the bar."""
    for cancelled, filled in ((150, True), (100, False)):
        world = make_world()
        world.order(50, 5.0, is_target=1)
        world.cancel(cancelled, 0)
        assert [0.0, 0.0] == [world.state.books[0][name] for name in ("open_quantity", "target_quantity")]
        world.bar(200, *FLAT)
        assert filled == (len(world.priced) == 1)
        assert ("filled" if filled else "cancelled") == world.events[-1][1]


def test_a_pending_cancel_ends_with_the_sessions_close_where_no_row_comes(make_world):
    """Then nothing can have come before it."""
    world = make_world()
    order = limit(world, 50)
    world.cancel(150, order)
    world.end_session(149)
    assert 1 == len(world.history(order))
    world.end_session(200)

    assert ("cancelled", "cancelled-by-strategy") == world.history(order)[-1]


def test_what_is_cancelled_in_the_end_is_cancelled_by_the_strategy(make_world):
    """Where the end was asked for and is not known yet."""
    world = make_world()
    order = limit(world, 50)
    world.cancel(150, order)
    world.broker.finish()

    assert ("cancelled", "cancelled-by-strategy") == world.history(order)[-1]


def test_a_second_cancel_and_one_of_an_ended_order_change_nothing(make_world):
    """They are recorded as refused: already-done; of an order that never was: unknown-order."""
    world = make_world()
    order = limit(world, 50)
    world.cancel(150, order)
    before = world.state.orders.data[order].tobytes()
    world.cancel(160, order)
    assert (order, "refused", "already-done") == world.events[-1]
    world.amend(160, order, limit_price=8.0)
    assert (order, "refused", "already-done") == world.events[-1]
    assert before == world.state.orders.data[order].tobytes()
    world.bar(200, *FLAT)
    world.cancel(200, order)
    assert (order, "refused", "already-done") == world.events[-1]
    for unknown in (-1, 1):
        world.cancel(200, unknown)
        assert (unknown, "refused", "unknown-order") == world.events[-1]


def test_with_latency_a_cancel_takes_effect_later(make_world):
    """Prices until then still fill; an order that could not fill before it ends at once."""
    world = make_world(config={"latency": "10ns"})
    order = limit(world, 50, price=12.0)
    world.cancel(95, order)
    world.bar(200, *FLAT)
    assert [(order, 5.0, 10.0, "limit-better")] == world.priced
    order = limit(world, 200, price=1.0)
    world.bar(300, *FLAT)
    world.cancel(300, order)
    assert [("accepted", "cancel-requested")] == world.history(order)
    order = limit(world, 300, price=1.0)
    world.cancel(300, order)
    assert [("cancelled", "cancelled-by-strategy")] == world.history(order)


def test_held_orders_end_at_once(make_world):
    """Nothing can have met them."""
    world = make_world()
    entry = limit(world, 50)
    child = limit(world, 50, -5.0, 12.0, parent=entry)
    world.cancel(150, child)

    assert [("cancelled", "cancelled-by-strategy")] == world.history(child)
    assert [] == world.history(entry)


def test_a_cancel_of_one_leg_keeps_the_others_from_prices_after_it(make_world):
    """They end with it; a price before it still fills any of them."""
    world = make_world()
    world.submit(50, *({"quantity": 5.0, "kind": "limit", "limit_price": p, "group": 0} for p in (9.0, 9.0, 11.0)))
    world.cancel(150, 0)
    world.bar(200, 10.0, 10.0, 8.0, 8.5)

    assert [(2, 5.0, 10.0, "limit-better")] == world.priced
    for leg in (0, 1):
        assert ("cancelled", "one-cancels-other") == world.history(leg)[-1]


def test_a_leg_that_another_cancel_has_in_view_may_be_cancelled_itself(make_world):
    """Its own reason then counts."""
    world = make_world()
    world.submit(50, *({"quantity": 5.0, "kind": "limit", "limit_price": 9.0, "group": 0} for _ in range(2)))
    world.cancel(150, 0)
    world.cancel(160, 1)
    world.bar(200, *FLAT)

    assert ("cancelled", "cancelled-by-strategy") == world.history(1)[-1] == world.history(0)[-1]


def test_targets_are_replaced_by_the_next_one(make_world):
    """Working target orders of the symbol end; others, and those whose end was asked for, stay as they are."""
    world = make_world()
    first = world.order(100, 5.0, is_target=1)
    other = world.order(100, 5.0)
    gone = world.order(100, 5.0, is_target=1)
    elsewhere = world.order(100, 5.0, is_target=1, symbol=1)
    world.cancel(100, gone)
    world.submit(100, {"action": 2, "symbol": 0})

    assert [("cancelled", "replaced-by-target")] == world.history(first)
    assert [("cancelled", "cancelled-by-strategy")] == world.history(gone)
    assert [[other], [elsewhere]] == world.working
    world.submit(120, {"action": 2, "symbol": 1}, {"action": 2, "symbol": 1}, {"action": 2, "symbol": 7})
    assert [("accepted", "cancel-requested")] == world.history(elsewhere)
    world.bar(200, *FLAT, symbol=1)
    assert (elsewhere, "filled", "next-open") == world.events[-1]


def test_an_amendment_without_a_bar_under_way_holds_at_once(make_world):
    """Quantity, limit and stop; what is not named stays."""
    world = make_world()
    first = limit(world, 100)
    second = world.order(100, 5.0, "stop-limit", stop_price=11.0, limit_price=12.0)
    world.amend(100, first, quantity=8.0, limit_price=9.5)
    world.amend(100, second, stop_price=10.5)
    rows = world.state.orders.data
    assert [8.0, 9.5] == [rows[first]["quantity"], rows[first]["limit_price"]]
    assert [5.0, 12.0, 10.5] == [rows[second][name] for name in ("quantity", "limit_price", "stop_price")]
    assert [("accepted", "amended")] == world.history(first) == world.history(second)
    assert 13.0 == quantity_in_book(world)
    world.bar(200, *FLAT)

    assert [(second, 5.0, 10.5, "limit-better"), (first, 8.0, 9.5, "limit")] == sorted(world.priced, reverse=True)


@pytest.mark.parametrize(
    ("old", "new", "bar", "fill"),
    [
        (9.0, 12.0, (8.5, 11.0, 8.0, 10.0), (8.5, 100)),
        (9.0, 12.0, (10.0, 11.0, 8.0, 10.5), (10.5, 200)),
        (9.0, 10.0, (10.5, 11.0, 8.0, 10.5), None),
        (9.0, 9.5, (10.0, 11.0, 8.0, 9.25), (9.25, 200)),
        (12.0, 9.0, (10.0, 11.0, 8.0, 10.5), (10.0, 100)),
    ],
)
def test_an_amendment_holds_for_prices_that_form_after_it(make_world, old, new, bar, fill):
    """In session: the open under the old terms, the close under the new ones, the range under neither."""
    world = make_world()
    order = limit(world, 50, price=old)
    world.amend(150, order, limit_price=new)
    assert old == world.state.orders.data[order]["limit_price"]
    world.bar(200, *bar)

    fills = world.state.fills.rows()
    assert ([fill] if fill else []) == list(zip(fills["price"].tolist(), fills["formed_at"].tolist(), strict=True))
    if fill is None or fill[1] == 200:
        assert new == world.state.orders.data[order]["limit_price"]


def test_an_amendment_takes_an_open_at_its_own_instant_and_a_close_after_it(make_world):
    """As after a submission; a close that forms at that instant is nobody's."""
    world = make_world()
    order = limit(world, 50, price=1.0)
    world.amend(100, order, limit_price=12.0)
    world.bar(200, *FLAT)
    assert [(order, 5.0, 10.0, "limit-better")] == world.priced
    order = limit(world, 200, price=1.0)
    world.amend(300, order, limit_price=12.0)
    world.bar(300, *FLAT)
    assert [order] == world.working[0]


def test_several_amendments_before_a_row_add_up(make_world):
    """The newest of each term holds, from the newest instant on."""
    world = make_world()
    order = limit(world, 50, price=1.0)
    world.amend(120, order, limit_price=12.0)
    world.amend(150, order, quantity=9.0)
    world.end_session(160)

    row = world.state.orders.data[order]
    assert [9.0, 12.0] == [row["quantity"], row["limit_price"]]
    assert [("accepted", "amended"), ("accepted", "amended")] == world.history(order)


def test_a_quantity_is_the_whole_filled_part_included(make_world):
    """It has to be above what has filled; exactly that much is not."""
    world = make_world(volume_limit=0.5)
    order = world.order(100, 10.0)
    world.bar(200, *FLAT, 8.0)
    for quantity in (4.0, 3.0, -6.0):
        world.amend(200, order, quantity=quantity)
        assert (order, "refused", "amend-not-possible") == world.events[-1]
    world.amend(200, order, quantity=5.0)
    assert 1.0 == quantity_in_book(world)
    world.bar(300, *FLAT, 100.0)

    assert [(order, 4.0), (order, 1.0)] == [fill[:2] for fill in world.priced]
    assert ("filled", "next-open") == world.history(order)[-1]


def test_an_order_that_fills_more_than_its_new_quantity_ends_with_it(make_world):
    """The old terms held for the open, which came before the amendment."""
    world = make_world(volume_limit=0.5)
    order = limit(world, 50, 10.0, 12.0)
    world.amend(150, order, quantity=4.0)
    world.bar(200, *FLAT, 8.0)

    assert [(order, 4.0)] == [fill[:2] for fill in world.priced]
    assert [
        ("accepted", "amended"),
        ("partial", "limit-better"),
        ("cancelled", "cancelled-by-strategy"),
    ] == world.history(order)


@pytest.mark.parametrize(
    ("kind", "terms", "amendment", "reason"),
    [
        ("limit", {"limit_price": 9.0}, {}, "amend-not-possible"),
        ("limit", {"limit_price": 9.0}, {"stop_price": 11.0}, "amend-not-possible"),
        ("stop", {"stop_price": 11.0}, {"limit_price": 9.0}, "amend-not-possible"),
        ("market", {}, {"limit_price": 9.0}, "amend-not-possible"),
        ("market", {}, {"stop_price": 9.0}, "amend-not-possible"),
        ("trailing-stop", {"trail_amount": 1.0, "stop_price": 11.0}, {"stop_price": 12.0}, "amend-not-possible"),
        ("limit", {"limit_price": 9.0}, {"limit_price": 0.0}, "price-not-positive"),
        ("limit", {"limit_price": 9.0}, {"limit_price": float("inf")}, "price-not-finite"),
        ("stop", {"stop_price": 11.0}, {"stop_price": -1.0}, "price-not-positive"),
        ("limit", {"limit_price": 9.0}, {"quantity": 0.0}, "quantity-zero"),
        ("limit", {"limit_price": 9.0}, {"quantity": float("inf")}, "quantity-not-finite"),
        ("limit", {"limit_price": 9.0}, {"quantity": 2e15}, "quantity-too-large"),
    ],
)
def test_what_cannot_be_amended_stays_as_it_was(make_world, kind, terms, amendment, reason):
    """It is recorded as refused, with the reason."""
    world = make_world()
    order = world.order(100, 5.0, kind, **terms)
    before = world.state.orders.data[order].tobytes()
    world.amend(100, order, **amendment)

    assert (order, "refused", reason) == world.events[-1]
    assert before == world.state.orders.data[order].tobytes()


def test_a_stop_that_was_triggered_is_not_amended_any_more(make_world):
    """Its limit is."""
    world = make_world()
    order = world.order(100, 5.0, "stop-limit", stop_price=10.5, limit_price=8.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)
    world.amend(200, order, stop_price=12.0)
    assert (order, "refused", "amend-not-possible") == world.events[-1]
    world.amend(200, order, limit_price=9.5)
    world.bar(300, 10.0, 11.0, 9.0, 10.0)

    assert [(order, 5.0, 9.5, "limit")] == world.priced


def test_a_stop_triggered_under_the_old_terms_keeps_its_level(make_world):
    """An amendment on its way comes too late for the stop."""
    world = make_world()
    order = world.order(50, 5.0, "stop-limit", stop_price=9.5, limit_price=8.0)
    world.amend(150, order, stop_price=30.0, limit_price=8.5)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)

    row = world.state.orders.data[order]
    assert [9.5, 8.5] == [row["stop_price"], row["limit_price"]]


def test_held_orders_are_amended_at_once(make_world):
    """And go by the new terms when they are released."""
    world = make_world()
    world.order(50, 5.0)
    child = limit(world, 50, -5.0, 12.0, parent=0)
    world.amend(90, child, limit_price=10.5)
    world.bar(200, *FLAT)

    assert [(0, 10.0), (child, 10.5)] == [(order, price) for order, _, price, _ in world.priced]
    assert ("held", "amended") in world.history(child)


def test_amended_prices_go_to_the_worse_tick(make_world):
    """As submitted ones do."""
    world = make_world(instruments={"tick": 0.25})
    order = world.order(100, 5.0, "stop-limit", stop_price=11.0, limit_price=12.0)
    world.amend(100, order, limit_price=11.9, stop_price=10.9)

    row = world.state.orders.data[order]
    assert [11.75, 11.0] == [row["limit_price"], row["stop_price"]]


def test_a_fill_of_another_leg_reduces_what_was_amended_too(make_world):
    """The amendment waits for the close; the other leg fills at the open."""
    world = make_world()
    legs = ({"quantity": 2.0, "limit_price": 11.0}, {"quantity": 5.0, "limit_price": 1.0})
    world.submit(50, *({"kind": "limit", "group": 0, **leg} for leg in legs))
    world.amend(150, 1, quantity=9.0)
    world.bar(200, *FLAT)

    assert [("accepted", "amended"), ("accepted", "one-cancels-other")] == world.history(1)
    assert 7.0 == world.state.orders.data[1]["quantity"]


def test_on_open_order_whose_open_formed_before_its_amendment_ends_with_that_bar(make_world):
    """The open met the old terms; the new ones can take no other open."""
    world = make_world(opens=[1000], closes=[2000])
    order = world.order(900, 1.0, "limit", limit_price=9.0, time_in_force="OPG")
    world.amend(1100, order, limit_price=11.0)
    world.bar(1200, 10.0, 10.5, 9.5, 10.0, start=1000)

    assert [] == world.fills
    assert ("expired", "open-missed") == world.history(order)[-1]


def test_on_open_order_takes_a_first_bar_that_opens_after_its_amendment(make_world):
    """The symbol's first bar of the session may come late."""
    world = make_world(opens=[1000], closes=[2000])
    order = world.order(900, 1.0, "limit", limit_price=9.0, time_in_force="OPG")
    world.amend(1100, order, limit_price=11.0)
    world.bar(1400, 10.0, 10.5, 9.5, 10.0, start=1300)

    assert [(order, 1.0, 10.0, "limit-better")] == world.priced
