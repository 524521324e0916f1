"""The outbox: requests in columns, in the order in which they were made."""

import sys

import numpy as np
import pytest

from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import REASONS, RunState
from ml4t_backtest_engine_standard.context.outbox import AMEND, CANCEL, CANCEL_TARGETS, ORDER, Outbox, blank_requests


@pytest.fixture
def outbox():
    """An outbox over two symbols."""
    state = RunState()
    state.add_symbols(["A", "B"])
    state.known_at = 77
    return Outbox(state)


def test_ids_go_on_over_rounds(outbox):
    """The k-th order request of a run has id k, whether the broker accepts it or not."""
    assert [0, 1] == outbox.place(np.array([0, 1]), np.array([5.0, -3.0])).tolist()
    assert [2] == outbox.place(np.array([0]), np.array([1.0])).tolist()
    outbox._state.counters[RunState.ORDERS] += len(outbox.take())
    assert [3] == outbox.place(np.array([1]), np.array([1.0])).tolist()


def test_each_request_says_what_its_maker_knew(outbox):
    """The newest known_at is stamped on orders and cancels."""
    outbox.place(np.array([0]), np.array([5.0]))
    outbox.cancel(0, 0, 5.0, False)
    outbox.cancel_targets(np.array([0, 1]))
    rows = outbox.take()
    assert [ORDER, CANCEL, CANCEL_TARGETS, CANCEL_TARGETS] == rows["action"].tolist()
    assert [77] * 4 == rows["known_at"].tolist()
    assert 0 == outbox.count


def test_open_quantities_count_what_is_waiting(outbox):
    """Market and limit orders count, stops do not, cancels count back."""
    outbox._state.books["open_quantity"][0] = 10.0
    outbox.place(np.array([0]), np.array([5.0]), is_target=True)
    outbox.add(0, 7.0, {"kind": 1, "limit_price": 9.0})
    outbox.add(0, 100.0, {"kind": 2, "stop_price": 9.0, "counts": 0})
    open_, target = outbox.open_quantities()
    assert [22.0, 5.0] == [open_[0], target[0]]
    outbox.cancel_targets(np.array([0]))
    outbox.cancel(1, 0, 7.0, False)
    assert [10.0, 0.0] == [open_[0], target[0]]
    assert 10.0 == outbox._state.books["open_quantity"][0]


def test_an_amended_quantity_is_counted_once(outbox):
    """The last quantity counts, and a cancel takes back all of it."""
    order_id = outbox.add(0, 7.0, {"kind": 1, "limit_price": 9.0})
    row = outbox.pending(order_id)
    outbox.amend(row, order_id, {"quantity": 10.0}, open_=True)
    outbox.amend(row, order_id, {"quantity": 12.0}, open_=True)
    assert 12.0 == outbox.open_quantities()[0][0]
    outbox.cancel(order_id, 0, 7.0, False)
    assert 0.0 == outbox.open_quantities()[0][0]
    outbox.amend(row, order_id, {"quantity": 20.0}, open_=True)  # too late: its end was asked for
    assert 0.0 == outbox.open_quantities()[0][0]


@pytest.mark.parametrize(
    "columns", [{"limit_price": 8.0}, {"quantity": np.nan, "reason": REASONS.index("quantity-not-finite")}]
)
def test_an_amendment_that_names_no_quantity_counts_nothing(outbox, columns):
    """NaN keeps what there is, in the request as in the count."""
    order_id = outbox.add(0, 7.0, {"kind": 1, "limit_price": 9.0})
    outbox.amend(outbox.pending(order_id), order_id, columns, open_=True)
    assert 7.0 == outbox.open_quantities()[0][0]
    assert [ORDER, AMEND] == outbox.take()["action"].tolist()


def test_only_plain_market_orders_and_cancels_are_usual(outbox):
    """What the journal has to keep is known without looking at the rows."""
    outbox.place(np.array([0]), np.array([5.0]))
    outbox.add(0, 5.0, {"tag": 0})
    outbox.cancel(0, 0, 5.0, False)
    assert not outbox.unusual
    outbox.add(0, 5.0, {"reduce_only": 1, "counts": 0})
    assert outbox.unusual
    outbox.take()
    assert not outbox.unusual


def test_rows_begin_as_plain_market_orders(outbox):
    """NaN and -1 where there is nothing, also after the room grew."""
    outbox.place(np.arange(2).repeat(100), np.ones(200))
    rows = outbox.take()
    assert np.isnan(rows["limit_price"]).all()
    assert np.isnan(rows["asked"]).all()
    assert {-1} == set(rows["group"].tolist()) | set(rows["parent"].tolist())
    assert {1} == set(rows["counts"].tolist())


