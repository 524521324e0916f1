"""The feed over frames in memory."""

from datetime import date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_frame import plugin
from ml4t_backtest_feed_frame.feed import FrameDataFeed, FrameFeedConfig
from ml4t_backtest_gate_standard.frames import long_frame
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, 2), date(2024, 1, 3)]
LONG = pl.DataFrame(
    {
        "symbol": ["A", "B", "A", "B"],
        "timestamp": [DAYS[0], DAYS[0], DAYS[1], DAYS[1]],
        "open": [10.0, 20.0, 11.0, 21.0],
        "close": [10.5, 20.5, 11.5, 21.5],
    }
)


def made(frame, **settings):
    """Make a feed of a frame."""
    config = Engine.configure(FrameFeedConfig, {"frame": frame, **settings}, where="feed", owner="feed-frame")
    return FrameDataFeed(config, make_setup("prices"))


def opened(frame, **settings):
    """Open a feed of a frame."""
    feed = made(frame, **settings)
    feed.open(Window())
    return feed


def rows(feed):
    """Drain a feed."""
    return pl.concat(feed.batches()).select("symbol", "timestamp", "open", "close")


def as_pandas():
    """Return the same bars as pandas has them."""
    frame = LONG.to_pandas(use_pyarrow_extension_array=False)
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"]))


def wide(field):
    """Return a field as pandas has it wide: days x symbols."""
    return as_pandas().pivot(index="timestamp", columns="symbol", values=field)


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"frame": "ml4t_backtest_feed_frame.feed:FrameDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-frame" == plugin.MANIFEST.name


