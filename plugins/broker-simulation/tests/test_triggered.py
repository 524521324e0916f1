"""Stop-limit and trailing orders: what triggers them, and what of the bar is left for them.

Bars begin at 100 and end at 200. A selling order is its buying twin in a mirror: prices 20 - p, high for low.
"""

import pytest

NAN = float("nan")
LEVELS = ("limit_price", "stop_price")


def mirrored(value):
    return 20.0 - value


@pytest.fixture(params=[1, -1], ids=["buy", "sell"])
def side(request):
    return request.param


class Mirror:
    """A world in which buying orders are given, and sales met where the side says so."""

    def __init__(self, world, side):
        self.world = world
        self.side = side

    def price(self, value):
        return value if self.side > 0 else mirrored(value)

    def order(self, now, kind, **terms):
        terms = {key: self.price(value) if key in LEVELS else value for key, value in terms.items()}
        if "limit_offset" in terms:
            terms["limit_offset"] *= self.side
        return self.world.order(now, 5.0 * self.side, kind, **terms)

    def bar(self, now, opened, high, low, close):
        if self.side < 0:
            high, low = low, high
        self.world.bar(now, *(self.price(value) for value in (opened, high, low, close)))

    def stop(self, order):
        return self.price(float(self.world.state.orders.data[order]["stop_price"]))

    @property
    def filled(self):
        return [(self.price(price), reason) for _, _, price, reason in self.world.priced]


# path, bar, what a buying stop of 11 with a limit gives
STOP_LIMITS = [
    # triggered at the open: all of the bar is left, and the limit is met as any other
    ("pessimistic", 12.0, (11.5, 13.0, 10.0, 12.0), [(11.5, "limit-better")]),
    ("pessimistic", 11.5, (11.5, 13.0, 10.0, 12.0), [(11.5, "limit")]),
    ("pessimistic", 11.0, (11.5, 13.0, 10.0, 12.0), [(11.0, "limit")]),
    ("pessimistic", 11.0, (11.5, 13.0, 11.25, 12.0), []),
    # in the range above the open: what is left begins at the stop, keeps the high, and its low is the close at most
    ("pessimistic", 12.0, (10.0, 13.0, 9.0, 12.5), [(11.0, "limit-better")]),
    ("pessimistic", 11.0, (10.0, 13.0, 9.0, 12.5), [(11.0, "limit")]),
    ("pessimistic", 10.5, (10.0, 13.0, 9.0, 12.5), []),
    ("pessimistic", 10.5, (10.0, 13.0, 9.0, 10.25), [(10.5, "limit")]),
    ("pessimistic", 10.5, (10.0, 13.0, 9.0, 10.5), [(10.5, "limit")]),
    # on a known path the low comes after the high
    ("open-high-low-close", 9.5, (10.0, 13.0, 9.0, 12.5), [(9.5, "limit")]),
    # at the close: nothing is left
    ("pessimistic", 12.0, (NAN, 13.0, 11.25, 12.0), []),
    ("pessimistic", 12.0, (10.0, 10.75, 9.0, 10.5), []),
    # with no close known, the stop stands for it
    ("pessimistic", 10.5, (10.0, 13.0, 9.0, NAN), []),
    # with no open known, what is left spans stop and close
    ("pessimistic", 10.5, (NAN, 13.0, 9.0, 10.25), [(10.5, "limit")]),
    ("pessimistic", 10.5, (NAN, 13.0, 9.0, 12.0), []),
]


@pytest.mark.parametrize(("path", "limit", "bar", "expected"), STOP_LIMITS)
def test_a_stop_limit_order_fills_in_what_is_left_of_the_bar(make_world, side, path, limit, bar, expected):
    """Only what provably came after the stop was reached; sales on a known path have the high before them."""
    if side < 0 and path == "open-high-low-close":
        expected = []  # a low that triggers comes after the high
    mirror = Mirror(make_world(path=path), side)
    mirror.order(100, "stop-limit", stop_price=11.0, limit_price=limit)
    mirror.bar(200, *bar)

    assert expected == mirror.filled
    assert [0] * len(expected) == mirror.world.state.fills.rows()["maker"].tolist()


def test_a_stop_limit_order_that_was_triggered_is_a_limit_order_from_then_on(make_world, side):
    """Also on bars that do not come near the stop again; it is told once that it was triggered."""
    mirror = Mirror(make_world(), side)
    mirror.order(100, "stop-limit", stop_price=11.0, limit_price=10.0)
    mirror.bar(200, 10.5, 12.0, 10.25, 11.5)
    assert [("accepted", "triggered")] == mirror.world.history(0)
    mirror.bar(300, 10.75, 10.75, 9.5, 10.0)

    assert [(10.0, "limit")] == mirror.filled
    assert [1] == mirror.world.state.fills.rows()["maker"].tolist()
    assert [("accepted", "triggered"), ("filled", "limit")] == mirror.world.history(0)


