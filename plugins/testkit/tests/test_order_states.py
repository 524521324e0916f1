"""The table of states that brokers are held to finds what is not in it."""

import numpy as np
import pytest

from ml4t.backtest.state import REASONS, STATUSES
from ml4t_backtest_testkit import random_market
from ml4t_backtest_testkit.conformance.order_states import histories, strange_transitions
from ml4t_backtest_testkit.engines import RandomTrader, plain_engine
from ml4t_backtest_testkit.random_orders import RandomOrders


class Told:
    """A result that holds the transitions of one order."""

    def __init__(self, *transitions):
        rows = np.zeros(len(transitions), [("order_id", "i8"), ("status", "i1"), ("reason", "i2")])
        for row, (status, reason) in zip(rows, transitions, strict=True):
            row["status"], row["reason"] = STATUSES.index(status), REASONS.index(reason)
        self.state = self
        self.order_events = self
        self.rows = lambda: rows


BEGIN = [("submitted", ""), ("accepted", "")]


@pytest.mark.parametrize(
    "transitions",
    [
        [*BEGIN, ("filled", "next-open")],
        [*BEGIN, ("accepted", "triggered"), ("partial", "stop"), ("partial", "next-open"), ("filled", "next-open")],
        [*BEGIN, ("refused", "amend-not-possible"), ("cancelled", "end-of-run"), ("refused", "already-done")],
        [("submitted", "changed-by-risk"), ("held", "waits-for-parent"), ("accepted", "parent-filled")],
        [("refused", "unknown-order"), ("submitted", ""), ("refused", "unknown-order")],
    ],
)  # fmt: skip
def test_what_the_table_has_is_not_strange(transitions):
    """Requests that were refused leave an order as it was."""
    assert [] == list(strange_transitions(Told(*transitions)))


@pytest.mark.parametrize(
    "transitions",
    [
        [("accepted", "")],
        [*BEGIN, ("filled", "")],
        [*BEGIN, ("filled", "next-open"), ("cancelled", "end-of-run")],
        [*BEGIN, ("held", "waits-for-parent")],
        [*BEGIN, ("expired", "end-of-run")],
        [("submitted", ""), ("filled", "next-open")],
        [("submitted", ""), ("refused", "")],
    ],
)
def test_what_the_table_does_not_have_is_found(transitions):
    """A status out of order, or a reason that it does not have there."""
    assert 1 == len(list(strange_transitions(Told(*transitions))))


def test_random_orders_are_of_every_kind():
    """Also groups, children, amendments and requests that make no sense; the same seed asks for the same."""
    prices = random_market(seed=21, symbols=4, bars=80)
    result, again = (plain_engine(RandomOrders(), prices, seed=3).run() for _ in range(2))
    orders = result.state.orders.rows()
    assert {0, 1, 2, 3, 4, 5} == set(orders["kind"].tolist())
    assert {0, 1, 2, 3, 4, 5, 6} == set(orders["time_in_force"].tolist())
    rows = np.concatenate([rows for _, _, rows in result.journal.request_rows])
    assert {0, 1, 3} == set(rows["action"].tolist())
    assert (rows["group"] >= 0).any()
    assert (rows["parent"] >= 0).any()
    assert result.decision_hash == again.decision_hash


def test_histories_are_those_of_the_run():
    """An entry per order, from its submission to its end."""
    result = plain_engine(RandomTrader(), random_market(seed=21, symbols=2, bars=40), seed=3).run()
    found = histories(result)
    assert list(range(result.state.orders.count)) == sorted(found)
    assert {("submitted", "")} == {each[0] for each in found.values()}
