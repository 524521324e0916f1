"""A model may not have seen what its predictions are judged by; the gate proves it row by row."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import SignalConfig, Window
from ml4t_backtest_gate_standard.rows import open_rows

DAYS = [date(2024, 1, day) for day in (8, 9, 10)]
MOMENTS = [datetime(2024, 1, day, 15, tzinfo=UTC) for day in (8, 9, 10)]


def signals(stamps=DAYS, **columns):
    """Return three rows of one symbol."""
    name = "timestamp" if isinstance(stamps[0], date) and not isinstance(stamps[0], datetime) else "known_at"
    return pl.DataFrame({"symbol": ["A"] * 3, name: stamps, "score": [1.0, 2.0, 3.0], **columns})


def opened(frame, **settings):
    return open_rows(frame.lazy(), SignalConfig(**settings), Window(), name="scores", origin="scores.parquet")


def refusal(frame, **settings):
    with pytest.raises(DataError) as error:
        opened(frame, **settings)
    return str(error.value)


def test_a_row_whose_model_was_trained_on_what_follows_is_named():
    """The first such row, its symbol and stamp, how many more, and what to do."""
    frame = signals(trained_through=[date(2024, 1, 1), date(2024, 1, 9), date(2024, 1, 10)])
    assert opened(frame).spec.fields == ("score",)
    assert (
        "scores.parquet row 1 (A, 2024-01-09): its model was trained through 2024-01-09 and looks 1d ahead, which is "
        "after its event_time (and 1 more row like it); leave such rows out, or predict with a model that was trained "
        "before"
    ) == refusal(frame, horizon="1d")


@pytest.mark.parametrize(
    ("horizon", "embargo", "fits"),
    [("0s", None, True), ("3d", None, True), ("4d", None, False), ("2d", "1d", True), ("2d", "25h", False)],
)
def test_horizon_and_embargo_lie_between_training_and_event(horizon, embargo, fits):
    """The fifth to the eighth are three days, and not one hour more."""
    settings = {"trained_through": date(2024, 1, 5), "horizon": horizon, "embargo": embargo}
    assert fits is (not isinstance(try_to_open(signals(), **settings), DataError))


def try_to_open(frame, **settings):
    try:
        return opened(frame, **settings)
    except DataError as error:
        return error


@pytest.mark.parametrize(
    "horizon", [[1, 2, 3], [timedelta(days=1), timedelta(days=2), timedelta(days=3)]], ids=["days", "durations"]
)
def test_each_row_may_have_a_horizon_of_its_own(horizon):
    """A column of durations or of whole days is no value of the source; the longest is that of the source."""
    spec = opened(signals(horizon=horizon), trained_through=date(2024, 1, 7)).spec
    assert (("score",), 3 * 86_400 * 10**9) == (spec.fields, spec.horizon)
    frame = signals(horizon=[*horizon[:2], horizon[2] * 2])
    assert "row 2 (A, 2024-01-10)" in refusal(frame, trained_through=date(2024, 1, 7))


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        ({}, {"trained_through": date(9999, 12, 31)}),
        ({}, {"trained_through": datetime(9999, 12, 31, 12, tzinfo=UTC)}),
        ({}, {"trained_through": date(2000, 1, 1), "horizon": "100000d"}),
        ({}, {"trained_through": date(2000, 1, 1), "horizon": "100000d", "embargo": "100000d"}),
        ({"trained_through": [date(9999, 12, 31)] * 3}, {}),
        ({"horizon": [10**9] * 3}, {"trained_through": date(2000, 1, 1)}),
        ({"horizon": [timedelta(days=200_000)] * 3}, {"trained_through": date(2000, 1, 1)}),
        ({"horizon": pl.Series([2**63] * 3, dtype=pl.UInt64)}, {"trained_through": date(2000, 1, 1)}),
        ({"horizon": pl.Series([None] * 3, dtype=pl.Int64)}, {"trained_through": date(2000, 1, 1)}),
        ({"horizon": [-5] * 3}, {"trained_through": date(2000, 1, 1)}),
    ],
)
@pytest.mark.parametrize("stamps", [DAYS, MOMENTS])
def test_no_sum_wraps_around_and_no_horizon_is_unknown_or_negative(stamps, columns, settings):
    """Such a proof fails, however far off its dates and however long its horizon."""
    assert "its model was trained through" in refusal(signals(stamps, **columns), **settings)


@pytest.mark.parametrize("through", [date(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC)])
def test_what_was_trained_before_all_time_passes(through):
    """A date that says: never."""
    assert ("score",) == opened(signals(), trained_through=through, horizon="5d").spec.fields


def test_a_date_counts_as_a_whole_day_against_an_instant():
    """Training through the eighth ends with it, whatever the hour; a session's label begins with it."""
    day_before, day = date(2024, 1, 7), date(2024, 1, 8)
    assert opened(signals(MOMENTS, trained_through=[day_before] * 3)).spec.fields == ("score",)
    assert "row 0" in refusal(signals(MOMENTS, trained_through=[day] * 3))
    assert opened(signals(trained_through=[datetime(2024, 1, 8, tzinfo=UTC)] * 3)).spec.fields == ("score",)
    assert "row 0" in refusal(signals(trained_through=[datetime(2024, 1, 8, 1, tzinfo=UTC)] * 3))


