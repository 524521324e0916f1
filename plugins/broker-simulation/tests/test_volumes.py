"""How much of an order fills: volume caps, quantities that are cut, and orders that fill whole or not at all."""

import pytest

NAN = float("nan")


def quantities(world):
    """Return the signed quantities of the fills by order, oldest first."""
    return [(order, quantity) for order, quantity, *_ in world.priced]


def test_without_a_cap_volume_plays_no_part(make_world):
    """Many feeds have none."""
    for volume in (0.0, NAN, 1.0):
        world = make_world()
        world.order(100, 5.0)
        world.bar(200, 10.0, 11.0, 9.0, 10.0, volume)
        assert [(0, 5.0)] == quantities(world)


@pytest.mark.parametrize(
    ("volume", "filled"),
    [(100.0, 10.0), (99.0, 9.0), (9.0, 0.0), (10.0, 1.0), (0.0, 0.0), (NAN, 0.0), (float("inf"), 0.0)],
)
def test_a_part_of_the_volume_fills_in_whole_lots(make_world, volume, filled):
    """A tenth of it, truncated; of none or an unknown one nothing."""
    world = make_world(volume_limit=0.1)
    world.order(100, 50.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, volume)

    assert ([(0, filled)] if filled else []) == quantities(world)
    assert ("partial" if filled else "accepted") == world.events[-1][1]


def test_what_is_left_waits_for_the_next_row(make_world):
    """Until the whole is there; the last part is the remainder."""
    world = make_world(volume_limit=0.1)
    world.order(100, 25.0)
    for now in (200, 300, 400):
        world.bar(now, 10.0, 11.0, 9.0, 10.0, 100.0)

    assert [(0, 10.0), (0, 10.0), (0, 5.0)] == quantities(world)
    assert [("partial", "next-open"), ("partial", "next-open"), ("filled", "next-open")] == world.history(0)
    assert [[], []] == world.working


def test_all_orders_of_a_symbol_share_the_cap(make_world):
    """Buys and sales alike, in the order in which they fill; another symbol has its own."""
    world = make_world(volume_limit=0.1)
    world.order(100, 6.0)
    world.order(100, -6.0)
    world.order(100, 6.0)
    other = world.order(100, 6.0, symbol=1)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 100.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 50.0, symbol=1)

    assert [(0, 6.0), (1, -4.0), (other, 5.0)] == quantities(world)


def test_the_volume_of_the_row_before_may_be_the_cap(make_world):
    """It was known; before the first row there is none."""
    world = make_world(volume_limit=0.1, volume_basis="trailing")
    world.order(100, 50.0)
    for now, volume in ((200, 100.0), (300, 40.0), (400, 0.0), (500, 1000.0), (600, 10.0)):
        world.bar(now, 10.0, 11.0, 9.0, 10.0, volume)

    assert [(0, 10.0), (0, 4.0), (0, 36.0)] == quantities(world)


def test_the_row_before_counts_where_nothing_worked_then(make_world):
    """The broker has to see every row for that, and says so."""
    world = make_world(volume_limit=0.1, volume_basis="trailing")
    assert world.broker.watches_rows
    assert not make_world(volume_limit=0.1).broker.watches_rows
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 70.0)
    world.order(200, 50.0)
    world.bar(300, 10.0, 11.0, 9.0, 10.0, 1000.0)

    assert [(0, 7.0)] == quantities(world)


def test_a_quote_has_a_cap_on_each_side(make_world):
    """The size asked for buys, the size bid for sales."""
    world = make_world(volume_limit=0.5)
    world.order(100, 50.0)
    world.order(100, -50.0)
    world.order(100, 50.0)
    world.quote(101, 9.0, 11.0, bid_size=20.0, ask_size=60.0)

    assert [(0, 30.0), (1, -10.0)] == quantities(world)
    world.quote(102, 9.0, 11.0, bid_size=20.0, ask_size=60.0)
    assert [(0, 20.0), (1, -10.0), (2, 10.0)] == quantities(world)[2:]


def test_quotes_before_keep_their_sides_apart(make_world):
    """With the trailing volume the quote before gives both caps."""
    world = make_world(volume_limit=0.5, volume_basis="trailing")
    world.order(100, 50.0)
    world.order(100, -50.0)
    world.quote(101, 9.0, 11.0, bid_size=20.0, ask_size=60.0)
    world.quote(102, 9.0, 11.0, bid_size=2.0, ask_size=2.0)

    assert [(0, 30.0), (1, -10.0)] == quantities(world)


def test_a_trade_fills_a_part_of_its_size(make_world):
    """On either side."""
    world = make_world(volume_limit=0.5)
    world.order(100, 50.0)
    world.order(100, -50.0)
    world.trade(101, 10.0, size=20.0)

    assert [(0, 10.0)] == quantities(world)


