"""From scores to target weights."""

import numpy as np
import pytest

from ml4t_backtest_strategy_signal.weights import rank_weights

NAN = float("nan")


def weights(scores, **rule):
    """Return weights as a list."""
    return rank_weights(scores, **rule).tolist()


def test_the_highest_are_held_long_and_the_lowest_short():
    """Each with the same weight."""
    assert [-0.25, 0.0, 0.25, 0.25, -0.25] == weights([1.0, 3.0, 5.0, 4.0, 2.0], long=2, short=2)


def test_without_a_short_side_nothing_is_short():
    """Long only is the default."""
    assert [0.0, 0.5, 0.5] == weights([-1.0, -0.5, 2.0], long=2)


def test_equal_scores_are_taken_in_the_order_of_the_symbols():
    """The same run every time."""
    assert [0.25, 0.25, -0.25, -0.25, 0.0] == weights([1.0] * 5, long=2, short=2)


def test_unknown_scores_are_not_held():
    """Neither NaN nor infinity is a rank."""
    assert [0.0, 0.5, 0.0, 0.0] == weights([NAN, 1.0, NAN, float("inf")], long=2)
    assert [0.0, 0.0] == weights([NAN, NAN], long=1, short=1)
    assert [] == weights([], long=1)


def test_places_that_are_not_taken_stay_cash():
    """Few names do not get larger weights."""
    assert [0.1, 0.1] == weights([1.0, 2.0], long=10)


def test_no_symbol_is_on_both_sides():
    """The long side chooses first."""
    assert [0.25, 0.25, -0.25] == weights([2.0, 3.0, 1.0], long=2, short=2)


def test_gross_is_the_sum_of_absolute_weights():
    """A fraction of equity; 2.0 is two times levered."""
    found = rank_weights(np.arange(100.0), long=25, short=25, gross=2.0)
    assert 2.0 == pytest.approx(np.abs(found).sum())
    assert 0.0 == pytest.approx(found.sum())


def test_a_threshold_keeps_weak_scores_out():
    """On both sides."""
    assert [0.25, 0.0, 0.0, -0.25] == weights([0.5, 0.4, -0.4, -0.5], long=2, short=2, threshold=0.5)
    assert [0.25, 0.0, 0.0, 0.0] == weights([0.1, 0.0, -0.1, NAN], long=4, threshold=0.05)


def test_proportional_weights_follow_the_scores():
    """Positive scores long, negative ones short, gross in all."""
    rule = {"long": 2, "short": 1, "weighting": "proportional"}
    assert [0.5, 0.25, 0.0, -0.25] == weights([2.0, 1.0, 0.5, -1.0], **rule)
    assert [1.0, 0.0, 0.0] == weights([2.0, 0.0, 0.0], **rule)
    assert [0.0, 0.0] == weights([-1.0, -2.0], long=2, weighting="proportional")
