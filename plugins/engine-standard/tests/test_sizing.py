"""Targets: what is counted, replaced, truncated, refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml4t.backtest.state import REASONS, RunState
from ml4t_backtest_engine_standard.context.outbox import CANCEL_TARGETS, ORDER, Outbox
from ml4t_backtest_engine_standard.context.sizing import Sizer

NAN = float("nan")


class Desk:
    """A sizer over a state of three symbols at 10, 20 and no price; equity is 1,000."""

    def __init__(self, lot=1.0, multiplier=1.0):
        self.state = RunState()
        self.state.add_symbols(["A", "B", "C"], {"*": (1e-9, lot, multiplier)})
        self.state.instruments["mark"] = 10.0, 20.0, NAN
        self.outbox = Outbox(self.state)
        self.folded = 0
        self.sizer = Sizer(self.state, self.outbox, self.fold, lambda: 1000.0)

    def fold(self):
        self.folded += 1

    def hold(self, *quantities):
        self.state.positions["quantity"] = quantities
        return self

    def working(self, symbol, quantity, by_target=True):
        self.state.books["open_quantity"][symbol] += quantity
        self.state.books["target_quantity"][symbol] += quantity * by_target
        self.state.counters[RunState.WORKING] += 1
        return self

    def ask(self, kind, *amounts, basket=True):
        ids = self.sizer.place(kind, np.arange(3), np.array(amounts), 0, basket=basket)
        return [self.quantity(each) for each in ids.tolist()]

    def quantity(self, order_id):
        return None if order_id < 0 else self.outbox.pending(order_id)["quantity"].item()

    def requests(self):
        rows = self.outbox.take()
        return [(int(row["action"]), int(row["symbol"]), row["quantity"].item()) for row in rows]


def test_a_target_counts_what_is_held():
    """100 wanted, 40 held: 60."""
    assert [60.0, -5.0, None] == Desk().hold(40, 5, 7).ask("target_quantity", 100.0, 0.0, 7.0)


def test_a_target_counts_open_orders():
    """Orders of one's own, not by a target, are counted and stay."""
    desk = Desk().hold(10, 0, 0).working(0, 30, by_target=False)
    assert [60.0, None, None] == desk.ask("target_quantity", 100.0, NAN, NAN)
    assert [(ORDER, 0, 60.0)] == desk.requests()


def test_a_new_target_replaces_what_is_left_of_the_last():
    """30 are still to come for the old target: they are cancelled and the whole is asked for."""
    desk = Desk().working(0, 30)
    assert [50.0, None, None] == desk.ask("target_quantity", 50.0, NAN, NAN)
    assert [(CANCEL_TARGETS, 0, 0.0), (ORDER, 0, 50.0)] == desk.requests()


def test_the_same_target_again_sends_nothing():
    """What is on its way is what is wanted."""
    desk = Desk().hold(20, 0, 0).working(0, 30)
    assert [None, None, None] == desk.ask("target_quantity", 50.0, NAN, NAN)
    assert [] == desk.requests()


def test_a_target_that_is_reached_without_the_last_cancels_it():
    """Back at what is held: only the cancel is sent."""
    desk = Desk().hold(20, 0, 0).working(0, 30)
    assert [None, None, None] == desk.ask("target_quantity", 20.0, NAN, NAN)
    assert [(CANCEL_TARGETS, 0, 0.0)] == desk.requests()


def test_targets_count_the_outbox():
    """A second target in the same callback replaces the first, an order before it counts."""
    desk = Desk()
    desk.ask("quantity", 15.0, 0.0, NAN)
    assert [85.0, None, None] == desk.ask("target_quantity", 100.0, NAN, NAN)
    assert [25.0, None, None] == desk.ask("target_quantity", 40.0, NAN, NAN)
    assert [(ORDER, 0, 15.0), (ORDER, 0, 85.0), (CANCEL_TARGETS, 0, 0.0), (ORDER, 0, 25.0)] == desk.requests()