def test_a_stop_limit_order_triggered_at_the_close_waits_for_the_next_row(make_world, side):
    """In session the close triggers it; nothing of that bar is left."""
    mirror = Mirror(make_world(), side)
    mirror.order(150, "stop-limit", stop_price=11.0, limit_price=12.0)
    mirror.bar(200, 10.0, 12.0, 9.0, 11.5)
    assert [] == mirror.filled
    mirror.bar(300, 11.75, 12.0, 11.0, 11.5)

    assert [(11.75, "limit-better")] == mirror.filled


def test_a_quote_triggers_a_stop_limit_order_and_a_later_one_fills_it(make_world):
    """The quote itself is its close: nothing of it is left."""
    world = make_world()
    world.order(100, 5.0, "stop-limit", stop_price=11.0, limit_price=12.0)
    world.quote(101, 10.0, 11.0)
    assert [] == world.priced
    world.quote(102, 10.0, 11.5)

    assert [(0, 5.0, 11.5, "limit-better")] == world.priced


TRAILS = [
    # rules, distance, begins, bars, what a buying order gives, where its stop ends
    # the level of the bar's start is met first
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 11.0, 9.0, 10.0)], [(11.0, "stop")], 11.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(11.5, 12.0, 9.0, 10.0)], [(11.5, "stop-gap")], 11.0),
    # then the low takes it along, and a close back at the new level fills there
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 9.0, 9.5)], [], 10.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 9.0, 10.25)], [(10.0, "stop")], 10.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 9.0, 10.0)], [(10.0, "stop")], 10.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 9.0, 9.5), (9.5, 10.25, 9.25, 9.5)], [(10.0, "stop")], 10.0),
    # it never moves away from the market
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 9.0, 9.5), (9.5, 9.75, 9.5, 9.5)], [], 10.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 10.25, 10.5)], [], 11.0),
    # by the close alone
    ({"trail": "close"}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 8.0, 10.25)], [], 11.0),
    ({"trail": "close"}, {"trail_amount": 1.0}, 10.0, [(10.0, 10.5, 8.0, 9.0)], [], 10.0),
    ({"sees": "close"}, {"trail_amount": 1.0}, 10.0, [(10.0, 20.0, 0.0, 9.0)], [], 10.0),
    # a stop of its own stands until the market has moved far enough
    ({}, {"trail_amount": 1.0, "stop_price": 10.5}, 10.0, [(9.75, 10.25, 9.75, 10.0)], [], 10.5),
    ({}, {"trail_amount": 1.0, "stop_price": 10.5}, 10.0, [(9.75, 10.25, 9.0, 9.5)], [], 10.0),
    # unknown fields: the low is that of what is known
    ({}, {"trail_amount": 1.0}, 10.0, [(10.0, NAN, NAN, 9.0)], [], 10.0),
    ({}, {"trail_amount": 1.0}, 10.0, [(NAN, NAN, NAN, NAN)], [], 11.0),
]


@pytest.mark.parametrize(("rules", "terms", "begins", "bars", "expected", "stands"), TRAILS)
def test_a_trailing_stop_follows_the_market(make_world, side, rules, terms, begins, bars, expected, stands):
    """Bar by bar: the old level first, then the extreme, then the close."""
    mirror = Mirror(make_world(**rules), side)
    mirror.world.state.instruments["mark"] = mirror.price(begins)
    order = mirror.order(100, "trailing-stop", **terms)
    for place, bar in enumerate(bars):
        mirror.bar(200 + 100 * place, *bar)

    assert expected == mirror.filled
    assert stands == mirror.stop(order)


@pytest.mark.parametrize(("quantity", "low", "expected"), [(5.0, 8.0, 8.8), (-5.0, 8.0, 9.0)])
def test_a_percent_trail_is_a_part_of_the_best_price(make_world, quantity, low, expected):
    """Above the lowest for a buy, below the highest for a sale."""
    world = make_world(trail="close")
    world.state.instruments["mark"] = 10.0
    order = world.order(100, quantity, "trailing-stop", trail_percent=0.1)
    assert pytest.approx(11.0 if quantity > 0 else 9.0) == world.state.orders.data[order]["stop_price"]
    world.bar(200, 9.5, 9.5, 9.25, low if quantity > 0 else 9.5)

    assert pytest.approx(expected) == world.state.orders.data[order]["stop_price"]


