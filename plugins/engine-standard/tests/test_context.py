"""What a strategy may ask and order."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import LookAheadError, OrderError, RunError


def days(**closes):
    """Daily bars from 1 January 2024; each symbol's opens and closes are its prices, None for no bar."""
    rows = [
        (date(2024, 1, 1 + place), symbol, float(price), float(price))
        for symbol, prices in closes.items()
        for place, price in enumerate(prices)
        if price is not None
    ]
    frame = pl.DataFrame(rows, schema=["timestamp", "symbol", "open", "close"], orient="row")
    return frame.sort("timestamp", "symbol", maintain_order=True)


class Plan(Strategy):
    """Call a function a day; the day of the month is that of the bar."""

    def __init__(self, **steps):
        self.steps, self.orders, self.ended = steps, [], None

    def on_start(self, context):
        self.call("start", context)

    def on_slice(self, market, context):
        self.call(f"day{context.session.date.day}", context)

    def on_order(self, order, context):
        self.orders.append((order.symbol, order.quantity, order.status, order.reason))

    def on_end(self, context):
        self.call("end", context)

    def call(self, name, context):
        if name in self.steps:
            self.steps[name](context)


@pytest.fixture
def play(kit):
    """Run functions by day over days of prices and return the strategy and the result."""

    def play(frame=None, steps=None, **more):
        frame = days(A=[10, 10, 10, 10, 10], B=[20, 20, 20, 20, 20]) if frame is None else frame
        strategy = Plan(**(steps or {}), **more)
        return strategy, kit.run(strategy, kit.Source(frame), capital=1000.0)

    return play


def got(result):
    """Positions at the end."""
    if not len(result.fills):
        return {}
    return dict(result.fills.group_by("symbol", maintain_order=True).agg(pl.col("quantity").sum()).iter_rows())


def test_an_order_is_a_handle_that_shows_the_present(play):
    """Pending in the callback, working after it, filled at the next open."""
    seen = {}

    def ask(context):
        seen["order"] = order = context.order("A", 3.0, tag="first")
        assert ("pending", True, "", "A", 3.0, 0.0, "first") == (
            order.status, order.is_open, order.reason, order.symbol, order.quantity, order.filled, order.tag,
        )  # fmt: skip
        assert [order.id] == [each.id for each in context.open_orders("A")]
        assert [] == context.open_orders("B")

    def later(context):
        order = seen["order"]
        assert ("filled", False, 3.0, "next-open") == (order.status, order.is_open, order.filled, order.reason)
        assert [] == context.open_orders()
        assert (3.0, 10.0) == context.position("A")[1:4:2]

    play(day1=ask, day2=later)


def test_refused_orders_say_why(play):
    """A handle and on_order tell the same."""
    kept = []
    strategy, _ = play(
        days(A=[10] * 3, B=[None, None, 5]),
        day1=lambda context: kept.append(context.order("A", 0.0)),
        day3=lambda context: kept.append(context.order_value("B", 3.0)),
    )
    assert [("A", 0.0, "refused", "quantity-zero")] == strategy.orders
    assert "refused" == kept[0].status
    assert None is kept[1]


def test_a_symbol_without_a_price_is_refused_with_the_reason(play):
    """Its bars have no close yet: sizes in money cannot be had, quantities can."""
    kept = []

    def ask(context):
        assert [True, False] == context.universe.tolist()
        kept.extend([context.order_target_percent("B", 0.5), context.order_target("B", 2.0)])
        kept.append(context.order_target_weights([0.5, 0.5]).tolist())

    frame = days(A=[10] * 3, B=[20] * 3).with_columns(
        close=pl.when((pl.col("symbol") == "B") & (pl.col("timestamp") < date(2024, 1, 2)))
        .then(None)
        .otherwise("close")
    )
    _, result = play(frame, day1=ask)
    assert ("refused", "no-mark") == (kept[0].status, kept[0].reason)
    assert [2, 3] == kept[2]
    assert {"no-mark": 2} == dict(result.refusals)
    assert {"A": 50.0} == got(result)


def test_targets_are_met_whatever_is_on_its_way(play):
    """Asked for day by day, held in the end."""
    _, result = play(
        day1=lambda context: context.order_target("A", 10),
        day2=lambda context: (context.order("A", 5), context.order_target("A", 12)),
        day3=lambda context: (context.order_target("A", 100), context.order_target("A", -4)),
    )
    assert [10.0, 5.0, -3.0, -16.0] == result.fills["quantity"].to_list()
    assert {"A": -4.0} == got(result)


def test_vectors_keep_close_and_trade(play):
    """NaN keeps, 0 closes, missing="close" closes each NaN."""
    _, result = play(
        day1=lambda context: context.order_target_quantities([5, 5]),
        day2=lambda context: context.order_target_quantities([np.nan, 0]),
        day3=lambda context: context.order_target_weights([np.nan, 0.2], missing="close"),
    )
    assert [("A", 5.0), ("B", 5.0), ("B", -5.0), ("A", -5.0), ("B", 10.0)] == result.fills.select(
        "symbol", "quantity"
    ).rows()


def test_vectors_of_the_wrong_shape_or_infinite_are_errors(play):
    """Nothing is guessed."""

    def ask(context):
        with pytest.raises(
            OrderError, match=r"a vector of shape \(3,\) was given for 2 symbols: give one value per symbol"
        ):
            context.order_target_weights([0.1, 0.1, 0.1])
        with pytest.raises(OrderError, match=r"a dict was given, expected an array in the order of context\.symbols"):
            context.order_target_weights({"A": 0.1})
        with pytest.raises(OrderError, match="infinite amounts were asked for B: give numbers, or NaN for no change"):
            context.order_quantities([1.0, -np.inf])
        with pytest.raises(OrderError, match="missing='drop' is not one of keep, close"):
            context.order_target_weights([0.1, 0.1], missing="drop")
        assert [-1, -1] == context.order_quantities([np.nan, 0.0]).tolist()

    assert 0 == play(day1=ask)[1].fills.height


