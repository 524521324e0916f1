"""Features are numbers per symbol, unknown wherever a number that they need is."""

import numpy as np
import pytest

from ml4t_backtest_signal_model.features import Feature, compute

NAN = float("nan")


class Stub:
    """A view over three bars of four symbols, and a table."""

    symbols = ("A", "B", "C", "D")
    rows = np.array([[1.0, 4.0, NAN, 5.0], [2.0, 4.0, 7.0, 5.0], [4.0, 1.0, 8.0, 5.0]])

    def __init__(self):
        self.asked = []

    def history(self, field, bars, **options):
        self.asked.append((field, bars, options))
        return self.rows[-bars:]

    def asof(self, table, field, **options):
        self.asked.append((table, field, options))
        return 3.5 if table == "macro" else np.array([1.0, NAN, 3.0, 4.0])


@pytest.mark.parametrize(
    ("transform", "history", "expected"),
    [
        ("last", 1, [4.0, 1.0, 8.0, 5.0]),
        ("change", 3, [3.0, -0.75, NAN, 0.0]),
        ("change", 2, [1.0, -0.75, 1 / 7, 0.0]),
        ("mean", 3, [7 / 3, 3.0, NAN, 5.0]),
        ("deviation", 2, [1.0, 1.5, 0.5, 0.0]),
        ("zscore", 2, [1.0, -1.0, 1.0, NAN]),
        ("rank", 1, [1 / 3, 0.0, 1.0, 2 / 3]),
    ],
)
def test_transforms_of_history(transform, history, expected):
    """What does not move has no score; a gap in the window makes what needs it unknown."""
    feature = Feature(field="close", history=history, transform=transform)
    (values,) = compute((feature,), Stub()).values()
    assert pytest.approx(expected, nan_ok=True) == values.tolist()


def test_a_change_from_zero_is_unknown():
    """An infinite number is no number to tell a model."""
    view = Stub()
    view.rows = np.array([[0.0, 1.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0]])
    (values,) = compute((Feature(field="close", history=2, transform="change"),), view).values()
    assert pytest.approx([NAN, 0.0, -0.5, -0.75], nan_ok=True) == values.tolist()


def test_equal_ranks_share_the_middle_and_a_single_one_has_a_half():
    """Places run from 0 to 1."""
    view = Stub()
    for row, expected in (
        ([2.0, 2.0, 1.0, 9.0], [0.5, 0.5, 0.0, 1.0]),
        ([NAN, 3.0, NAN, NAN], [NAN, 0.5, NAN, NAN]),
        ([NAN] * 4, [NAN] * 4),
    ):
        view.rows = np.array([row])
        (values,) = compute((Feature(field="close", transform="rank"),), view).values()
        assert pytest.approx(expected, nan_ok=True) == values.tolist()


def test_tables_count_for_each_symbol_or_for_all():
    """A market-wide figure is the same for all."""
    view = Stub()
    features = (Feature(table="facts", field="size"), Feature(table="macro", field="rate", max_age="30d"))
    made = compute(features, view)
    assert pytest.approx([1.0, NAN, 3.0, 4.0], nan_ok=True) == made["size"].tolist()
    assert [3.5] * 4 == made["rate"].tolist()
    assert [("facts", "size", {}), ("macro", "rate", {"max_age": "30d"})] == view.asked


def test_options_of_history_are_passed_on():
    """The feed, and how old a value may be."""
    view = Stub()
    compute((Feature(field="bid", feed="quotes", history=2, fill="3d"), Feature(field="close")), view)
    assert [("bid", 2, {"feed": "quotes", "fill": "3d"}), ("close", 1, {"feed": None})] == view.asked


def test_names_are_the_field_and_what_is_made_of_it():
    """Unless they are given."""
    names = [
        Feature(field="close").called,
        Feature(field="close", history=2, transform="change").called,
        Feature(field="close", name="price").called,
    ]
    assert ["close", "close_change", "price"] == names


def test_what_is_told_is_memory_of_its_own():
    """A model may write on it."""
    view = Stub()
    made = compute((Feature(field="close"),), view)
    made["close"][0] = 99.0
    assert 4.0 == view.rows[-1, 0]
