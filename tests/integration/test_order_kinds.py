"""Every kind of order through the engine: what a strategy types, what its handle shows, what is recorded."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, OrderError, Strategy

FIRST = date(2024, 3, 4)
FLAT = (100.0, 101.0, 99.0, 100.0)
NAN = float("nan")


def bars(*rows, symbols=("A",)):
    """Daily bars (open, high, low, close), the same for each symbol."""
    made = [(FIRST + timedelta(day), symbol, *row) for day, row in enumerate(rows) for symbol in symbols]
    return pl.DataFrame(made, ["timestamp", "symbol", "open", "high", "low", "close"], orient="row")


class ByDay(Strategy):
    """Calls a function a day, and notes what it is told."""

    def __init__(self, *steps):
        self._steps, self.told, self.kept = list(steps), [], {}

    def on_slice(self, market, context):
        if self._steps and (step := self._steps.pop(0)) is not None:
            step(self, context)

    def on_fill(self, fill, context):
        self.told.append((fill.order_id, "fill", fill.quantity, fill.price))

    def on_order(self, order, context):
        self.told.append((order.id, order.status, order.change))


def run(frame, *steps, **settings):
    strategy = ByDay(*steps)
    return strategy, Engine(prices=frame, strategy=strategy, **settings).run()


def ask(*arguments, **terms):
    """A step that orders and keeps the handle."""

    def step(strategy, context):
        strategy.kept["order"] = context.order(*arguments, **terms)

    return step


FALLS = bars(FLAT, (100, 101, 90, 95), (95, 96, 80, 85), (85, 86, 84, 85))
RISES = bars(FLAT, (100, 110, 99, 105), (105, 120, 104, 115), (115, 116, 114, 115))


@pytest.mark.parametrize(
    ("frame", "quantity", "terms", "kind", "price", "reason"),
    [
        (FALLS, 10, {}, "market", 100.0, "next-open"),
        (FALLS, 10, {"limit_price": 92.0}, "limit", 92.0, "limit"),
        (RISES, -10, {"limit_price": 108.0}, "limit", 108.0, "limit"),
        (FALLS, -10, {"stop_price": 92.0}, "stop", 92.0, "stop"),
        (RISES, 10, {"stop_price": 108.0}, "stop", 108.0, "stop"),
        (FALLS, -10, {"stop_price": 92.0, "limit_price": 91.0}, "stop-limit", 92.0, "limit-better"),
        (FALLS, -10, {"trail_amount": 7.0}, "trailing-stop", 93.0, "stop"),
        (FALLS, -10, {"trail_percent": 0.05}, "trailing-stop", 95.0, "stop"),
        (RISES, 10, {"trail_amount": 7.0}, "trailing-stop", 107.0, "stop"),
        (FALLS, -10, {"trail_amount": 7.0, "stop_price": 91.0}, "trailing-stop", 91.0, "stop"),
        (FALLS, -10, {"trail_amount": 7.0, "limit_offset": -1.0}, "trailing-stop-limit", 93.0, "limit-better"),
    ],
)
def test_each_kind_fills_at_its_price(frame, quantity, terms, kind, price, reason):
    """From the keywords to the fill, with the kind that they stand for."""
    strategy, result = run(frame, ask("A", quantity, **terms))
    fill = result.fills.row(0, named=True)
    assert (float(quantity), price, reason) == (fill["quantity"], fill["price"], fill["reason"])
    order = strategy.kept["order"]
    assert (kind, "filled", float(quantity), price) == (order.kind, order.status, order.filled, order.average_price)
    assert {kind} == set(result.orders["kind"])


@pytest.mark.parametrize(
    ("terms", "status", "reason"),
    [
        ({"time_in_force": "DAY", "limit_price": 50.0}, "expired", "day-over"),
        ({"time_in_force": "IOC", "limit_price": 50.0}, "cancelled", "remainder-of-ioc"),
        ({"time_in_force": "FOK", "limit_price": 50.0}, "cancelled", "not-whole"),
        ({"time_in_force": "OPG", "limit_price": 50.0}, "expired", "open-missed"),
        ({"time_in_force": "CLS", "limit_price": 50.0}, "expired", "close-missed"),
        ({"time_in_force": "GTD", "limit_price": 50.0, "expires_at": FIRST + timedelta(1)}, "expired", "date-reached"),
        ({"time_in_force": "OPG"}, "filled", "at-open"),
        ({"time_in_force": "CLS"}, "filled", "at-close"),
        ({"time_in_force": "GTC", "limit_price": 50.0}, "cancelled", "end-of-run"),
    ],
)
def test_each_time_in_force_ends_as_it_says(terms, status, reason):
    """With the status and the reason of the page on orders."""
    strategy, _ = run(bars(FLAT, FLAT, FLAT, FLAT), ask("A", 10, **terms))
    order = strategy.kept["order"]
    assert (status, reason, terms["time_in_force"]) == (order.status, order.reason, order.time_in_force)


def test_a_date_means_the_close_of_its_session():
    """Of the last session before it, where there is none of that name; an instant is taken as it is."""
    seen = []

    def step(strategy, context):
        for moment in (date(2024, 3, 5), date(2024, 3, 9), datetime(2024, 3, 6, 12, tzinfo=UTC)):
            made = context.order("A", 1, limit_price=50.0, time_in_force="GTD", expires_at=moment)
            seen.append(made.expires_at)

    run(bars(FLAT, FLAT), step, calendar="XNYS")
    assert [datetime(2024, 3, 5, 21, tzinfo=UTC), datetime(2024, 3, 8, 21, tzinfo=UTC)] == seen[:2]
    assert datetime(2024, 3, 6, 12, tzinfo=UTC) == seen[2]


def test_a_handle_shows_all_that_was_asked_for():
    """Before the broker has it, and while it works."""
    seen = []

    def fields(order):
        return (
            *(order.status, order.kind, order.quantity, order.filled, order.remaining, order.limit_price),
            *(order.stop_price, order.time_in_force, order.expires_at, order.reduce_only, order.client_id),
            *(order.parent, order.group, order.tag, order.is_open, order.is_held, order.cancel_requested),
        )

    def step(strategy, context):
        end = datetime(2024, 4, 1, tzinfo=UTC)
        terms = {"limit_price": 80.0, "time_in_force": "GTD", "expires_at": end, "client_id": "mine", "tag": "first"}
        strategy.kept["order"] = context.order("A", 10, **terms)
        seen.append(fields(strategy.kept["order"]))

    strategy, _ = run(bars(FLAT, FLAT, FLAT), step, lambda strategy, _: seen.append(fields(strategy.kept["order"])))
    expected = ("limit", 10.0, 0.0, 10.0, 80.0, None, "GTD", datetime(2024, 4, 1, tzinfo=UTC), False, "mine")
    expected += (None, None, "first", True, False, False)
    assert [("pending", *expected), ("accepted", *expected)] == seen
    assert np.isnan(strategy.kept["order"].average_price)


def test_the_stop_of_a_trailing_stop_follows_the_market():
    """The handle shows the level as it is now."""
    levels = []
    frame = bars(FLAT, (100, 110, 99, 109), (109, 130, 108, 129), (129, 130, 128, 129))
    look = [lambda strategy, _: levels.append(strategy.kept["order"].stop_price)] * 3
    run(frame, ask("A", -10, trail_amount=20.0), *look)
    assert [90.0, 110.0, 110.0] == levels


def bracket(strategy, context):
    strategy.kept["bracket"] = context.bracket("A", 10, stop_price=95.0, target_price=105.0, tag="pair")


@pytest.mark.parametrize(
    ("last", "price", "left"),
    [((100, 106, 99, 104), 105.0, "stop"), ((100, 101, 94, 96), 95.0, "target"), ((100, 106, 94, 96), 95.0, "target")],
)
def test_a_bracket_ends_with_its_stop_or_its_target(last, price, left):
    """One cancels the other, and the stop comes first where a bar touches both."""
    held = []

    def look(strategy, context):
        held.append([(each.id, each.is_held) for each in context.open_orders()])

    def entered(strategy, context):
        bracket(strategy, context)
        look(strategy, context)

    strategy, result = run(bars(FLAT, FLAT, last, FLAT), entered, look)
    made = strategy.kept["bracket"]
    assert [100.0, price] == result.fills["price"].to_list()
    assert ("cancelled", "one-cancels-other") == (getattr(made, left).status, getattr(made, left).reason)
    assert (None, None, 0, 1, 0, 1) == (
        *(made.entry.parent, made.entry.group),
        *(made.stop.parent, made.stop.group, made.target.parent, made.target.group),
    )
    assert [[(0, False), (1, False), (2, False)], [(1, False), (2, False)]] == held
    assert {"pair"} == set(result.orders["tag"])


def test_children_are_held_until_the_entry_fills():
    """They are open all the while, and leave with an entry that is cancelled."""
    seen = []

    def step(strategy, context):
        strategy.kept["b"] = context.bracket("A", 10, entry_limit=90.0, trail_percent=0.1, target_price=120.0)

    def look(strategy, context):
        made = strategy.kept["b"]
        seen.append([(each.status, each.is_held, each.is_open) for each in made])
        assert [0, 1, 2] == [each.id for each in context.open_orders("A")]
        context.cancel(made.entry)
        assert made.entry.cancel_requested
        assert [1, 2] == [each.id for each in context.open_orders("A")]

    strategy, _ = run(bars(FLAT, FLAT, FLAT), step, look)
    assert [[("accepted", False, True), ("held", True, True), ("held", True, True)]] == seen
    assert ["cancelled-by-strategy", "parent-ended", "parent-ended"] == [each.reason for each in strategy.kept["b"]]


def test_a_bracket_may_have_one_child():
    """The other handle is None."""

    def step(strategy, context):
        strategy.kept["b"] = context.bracket("A", 10, stop_price=95.0)

    strategy, result = run(FALLS, step)
    assert strategy.kept["b"].target is None
    assert [100.0, 95.0] == result.fills["price"].to_list()


def test_one_leg_of_an_oco_cancels_the_other():
    """Two ways out of a position; what fills takes the other away."""

    def step(strategy, context):
        legs = [
            {"symbol": "A", "quantity": -10, "limit_price": 108.0, "tag": "target"},
            {"symbol": "A", "quantity": -10, "stop_price": 90.0, "client_id": "stop"},
        ]
        strategy.kept["legs"] = context.oco(*legs)

    strategy, _ = run(RISES, ask("A", 10), step)
    legs = strategy.kept["legs"]
    assert [("filled", "limit"), ("cancelled", "one-cancels-other")] == [(each.status, each.reason) for each in legs]
    assert [1, 1] == [each.group for each in legs]
    assert ["target", "stop"] == [legs[0].tag, legs[1].client_id]


def test_a_parent_releases_its_child():
    """On either side, by handle or by id."""

    def step(strategy, context):
        entry = context.order("A", 10, limit_price=95.0)
        strategy.kept["child"] = context.order("A", 5, limit_price=90.0, parent=entry)
        assert entry.id == context.order("A", -5, stop_price=50.0, parent=entry.id).parent

    strategy, result = run(FALLS, step)
    assert [(0, 95.0), (1, 90.0)] == result.fills.select("order_id", "price").rows()
    assert (1, "filled", "parent-filled") in strategy.told


def test_reduce_only_orders_never_open_a_position():
    """A fill is cut to what is held; where nothing is, the order ends."""
    sold = ask("A", -15, reduce_only=True)
    strategy, result = run(bars(FLAT, FLAT, FLAT, FLAT), ask("A", 10), None, sold)
    assert [10.0, -10.0] == result.fills["quantity"].to_list()
    assert 0.0 == float(result.state.positions["quantity"][0])
    strategy, _ = run(bars(FLAT, FLAT, FLAT, FLAT), sold)
    assert ("cancelled", "nothing-to-reduce") == (strategy.kept["order"].status, strategy.kept["order"].reason)


def test_protective_orders_do_not_count_for_targets():
    """Long 100 with a stop for 100 and a target beside it: nothing is missing to 100."""
    asked = []

    def protect(strategy, context):
        context.order("A", -100, stop_price=80.0)
        context.oco(
            {"symbol": "A", "quantity": -100, "limit_price": 150.0},
            {"symbol": "A", "quantity": -100, "stop_price": 70.0},
        )
        context.order("A", -100, limit_price=160.0, reduce_only=True)
        asked.append(context.order_target("A", 100))

    def again(strategy, context):
        asked.append(context.order_target("A", 100))

    _, result = run(bars(FLAT, FLAT, FLAT, FLAT), ask("A", 100), None, protect, again)
    assert [None, None] == asked
    assert [100.0] == result.fills["quantity"].to_list()


def test_an_open_limit_order_counts_until_its_end_is_asked_for():
    """Then a target asks for all of it again."""
    asked = []

    def step(strategy, context):
        asked.append(context.order_target("A", 10))
        context.cancel(strategy.kept["order"])
        asked.append(context.order_target("A", 10))

    run(bars(FLAT, FLAT, FLAT), ask("A", 10, limit_price=50.0), step)
    assert asked[0] is None
    assert 10.0 == asked[1].quantity


def test_an_amended_quantity_counts_for_the_next_target():
    """In the same callback, and afterwards."""
    asked = []

    def step(strategy, context):
        context.amend(strategy.kept["order"], quantity=6)
        asked.append(context.order_target("A", 6))

    run(
        bars(FLAT, FLAT, FLAT, FLAT),
        ask("A", 10, limit_price=50.0),
        step,
        lambda _, c: asked.append(c.order_target("A", 6)),
    )
    assert [None, None] == asked


def test_an_amendment_holds_for_later_prices():
    """The new limit fills, and the handle shows it; the strategy is told."""

    def step(strategy, context):
        context.amend(strategy.kept["order"], limit_price=92.0, quantity=4)

    strategy, result = run(bars(FLAT, FLAT, (100, 101, 90, 95)), ask("A", 10, limit_price=50.0), step)
    assert [(4.0, 92.0)] == result.fills.select("quantity", "price").rows()
    assert (0, "accepted", "amended") in strategy.told
    assert (4.0, 92.0) == (strategy.kept["order"].quantity, strategy.kept["order"].limit_price)


@pytest.mark.parametrize(
    ("terms", "change", "reason"),
    [
        ({}, {"limit_price": 5.0}, "amend-not-possible"),
        ({"limit_price": 50.0}, {"stop_price": 5.0}, "amend-not-possible"),
        ({"limit_price": 50.0}, {"quantity": -5}, "amend-not-possible"),
        ({"limit_price": 50.0}, {"quantity": NAN}, "quantity-not-finite"),
        ({"limit_price": 50.0}, {"quantity": 0}, "quantity-zero"),
        ({"limit_price": 50.0}, {"limit_price": NAN}, "price-not-finite"),
        ({"limit_price": 50.0}, {"limit_price": -1.0}, "price-not-positive"),
        ({"limit_price": 50.0}, {"limit_price": float("inf")}, "price-not-finite"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused_and_recorded(terms, change, reason):
    """The order stays as it was."""

    def step(strategy, context):
        strategy.kept["order"] = context.order("A", 10, **terms)
        context.amend(strategy.kept["order"], **change)

    strategy, result = run(bars(FLAT, FLAT), step)
    refused = result.orders.filter(pl.col("status") == "refused")
    assert [(0, reason)] == refused.select("order_id", "reason").rows()
    assert [reason] == [each[2] for each in strategy.told if each[:2] == (0, "accepted")]
    assert 10.0 == strategy.kept["order"].quantity


def test_what_is_done_cannot_be_amended_or_cancelled():
    """Both are recorded as already-done."""

    def step(strategy, context):
        context.amend(strategy.kept["order"], quantity=20)
        context.cancel(strategy.kept["order"])
        context.amend(77, quantity=20)
        context.cancel(-1)

    strategy, result = run(bars(FLAT, FLAT, FLAT), ask("A", 10), step)
    refused = result.orders.filter(pl.col("status") == "refused")["reason"].to_list()
    assert ["already-done", "already-done", "unknown-order", "unknown-order"] == refused
    assert "filled" == strategy.kept["order"].status
    assert 64 == len(result.decision_hash)


def test_cancel_all_ends_families_without_a_refusal():
    """Brackets, children of children, groups and single orders; each ends once."""

    def step(strategy, context):
        context.bracket("A", 10, entry_limit=50.0, stop_price=40.0, target_price=60.0)
        context.order("A", 1, limit_price=50.0, parent=context.order("A", 1, limit_price=50.0, parent=0))
        context.oco(*[{"symbol": "A", "quantity": 1, "limit_price": price} for price in (50.0, 51.0)])
        context.order("A", 1, stop_price=150.0)

    _, result = run(bars(FLAT, FLAT, FLAT), step, lambda _, context: context.cancel_all("A"))
    ends = result.orders.filter(pl.col("status") == "cancelled")
    assert 8 == ends.height == ends["order_id"].n_unique()
    assert {"cancelled-by-strategy", "one-cancels-other"} == set(ends["reason"])
    assert 0 == result.orders.filter(pl.col("status") == "refused").height


BAD_NUMBERS = [
    ((NAN,), {}, "quantity-not-finite"),
    ((float("inf"),), {}, "quantity-not-finite"),
    ((0.0,), {}, "quantity-zero"),
    ((1e300,), {}, "quantity-too-large"),
    ((1.5,), {}, "quantity-off-lot"),
    ((1,), {"limit_price": NAN}, "price-not-finite"),
    ((1,), {"limit_price": float("inf")}, "price-not-finite"),
    ((1,), {"stop_price": NAN}, "price-not-finite"),
    ((1,), {"limit_price": 0.0}, "price-not-positive"),
    ((1,), {"limit_price": -5.0}, "price-not-positive"),
    ((1,), {"stop_price": -5.0}, "price-not-positive"),
    ((1,), {"limit_price": 9.997}, "price-off-tick"),
    ((1,), {"trail_amount": 0.0}, "trail-not-positive"),
    ((1,), {"trail_amount": -1.0}, "trail-not-positive"),
    ((1,), {"trail_percent": NAN}, "trail-not-positive"),
    ((-1,), {"trail_percent": 1.0}, "trail-not-positive"),
    ((1,), {"trail_amount": 1.0, "limit_offset": NAN}, "price-not-finite"),
    ((1,), {"time_in_force": "GTD"}, "expiry-passed"),
    ((1,), {"time_in_force": "GTD", "expires_at": date(1900, 1, 1)}, "expiry-passed"),
    ((1,), {"time_in_force": "GTD", "expires_at": datetime(1, 1, 1, tzinfo=UTC)}, "expiry-passed"),
    ((1,), {"stop_price": 90.0, "time_in_force": "IOC"}, "time-in-force-not-supported"),
    ((1,), {"parent": 55}, "unknown-order"),
    ((1,), {"parent": -3}, "unknown-order"),
    ((1,), {"parent": 2**80}, "unknown-order"),
]


@pytest.mark.parametrize(("arguments", "terms", "reason"), BAD_NUMBERS)
def test_a_wrong_number_is_a_refusal_with_its_reason(arguments, terms, reason):
    """Recorded, told, and shown by the handle; never silent."""
    settings = {"instruments": {"symbol": "*", "lot": 1.0, "tick": 0.01}, "account": {"type": "unlimited"}}
    strategy, result = run(bars(FLAT, FLAT), ask("A", *arguments, **terms), broker={"strict_ticks": True}, **settings)
    assert ("refused", reason) == (strategy.kept["order"].status, strategy.kept["order"].reason)
    assert [(0, "refused", reason)] == strategy.told
    assert [("submitted", ""), ("refused", reason)] == result.orders.select("status", "reason").rows()
    assert {reason: 1} == dict(result.refusals)


def test_a_client_id_is_used_once():
    """The second order is refused, also after the first has ended."""
    seen = []

    def step(strategy, context):
        seen.extend(context.order("A", 1, client_id=name) for name in ("one", "two", "one"))

    run(bars(FLAT, FLAT, FLAT), step, lambda _, context: seen.append(context.order("A", 1, client_id="two")))
    assert ["filled", "filled", "refused", "refused"] == [each.status for each in seen]
    assert ["one", "two", "one", "two"] == [each.client_id for each in seen]
    assert "client-id-used" == seen[2].reason


def test_orders_that_belong_together_are_of_one_symbol():
    """A leg or a child of another symbol is refused."""

    def step(strategy, context):
        legs = [{"symbol": name, "quantity": 1, "limit_price": 50.0} for name in "AB"]
        strategy.kept["legs"] = context.oco(*legs)
        strategy.kept["child"] = context.order("B", 1, parent=context.order("A", 1))

    strategy, _ = run(bars(FLAT, FLAT, symbols=("A", "B")), step)
    assert "group-not-one-symbol" == strategy.kept["legs"][1].reason
    assert "group-not-one-symbol" == strategy.kept["child"].reason


LEG = {"symbol": "A", "quantity": 1, "limit_price": 90.0}


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda c: c.order("Z", 1), "symbol 'Z' is not known"),
        (lambda c: c.order("A", "ten"), "quantity was 'ten', expected a number"),
        (lambda c: c.order("A", 1, limit_price="x"), "limit_price was 'x', expected a number"),
        (lambda c: c.order("A", 1, time_in_force="day"), "is not one of GTC, DAY"),
        (lambda c: c.order("A", 1, trail_amount=1.0, trail_percent=0.1), "both given"),
        (lambda c: c.order("A", 1, limit_offset=1.0), "add trail_amount="),
        (lambda c: c.order("A", 1, limit_price=9.0, trail_amount=1.0), "use limit_offset="),
        (lambda c: c.order("A", 1, expires_at=date(2024, 3, 9)), "add time_in_force='GTD'"),
        (lambda c: c.order("A", 1, time_in_force="GTD", expires_at=datetime(2024, 3, 9)), "has no time zone"),
        (
            lambda c: c.order("A", 1, time_in_force="GTD", expires_at="later"),
            "expected a zone-aware datetime or a date",
        ),
        (lambda c: c.order("A", 1, parent="first"), "give a handle, or its id"),
        (lambda c: c.order("A", 1, client_id=5), "client_id was 5, expected a text"),
        (lambda c: c.order("A", 1, tag=None), "tag was None, expected a text"),
        (lambda c: c.order("A", 1, tag="\ud800"), "tag was .* no valid Unicode"),
        (lambda c: c.order("A", 1, client_id="a\udfff"), "client_id was .* no valid Unicode"),
        (lambda c: c.order_target("A", 1, tag=7), "tag was 7, expected a text"),
        (lambda c: c.order_target_weights([0.5], tag="\ud800"), "no valid Unicode"),
        (lambda c: c.oco(LEG, {**LEG, "tag": 5}), "tag was 5, expected a text"),
        (lambda c: c.oco(LEG, {**LEG, "client_id": b"one"}), "client_id was b'one', expected a text"),
        (lambda c: c.cancel(None), "give a handle, or its id"),
        (lambda c: c.cancel(1.5), "give a handle, or its id"),
        (lambda c: c.amend(0), "was told nothing to change"),
        (lambda c: c.bracket("A", 1), "a bracket without children"),
        (lambda c: c.oco({"symbol": "A", "quantity": 1}), "give two or more"),
        (lambda c: c.oco({"symbol": "A"}, {"symbol": "A", "quantity": 1}), "give each leg as a dict"),
        (lambda c: c.oco(*[{"symbol": "A", "quantity": 1, "limitprice": 1.0}] * 2), "limit_price"),
        (lambda c: c.order_target_weights([np.inf]), "infinite amounts"),
    ],
)
def test_a_call_that_means_nothing_is_an_error_that_says_what_to_write(call, remedy):
    """Nothing of it reaches the outbox."""
    seen = []

    def step(strategy, context):
        with pytest.raises(OrderError, match=remedy):
            call(context)
        seen.append(context.open_orders())

    _, result = run(bars(FLAT, FLAT), step)
    assert [[]] == seen
    assert 0 == result.orders.height


def test_orders_from_on_end_are_errors():
    """The run is over; whatever the kind."""
    raised = []

    class Late(ByDay):
        def on_end(self, context):
            for call in (
                lambda: context.order("A", 1, limit_price=5.0),
                lambda: context.bracket("A", 1, stop_price=5.0),
                lambda: context.amend(0, quantity=3),
                lambda: context.cancel(0),
            ):
                with pytest.raises(OrderError, match="orders from on_end are refused"):
                    call()
                raised.append(call)

    Engine(prices=bars(FLAT, FLAT), strategy=Late(ask("A", 1, limit_price=5.0))).run()
    assert 4 == len(raised)


def test_hashes_follow_prices_and_amendments():
    """One bit of a limit, a trail or an amendment makes another decision hash; the same orders the same."""

    def amended(price):
        def step(strategy, context):
            context.amend(context.order("A", 1, limit_price=50.0), limit_price=price)

        return step

    def decided(*steps):
        return run(bars(FLAT, FLAT, FLAT), *steps)[1].decision_hash

    steps = [ask("A", 1, limit_price=price) for price in (50.0, np.nextafter(50.0, 51.0))]
    steps += [ask("A", -1, trail_amount=distance) for distance in (40.0, 41.0)]
    steps += [amended(price) for price in (51.0, 52.0)]
    steps += [ask("A", 1, limit_price=50.0, time_in_force="DAY"), ask("A", 1, limit_price=50.0, reduce_only=True)]
    hashes = [decided(step) for step in steps]
    assert len(steps) == len(set(hashes))
    assert hashes == [decided(step) for step in steps]


class Resumed(Strategy):
    """A bracket and a trailing stop under way, ids of its own, amendments later."""

    def __init__(self):
        self.day, self.told = 0, []

    def on_slice(self, market, context):
        self.day += 1
        if self.day == 2:
            context.bracket("A", 10, entry_limit=99.5, stop_price=80.0, target_price=125.0, tag="pair")
            context.order("A", -5, trail_percent=0.1, client_id="trail")
        if self.day == 6:
            context.amend(2, limit_price=118.0)
            context.order("A", 1, client_id="trail")
            context.order("A", 1, client_id="new", time_in_force="DAY", limit_price=50.0)

    def on_order(self, order, context):
        self.told.append([order.id, order.status, order.change])

    def on_fill(self, fill, context):
        self.told.append([fill.order_id, fill.quantity, fill.price])


@pytest.mark.parametrize("stop_at", [2, 3, 5, 7])
def test_a_run_is_killed_and_resumed_with_orders_under_way(tmp_path, stop_at):
    """Terms, levels, held children and client ids come from the snapshot."""
    rng = np.random.default_rng(3)
    closes = 100.0 * np.cumprod(1.0 + rng.normal(0.0, 0.03, 12))
    frame = bars(*[(each, each * 1.02, each * 0.98, each) for each in closes.tolist()])
    strategies = Resumed(), Resumed(), Resumed()
    whole = Engine(prices=frame, strategy=strategies[0]).run()
    engine = Engine(prices=frame, strategy=strategies[1])
    steps = engine.steps()
    for _ in range(stop_at):
        next(steps)
    engine.snapshot(tmp_path / "snapshot")
    steps.close()
    resumed = Engine(prices=frame, strategy=strategies[2]).run(resume=tmp_path / "snapshot")
    assert (whole.decision_hash, whole.result_hash) == (resumed.decision_hash, resumed.result_hash)
    assert whole.orders.equals(resumed.orders)
    assert strategies[0].told == strategies[2].told
    assert {"client-id-used"} <= set(whole.orders["reason"])


@pytest.mark.parametrize(
    ("terms", "price"), [({"time_in_force": "CLS"}, 95.0), ({"limit_price": 91.0, "time_in_force": "DAY"}, 91.0)]
)
def test_a_session_ends_orders_only_when_its_late_bars_are_known(terms, price):
    """The prices formed within the session, so the orders meet them after its close."""
    feed = {"use": "frame", "frame": FALLS, "bar": "1d", "prices": "raw", "latency": "15m"}
    strategy = ByDay(ask("A", 10, **terms))
    result = Engine(feed=feed, strategy=strategy, calendar="XNYS").run()
    assert [price] == result.fills["price"].to_list()

    strategy = ByDay(ask("A", 10, limit_price=50.0, time_in_force="DAY"))
    result = Engine(feed=feed, strategy=strategy, calendar="XNYS").run()
    expired = result.orders.filter(pl.col("status") == "expired")
    assert [datetime(2024, 3, 5, 21, 15, tzinfo=UTC)] == expired["timestamp"].to_list()
