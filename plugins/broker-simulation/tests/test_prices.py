"""At which price, for which reason and in which phase each kind of order fills: matching.md, table by table.

Bars begin at 100 and end at 200. A selling order is its buying twin in a mirror: prices 20 - p, high for low.
"""

import pytest

NAN = float("nan")
BEFORE, WITHIN, AT_CLOSE = 100, 150, 200
PRICES = ("limit_price", "stop_price")


def mirrored(value):
    return 20.0 - value


def mirrored_bar(opened, high, low, close):
    return mirrored(opened), mirrored(low), mirrored(high), mirrored(close)


def met(world, side, kind, terms, bar, *, submitted=BEFORE):
    """Return (price, reason, instant, maker) of what a bar fills of an order, as its buying twin would; else None."""
    if side < 0:
        terms = {key: mirrored(value) if key in PRICES else value for key, value in terms.items()}
        bar = mirrored_bar(*bar)
    world.order(submitted, 5.0 * side, kind, **terms)
    world.bar(200, *bar)
    rows = world.state.fills.rows()
    if not len(rows):
        return None
    (_, quantity, price, reason), fill = world.priced[0], rows[0]
    assert [5.0 * side] == [quantity] == [float(fill["quantity"])]
    return (price if side > 0 else mirrored(price), reason, int(fill["formed_at"]), int(fill["maker"]))


@pytest.fixture(params=[1, -1], ids=["buy", "sell"])
def side(request):
    return request.param


LIMITS = [
    # open, high, low, close, what a limit of 10 gives
    ((9.0, 11.0, 8.0, 10.5), (9.0, "limit-better", 100, 0)),
    ((10.0, 11.0, 9.0, 10.5), (10.0, "limit", 100, 0)),
    ((11.0, 12.0, 9.0, 11.0), (10.0, "limit", 200, 1)),
    ((11.0, 12.0, 10.0, 11.0), (10.0, "limit", 200, 1)),
    ((11.0, 12.0, 10.25, 11.0), None),
    ((11.0, 12.0, NAN, 10.0), (10.0, "limit", 200, 1)),
    ((11.0, NAN, NAN, 9.0), (10.0, "limit", 200, 1)),
    ((NAN, 12.0, 9.0, 11.0), (10.0, "limit", 200, 1)),
    ((NAN, 12.0, 10.0, 11.0), (10.0, "limit", 200, 1)),
    ((NAN, 10.0, 9.0, 9.5), (10.0, "limit", 200, 1)),
    ((NAN, 9.75, 9.0, 9.5), (9.5, "limit-better", 200, 0)),
    ((NAN, NAN, NAN, 10.0), (10.0, "limit", 200, 1)),
    ((11.0, 12.0, 10.25, NAN), None),
    ((NAN, NAN, NAN, NAN), None),
]


@pytest.mark.parametrize(("bar", "expected"), LIMITS)
def test_a_limit_order_fills_at_its_limit_or_better(make_world, side, bar, expected):
    """The open where it is as good, else the limit where the range has it, else the close."""
    assert expected == met(make_world(), side, "limit", {"limit_price": 10.0}, bar)


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((9.0, 11.0, 8.0, 10.5), (9.0, "limit-better", 100, 0)),
        ((10.0, 11.0, 9.0, 10.5), (10.0, "limit", 200, 1)),
        ((10.0, 11.0, 10.0, 10.0), None),
        ((11.0, 12.0, 10.0, 11.0), None),
        ((11.0, 12.0, 9.75, 11.0), (10.0, "limit", 200, 1)),
        ((NAN, NAN, NAN, 10.0), None),
        ((NAN, 9.75, 9.0, 9.5), (9.5, "limit-better", 200, 0)),
    ],
)
def test_where_limits_have_to_be_crossed_a_touch_fills_nothing(make_world, side, bar, expected):
    """Every "at or below" of a limit is "below"."""
    assert expected == met(make_world(limit="cross"), side, "limit", {"limit_price": 10.0}, bar)


