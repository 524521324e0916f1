"""Corners of the core that a small fault could hide in: each test here fails where one is put in.

``python tests/measures/mutate_core.py`` puts them in.
"""

import pytest

NAN = float("nan")
FLAT = (10.0, 11.0, 9.0, 10.0)


def limit(quantity, price, **more):
    return {"quantity": quantity, "kind": "limit", "limit_price": price, **more}


def test_only_the_first_fault_is_told(make_world):
    """Two orders have other fills than they say."""
    from ml4t.backtest.errors import BacktestError

    world = make_world()
    for _ in range(3):
        world.order(100, 5.0)
    world.bar(200, *FLAT)
    world.state.orders.data["filled"][1:3] = 4.0
    with pytest.raises(BacktestError, match="order 1"):
        world.broker.finish()


def test_an_amendment_of_a_leg_that_is_on_its_way_out_is_refused(make_world):
    """Another leg's end was asked for: already-done."""
    world = make_world()
    world.submit(50, limit(5.0, 1.0, group=0), limit(5.0, 1.0, group=0))
    world.cancel(150, 0)
    world.amend(150, 1, limit_price=2.0)

    assert (1, "refused", "already-done") == world.events[-1]


def test_an_order_that_is_over_by_its_amendment_ends_before_the_rest_of_the_row(make_world):
    """It has filled its new quantity at the open; another order fills in the range after it."""
    world = make_world(volume_limit=0.5)
    order = world.order(50, 10.0, "limit", limit_price=12.0)
    world.amend(150, order, quantity=4.0)
    other = world.order(100, 1.0, "limit", limit_price=9.0)
    world.bar(200, *FLAT, 10.0)
    assert [(order, 5.0)] == [fill[:2] for fill in world.priced]
    world.bar(300, *FLAT, 10.0)

    assert [(other, 1.0)] == [fill[:2] for fill in world.priced[1:]]
    assert ("cancelled", "cancelled-by-strategy") == world.history(order)[-1]


@pytest.mark.parametrize(
    ("entry", "expires", "filled"),
    [(12.0, 99, []), (12.0, 100, [10.0]), (12.0, 150, [10.0]), (12.0, 200, [10.0]), (9.5, 150, []), (9.5, 200, [9.5])],
)
def test_a_child_that_expires_within_the_bar_of_its_entry_takes_what_forms_until_then(
    make_world, entry, expires, filled
):
    """The open, where the entry filled at it; of the rest nothing."""
    world = make_world()
    world.order(50, 5.0, "limit", limit_price=entry)
    child = world.order(50, -5.0, "limit", limit_price=9.5, parent=0, time_in_force="GTD", expires_at=expires)
    world.bar(200, *FLAT)

    assert filled == [price for order, _, price, _ in world.priced if order == child]
    assert (("filled", "cancelled")[not filled] if filled else "expired") == world.history(child)[-1][0]


@pytest.mark.parametrize(("amended", "price", "left"), [(None, 9.5, 4.0), (9.0, 1.0, 4.0), (3.0, 1.0, 3.0)])
def test_children_are_cut_as_soon_as_their_entry_ends_in_a_row(make_world, amended, price, left):
    """An entry that only reduces ends at the open with 4 of 10: no more of its child fills in the range of that bar.

    An amendment that waits for the close is cut likewise, and kept where it asks for less.
    """
    world = make_world()
    world.state.positions[0]["quantity"] = 4.0
    world.order(50, -10.0, reduce_only=1)
    child = world.order(50, 10.0, "limit", limit_price=price, parent=0)
    world.bar(200, 10.0, 10.0, 10.0, 10.0)
    if amended is not None:
        world.amend(250, child, quantity=amended)
    world.bar(300, *FLAT)

    assert ("cancelled", "nothing-to-reduce") == world.history(0)[-1]
    assert left == world.state.orders.data[child]["quantity"]
    assert (left if amended is None else 0.0) == world.state.orders.data[child]["filled"]


def test_sessions_end_only_what_has_a_term(make_world):
    """Plain market orders beside it stay, of the symbol and of others."""
    world = make_world(opens=(100,), closes=(200,))
    world.order(50, 5.0)
    over = world.order(50, 5.0, "limit", limit_price=1.0, time_in_force="DAY")
    world.order(50, 5.0, symbol=1)
    world.bar(200, NAN, 11.0, 9.0, 10.0)
    world.end_session(200)

    assert [("expired", "day-over")] == world.history(over)
    assert [[0], [2]] == world.working


