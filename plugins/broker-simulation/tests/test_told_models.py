"""What models of costs and fills are told, and what the core makes of what they say."""

import numba
import numpy as np
import pytest

NAN = float("nan")
FLAT = (10.0, 11.0, 9.0, 10.0)


class Told:
    """A model that costs nothing and keeps what it is told."""

    def __init__(self, seen, *names):
        def function(orders, i, market, params, state):
            seen.append([float(market[0][name]) for name in names])
            return 0.0

        self.function = function

    def params(self):
        return np.zeros(0)

    def initial_state(self):
        return np.zeros(0)

    def describe(self):
        return "told"


@numba.njit(error_model="numpy")
def ten_percent(orders, i, market, params, state):
    return params[0] * market[0]["price"] * np.sign(market[0]["quantity"])


@numba.njit(error_model="numpy")
def over_zero(orders, i, market, params, state):
    return market[0]["price"] / params[0]


@pytest.mark.parametrize(
    ("rule", "quantity", "level", "paid"),
    [
        ("clip", 5.0, 10.5, 10.5),
        ("clip", 5.0, 12.0, 11.0),
        ("clip", -5.0, 9.5, 9.5),
        ("clip", -5.0, 8.0, 9.0),
        ("wait", 5.0, 10.5, None),
        ("wait", 5.0, 11.0, 11.0),
        ("wait", -5.0, 9.5, None),
        ("wait", -5.0, 9.0, 9.0),
    ],
)
def test_slippage_takes_no_price_beyond_the_limit(make_world, make_model, rule, quantity, level, paid):
    """Clipped to the limit, or waiting where it would go beyond; exactly the limit is not beyond."""
    world = make_world(beyond_limit=rule, slippage=make_model(ten_percent, (0.1,)))
    world.order(100, quantity, "limit", limit_price=level)
    world.bar(200, *FLAT)

    assert ([] if paid is None else [paid]) == world.state.fills.rows()["price"].tolist()
    assert ([] if paid is None else [10.0]) == world.state.fills.rows()["reference_price"].tolist()
    assert ("accepted" if paid is None else "filled") == world.events[-1][1]


@pytest.mark.parametrize("rule", ["clip", "wait"])
def test_a_stop_has_no_limit_that_holds_slippage_back(make_world, make_model, rule):
    """It pays the price and all of the slippage."""
    world = make_world(beyond_limit=rule, slippage=make_model(ten_percent, (0.1,)))
    world.order(100, 5.0, "stop", stop_price=10.0)
    world.bar(200, *FLAT)

    assert [11.0] == world.state.fills.rows()["price"].tolist()


@pytest.mark.parametrize("kind", ["slippage", "impact", "commission"])
@pytest.mark.parametrize("beside", [False, True])
def test_an_order_whose_price_is_no_number_ends_and_the_others_go_on(make_world, make_model, kind, beside):
    """By the path of plain market orders and by the other; what it would have filled is nobody's."""
    world = make_world(**{kind: make_model(over_zero, (0.0,))})
    world.order(100, 5.0)
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0)
    world.bar(200, *FLAT)

    assert [] == world.priced
    assert [("cancelled", "fill-price-not-finite")] == world.history(0)
    assert [[1] if beside else [], []] == world.working
    assert (5.0 if beside else 0.0) == world.state.books[0]["open_quantity"]


def test_an_order_remembers_all_that_its_fills_cost(make_world, make_model):
    """Models of commission look it up."""

    @numba.njit
    def fee(orders, i, market, params, state):
        return 1.0 + orders[i]["commission"]

    world = make_world(volume_limit=0.5, commission=make_model(fee))
    world.order(100, 5.0)
    for now in (200, 300, 400):
        world.bar(now, *FLAT, 4.0)

    assert [1.0, 2.0, 4.0] == world.state.fills.rows()["commission"].tolist()
    assert 7.0 == world.state.orders.data[0]["commission"]


@pytest.mark.parametrize("beside", [False, True])
def test_a_fill_says_of_which_order_and_row_it_is(make_world, make_model, beside):
    """By both paths: account, times, what slippage cost with the multiplier, the place among transitions."""
    world = make_world(
        slippage=make_model(ten_percent, (0.1,)),
        commission=make_model(ten_percent, (0.2,)),
        instruments={"multiplier": 50.0},
    )
    world.order(120, -4.0, symbol=1)
    if beside:
        world.order(120, 4.0, "limit", limit_price=1.0, symbol=1)
    world.bar(300, *FLAT, start=200, symbol=1)

    (fill,) = world.state.fills.rows()
    expected = {
        "order_id": 0, "symbol": 1, "account": 0, "maker": 0, "quantity": -4.0, "price": 9.0, "reference_price": 10.0,
        "commission": -1.8, "slippage": 200.0, "formed_at": 200, "known_at": 300, "submitted_at": 120,
    }  # fmt: skip
    assert expected == pytest.approx({name: fill[name] for name in expected})
    assert fill["commission"] == world.state.orders.data[0]["commission"]
    (event,) = (each for each in world.state.order_events.rows() if each["status"] == 4)
    assert event["sequence"] == fill["sequence"] == len(world.events) - 1
    assert [300, -4.0, -4.0] == [event[name] for name in ("timestamp", "quantity", "filled")]