STOPS = [
    # open, high, low, close, what a buying stop of 10 gives
    ((11.0, 12.0, 9.0, 9.0), (11.0, "stop-gap", 100, 0)),
    ((10.0, 12.0, 9.0, 9.0), (10.0, "stop", 100, 0)),
    ((9.0, 11.0, 8.0, 9.0), (10.0, "stop", 200, 0)),
    ((9.0, 10.0, 8.0, 9.0), (10.0, "stop", 200, 0)),
    ((9.0, 9.75, 8.0, 9.0), None),
    ((9.0, NAN, NAN, 10.0), (10.0, "stop", 200, 0)),
    ((NAN, 12.0, 9.0, 9.0), (10.0, "stop", 200, 0)),
    ((NAN, 12.0, 10.0, 11.0), (10.0, "stop", 200, 0)),
    ((NAN, 12.0, 10.25, 11.0), (11.0, "stop-gap", 200, 0)),
    ((NAN, NAN, NAN, 10.0), (10.0, "stop", 200, 0)),
    ((9.0, 9.75, 8.0, NAN), None),
    ((NAN, NAN, NAN, NAN), None),
]


@pytest.mark.parametrize(("bar", "expected"), STOPS)
def test_a_stop_order_fills_where_it_is_reached(make_world, side, bar, expected):
    """The open where it is beyond, else the stop where the range has it, else the close."""
    assert expected == met(make_world(), side, "stop", {"stop_price": 10.0}, bar)


@pytest.mark.parametrize(
    ("kind", "terms", "close", "expected"),
    [
        ("limit", {"limit_price": 10.0}, 10.25, None),
        ("limit", {"limit_price": 10.0}, 10.0, (10.0, "limit", 200, 0)),
        ("limit", {"limit_price": 10.0}, 9.0, (9.0, "limit-better", 200, 0)),
        ("stop", {"stop_price": 10.0}, 9.75, None),
        ("stop", {"stop_price": 10.0}, 10.0, (10.0, "stop", 200, 0)),
        ("stop", {"stop_price": 10.0}, 11.0, (11.0, "stop-gap", 200, 0)),
        ("stop-limit", {"stop_price": 10.0, "limit_price": 12.0}, 11.0, None),
        ("market", {}, 10.0, None),
    ],
)
@pytest.mark.parametrize("rules", [{}, {"sees": "close"}])
def test_in_session_only_the_close_is_still_to_come(make_world, side, kind, terms, close, expected, rules):
    """Whatever the bar's range showed before; with ``sees = "close"`` at any time of submission."""
    submitted = WITHIN if not rules or kind == "market" else BEFORE
    bar = (11.0, 20.0, 0.0, close)
    assert expected == met(make_world(**rules), side, kind, terms, bar, submitted=submitted)


@pytest.mark.parametrize("kind", ["market", "limit", "stop"])
def test_at_the_close_nothing_of_the_bar_is_still_to_come(make_world, side, kind):
    """The close that formed at the submission is no price of its future; the next bar is."""
    terms = {"limit": {"limit_price": 12.0}, "stop": {"stop_price": 8.0}}.get(kind, {})
    world = make_world()
    assert met(world, side, kind, terms, (10.0, 11.0, 9.0, 10.0), submitted=AT_CLOSE) is None
    world.bar(300, 10.0, 11.0, 9.0, 10.0)
    assert [200] == world.state.fills.rows()["formed_at"].tolist()