@pytest.mark.parametrize("counts", [0, 1])
def test_plain_market_orders_count_in_the_book_until_they_fill(make_world, counts):
    """Where they count at all; targets beside them."""
    world = make_world()
    world.order(100, 5.0, counts=counts, is_target=1)
    world.order(150, 3.0, counts=1)
    assert [3.0 + 5.0 * counts, 5.0 * counts] == [
        world.state.books[0][name] for name in ("open_quantity", "target_quantity")
    ]
    world.bar(200, *FLAT)

    assert [3.0, 0.0] == [world.state.books[0][name] for name in ("open_quantity", "target_quantity")]


def test_rows_of_symbols_that_nobody_can_have_ordered_are_noted_and_passed_over(make_world):
    """A symbol that this very instant names first; with volume limits its volume is kept."""
    world = make_world(volume_limit=0.5, volume_basis="trailing")
    world.order(100, 5.0, symbol=1)
    world.bar(200, *FLAT, 6.0, symbol=2)
    world.bar(200, *FLAT, 6.0, symbol=1)
    assert [] == world.priced
    world.state.add_symbols(["C"])
    world.order(200, 5.0, symbol=2)
    world.bar(300, *FLAT, 1.0, symbol=2)

    assert [(1, 3.0)] == [fill[:2] for fill in world.priced]


def test_same_close_fills_only_what_was_submitted_at_it(make_world):
    """Beside orders of other kinds, earlier ones, and those on close."""
    world = make_world("same-close")
    for submitted, kind, more in (
        (100, "market", {}),
        (200, "limit", {"limit_price": 12.0}),
        (200, "market", {"time_in_force": "CLS"}),
        (200, "market", {"time_in_force": "OPG"}),
        (200, "market", {}),
    ):
        world.order(submitted, 5.0, kind, **more)
    world.state.now = 200
    world.match_now((0, 100, 200, 10.0, 10.5))

    assert [(4, 5.0, 10.5, "same-close")] == world.priced
    assert [200] == world.state.fills.rows()["formed_at"].tolist()


def test_an_order_at_the_same_close_that_found_no_price_waits_for_the_next(make_world):
    """Unknown there; the next close fills it, as next-close."""
    world = make_world("same-close")
    world.order(200, 5.0)
    world.order(200, 5.0, "limit", limit_price=1.0)
    world.match_now((0, 100, 200, 10.0, NAN))
    assert [] == world.priced
    world.bar(300, *FLAT)

    assert [(0, 5.0, 10.0, "next-close")] == world.priced


@pytest.mark.parametrize("link", ["parent", "group"])
def test_an_order_is_no_child_of_itself(make_world, link):
    """But the first leg of its group."""
    world = make_world()
    world.submit(100, limit(5.0, 1.0, **{link: 0}))

    assert ("refused" if link == "parent" else "accepted") == world.events[-1][1]


def test_the_best_price_of_a_trailing_stop_is_kept(make_world):
    """The lowest since it was accepted for a buy, the highest for a sale."""
    world = make_world()
    world.state.instruments["mark"] = 10.0
    for stop in (NAN, 15.0):
        world.order(100, 5.0, "trailing-stop", trail_amount=5.0, stop_price=stop)
        world.order(100, -5.0, "trailing-stop", trail_amount=5.0, stop_price=20.0 - stop)
    best = []
    for now, high, low in ((200, 10.5, 9.5), (300, 10.25, 9.75), (400, 11.0, 9.0)):
        world.bar(now, 10.0, high, low, 10.0)
        best.append(world.state.terms.rows()["extreme"].tolist())

    assert [[9.5, 10.5] * 2, [9.5, 10.5] * 2, [9.0, 11.0] * 2] == best


@pytest.mark.parametrize(
    "trail", [{"trail_amount": 1.0, "trail_percent": 0.0}, {"trail_amount": 0.0, "trail_percent": 0.1}]
)
def test_of_the_two_trails_one_may_be_zero(make_world, trail):
    """It stands for none."""
    world = make_world()
    world.state.instruments["mark"] = 10.0
    world.order(100, 5.0, "trailing-stop", **trail)

    assert [(0, "submitted", ""), (0, "accepted", "")] == world.events
    assert 11.0 == world.state.orders.data[0]["stop_price"]