def test_models_are_told_what_the_order_sees(make_world, make_model):
    """Of a bar the prices that it may take; of a quote its price four times, and the size at its side."""
    seen = []

    def look(orders, i, market, params, state):
        names = ("open", "high", "low", "close", "volume", "vwap", "price", "quantity", "maker", "multiplier")
        seen.append([float(market[0][name]) for name in names])
        return 0.0

    world = make_world(slippage=make_model(look), instruments={"multiplier": 2.0})
    world.order(100, 5.0, "limit", limit_price=9.5)
    world.order(150, 5.0, "limit", limit_price=10.0)
    world.bar(200, *FLAT, vwap=9.75)
    world.order(200, 5.0)
    world.order(200, -5.0)
    world.quote(201, 9.0, 11.0, bid_size=3.0, ask_size=7.0)
    world.order(201, 5.0, "limit", limit_price=10.0)
    world.trade(202, 10.0, size=8.0)

    expected = [
        [10.0, 11.0, 9.0, 10.0, 1000.0, 9.75, 9.5, 5.0, 1.0, 2.0],
        [NAN, NAN, NAN, 10.0, 1000.0, 9.75, 10.0, 5.0, 0.0, 2.0],
        [11.0, 11.0, 11.0, 11.0, 7.0, NAN, 11.0, 5.0, 0.0, 2.0],
        [9.0, 9.0, 9.0, 9.0, 3.0, NAN, 9.0, -5.0, 0.0, 2.0],
        [10.0, 10.0, 10.0, 10.0, 8.0, NAN, 10.0, 5.0, 0.0, 2.0],
    ]
    np.testing.assert_array_equal(expected, seen)


@pytest.mark.parametrize(
    ("market", "submitted", "expected"),
    [
        ("open", 100, [10.0, 11.0, 9.0, 10.5]),
        ("close", 100, [10.0, 11.0, 9.0, 10.5]),
        ("close", 101, [NAN, NAN, NAN, 10.5]),
        ("close", 99, [10.0, 11.0, 9.0, 10.5]),
    ],
)
def test_models_of_plain_market_orders_see_no_more_than_these(make_world, make_model, market, submitted, expected):
    """A close that comes after an order says nothing of the range before it."""
    seen = []

    def look(orders, i, market, params, state):
        seen.append([float(market[0][name]) for name in ("open", "high", "low", "close")])
        return 0.0

    world = make_world(market, slippage=make_model(look))
    world.order(submitted, 5.0)
    world.bar(200, 10.0, 11.0, 9.0, 10.5)

    np.testing.assert_array_equal([expected], seen)


def test_a_fill_model_may_take_any_price_of_the_row_or_none(make_world):
    """It is given the price that the rules found."""
    for answer, expected in ((lambda price: price + 1.0, [11.0]), (lambda price: NAN, []), (lambda price: 9.0, [9.0])):

        def function(orders, i, market, params, state, answer=answer):
            return answer(float(market[0]["price"]))

        world = make_world(function=function)
        world.order(100, 5.0)
        world.bar(200, *FLAT)
        assert expected == [price for _, _, price, _ in world.priced]
        assert ([("filled", "next-open")] if expected else []) == world.history(0)


def test_parts_of_a_unit_have_children_and_volumes_too(make_world):
    """Half of one fills, and of its child as much; a quote tells models the size at the side of half a unit."""
    world = make_world(volume_limit=0.5, instruments={"lot": 0.125})
    world.order(100, 1.0)
    child = world.order(100, -1.0, "limit", limit_price=9.0, parent=0)
    world.bar(200, NAN, NAN, NAN, 10.0, 1.0)
    world.bar(300, *FLAT, 1.0)
    world.bar(400, NAN, 11.0, 9.0, 10.0, 10.0)
    assert [(0, 0.5), (child, -0.5)] == [fill[:2] for fill in world.priced]

    seen = []
    world = make_world(slippage=Told(seen, "volume"))
    world.order(100, 0.5)
    world.order(100, -0.5)
    world.quote(101, 9.0, 11.0, bid_size=3.0, ask_size=7.0)
    assert [[7.0], [3.0]] == seen


@pytest.mark.parametrize("beside", [False, True])
def test_models_are_told_symbol_and_times_of_the_row(make_world, beside):
    """On both paths."""
    seen = []
    world = make_world(slippage=Told(seen, "symbol", "bar_start", "event_time", "known_at"))
    if beside:
        world.order(100, 5.0, "limit", limit_price=1.0, symbol=1)
    world.order(100, 5.0)
    world.order(100, 5.0, symbol=1)
    world.bar(200, *FLAT)
    world.bar(350, *FLAT, start=250, symbol=1)

    assert [[0.0, 100.0, 200.0, 200.0], [1.0, 250.0, 350.0, 350.0]] == seen


def test_a_maker_s_fill_leaves_no_trace_on_the_next_one(make_world):
    """A market order is a taker, whichever path it takes."""
    seen = []
    world = make_world(slippage=Told(seen, "maker"))
    world.order(100, 5.0, "limit", limit_price=9.5)
    world.bar(200, *FLAT)
    world.order(200, 5.0)
    world.bar(300, *FLAT)

    assert [[1.0], [0.0]] == seen
    assert [1, 0] == world.state.fills.rows()["maker"].tolist()