def test_an_unknown_symbol_is_an_error_that_suggests_the_nearest(play):
    """A symbol that is not released yet is unknown, though the data has it."""

    def ask(context):
        with pytest.raises(OrderError, match=r"symbol 'APPL' is not known at 2024-01-02T00:00:00\+00:00: .*AAPL"):
            context.order("APPL", 1.0)
        with pytest.raises(OrderError, match="symbol 'LATER' is not known"):
            context.position("LATER")

    play(days(AAPL=[10, 10], LATER=[None, 10]), day1=ask)


def test_cancel_ends_an_order_in_the_outbox_or_at_the_broker(play):
    """And one that is done stays as it is."""
    kept = {}

    def first(context):
        kept["at once"] = context.order("A", 1.0)
        context.cancel(kept["at once"])
        kept["sparse"] = context.order("B", 2.0)
        kept["filled"] = context.order("A", 3.0)

    def second(context):
        assert [kept["sparse"].id] == [order.id for order in context.open_orders()]
        context.cancel(kept["sparse"].id)
        context.cancel(kept["filled"])

    frame = days(A=[10] * 4, B=[20, None, None, 20])
    strategy, result = play(frame, day1=first, day2=second)
    assert {"A": 3.0} == got(result)
    assert [("A", 1.0), ("B", 2.0)] == [
        row[:2] for row in strategy.orders if row[2:] == ("cancelled", "cancelled-by-strategy")
    ]
    assert "filled" == kept["filled"].status


def test_cancel_all_takes_one_symbol_or_all(play):
    """What is waiting and what is working."""

    def first(context):
        for symbol in "AB":
            context.order(symbol, 1.0)
        context.cancel_all("A")

    def second(context):
        context.order("A", 5.0)
        context.cancel_all()

    _, result = play(days(A=[10] * 4, B=[20, None, None, 20]), day1=first, day2=second)
    assert {} == got(result)


def test_orders_at_the_end_are_refused(play):
    """The run is over: the error says so and the run has failed."""
    with pytest.raises(OrderError, match="orders from on_end are refused; place them earlier"):
        play(end=lambda context: context.order("A", 1.0))


def test_working_orders_end_with_the_run(play):
    """With the reason, on record."""
    _, result = play(day5=lambda context: context.order("A", 1.0))
    assert "end-of-run" == result.orders["reason"].to_list()[-1]


def test_an_unknown_time_in_force_is_an_error(play):
    """With those there are."""

    def ask(context):
        with pytest.raises(OrderError, match="time_in_force 'FOREVER' is not one of GTC, DAY"):
            context.order("A", 1.0, time_in_force="FOREVER")

    play(day1=ask)


def test_portfolio_prices_and_time_are_those_of_now(play):
    """Figures follow the marks; the session is the bar's own."""

    def look(context):
        assert datetime(2024, 1, 3, tzinfo=UTC) == context.now
        assert date(2024, 1, 2) == context.session.date
        assert ("A", "B") == context.symbols
        assert 1 == context.index("B")
        assert [12.0, 20.0] == context.price().tolist()
        assert 20.0 == context.price("B")
        assert [0, 86_400_000_000_000] == context.price_age().tolist()
        portfolio = context.portfolio
        assert (964.0, 1000.0, 36.0, 36.0) == (
            portfolio.cash,
            portfolio.equity,
            portfolio.gross_exposure,
            portfolio.net_exposure,
        )
        assert ["A"] == list(portfolio.positions)
        assert [3.0, 0.0] == portfolio.quantities.tolist()
        with pytest.raises(LookAheadError, match="there is no feed, signal source or table 'x'"):
            context.history("close", 1, feed="x")

    frame = days(A=[10, 12, 12], B=[20, None, 20])
    play(frame, day1=lambda context: context.order("A", 3.0), day2=look)


def test_what_is_read_is_a_copy(play):
    """Writing to it changes no price and no position."""

    def spoil(context):
        context.price()[:] = 0.0
        context.portfolio.quantities[:] = 99.0
        assert [10.0, 20.0] == context.price().tolist()
        assert [0.0, 0.0] == context.portfolio.quantities.tolist()

    play(day1=spoil)


def test_records_are_kept_by_instant(play):
    """For the result."""
    _, result = play(day1=lambda context: context.record(x=1), day2=lambda context: context.record(y=2))
    assert [(1.0, None), (None, 2.0)] == result.records.select("x", "y").rows()


def test_nothing_is_there_before_the_data(play):
    """on_start sees no symbol, no price, no session's data."""

    def look(context):
        assert () == context.symbols
        assert 1000.0 == context.portfolio.equity
        with pytest.raises(OrderError, match="symbol 'A' is not known"):
            context.order("A", 1.0)

    play(start=look)


def test_a_schedule_belongs_in_on_start(play):
    """Later it would be ignored."""
    with pytest.raises(RunError, match="call schedule in on_start"):
        play(day2=lambda context: context.schedule(context.cancel_all))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("equity", "use context.portfolio.equity"),
        ("account", "use context.portfolio"),
        ("open_order", "use context.open_orders"),
        ("zzzzzz", "it has amend, "),
    ],
)
def test_what_a_context_has_not_is_told_with_what_it_has(play, name, hint):
    """Other engines keep cash and equity elsewhere."""
    with pytest.raises(AttributeError, match=f"context has no '{name}': {hint}"):
        play(steps={"start": lambda context: getattr(context, name)})
