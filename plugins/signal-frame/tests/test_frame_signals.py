"""The signal source over frames in memory."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_signal_frame import plugin
from ml4t_backtest_signal_frame.source import FrameSignalConfig, FrameSignalSource
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, 2), date(2024, 1, 3)]
LONG = pl.DataFrame(
    {"symbol": ["A", "B", "A", "B"], "timestamp": [DAYS[0]] * 2 + [DAYS[1]] * 2, "score": [1.0, -1.0, 2.0, -2.0]}
)
WIDE = pl.DataFrame({"timestamp": DAYS, "A": [1.0, 2.0], "B": [-1.0, -2.0]})


def made(frame, name="predictions", **settings):
    """Make a source of a frame."""
    config = Engine.configure(FrameSignalConfig, {"frame": frame, **settings}, where="signal", owner="signal-frame")
    return FrameSignalSource(config, make_setup(name))


def opened(frame, name="predictions", **settings):
    """Open a source of a frame."""
    source = made(frame, name, **settings)
    source.open(Window())
    return source


def test_the_plugin_offers_the_source():
    """The name of the run file leads to the class."""
    expected = {"frame": "ml4t_backtest_signal_frame.source:FrameSignalSource"}
    assert expected == dict(plugin.ml4t_register_signal_sources())
    assert "signal-frame" == plugin.MANIFEST.name


@pytest.mark.parametrize(
    "frame",
    [
        LONG,
        LONG.lazy(),
        LONG.to_arrow(),
        LONG.rename({"symbol": "asset", "timestamp": "date"}),
        LONG.to_pandas(),
        LONG.to_pandas().assign(timestamp=pd.to_datetime(LONG["timestamp"].to_list(), utc=True)),
        LONG.to_pandas().set_index(["timestamp", "symbol"]),
        LONG.to_pandas().set_index(["timestamp", "symbol"])["score"],
        {"score": WIDE},
        {"score": WIDE.to_pandas().assign(timestamp=pd.to_datetime(DAYS)).set_index("timestamp")},
    ],
)
def test_every_kind_of_frame_gives_the_same_signal(frame):
    """Polars, pandas and Arrow; long and wide; by column and by index."""
    source = opened(frame)
    found = pl.concat(source.batches()).sort("timestamp", "symbol").select("symbol", "timestamp", "score")
    assert LONG.equals(found)
    spec = source.spec
    assert ("signal", ("score",), "label", False) == (spec.kind, spec.fields, spec.rule.convention, spec.drives)


def test_one_wide_frame_is_one_signal_called_as_its_source():
    """As in ``Engine(weights=frame)``; a missing value is no row."""
    wide = WIDE.with_columns(B=pl.Series([None, 0.5]))
    source = opened(wide, name="weights")
    assert ("weights",) == source.spec.fields
    (batch,) = source.batches()
    assert [("A", DAYS[0], 1.0), ("A", DAYS[1], 2.0), ("B", DAYS[1], 0.5)] == batch.rows()
    assert ("target",) == opened(wide, values=["target"]).spec.fields


def test_a_bare_intraday_timestamp_is_refused_with_the_line_to_add():
    """Nothing is taken as known at a bare timestamp."""
    moments = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (15, 15, 16, 16)]
    with pytest.raises(DataError, match=r"columns = { event_time = \"timestamp\" }"):
        opened(LONG.with_columns(timestamp=pl.Series(moments)))
    source = opened(LONG.with_columns(timestamp=pl.Series(moments)), columns={"known_at": "timestamp"})
    assert "known_at" == source.spec.rule.convention


def test_what_happens_to_a_frame_later_does_not_reach_the_run():
    """The source owns its memory."""
    scores = np.array([1.0, -1.0, 2.0, -2.0])
    frames = [LONG.with_columns(score=pl.Series(scores)), LONG.to_pandas()]
    sources = [made(frame) for frame in frames]
    scores[:] = 999.0
    frames[1].loc[:, "score"] = 999.0
    for source in sources:
        source.open(Window())
        assert LONG.equals(pl.concat(source.batches()))


def test_the_digest_is_of_the_content():
    """Other predictions, another digest."""
    assert made(LONG).digest() == made(LONG.clone()).digest()
    assert made(LONG).digest() != made(LONG.with_columns(score=-pl.col("score"))).digest()


def test_what_is_no_frame_of_signals_is_refused():
    """When the source is made."""
    for frame, fault in (
        ([1.0], "<predictions>: was list, expected a polars, pandas or Arrow frame"),
        (LONG.drop("timestamp"), "<predictions>: no column timestamp"),
        (LONG.drop("score"), "<predictions>: no column holds numbers"),
    ):
        with pytest.raises(DataError) as caught:
            made(frame)
        assert caught.value.problems[0].startswith(fault)


def test_a_value_may_outlive_the_next_release():
    """``valid_for`` is a duration."""
    assert 3_600 * 10**9 == opened(LONG, valid_for="1h").spec.valid_for