@pytest.mark.parametrize(
    "frame",
    [
        LONG,
        LONG.lazy(),
        LONG.sort("symbol", "timestamp"),
        LONG.with_columns(pl.col("timestamp").cast(pl.Datetime("ms"))),
        LONG.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC"))),
        LONG.with_columns(pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Tokyo")),
        LONG.with_columns(pl.col("symbol").cast(pl.Categorical)),
        LONG.with_columns(pl.col("symbol").cast(pl.Enum(["B", "A"]))),
        LONG.with_columns(pl.col("open").cast(pl.Int64)),
        LONG.to_arrow(),
        pa.table(LONG.to_arrow()).cast(
            pa.schema([("symbol", pa.string()), ("timestamp", pa.date32()), ("open", "f8"), ("close", "f8")])
        ),
        as_pandas(),
        as_pandas().assign(timestamp=LONG["timestamp"].to_list()),
        as_pandas().astype({"symbol": "category"}),
        as_pandas().set_index("timestamp"),
        as_pandas().set_index("timestamp").rename_axis(None),
        as_pandas().assign(timestamp=LONG["timestamp"].to_list()).set_index("timestamp").rename_axis(None),
        as_pandas().set_index("timestamp").tz_localize("UTC"),
        as_pandas().set_index("timestamp").tz_localize("America/New_York"),
        as_pandas().set_index(["timestamp", "symbol"]),
        as_pandas().set_index(["symbol", "timestamp"]).rename_axis([None, None]),
        as_pandas().rename(columns={"timestamp": "Date", "open": "Open"}).set_index("Date"),
        as_pandas().astype({"open": "float32"}),
        as_pandas().astype({"open": "Int64"}),
        {"open": wide("open"), "close": wide("close")},
        {"open": pl.from_pandas(wide("open").reset_index()), "close": wide("close")[["B", "A"]]},
        {"open": wide("open").rename_axis(None), "close": wide("close")},
    ],
)
def test_every_kind_of_frame_gives_the_same_bars(frame):
    """Polars, pandas and Arrow; long and wide; by column and by index."""
    feed = opened(frame)
    expected = LONG.with_columns(pl.col("open").round())
    found = rows(feed).with_columns(pl.col("symbol").cast(pl.String), pl.col("open").cast(pl.Float64))
    assert expected.equals(found.sort("timestamp", "symbol"))
    assert ("bar", "label") == (feed.spec.kind, feed.spec.rule.convention)


def test_wide_frames_hold_no_row_where_no_field_has_a_value():
    """Before a symbol is listed it has no bar, rather than an unknown one."""
    close = wide("close")
    close.loc["2024-01-02", "B"] = np.nan
    assert [("A", DAYS[0]), ("A", DAYS[1]), ("B", DAYS[1])] == (
        pl.concat(opened({"close": close}).batches()).select("symbol", "timestamp").rows()
    )


def test_wide_frames_of_different_days_are_joined():
    """What one field lacks is unknown there."""
    found = rows(opened({"open": wide("open"), "close": wide("close")[1:]})).sort("timestamp", "symbol")
    assert [None, None, 11.5, 21.5] == found["close"].to_list()


def test_a_symbol_may_have_the_name_of_a_field():
    """There are companies whose ticker is OPEN."""
    days = [date(2024, 3, 1), date(2024, 3, 4)]
    wide = pl.DataFrame({"day": days, "open": [1.0, 2.0], "close": [3.0, 4.0], "symbol": [5.0, 6.0]})
    rows = long_frame({"open": wide, "close": wide}, "prices")
    assert ["open", "close", "symbol"] * 2 == rows["symbol"].to_list()
    assert [1.0, 3.0, 5.0, 2.0, 4.0, 6.0] == rows["close"].to_list() == rows["open"].to_list()


def test_symbols_that_pandas_holds_as_numbers_become_text():
    """Identifiers are often integers."""
    frame = as_pandas().assign(symbol=[1, 2, 1, 2])
    assert ["1", "2", "1", "2"] == rows(opened(frame))["symbol"].to_list()


def test_a_missing_value_in_pandas_is_unknown():
    """NaN, None and NA all are."""
    for missing, dtype in ((np.nan, "float64"), (pd.NA, "Float64"), (None, "object")):
        frame = as_pandas().astype({"close": dtype})
        frame.loc[1, "close"] = missing
        feed = opened(frame, prices="raw")
        assert ("<prices>: 1 of 4 rows have no close: a symbol cannot fill there",) == feed.notes()


@pytest.mark.parametrize("kind", ["polars over numpy", "polars", "pandas", "arrow over numpy", "wide pandas"])
def test_what_happens_to_a_frame_later_does_not_reach_the_run(kind):
    """The feed owns its memory."""
    closes = np.array([10.5, 20.5, 11.5, 21.5])
    keys = LONG.select("symbol", "timestamp", "open")
    frame = {
        "polars over numpy": lambda: keys.with_columns(close=pl.Series(closes)),
        "polars": lambda: LONG.clone(),
        "pandas": as_pandas,
        "arrow over numpy": lambda: keys.to_arrow().append_column("close", pa.array(closes)),
        "wide pandas": lambda: {"open": wide("open"), "close": wide("close")},
    }[kind]()
    feed = made(frame)
    digest = feed.digest()
    closes[:] = 999.0
    if kind == "polars":
        frame[0, "close"] = 999.0
        frame.drop_in_place("open")
    elif kind == "pandas":
        frame.loc[:, "close"] = 999.0
    elif kind == "wide pandas":
        frame["close"].loc[:] = 999.0
    feed.open(Window())
    assert LONG.equals(rows(feed).sort("timestamp", "symbol"))
    assert digest == feed.digest()


def test_the_users_frame_stays_as_it_was():
    """A run has no side effect on its input."""
    frame = as_pandas().set_index(["timestamp", "symbol"])[["open", "close"]].iloc[[2, 0, 3, 1]]
    before = frame.copy(deep=True)
    opened(frame, sort=True)
    pd.testing.assert_frame_equal(before, frame)


def test_the_digest_is_of_the_content():
    """Not of how memory happens to look."""
    chunked = pl.concat([LONG[:1], LONG[1:]], rechunk=False)
    assert made(LONG).digest() == made(chunked).digest() == made(LONG.with_columns(x=1)).digest()
    assert made(LONG).digest() == made(LONG.to_arrow()).digest()
    assert made(LONG).digest() != made(LONG.with_columns(pl.col("close") + 1e-9)).digest()
    assert made(LONG).digest() != made(LONG.with_columns(symbol=pl.lit("A"))).digest()


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_batches_hold_the_same_rows_whatever_their_size(batch_rows):
    """A batch may end anywhere."""
    feed = opened(LONG, batch_rows=batch_rows)
    assert LONG.equals(rows(feed))
    assert batch_rows >= max(map(len, feed.batches()))


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (3, "<prices>: was int, expected a polars, pandas or Arrow frame, or a mapping of field to wide frame"),
        ({}, "<prices>: the mapping holds no frame"),
        ({"close": 3}, "<prices>['close']: was int, expected"),
        ({"close": LONG.drop("timestamp")}, "<prices>['close']: a wide frame has one column (or index) of stamps"),
        (LONG.drop("symbol"), "<prices>: no column symbol"),
        (LONG.drop("open", "close"), "<prices>: no column close"),
        (wide("close"), "<prices>: no column symbol; where this is a wide frame, with a column per symbol, say what"),
        (
            {"A": as_pandas().set_index("timestamp").drop(columns="symbol")},
            "<prices>: 'A' holds a frame of fields, and a mapping is of field to wide frame",
        ),
        (pd.concat({"mid": wide("close")}, axis=1), "<prices>: its columns have several levels"),
    ],
)
def test_what_is_no_frame_of_bars_is_refused(frame, fault):
    """When the feed is made."""
    with pytest.raises(DataError) as caught:
        made(frame)
    assert caught.value.problems[0].startswith(fault)