def test_a_group_in_which_every_fill_reduces_every_leg_finds_room_for_what_it_records(make_world):
    """Forty legs, each one unit above the one before: all fill in one row, and each fill tells all that are left."""
    world = make_world()
    world.submit(100, *(limit(1.0 + leg, 12.0, group=0, counts=0) for leg in range(40)))
    world.bar(200, *FLAT)

    assert list(range(40)) == [order for order, *_ in world.priced]
    assert [1.0] * 40 == [quantity for _, quantity, *_ in world.priced]
    assert 2 * 40 + 40 + 40 * 39 // 2 == len(world.events)


@pytest.mark.parametrize(("held", "quantity"), [(-0.5, 0.5), (0.5, -0.5), (-0.5, 0.75), (1.0, -1.0), (-1.0, 1.0)])
def test_reduce_only_orders_close_parts_of_a_unit(make_world, held, quantity):
    """A half is a position, and so is one."""
    world = make_world()
    world.state.positions[0]["quantity"] = held
    world.order(100, quantity, reduce_only=1)
    world.bar(200, *FLAT)

    assert [(0, -held)] == [fill[:2] for fill in world.priced]


def test_on_a_known_path_a_trailing_sale_is_met_by_the_low_at_its_very_level(make_world):
    """Before the close, with what else the low meets, the oldest first."""
    world = make_world(path="open-high-low-close")
    world.state.instruments["mark"] = 10.0
    world.order(100, -5.0, "trailing-stop", trail_amount=2.0)
    world.order(100, 5.0, "limit", limit_price=9.75)
    world.bar(200, 10.0, 11.5, 9.5, 11.0)

    assert [(0, -5.0, 9.5, "stop"), (1, 5.0, 9.75, "limit")] == world.priced


@pytest.mark.parametrize("beside", [False, True])
def test_an_order_keeps_the_reason_of_its_newest_transition(make_world, beside):
    """What a strategy reads of it."""
    from ml4t.backtest.state import REASONS

    world = make_world()
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0)
    order = world.order(100, 5.0)
    world.bar(200, *FLAT)

    row = world.state.orders.data[order]
    assert ["next-open", 4, 5.0] == [REASONS[row["reason"]], row["status"], row["filled"]]


@pytest.mark.parametrize("beside", [False, True])
def test_a_row_that_nobody_waits_for_does_not_hide_those_behind_it(make_world, beside):
    """Of a symbol that is new, of one without orders, and in between."""
    world = make_world()
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0)
    order = world.order(100, 5.0)
    world.match(200, (2, 100, 200, 7.0, 7.0), (1, 100, 200, 8.0, 8.0), (0, 100, 200, 10.0, 10.0))

    assert [(order, 5.0, 10.0, "next-open")] == world.priced


@pytest.mark.parametrize("first", ["stop", "limit"])
@pytest.mark.parametrize("tell", ["quote", "trade", "close"])
def test_at_one_price_the_oldest_order_fills_first(make_world, first, tell):
    """A quote, a trade and a close are one instant for stops and limits alike."""
    world = make_world()
    kinds = [first, "limit" if first == "stop" else "stop"]
    for kind in kinds:
        world.order(150, 5.0, kind, **{f"{kind}_price": 10.0})
    if tell == "quote":
        world.quote(200, 9.0, 10.0)
    elif tell == "trade":
        world.trade(200, 10.0)
    else:
        world.bar(200, *FLAT)

    assert [0, 1] == [order for order, *_ in world.priced]


@pytest.mark.parametrize("symbol", [-1, 2, 3])
def test_replacing_targets_of_a_symbol_that_is_not_there_does_nothing(make_world, symbol):
    """Neither an error nor a transition."""
    world = make_world()
    world.order(100, 5.0, is_target=1)
    world.submit(100, {"action": 2, "symbol": symbol})

    assert 2 == len(world.events)


def test_a_child_that_has_filled_its_part_ends_with_its_entry(make_world):
    """4 of 10 are in and out again: nothing is left of it."""
    world = make_world(volume_limit=0.5)
    entry = world.order(100, 10.0)
    target = world.order(100, -10.0, "limit", limit_price=12.0, parent=entry)
    world.bar(200, *FLAT, 8.0)
    world.bar(300, NAN, 12.0, 11.0, 12.0, 100.0)
    world.cancel(300, entry)

    assert [(entry, 4.0), (target, -4.0)] == [fill[:2] for fill in world.priced]
    assert ("cancelled", "parent-ended") == world.history(target)[-1]
    assert [[], []] == world.working