def test_midnights_are_compared_as_the_dates_that_they_name():
    """The pandas way of writing a date."""
    midnights = [datetime(day.year, day.month, day.day) for day in DAYS]
    frame = pl.DataFrame({"symbol": ["A"] * 3, "timestamp": midnights, "score": [1.0] * 3, "trained_through": DAYS})
    assert opened(frame).spec.fields == ("score",)
    assert "row 0" in refusal(frame, embargo="1d")


def test_event_time_counts_where_there_is_one():
    """A row may be known long after what it is about."""
    known = [moment + timedelta(days=30) for moment in MOMENTS]
    frame = signals(known, event_time=MOMENTS, trained_through=[MOMENTS[1]] * 3)
    assert "row 0" in refusal(frame)


def test_naive_stamps_of_training_are_in_the_zone_of_the_source():
    """16:00 in New York is 21:00 UTC, after an event at 20:59 UTC."""
    moments = [datetime(2024, 1, day, 20, 59, tzinfo=UTC) for day in (8, 9, 10)]
    frame = signals(moments, trained_through=[datetime(2024, 1, 8, 16)] * 3)
    assert opened(frame).spec.fields == ("score",)
    assert "row 0" in refusal(frame, timezone="America/New_York")


def test_a_row_that_does_not_say_fails():
    """What is unknown is not proven."""
    assert "trained through None" in refusal(signals(trained_through=[DAYS[0], None, DAYS[0]]))


@pytest.mark.parametrize(
    ("columns", "settings", "words"),
    [
        ({}, {"embargo": "1d"}, "nothing says how long the model was trained; add `trained_through`"),
        ({"trained_through": DAYS}, {"trained_through": DAYS[0]}, "is a setting and a column trained_through"),
        ({"trained_through": ["a"] * 3}, {}, "is String; trained_through takes dates or datetimes"),
        ({"horizon": [1.5] * 3}, {}, "is Float64; horizon takes durations, or whole days"),
    ],
)
def test_what_cannot_be_read_is_said(columns, settings, words):
    """Which column or setting, and what it takes."""
    assert words in refusal(signals(**columns), **settings)


def test_values_may_name_a_column_called_like_a_proof():
    """Then it is a value."""
    frame = signals(horizon=[1.0, 2.0, 3.0])
    assert ("horizon", "score") == opened(frame, values=("horizon", "score")).spec.fields


def test_every_row_of_a_piecewise_read_is_proven():
    """The third row lies in the second batch."""
    frame = signals(trained_through=[DAYS[0], DAYS[0], date(2024, 2, 1)])
    assert "row 2 (A, 2024-01-10)" in refusal(frame, batch_rows=2)
