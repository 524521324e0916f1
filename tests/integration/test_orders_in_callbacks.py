"""Requests made in on_fill and on_order: each is answered once, in order, to a stated depth."""

from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, RunError, Strategy

DEPTH = 50


def bars(days=5):
    made = [(date(2024, 3, 4) + timedelta(day), "A", 100.0, 101.0, 99.0, 100.0) for day in range(days)]
    return pl.DataFrame(made, ["timestamp", "symbol", "open", "high", "low", "close"], orient="row")


class Chain(Strategy):
    """Answers each thing it is told with one more request, so many times."""

    def __init__(self, first, answer, depth):
        self._first, self._answer, self._left = first, answer, depth
        self.told = []

    def on_slice(self, market, context):
        first, self._first = self._first, None
        if first is not None:
            first(context)

    def on_order(self, order, context):
        self.told.append((context.now_ns, order.id, order.status, order.change))
        if self._left:
            self._left -= 1
            self._answer(order, context)

    def on_fill(self, fill, context):
        self.told.append((context.now_ns, fill.order_id, "fill", ""))
        if self._left:
            self._left -= 1
            self._answer(fill, context)


def play(first, answer, depth):
    strategy = Chain(first, answer, depth)
    return strategy, Engine(prices=bars(), strategy=strategy, reporter=[]).run()


def refused(context):
    context.order("A", 0.0)


def limit(context):
    context.order("A", 1, limit_price=50.0)


def submit_again(told, context):
    context.order("A", 0.0)


def cancel_again(told, context):
    context.cancel(0 if told.status == "refused" else told)


def amend_again(told, context):
    context.amend(told, limit_price=told.limit_price + 0.25)


def test_refusals_answered_by_submissions_come_one_by_one():
    """The first, one for each answer, and no other; all within one instant."""
    strategy, result = play(refused, submit_again, DEPTH - 1)
    assert [(each, "refused", "quantity-zero") for each in range(DEPTH)] == [each[1:] for each in strategy.told]
    assert 1 == len({each[0] for each in strategy.told})
    assert 2 * DEPTH == result.orders.height
    assert result.orders["sequence"].is_sorted()


def test_refused_cancels_answered_by_cancels_come_one_by_one():
    """The order is done; each request to cancel it is a row of its own."""
    strategy, result = play(refused, cancel_again, DEPTH - 1)
    assert [(0, "refused", "quantity-zero")] + [(0, "refused", "already-done")] * (DEPTH - 1) == [
        each[1:] for each in strategy.told
    ]
    assert DEPTH + 1 == result.orders.height


def test_amendments_answered_by_amendments_come_one_by_one():
    """Each new limit is told once, and the last one holds."""

    def first(context):
        context.amend(context.order("A", 1, limit_price=50.0), limit_price=50.25)

    strategy, result = play(first, amend_again, DEPTH - 1)
    assert [(0, "accepted", "amended")] * DEPTH == [each[1:] for each in strategy.told]
    last = result.state.orders.rows()["limit_price"][0]
    assert 50.0 + 0.25 * DEPTH == float(last)


def test_fills_answered_by_orders_are_answered_at_the_next_price():
    """A market order made in on_fill waits for a price that forms later."""
    strategy, result = play(lambda context: context.order("A", 1), lambda fill, context: context.order("A", 1), 3)
    assert [0, 1, 2, 3] == [each[1] for each in strategy.told]
    assert 4 == len({each[0] for each in strategy.told})
    assert 4 == result.fills.height


def test_a_fill_is_answered_by_a_submission_an_amendment_and_a_cancel():
    """In the order in which they were asked for, each recorded once."""
    answered = []

    def answer(told, context):
        if not answered:
            made = context.order("A", 2, limit_price=60.0)
            context.amend(made, quantity=3)
            context.cancel(made)
            context.cancel(made)
            answered.append(made)

    strategy, result = play(lambda context: context.order("A", 1), answer, 100)
    rows = result.orders.filter(pl.col("order_id") == 1).select("status", "reason").rows()
    assert [
        ("submitted", ""),
        ("accepted", ""),
        ("accepted", "amended"),
        ("cancelled", "cancelled-by-strategy"),
        ("refused", "already-done"),
    ] == rows
    assert [(1, "amended"), (1, "cancelled-by-strategy"), (1, "already-done")] == [
        (each[1], each[3]) for each in strategy.told if each[1] == 1
    ]


@pytest.mark.parametrize("answer", [submit_again, cancel_again])
def test_more_rounds_than_the_bound_are_an_error(answer):
    """It says how many, and what to do."""
    with pytest.raises(RunError, match=r"answered 50 times .* end the recursion in on_fill or on_order"):
        play(refused, answer, 1_000)


def test_events_of_a_bracket_come_in_the_order_in_which_they_happened():
    """Entry, release of its children, exit, end of the other child; each exactly once."""

    def first(context):
        context.bracket("A", 5, stop_price=90.0, target_price=100.5)

    strategy, result = play(first, lambda told, context: None, 100)
    assert [
        (0, "fill", ""),
        (1, "parent-filled"),
        (2, "parent-filled"),
        (2, "fill", ""),
        (1, "one-cancels-other"),
    ] == [each[1:] if each[2] == "fill" else (each[1], each[3]) for each in strategy.told]
    assert 0.0 == float(result.state.positions["quantity"][0])
