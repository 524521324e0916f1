"""Corners of the core that a small fault could hide in: each test here fails where one is put in.

``python tests/measures/mutate_core.py`` puts them in.
"""

import numba
import numpy as np
import pytest

NAN = float("nan")
FLAT = (10.0, 11.0, 9.0, 10.0)


def limit(quantity, price, **more):
    return {"quantity": quantity, "kind": "limit", "limit_price": price, **more}


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
    for quantity in (5.0, -5.0):
        world.order(100, quantity, "trailing-stop", trail_amount=5.0)
    best = []
    for now, high, low in ((200, 10.5, 9.5), (300, 10.25, 9.75), (400, 11.0, 9.0)):
        world.bar(now, 10.0, high, low, 10.0)
        best.append(world.state.terms.rows()["extreme"].tolist())

    assert [[9.5, 10.5], [9.5, 10.5], [9.0, 11.0]] == best


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


def test_on_a_known_path_a_trailing_sale_is_met_by_the_low_at_its_very_level(make_world):
    """Before the close, with what else the low meets, the oldest first."""
    world = make_world(path="open-high-low-close")
    world.state.instruments["mark"] = 10.0
    world.order(100, -5.0, "trailing-stop", trail_amount=2.0)
    world.order(100, 5.0, "limit", limit_price=9.75)
    world.bar(200, 10.0, 11.5, 9.5, 11.0)

    assert [(0, -5.0, 9.5, "stop"), (1, 5.0, 9.75, "limit")] == world.priced


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