def test_on_a_known_path_a_sale_meets_the_low_after_the_high(make_world):
    """The high takes the stop up, and the low that follows reaches it; a buying one has its low last."""
    world = make_world(path="open-high-low-close")
    world.state.instruments["mark"] = 10.0
    world.order(100, -5.0, "trailing-stop", trail_amount=2.0)
    world.order(100, 5.0, "trailing-stop", trail_amount=3.0)
    world.bar(200, 10.0, 12.0, 9.0, 11.0)

    assert [(0, -5.0, 10.0, "stop")] == world.priced
    assert 12.0 == world.state.orders.data[1]["stop_price"]


def test_a_trailing_stop_without_a_price_begins_with_the_first_one(make_world, side):
    """At the open where it is known, else at the close."""
    for bar, stands in (
        ((10.0, 10.5, 9.5, 10.25), 10.5),
        ((NAN, 10.5, 9.5, 10.0), 10.5),
        ((NAN, NAN, NAN, 10.0), 11.0),
    ):
        mirror = Mirror(make_world(), side)
        order = mirror.order(100, "trailing-stop", trail_amount=1.0)
        mirror.bar(200, *bar)
        assert stands == mirror.stop(order)


def test_in_session_a_trailing_stop_follows_the_close_alone(make_world, side):
    """The extreme of the bar may have been before it."""
    mirror = Mirror(make_world(), side)
    mirror.world.state.instruments["mark"] = mirror.price(10.0)
    order = mirror.order(150, "trailing-stop", trail_amount=1.0)
    mirror.bar(200, 10.0, 10.5, 8.0, 9.5)

    assert [] == mirror.filled
    assert 10.5 == mirror.stop(order)


def test_a_trailing_stop_limit_has_its_limit_at_an_offset_from_the_stop(make_world, side):
    """It is fixed when the stop is reached; the stop stays where it was."""
    mirror = Mirror(make_world(), side)
    mirror.world.state.instruments["mark"] = mirror.price(10.0)
    order = mirror.order(100, "trailing-stop-limit", trail_amount=1.0, limit_offset=-0.5)
    mirror.bar(200, 10.0, 11.5, 10.0, 11.25)
    assert [] == mirror.filled
    row = mirror.world.state.orders.data[order]
    assert [11.0, 10.5] == [mirror.stop(order), mirror.price(float(row["limit_price"]))]
    mirror.bar(300, 11.0, 11.0, 10.5, 11.0)

    assert [(10.5, "limit")] == mirror.filled


def test_quotes_take_a_trailing_stop_along(make_world, side):
    """A buying one by the ask, a selling one by the bid; the quote that reaches it fills it."""
    mirror = Mirror(make_world(), side)
    world = mirror.world
    world.state.instruments["mark"] = 10.0
    order = mirror.order(100, "trailing-stop", trail_amount=1.0)
    for now, price in ((101, 9.0), (102, 9.5), (103, 10.0)):
        world.quote(now, mirror.price(price) if side < 0 else 0.5, mirror.price(price) if side > 0 else 19.5)
        assert mirror.stop(order) == 10.0

    assert [(10.0, "quote")] == mirror.filled


def test_a_stop_that_volume_left_a_rest_of_goes_on_as_a_market_order(make_world, side):
    """At the first price that it sees: the next open, or where that is unknown the close."""
    mirror = Mirror(make_world(volume_limit=0.5), side)
    world = mirror.world
    mirror.order(100, "stop", stop_price=11.0)
    for now, volume, bar in (
        (200, 4.0, (10.0, 12.0, 9.0, 10.0)),
        (300, 2.0, (9.0, 9.5, 8.0, 8.5)),
        (400, 2.0, (NAN, NAN, NAN, 8.0)),
        (500, 0.0, (9.0, 9.0, 9.0, 9.0)),
        (600, 9.0, (9.25, 9.25, 9.25, 9.25)),
    ):
        opened, high, low, close = bar if side > 0 else (bar[0], bar[2], bar[1], bar[3])
        world.bar(now, *(mirror.price(value) for value in (opened, high, low, close)), volume)

    expected = [(11.0, "stop"), (9.0, "next-open"), (8.0, "next-close"), (9.25, "next-open")]
    assert expected == mirror.filled
    assert [2.0 * side, side, side, side] == world.state.fills.rows()["quantity"].tolist()


def test_a_stop_that_is_reached_without_volume_is_told_that_it_was_triggered(make_world):
    """It stays a market order even where the price goes back."""
    world = make_world(volume_limit=0.5)
    world.order(100, 5.0, "stop", stop_price=11.0)
    world.bar(200, 10.0, 12.0, 9.0, 10.0, 0.0)
    assert [("accepted", "triggered")] == world.history(0)
    world.bar(300, 9.0, 9.0, 9.0, 9.0, 100.0)

    assert [(0, 5.0, 9.0, "next-open")] == world.priced
    assert [("accepted", "triggered"), ("filled", "next-open")] == world.history(0)
