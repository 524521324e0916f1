"""The outbox: requests in columns, in the order in which they were made."""

import numpy as np
import pytest

from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import REASONS, RunState
from ml4t_backtest_engine_standard.context.outbox import CANCEL, CANCEL_TARGETS, ORDER, Outbox


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
    outbox.place(np.array([0]), np.array([7.0]), kind=1, limit_price=9.0)
    outbox.place(np.array([0]), np.array([100.0]), kind=2, stop_price=9.0)
    open_, target = outbox.open_quantities()
    assert [22.0, 5.0] == [open_[0], target[0]]
    outbox.cancel_targets(np.array([0]))
    outbox.cancel(1, 0, 7.0, False)
    assert [10.0, 0.0] == [open_[0], target[0]]
    assert 10.0 == outbox._state.books["open_quantity"][0]


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