def test_fills_at_the_same_close_share_the_cap_with_those_before(make_world):
    """The row is the same one."""
    world = make_world("same-close", volume_limit=0.5)
    world.order(100, 5.0, "limit", limit_price=10.0)
    world.state.now = 200
    bars = world.bars((0, 100, 200, 10.0, 10.0))  # volume 7, a cap of 3
    world.broker.match(bars, 0, 1)
    world.order(200, 5.0)
    world.broker.match_now(bars, 0, 1)

    assert [(0, 3.0)] == quantities(world)


@pytest.mark.parametrize(
    ("time_in_force", "filler", "reason"), [("IOC", 0, "remainder-of-ioc"), ("FOK", 1, "not-whole")]
)
def test_ioc_takes_what_there_is_and_fok_all_or_nothing(make_world, time_in_force, filler, reason):
    """Then they end, after all fills of the row; what FOK leaves is for the order behind it."""
    world = make_world(volume_limit=0.1)
    world.order(100, 7.0, time_in_force=time_in_force)
    world.order(100, 7.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 30.0)

    assert [(filler, 3.0)] == quantities(world)
    assert ("cancelled", reason) == world.history(0)[-1]


@pytest.mark.parametrize(("time_in_force", "volume"), [("IOC", 70.0), ("FOK", 70.0), ("FOK", 1000.0)])
def test_what_fills_whole_at_once_is_filled(make_world, time_in_force, volume):
    """Exactly enough is enough."""
    world = make_world(volume_limit=0.1)
    world.order(100, -7.0, time_in_force=time_in_force)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, volume)

    assert [(0, -7.0)] == quantities(world)
    assert [("filled", "next-open")] == world.history(0)


@pytest.mark.parametrize(
    ("held", "quantity", "filled"),
    [(10.0, -4.0, -4.0), (10.0, -10.0, -10.0), (10.0, -15.0, -10.0), (-10.0, 15.0, 10.0)],
)
def test_reduce_only_orders_close_at_most_the_position(make_world, held, quantity, filled):
    """A fill is cut to what is held; the rest is cancelled when it would fill next."""
    world = make_world()
    world.state.positions[0]["quantity"] = held
    world.order(100, quantity, reduce_only=1)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)
    world.bar(300, 10.0, 11.0, 9.0, 10.0)

    assert [(0, filled)] == quantities(world)
    last = ("filled", "next-open") if filled == quantity else ("cancelled", "nothing-to-reduce")
    assert last == world.history(0)[-1]


@pytest.mark.parametrize(("held", "quantity"), [(0.0, -4.0), (0.0, 4.0), (10.0, 4.0), (-10.0, -4.0)])
def test_reduce_only_orders_never_open_or_add(make_world, held, quantity):
    """They end at the moment at which they would fill."""
    world = make_world()
    world.state.positions[0]["quantity"] = held
    world.order(100, quantity, "limit", limit_price=12.0 if quantity > 0 else 8.0, reduce_only=1)
    world.bar(200, NAN, NAN, NAN, NAN)
    assert [] == world.history(0)
    world.bar(300, 10.0, 11.0, 9.0, 10.0)

    assert [] == quantities(world)
    assert [("cancelled", "nothing-to-reduce")] == world.history(0)


def test_two_reduce_only_orders_close_the_position_once(make_world):
    """The second one meets what the first has left."""
    world = make_world()
    world.state.positions[0]["quantity"] = 10.0
    world.order(100, -8.0, reduce_only=1)
    world.order(100, -8.0, reduce_only=1)
    world.bar(200, 10.0, 11.0, 9.0, 10.0)

    assert [(0, -8.0), (1, -2.0)] == quantities(world)


def test_filled_quantities_are_rounded_to_the_step_and_the_last_part_is_the_rest(make_world):
    """Three tenths in parts of one are three tenths, not 0.30000000000000004."""
    world = make_world(volume_limit=0.1, instruments={"lot": 0.1, "quantity_step": 0.1})
    world.order(100, 0.3)
    for now in (200, 300):
        world.bar(now, 10.0, 11.0, 9.0, 10.0, 1.0)
    assert 0.2 == world.state.orders.data[0]["filled"]
    world.bar(400, 10.0, 11.0, 9.0, 10.0, 1.0)

    assert 0.3 == world.state.orders.data[0]["filled"]
    assert "filled" == world.events[-1][1]


def test_without_a_step_or_a_lot_nothing_is_rounded(make_world):
    """Both may be turned off."""
    world = make_world(volume_limit=0.5, instruments={"lot": 0.0, "quantity_step": 0.0})
    world.order(100, 1.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 0.7)

    assert [(0, 0.35)] == quantities(world)
    assert 0.35 == world.state.orders.data[0]["filled"]


@pytest.mark.parametrize(("counts", "left"), [(1, 40.0), (0, 0.0)])
def test_the_book_counts_what_is_left_of_orders_that_count(make_world, counts, left):
    """A target's part beside it."""
    world = make_world(volume_limit=0.1)
    world.order(100, 50.0, counts=counts, is_target=1)
    world.order(100, 0.5, "stop", stop_price=99.0, counts=0)
    world.bar(200, 10.0, 11.0, 9.0, 10.0, 100.0)

    book = world.state.books[0]
    assert [left, left] == [book["open_quantity"], book["target_quantity"]]