def test_weights_are_fractions_of_equity_at_the_mark():
    """10 % of 1,000 at 10 and at 20; short as well."""
    assert [10.0, -5.0, None] == Desk().ask("target_percent", 0.1, -0.1, NAN)
    assert [5.0, None, None] == Desk(multiplier=2.0).ask("target_percent", 0.1, 0.0, NAN)


def test_values_and_percents_add_to_what_is_held():
    """They are no targets: holdings do not matter."""
    assert [2.0, -3.0, None] == Desk().hold(50, 50, 50).ask("value", 25.0, -65.0, NAN)
    assert [9.0, None, None] == Desk().hold(50, 50, 50).ask("percent", 0.095, 0.0, NAN)


def test_sizes_are_truncated_to_lots():
    """Toward zero, buys and sells alike."""
    assert [9.0, -4.0, None] == Desk().ask("target_value", 99.0, -99.0, NAN)
    assert [2.5, None, None] == Desk(lot=0.5).ask("value", 29.9, 9.9, NAN)
    assert [None, None, None] == Desk(lot=100).ask("target_value", 999.0, -999.0, NAN)


def test_a_target_of_nothing_closes_odd_lots():
    """0 sells the whole, though it is no whole lot and has no mark."""
    assert [-0.25, None, -1.5] == Desk().hold(0.25, 0, 1.5).ask("target_percent", 0.0, 0.0, 0.0)


def test_a_symbol_without_a_mark_is_refused_with_the_reason():
    """The request goes out, so that the refusal is on record; it counts for nothing."""
    desk = Desk()
    ids = desk.sizer.place("target_percent", np.arange(3), np.array([0.1, NAN, 0.1]), 0, basket=True)
    assert [0, -1, 1] == ids.tolist()
    assert [0, REASONS.index("no-mark")] == desk.outbox.take()["reason"].tolist()
    assert 0.0 == desk.outbox.open_quantities()[0][2]


def test_nan_keeps_a_symbol_as_it_is():
    """Neither its position nor its orders are touched."""
    desk = Desk().hold(5, 5, 5).working(1, 30)
    assert [None, None, None] == desk.ask("target_percent", NAN, NAN, NAN)
    assert [] == desk.requests()


def test_baskets_are_numbered_and_single_orders_are_none():
    """A vector is judged as one."""
    desk = Desk()
    desk.ask("target_quantity", 1.0, 1.0, NAN)
    desk.ask("target_quantity", 2.0, 2.0, NAN)
    desk.ask("quantity", 3.0, NAN, NAN, basket=False)
    rows = desk.outbox.take()
    assert [1, 1, 2, 2, -1] == rows["basket"][rows["action"] == ORDER].tolist()
    assert 2 == desk.sizer.baskets


whole = st.integers(-50, 50).map(float)


@settings(max_examples=100, deadline=None)
@given(held=whole, own=whole, before=whole, target=whole, again=whole)
def test_all_filled_the_target_is_held(held, own, before, target, again):
    """Whatever works, once everything is filled and replaced orders are gone, the last target is the position."""
    desk = Desk().hold(held, 0, 0).working(0, own, by_target=False).working(0, before)
    working = {"own": own, "target": before}
    for wanted in (target, again):
        desk.ask("target_quantity", wanted, NAN, NAN)
    for action, _, quantity in desk.requests():
        working["target"] = 0.0 if action == CANCEL_TARGETS else working["target"] + quantity
    assert again == held + working["own"] + working["target"]


def test_marks_are_brought_up_to_date_only_where_they_count():
    """Quantities need no price."""
    desk = Desk()
    desk.ask("target_quantity", 1.0, 1.0, 1.0)
    assert 0 == desk.folded
    desk.ask("target_percent", 0.1, NAN, NAN)
    assert 1 == desk.folded


@pytest.mark.parametrize("kind", ["quantity", "target_quantity"])
def test_an_infinite_amount_is_left_to_the_broker(kind):
    """One order with an infinite quantity is refused there, with the reason on record."""
    assert [float("inf"), None, None] == Desk().ask(kind, float("inf"), NAN, NAN)