def test_faults_name_the_frame_and_the_row():
    """A frame is called as its source is."""
    with pytest.raises(DataError, match=r"^<prices> row 1 \(B, 2024-01-02\): close is not above zero"):
        opened(LONG.with_columns(close=pl.Series([1.0, -1.0, 1.0, 1.0])))


@pytest.mark.parametrize("offset", ["-05:00", "+05:30", "+00:00", "+13:00", "-03:30", "+05:45", "-13:00"])
def test_fixed_offsets_of_pandas_are_the_same_instants(offset):
    """As pandas makes of text with an offset."""
    stamps = pd.to_datetime(pd.Series([f"2024-01-02T{hour}:00:00{offset}" for hour in (10, 11)]))
    feed = opened(pd.DataFrame({"timestamp": stamps, "symbol": "A", "close": 1.0}), bar="1h", stamp="open")
    (batch,) = feed.batches()
    expected = [datetime.fromisoformat(f"2024-01-02T{hour}:00:00{offset}") for hour in (10, 11)]
    assert expected == batch["timestamp"].to_list()


@pytest.mark.parametrize("offset", ["-05:00", "+05:30", "+09:30", "+13:00"])
def test_midnights_of_fixed_offsets_of_pandas_are_session_labels(offset):
    """Of whole hours, and of countries that never change their clocks."""
    frame = as_pandas().assign(timestamp=pd.to_datetime([f"{day}T00:00:00{offset}" for day in LONG["timestamp"]]))
    feed = opened(frame)
    assert "label" == feed.spec.rule.convention
    assert LONG["timestamp"].to_list() == next(iter(feed.batches()))["timestamp"].to_list()


def test_an_arrow_zone_that_polars_does_not_know_is_refused():
    """Naming the frame, rather than with an error of polars."""
    stamps = pa.array([datetime(2024, 1, 2, 10)], pa.timestamp("us", tz="+05:30"))
    with pytest.raises(DataError, match=r"<prices>: polars cannot take it over: .*05:30.*; cast that column before"):
        opened(pa.table({"timestamp": stamps, "symbol": ["A"], "close": [1.0]}), bar="1h", stamp="open")


def test_naive_intraday_stamps_of_pandas_need_a_zone():
    """A naive stamp is no instant."""
    frame = as_pandas().assign(timestamp=[datetime(2024, 1, 2, 9, 30)] * 2 + [datetime(2024, 1, 2, 9, 31)] * 2)
    with pytest.raises(DataError, match="timezone = "):
        opened(frame, bar="1m", stamp="open")
    feed = opened(frame, bar="1m", stamp="open", timezone="America/New_York")
    assert ("open", "America/New_York") == (feed.spec.rule.convention, feed.spec.rule.timezone)