def test_appended_orders_get_the_next_ids(outbox):
    """Cancels among them keep the id that they name."""
    outbox.place(np.array([0]), np.array([5.0]))
    rows = blank_requests(3)
    rows["action"], rows["order_id"], rows["quantity"] = (ORDER, CANCEL, ORDER), (0, 77, 0), (3.0, 0.0, 4.0)
    outbox.append(rows)
    assert [0, 1, 77, 2] == outbox.take()["order_id"].tolist()


def test_the_book_is_read_anew_in_each_callback(outbox):
    """What was looked at before, with nothing asked for, is not what is counted from."""
    assert 0.0 == outbox.open_quantities()[0][0]
    outbox._state.books["open_quantity"][0] = 10.0  # the broker filled something in between
    outbox.place(np.array([0]), np.array([5.0]))
    assert 15.0 == outbox.open_quantities()[0][0]


def test_the_room_grows(outbox):
    """A thousand requests of one callback keep their order."""
    for place in range(1000):
        outbox.place(np.array([place % 2]), np.array([float(place)]))
    assert list(range(1000)) == outbox.take()["quantity"].astype(int).tolist()


def test_what_will_be_refused_is_not_open(outbox):
    """An order without a mark is on its way to a refusal."""
    outbox.place(np.array([0, 1]), np.array([5.0, np.nan]), reasons=np.array([0, REASONS.index("no-mark")]))
    assert [0] == outbox.pending_ids()
    assert [] == outbox.pending_ids(1)
    assert 5.0 == outbox.open_quantities()[0][0]


def test_after_the_end_nothing_is_taken(outbox):
    """The run has ended: an error, not silence."""
    outbox.closed = True
    with pytest.raises(OrderError, match="orders from on_end are refused"):
        outbox.place(np.array([0]), np.array([1.0]))


def _steps_of(ask):
    """Return how many lines of Python an answer takes, those of loops each time."""
    steps, before = [], sys.gettrace()

    def trace(frame, event, argument):
        steps.append(event)
        return trace

    sys.settrace(trace)
    try:
        ask()
    finally:
        sys.settrace(before)
    return len(steps)


def test_the_last_of_many_orders_is_found_as_fast_as_the_first(outbox):
    """What a strategy asks of its new orders does not look at each of them."""
    for _ in range(500):
        outbox.add(0, 1.0, {})
    assert [7, 499] == [int(outbox.pending(each)["order_id"]) for each in (7, 499)]
    assert _steps_of(lambda: outbox.pending(0)) == _steps_of(lambda: outbox.pending(499))
    assert outbox.pending(500) is None


def test_orders_are_found_among_requests_of_every_kind(outbox):
    """By id, whoever asked for them, in this round only."""
    exits = blank_requests(3)
    exits["action"], exits["order_id"][1], exits["symbol"] = (ORDER, CANCEL, ORDER), 0, (0, 0, 1)
    outbox._state.counters[RunState.ORDERS] = 4
    outbox.place(np.array([1, 0]), np.array([5.0, 6.0]))
    outbox.cancel(4, 1, 5.0, False)
    outbox.add(1, 7.0, {})
    outbox.append(exits)
    outbox.add(0, 8.0, {})
    found = [outbox.pending(each) for each in range(4, 10)]
    assert [4, 5, 6, 7, 8, 9] == [int(row["order_id"]) for row in found]
    assert [5.0, 6.0, 7.0, 0.0, 0.0, 8.0] == [float(row["quantity"]) for row in found]
    assert [True, True, False] == [outbox.ended(each, 0, False) for each in (0, 4, 5)]
    outbox._state.counters[RunState.ORDERS] += 6
    outbox.take()
    assert [None, None] == [outbox.pending(each) for each in (4, 10)]
    assert not outbox.ended(4, 1, False)


def test_a_target_placed_after_the_end_of_earlier_ones_goes_on(outbox):
    """The end of a symbol's targets is of those before it, and of no other symbol's."""
    outbox.place(np.array([0, 1]), np.array([5.0, 5.0]), is_target=True)
    outbox.cancel_targets(np.array([0]))
    outbox.place(np.array([0]), np.array([6.0]), is_target=True)
    assert [True, False, False] == [outbox.ended(each, symbol, True) for each, symbol in ((0, 0), (1, 1), (2, 0))]
    assert not outbox.ended(0, 0, False)