@pytest.mark.parametrize(
    ("market", "bar", "expected"),
    [
        ("open", (10.0, 12.0, 9.0, 11.0), (10.0, "next-open", 100, 0)),
        ("open", (NAN, 12.0, 9.0, 11.0), None),
        ("close", (10.0, 12.0, 9.0, 11.0), (11.0, "next-close", 200, 0)),
        ("close", (10.0, 12.0, 9.0, NAN), None),
        ("same-close", (10.0, 12.0, 9.0, 11.0), (11.0, "next-close", 200, 0)),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a limit order"])
def test_a_market_order_fills_at_the_price_that_the_rules_name(make_world, side, market, bar, expected, beside):
    """By itself and beside orders of other kinds, which are met by another part of the core."""
    world = make_world(market)
    met_alone = met(world, side, "market", {}, bar)
    if beside:
        world = make_world(market)
        world.order(BEFORE, 5.0, "limit", limit_price=0.5)
        world.order(BEFORE, 5.0 * side)
        world.bar(200, *(bar if side > 0 else mirrored_bar(*bar)))
        fills = [fill[2:] for fill in world.priced]
        price = None if expected is None else expected[0] if side > 0 else mirrored(expected[0])
        assert ([] if expected is None else [(price, expected[1])]) == fills
    assert expected == met_alone


@pytest.mark.parametrize(
    ("vwap", "expected"),
    [(9.0, 9.0), (12.0, 12.0), (10.5, 10.5), (8.75, None), (12.25, None), (NAN, None)],
)
def test_a_volume_weighted_price_has_to_lie_within_the_bar(make_world, vwap, expected):
    """Otherwise, and where the field is unknown, the order waits."""
    world = make_world("vwap")
    world.order(BEFORE, 5.0)
    world.bar(200, 10.0, 12.0, 9.0, 11.0, vwap=vwap)

    assert ([] if expected is None else [(0, 5.0, expected, "next-vwap")]) == world.priced


def test_a_volume_weighted_price_is_of_bars_whose_range_may_be_taken(make_world):
    """In session it covers trades that were before the order."""
    world = make_world("vwap")
    world.order(WITHIN, 5.0)
    world.bar(200, 10.0, 12.0, 9.0, 11.0, vwap=10.5)
    world.bar(300, 10.0, 12.0, 9.0, 11.0, vwap=10.25)

    assert [(0, 5.0, 10.25, "next-vwap")] == world.priced


def test_quotes_fill_buys_at_the_ask_and_sales_at_the_bid(make_world):
    """Market orders whatever ``market`` says; only quotes that are newer than the order."""
    world = make_world("close")
    buy, sale = world.order(100, 5.0), world.order(100, -5.0)
    world.quote(100, 9.0, 11.0)
    assert [] == world.priced
    world.quote(101, 9.0, 11.0)

    assert [(buy, 5.0, 11.0, "quote"), (sale, -5.0, 9.0, "quote")] == world.priced


@pytest.mark.parametrize(
    ("quantity", "kind", "terms", "expected"),
    [
        (5.0, "limit", {"limit_price": 11.0}, (11.0, "limit")),
        (5.0, "limit", {"limit_price": 11.5}, (11.0, "limit-better")),
        (5.0, "limit", {"limit_price": 10.75}, None),
        (-5.0, "limit", {"limit_price": 9.0}, (9.0, "limit")),
        (-5.0, "limit", {"limit_price": 9.25}, None),
        (5.0, "stop", {"stop_price": 11.0}, (11.0, "quote")),
        (5.0, "stop", {"stop_price": 11.25}, None),
        (-5.0, "stop", {"stop_price": 9.0}, (9.0, "quote")),
        (-5.0, "stop", {"stop_price": 8.75}, None),
    ],
)
def test_quotes_meet_limits_and_stops_at_the_side_of_the_order(make_world, quantity, kind, terms, expected):
    """A stop that a quote triggers is a market order, and fills as one."""
    world = make_world()
    world.order(100, quantity, kind, **terms)
    world.quote(101, 9.0, 11.0)

    assert ([] if expected is None else [(0, quantity, *expected)]) == world.priced
    assert [0] * len(world.priced) == world.state.fills.rows()["maker"].tolist()


def test_trades_fill_at_their_price(make_world, side):
    """Market orders, stops that they trigger, and limits that they reach."""
    world = make_world()
    limit, stop = 10.0 + side, 10.0 - side
    world.order(100, 5.0 * side)
    world.order(100, 5.0 * side, "stop", stop_price=stop)
    world.order(100, 5.0 * side, "limit", limit_price=limit)
    world.trade(101, 10.0)

    expected = [(0, 5.0 * side, 10.0, "trade"), (1, 5.0 * side, 10.0, "trade"), (2, 5.0 * side, 10.0, "limit-better")]
    assert expected == world.priced
    assert [0, 0, 0] == world.state.fills.rows()["maker"].tolist()


PATHS = [
    # path, open, order of the stop at 11 and the limit at 9, both of a buying kind
    ("pessimistic", 10.0, ["stop", "limit"]),
    ("optimistic", 10.0, ["limit", "stop"]),
    ("open-high-low-close", 10.0, ["stop", "limit"]),
    ("pessimistic", NAN, ["stop", "limit"]),
    ("optimistic", NAN, ["limit", "stop"]),
    ("open-high-low-close", NAN, ["stop", "limit"]),
]


@pytest.mark.parametrize(("path", "opened", "expected"), PATHS)
@pytest.mark.parametrize("first", ["stop", "limit"])
def test_the_path_decides_which_level_of_a_bar_is_met_first(make_world, path, opened, expected, first):
    """Not the order of submission."""
    world = make_world(path=path)
    kinds = ["stop", "limit"] if first == "stop" else ["limit", "stop"]
    for kind in kinds:
        world.order(BEFORE, 5.0, kind, **{f"{kind}_price": 11.0 if kind == "stop" else 9.0})
    world.bar(200, opened, 12.0, 8.0, 10.0)

    assert expected == [kinds[order] for order, *_ in world.priced]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((9.0, 11.0), [1, 0]), ((9.5, 9.0), [0, 1]), ((11.0, 12.0), [0, 1]), ((9.0, 10.0), [1, 0])],
)
def test_in_the_order_open_high_low_close_levels_from_the_open_up_come_first(make_world, levels, expected):
    """A sale at a limit above the open and one at a stop below it; at the open counts as above; ties go by id."""
    world = make_world(path="open-high-low-close")
    for level in levels:
        kind = "limit" if level >= 10.0 else "stop"
        world.order(BEFORE, -5.0, kind, **{f"{kind}_price": level})
    world.bar(200, 9.75 if 10.0 in levels else 10.0, 13.0, 8.0, 10.0)

    assert expected == [order for order, *_ in world.priced]