def test_a_market_order_may_be_the_first_leg(make_world):
    """The others are reduced by its fill."""
    world = make_world()
    world.submit(100, {"quantity": 3.0, "group": 0}, limit(5.0, 1.0, group=0))
    world.bar(200, *FLAT)

    assert [(0, 3.0)] == [fill[:2] for fill in world.priced]
    assert 2.0 == world.state.orders.data[1]["quantity"]


def test_legs_that_were_on_their_way_out_end_with_the_run(make_world):
    """The one whose end was asked for by the strategy, the other by the end."""
    world = make_world()
    world.submit(50, limit(5.0, 1.0, group=0), limit(5.0, 1.0, group=0))
    world.order(50, 1.0)
    world.cancel(150, 0)
    world.broker.finish()

    ends = [("cancelled", reason) for reason in ("cancelled-by-strategy", "end-of-run", "end-of-run")]
    assert ends == [world.history(order)[-1] for order in range(3)]


def test_transitions_are_numbered_and_dated(make_world):
    """Without a gap, refused cancels among them; what comes after one in the same round is carried out."""
    world = make_world()
    world.submit(100, {"action": 1, "order_id": 7}, (0, 5.0), {"action": 3, "order_id": 7}, (0, 2.0))
    world.bar(200, *FLAT)
    world.cancel(250, 0)

    events = world.state.order_events.rows()
    assert list(range(len(events))) == events["sequence"].tolist()
    assert [100] * 6 + [200, 200, 250] == events["timestamp"].tolist()
    assert [5.0, 2.0] == [quantity for _, quantity, *_ in world.priced]


def test_with_latency_a_market_order_beside_others_waits_too(make_world):
    """For the first open that forms late enough."""
    for submitted, price in ((90, 10.0), (91, 10.5)):
        world = make_world(config={"latency": "10ns"})
        world.order(50, 5.0, "limit", limit_price=1.0)
        world.order(submitted, 5.0)
        world.bar(200, *FLAT)
        world.bar(300, 10.5, 11.0, 9.0, 10.0)
        assert [(1, 5.0, price, "next-open")] == world.priced


def test_what_expires_between_rows_leaves_its_symbols_list(make_world):
    """At the session's close, in the middle of others."""
    world = make_world(opens=(100,), closes=(200,))
    for expires in (0, 150, 0):
        tif = {"time_in_force": "GTD", "expires_at": expires} if expires else {}
        world.order(50, 5.0, "limit", limit_price=1.0, **tif)
    world.end_session(200)

    assert [[0, 2], []] == world.working


def test_in_a_run_of_one_session_a_day_order_lives_to_its_close(make_world):
    """Through all of its bars."""
    world = make_world(opens=(100,), closes=(200,))
    world.order(50, 5.0, "limit", limit_price=9.0, time_in_force="DAY")
    world.bar(150, 10.0, 10.0, 9.5, 10.0)
    world.bar(200, 10.0, 10.0, 9.0, 10.0, start=150)

    assert [("filled", "limit")] == world.history(0)


def test_a_child_is_no_order_of_the_close_that_its_entry_took(make_world):
    """In mode same-close it waits for the next one."""
    world = make_world("same-close")
    world.order(200, 5.0)
    world.order(200, -5.0, parent=0)
    world.state.now = 200
    world.match_now((0, 100, 200, 10.0, 10.5))
    assert [(0, 5.0, 10.5, "same-close")] == world.priced
    world.bar(300, *FLAT)

    assert [(1, -5.0, 10.0, "next-close")] == world.priced[1:]


@pytest.mark.parametrize(
    ("kind", "terms", "reason"),
    [
        ("stop", {"stop_price": 11.0, "time_in_force": "GTD", "expires_at": 100}, "expiry-passed"),
        ("limit", {"limit_price": 9.0, "time_in_force": "GTD", "expires_at": 100}, "expiry-passed"),
        ("trailing-stop", {"stop_price": 11.0, "trail_amount": -1.0}, "trail-not-positive"),
        ("stop-limit", {"stop_price": -1.0, "limit_price": 9.0}, "price-not-positive"),
    ],
)
def test_a_good_price_does_not_hide_what_else_is_wrong(make_world, kind, terms, reason):
    """All terms are looked at."""
    world = make_world()
    world.order(100, 5.0, kind, **terms)

    assert (0, "refused", reason) == world.events[-1]
