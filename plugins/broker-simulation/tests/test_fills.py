"""When market orders fill, and at which price."""

import numpy as np
import pytest

NAN = float("nan")


def test_market_order_takes_the_open_of_the_next_bar(make_world):
    """An order submitted at a close takes the next open, though both may carry one stamp."""
    world = make_world()
    world.submit(100, (0, 5.0))
    world.match(200, (0, 100, 200, 10.0, 11.0))

    assert [(0, 5.0, 10.0, 100)] == world.fills
    assert 200 == world.state.fills.rows()[0]["known_at"]
    assert 100 == world.state.fills.rows()[0]["submitted_at"]


def test_open_that_formed_before_submission_is_not_taken(make_world):
    """It may take an open if bar_start >= submitted_at."""
    world = make_world()
    world.submit(101, (0, 5.0))
    world.match(200, (0, 100, 200, 10.0, 11.0))
    world.match(300, (0, 200, 300, 12.0, 13.0))

    assert [(0, 5.0, 12.0, 200)] == world.fills


@pytest.mark.parametrize(("submitted", "expected"), [(199, [(0, 5.0, 11.0, 200)]), (200, [])])
def test_next_close_must_form_after_submission(make_world, submitted, expected):
    """It may take a close if event_time > submitted_at."""
    world = make_world("close")
    world.submit(submitted, (0, 5.0))
    world.match(200, (0, 100, 200, 10.0, 11.0))

    assert expected == world.fills


def test_same_close_fills_on_the_bar_of_the_instant_and_is_flagged(make_world):
    """The named mode fills in the instant of the decision; its results say so."""
    world = make_world("same-close")
    bar = (0, 100, 200, 10.0, 11.0)
    world.match(200, bar)
    world.submit(200, (0, 5.0))
    world.match_now(bar)

    assert [(0, 5.0, 11.0, 200)] == world.fills
    assert ("fills at the same close",) == world.broker.flags


def test_same_close_without_a_bar_waits_for_the_next_close(make_world):
    """A symbol that has no row in this instant fills at its next close."""
    world = make_world("same-close")
    world.submit(200, (1, 5.0))
    world.match_now((0, 100, 200, 10.0, 11.0))
    world.match(300, (1, 200, 300, 20.0, 21.0))

    assert [(0, 5.0, 21.0, 300)] == world.fills


@pytest.mark.parametrize("mode", ["open", "close"])
def test_other_modes_never_fill_at_once(make_world, mode):
    """Only the flagged mode fills on the bar that was known when the order was made."""
    world = make_world(mode)
    world.submit(200, (0, 5.0))
    world.match_now((0, 200, 201, 10.0, 11.0))

    assert [] == world.fills
    assert () == world.broker.flags


def test_null_price_fills_nothing_and_the_order_stays(make_world):
    """A symbol cannot fill on a null price."""
    world = make_world()
    world.submit(100, (0, 5.0))
    world.match(200, (0, 100, 200, NAN, 11.0))
    assert [] == world.fills
    assert [[0], []] == world.working

    world.match(300, (0, 200, 300, 12.0, 11.0))
    assert [(0, 5.0, 12.0, 200)] == world.fills


def test_feed_without_the_price_fills_nothing(make_world):
    """Close-only bars have no open to take."""
    world = make_world()
    world.submit(100, (0, 5.0))
    world.match(200, (0, 100, 200, 10.0, 11.0), fields=("close",))

    assert [] == world.fills


def test_negative_and_zero_prices_are_prices(make_world):
    """Negative prices are legal where the instrument says so, which is the data gate's business."""
    world = make_world()
    world.submit(100, (0, 5.0), (1, -1.0))
    world.match(200, (0, 100, 200, -37.63, -30.0), (1, 100, 200, 0.0, 1.0))

    assert [(0, 5.0, -37.63, 100), (1, -1.0, 0.0, 100)] == world.fills


def test_fills_follow_the_rows_then_the_ids(make_world):
    """Order of fills within an instant: rows (symbol name), then order id."""
    world = make_world()
    world.submit(100, (1, 1.0), (0, 2.0), (1, 3.0), (0, 4.0))
    world.match(200, (0, 100, 200, 10.0, 11.0), (1, 100, 200, 20.0, 21.0))

    assert [1, 3, 0, 2] == [order for order, *_ in world.fills]
    assert [[], []] == world.working


def test_row_of_a_symbol_that_is_released_by_it_is_passed_over(make_world):
    """A row may name a symbol that the tables do not hold yet: nobody can have ordered it."""
    world = make_world()
    world.submit(100, (1, 1.0))
    world.match(200, (1, 100, 200, 20.0, 21.0), (2, 100, 200, 30.0, 31.0))

    assert [(0, 1.0, 20.0, 100)] == world.fills


def test_sequence_orders_all_transitions(make_world):
    """One transition is one number; a fill has that of its event and comes after the acceptance."""
    world = make_world()
    world.submit(100, (0, 1.0), (1, 1.0))
    world.match(200, (0, 100, 200, 10.0, 11.0), (1, 100, 200, 20.0, 21.0))

    assert list(range(6)) == world.state.order_events.rows()["sequence"].tolist()
    assert [4, 5] == world.state.fills.rows()["sequence"].tolist()
    assert [1, 3] == world.state.orders.rows()["sequence"].tolist()


def test_working_orders_met_on_read_only_columns(make_world):
    """Columns of a feed's frame are read-only views and must do."""
    world = make_world()
    world.submit(100, (0, 5.0))
    bars = world.bars((0, 100, 200, 10.0, 11.0))
    for column in (bars.known_at, bars.event_time, bars.bar_start, bars.symbol, bars.values, bars.ohlcv):
        column.flags.writeable = False
    world.state.now = 200
    world.broker.match(bars, 0, 1)

    assert [(0, 5.0, 10.0, 100)] == world.fills


def test_only_the_rows_of_the_instant_are_met(make_world):
    """Rows outside start:stop do not exist for the broker."""
    world = make_world()
    world.submit(100, (0, 5.0))
    bars = world.bars((0, 100, 200, 10.0, 11.0), (0, 200, 300, 12.0, 13.0))
    world.state.now = 300
    world.broker.match(bars, 1, 2)

    assert [(0, 5.0, 12.0, 200)] == world.fills


def test_tables_grow_past_their_first_size(make_world):
    """Room is reserved before the core is entered, for any number of requests."""
    world = make_world()
    world.submit(100, *[(k % 2, 1.0 + k) for k in range(500)])
    world.match(200, (0, 100, 200, 10.0, 11.0), (1, 100, 200, 20.0, 21.0))

    assert 500 == world.state.fills.count
    assert np.sum(np.arange(500) + 1.0) == world.state.fills.rows()["quantity"].sum()