def test_within_a_phase_the_oldest_order_fills_first(make_world):
    """At the open stop and limit meet each other's time: the id decides."""
    world = make_world()
    world.order(BEFORE, 5.0, "limit", limit_price=11.0)
    world.order(BEFORE, 5.0, "stop", stop_price=9.0)
    world.order(BEFORE, 5.0)
    world.bar(200, 10.0, 12.0, 8.0, 10.0)

    assert [0, 1, 2] == [order for order, *_ in world.priced]
    assert ["limit-better", "stop-gap", "next-open"] == [reason for *_, reason in world.priced]


def test_what_fills_at_the_open_comes_before_the_range_and_the_range_before_the_close(make_world):
    """Orders 0, 1, 2 fill at the close, in the range and at the open: in the reverse order."""
    world = make_world()
    world.order(150, 5.0, "limit", limit_price=10.0)
    world.order(100, 5.0, "limit", limit_price=9.0)
    world.order(100, 5.0)
    world.bar(200, 10.0, 12.0, 8.0, 10.0)

    assert [2, 1, 0] == [order for order, *_ in world.priced]


@pytest.mark.parametrize(
    ("latency", "submitted", "expected"),
    [(0, 100, 100), (1, 99, 100), (1, 100, 200), (99, 100, 200), (100, 100, None)],
)
def test_latency_puts_off_what_may_be_taken(make_world, latency, submitted, expected):
    """The open from ``submitted_at + latency`` on, the close strictly after it."""
    for kind, terms in (("limit", {"limit_price": 12.0}), ("stop", {"stop_price": 8.0})):
        world = make_world(config={"latency": f"{latency}ns"})
        world.order(submitted, 5.0, kind, **terms)
        world.bar(200, 10.0, 11.0, 9.0, 10.0)
        assert ([] if expected is None else [expected]) == world.state.fills.rows()["formed_at"].tolist()
