"""Bars of time: what is in them, when they begin, end and are known."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest.errors import DataError

BARS = {"bar": "1m", "stamp": "open"}
PARTS = [
    pl.col("open").first(),
    pl.col("high").max(),
    pl.col("low").min(),
    pl.col("close").last(),
    pl.col("volume").sum(),
]


def at(day, hour, minute=0, second=0):
    return datetime(2024, 7, day, hour, minute, second, tzinfo=UTC)


def trades(*rows):
    names = ["event_time", "symbol", "price", "size"]
    frame = pl.DataFrame([row[:4] for row in rows], names, orient="row")
    return frame.with_columns(known_at=pl.Series([row[4] for row in rows])) if len(rows[0]) > 4 else frame


@pytest.mark.parametrize("every", ["5m", "1h", "1d"])
@pytest.mark.parametrize("batch_rows", [0, 7, 1000])
def test_bars_are_those_of_polars(resampled, minutes, every, batch_rows):
    """Day and night, whatever the batches."""
    frame = minutes()
    bars = resampled(frame, every=every, batch_rows=batch_rows, **BARS)
    expected = (
        frame.sort("timestamp", "symbol")
        .group_by_dynamic("timestamp", every=every, group_by="symbol")
        .agg(PARTS)
        .with_columns(end=pl.col("timestamp").dt.offset_by(every))
        .filter(pl.col("end") <= frame["timestamp"].max() + timedelta(minutes=1))
        .sort("end", "symbol")
    )
    bars = bars.sort("event_time", "symbol")
    for name, other in {"bar_start": "timestamp", "event_time": "end", "known_at": "end"}.items():
        assert (
            expected[other].cast(pl.Datetime("us", "UTC")).to_list()
            == bars[name].cast(pl.Datetime("us", "UTC")).to_list()
        )
    for name in ("symbol", "open", "high", "low", "close", "volume"):
        assert expected[name].to_list() == bars[name].to_list()


def test_hours_begin_at_the_open_and_end_at_the_close(resampled, minutes):
    """New York: from 09:30 on, the last bar half as long; after a close at 13:00 comes none."""
    frame = minutes(at(3, 8), 600, kept=1.0)
    bars = resampled(frame, every="1h", calendar="XNYS", **BARS).filter(pl.col("symbol") == "A")
    assert [at(3, 13, 30), at(3, 14, 30), at(3, 15, 30), at(3, 16, 30)] == bars["bar_start"].to_list()
    assert [at(3, 14, 30), at(3, 15, 30), at(3, 16, 30), at(3, 17)] == bars["event_time"].to_list()


def test_no_bar_reaches_over_lunch(resampled, minutes):
    """Tokyo: hours are cut at 11:30 and begin anew at 12:30; a day is the whole session."""
    frame = minutes(at(1, 23), 500, kept=1.0)
    hours = resampled(frame, every="1h", calendar="XTKS", **BARS).filter(pl.col("symbol") == "A")
    assert [at(2, 0), at(2, 1), at(2, 2), at(2, 3, 30), at(2, 4, 30), at(2, 5, 30)] == hours["bar_start"].to_list()
    assert [at(2, 1), at(2, 2), at(2, 2, 30), at(2, 4, 30), at(2, 5, 30), at(2, 6)] == hours["event_time"].to_list()
    day = resampled(frame, every="1d", calendar="XTKS", **BARS)
    assert [(at(2, 0), at(2, 6))] * 2 == day.select("bar_start", "event_time").rows()


def test_rows_outside_of_sessions_make_no_bar_and_are_counted(opened, minutes):
    """Before the open, in a break, after the close and on holidays."""
    feed = opened(minutes(at(4, 0), 1440, ("A",), kept=1.0), every="1h", calendar="XNYS", **BARS)
    assert [] == list(feed.batches())
    assert "bars: 1,440 rows outside of sessions make no bar" in feed.notes()


def test_a_bar_is_never_released_in_part(opened, minutes):
    """The last one is dropped and counted, unless the data reaches its end."""
    for count, complete, dropped in ((119, 1, 1), (120, 2, 0), (121, 2, 1)):
        feed = opened(minutes(at(1, 0), count, ("A",), kept=1.0), every="1h", **BARS)
        assert complete == sum(map(len, feed.batches()))
        note = "bars: 1 bars were not complete when the data ended, and are left out"
        assert dropped == (note in feed.notes())


def test_latency_of_both_feeds_is_waited_for(opened, minutes):
    """A bar is known when the inner feed could have brought its last row, and later by its own latency."""
    frame = minutes(at(1, 0), 60, ("A",), kept=1.0)[:50].vstack(minutes(at(1, 1), 2, ("A",), kept=1.0))
    settings = {"batch_rows": 10, "every": "1h", "latency": "1s", "inner_latency": "2s"} | BARS
    (bar,) = pl.concat(opened(frame, **settings).batches()).iter_rows(named=True)
    assert (at(1, 1), at(1, 1, 0, 3)) == (bar["event_time"], bar["known_at"])


def test_a_late_row_delays_its_bar(resampled, minutes):
    """A minute that was known only at 01:30 keeps the hour back until then."""
    frame = minutes(at(1, 0), 130, ("A",), kept=1.0)
    late = pl.when(pl.col("timestamp") == at(1, 0, 10)).then(pl.lit(at(1, 1, 30)))
    bars = resampled(
        frame.with_columns(known_at=late.otherwise(pl.col("timestamp") + timedelta(minutes=1))), every="1h", **BARS
    )
    assert [at(1, 1, 30), at(1, 2)] == bars["known_at"].to_list()


def test_a_row_that_reaches_over_the_end_of_its_bar_is_refused(resampled, minutes):
    """Seven minutes cannot be made of five."""
    frame = minutes(at(1, 0), 300, ("A",), kept=1.0).gather_every(5)
    with pytest.raises(DataError, match=r"row from .*00:05.* to .*00:10.* over the end of its bar, .*00:07"):
        resampled(frame, every="7m", bar="5m", stamp="open")


def test_trades_belong_to_the_bar_in_which_they_happen(resampled):
    """A trade on the edge begins the next bar; one at the very close ends the session."""
    rows = [(at(3, 13, 30), "A", 10.0, 1.0), (at(3, 14, 30), "A", 11.0, 2.0), (at(3, 17), "A", 12.0, 4.0)]
    rows.append((at(5, 13, 31), "A", 13.0, 8.0))
    bars = resampled(trades(*rows), every="1h", calendar="XNYS", inner_latency="0s")
    assert [(at(3, 14, 30), 10.0, 1.0), (at(3, 15, 30), 11.0, 2.0), (at(3, 17), 12.0, 4.0)] == bars.select(
        "event_time", "close", "volume"
    ).rows()


def test_a_trade_known_late_belongs_to_the_bar_in_which_it_is_known(resampled):
    """Within the grace it still belongs to its own."""
    rows = [(at(1, 0, 1), "A", 10.0, 1.0, at(1, 0, 1)), (at(1, 0, 4), "A", 11.0, 2.0, at(1, 0, 5, 1))]
    rows.append((at(1, 0, 20), "A", 12.0, 4.0, at(1, 0, 20)))
    for grace, expected in (
        (None, [(at(1, 0, 5), at(1, 0, 5), 1.0), (at(1, 0, 10), at(1, 0, 10), 2.0)]),
        ("2s", [(at(1, 0, 5), at(1, 0, 5, 2), 3.0)]),
    ):
        bars = resampled(trades(*rows), every="5m", grace=grace)
        assert expected == bars.select("event_time", "known_at", "volume").rows()


def test_quotes_count_with_their_mid(resampled):
    """Bars of them have no volume."""
    quotes = pl.DataFrame(
        {
            "symbol": ["A"] * 3,
            "event_time": [at(1, 0), at(1, 0, 1), at(1, 0, 9)],
            "bid": [1.0, 2.0, 0.5],
            "ask": [2.0, 4.0, 1.0],
        }
    ).with_columns(known_at=pl.col("event_time"))
    bars = resampled(quotes, every="5m")
    assert [("A", 1.5, 3.0, 1.5, 3.0)] == bars.select("symbol", "open", "high", "low", "close").rows()
    assert "volume" not in bars.columns


def test_values_that_are_unknown_do_not_spoil_a_bar(resampled, minutes):
    """Rows without a close are left out; further columns keep their last value."""
    frame = minutes(at(1, 0), 60, ("A",), kept=1.0).with_columns(
        close=pl.when(pl.int_range(pl.len()) == 59).then(None).otherwise("close"),
        score=pl.int_range(pl.len()).cast(float),
    )
    after = minutes(at(1, 1), 2, ("A",), kept=1.0).with_columns(score=pl.lit(0.0))
    bars = resampled(frame.vstack(after), every="1h", fields=("score",), **BARS)
    assert [58.0] == bars["score"].to_list()
    assert frame["close"][58] == bars["close"][0]


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS", "CMES"])
def test_no_session_around_a_change_of_clocks_has_a_wrong_number_of_bars(opened, table, calendar):
    """All switches of America and Europe from 2007 to 2025: hours, and the day; ends from the calendar's own times."""
    sessions, step = table(calendar), 30 * 60 * 10**9
    switches = [
        date(year, month, day) for year in range(2007, 2026) for month in (3, 4, 10, 11) for day in range(1, 30, 7)
    ]
    labels = {(switch - date(1970, 1, 1)).days + shift for switch in switches for shift in range(-3, 4)}
    near = [row for row in sessions.data.tolist() if row[0] in labels]
    parts = {
        close: [(begin, close)] if rest < 0 else [(begin, rest), (rested, close)]
        for _, begin, close, rest, rested in near
    }
    stamps = [stamp for pieces in parts.values() for begin, stop in pieces for stamp in range(begin, stop, step)]
    frame = pl.DataFrame({"timestamp": stamps}).select(
        pl.col("timestamp").cast(pl.Datetime("ns", "UTC")), symbol=pl.lit("A"), close=pl.lit(1.0), volume=pl.lit(1.0)
    )
    expected = {
        "1h": [
            min(s + 2 * step, stop) for each in parts.values() for b, stop in each for s in range(b, stop, 2 * step)
        ],
        "1d": list(parts),
    }
    for every, ends in expected.items():
        bars = pl.concat(opened(frame, bar="30m", stamp="open", calendar=calendar, every=every).batches())
        assert ends == bars["event_time"].to_physical().to_list()
        assert len(stamps) == bars["volume"].sum()
    assert len(near) > 1000
