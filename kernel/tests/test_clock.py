"""The clock merges sources, moves time, and knows sessions."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.errors import DataError, RunError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2024, 1, 2, tzinfo=UTC)
MINUTE = 60 * 10**9


def ns(moment):
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def always_open():
    calendar = AlwaysOpen()
    return SessionTable(calendar.sessions(date(2023, 12, 1), date(2024, 12, 31)), timezone="UTC", name="24/7")


def table_of(calendar, first=date(2000, 1, 1), last=date(2040, 1, 1)):
    return SessionTable(calendar.sessions(first, last), timezone=calendar.timezone, name=calendar.name)


def signal_frame(rows):
    """Rows (minute, symbol, value) in the order given."""
    stamps = [START + timedelta(minutes=minute) for minute, _, _ in rows]
    return pl.DataFrame(
        {"known_at": stamps, "symbol": [row[1] for row in rows], "x": [float(row[2]) for row in rows]},
        schema={"known_at": pl.Datetime("us", "UTC"), "symbol": pl.String, "x": pl.Float64},
    )


def released(clock):
    """Every row as (instant, source, symbol name, value), in the order of release."""
    out, names = [], []
    for chunk in clock.chunks():
        for place, instant in enumerate(chunk.instants):
            names += chunk.new_symbols.get(place, [])
            for order, source in enumerate(chunk.sources):
                for row in range(source.bounds[place], source.bounds[place + 1]):
                    assert instant == source.rows.known_at[row]
                    out.append((instant, order, names[source.rows.symbol[row]], source.rows.values[0, row]))
    return out, names


def session_instants(clock):
    """(instant, "open" or "close", label) in order."""
    out = []
    for chunk in clock.chunks():
        for place, instant in enumerate(chunk.instants):
            for kind, found in (("close", chunk.closes), ("open", chunk.opens)):
                if place in found:
                    label = date(1970, 1, 1) + timedelta(days=int(clock.sessions.label[found[place]]))
                    out.append((EPOCH + timedelta(microseconds=instant // 1000), kind, label))
    return out


rows_of_a_source = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ABCDE")), max_size=25, unique=True).map(
    sorted
)


@settings(max_examples=60, deadline=None)
@given(
    sources=st.lists(rows_of_a_source, min_size=1, max_size=4),
    batch=st.sampled_from([0, 1, 3]),
    limit=st.sampled_from([2, 65536]),
)
def test_sources_are_merged_like_a_sorted_list(kit, sources, batch, limit):
    """The order is instant, then source, then symbol, whatever the batches and chunks."""
    made = [
        [(minute, symbol, 100 * order + place) for place, (minute, symbol) in enumerate(rows)]
        for order, rows in enumerate(sources)
    ]
    expected = sorted(
        (ns(START) + minute * MINUTE, order, symbol, float(value))
        for order, rows in enumerate(made)
        for minute, symbol, value in rows
    )
    opened = [kit.Source(signal_frame(rows), name=f"s{i}", kind="signal", batch=batch) for i, rows in enumerate(made)]
    actual, names = released(Clock(opened, always_open(), chunk_rows=limit))
    assert expected == actual
    assert list(dict.fromkeys(symbol for _, _, symbol, _ in expected)) == names


def test_rows_shuffled_within_a_stamp_come_out_the_same(kit):
    """Bars and signals of one instant are ordered by name, two rows of one name by when they happened."""
    rows = [(5, "B", 1), (5, "A", 2), (5, "C", 3), (5, "A", 4)]
    happened = [START + timedelta(minutes=minute) for minute in (1, 1, 1, 2)]
    frame = signal_frame(rows).with_columns(event_time=pl.Series(happened))
    expected, _ = released(Clock([kit.Source(frame, kind="signal")], always_open()))
    for seed in range(8):
        shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
        actual, _ = released(Clock([kit.Source(shuffled, kind="signal", batch=seed % 3)], always_open()))
        assert expected == actual
    assert ["A", "A", "B", "C"] == [row[2] for row in expected]
    assert [2.0, 4.0] == [row[3] for row in expected[:2]]


@pytest.mark.parametrize(
    "rows",
    [
        [(0, "A", 1), (0, "B", 2), (1, "A", 3), (1, "B", 4), (2, "A", 5), (2, "B", 6)],
        [(0, "B", 1), (0, "A", 2), (1, "B", 3), (1, "A", 4), (2, "B", 5), (2, "A", 6)],
        [(0, "A", 1), (0, "B", 2), (1, "B", 3), (1, "A", 4), (2, "A", 5), (2, "B", 6)],
        [(0, "A", 1), (0, "B", 2), (1, "A", 3), (1, "C", 4), (2, "A", 5), (2, "B", 6)],
        [(0, "A", 1), (0, "B", 2), (1, "A", 3), (2, "A", 4), (2, "B", 5), (2, "C", 6)],
        [(0, "A", 1), (0, "B", 2), (1, "A", 3), (2, "A", 4), (3, "A", 5), (3, "B", 6)],
        [(0, "A", 1), (1, "A", 2), (2, "A", 3)],
    ],
    ids=["alike", "alike, not by name", "in turn", "other symbols", "other sizes", "shifted", "one symbol"],
)
@pytest.mark.parametrize("batch", [0, 2, 4])
def test_bars_come_by_time_and_name_however_alike_their_instants_are(kit, rows, batch):
    """Instants with the same symbols in the same order are looked at as one."""
    bars = pl.DataFrame(
        {
            "timestamp": [START + timedelta(minutes=minute) for minute, _, _ in rows],
            "symbol": [name for _, name, _ in rows],
            "close": [float(value) for _, _, value in rows],
        }
    )
    clock = Clock([kit.Source(bars, bar="1m", stamp="close", batch=batch)], always_open())
    expected = [(ns(START) + minute * MINUTE, 0, name, value) for minute, name, value in sorted(rows)]
    assert expected == released(clock)[0]


def test_trades_keep_the_order_of_their_source(kit):
    """Prints of one stamp happened in the order in which they were written."""
    frame = signal_frame([(1, "B", 1), (1, "A", 2), (1, "B", 3)]).rename({"x": "price"})
    source = kit.Source(frame, kind="trade", name="prints")
    assert ["B", "A", "B"] == [row[2] for row in released(Clock([source], always_open()))[0]]


def test_symbols_get_ids_in_the_order_of_release(kit):
    """A name that comes later gets a later id, though the alphabet or the source has it first."""
    late = kit.Source(signal_frame([(9, "A", 1)]), name="late", kind="signal")
    early = kit.Source(signal_frame([(1, "Z", 1), (2, "M", 2), (9, "B", 3)]), name="early", kind="signal")
    assert ["Z", "M", "A", "B"] == released(Clock([late, early], always_open()))[1]


def test_rows_after_the_last_instant_stay_away(kit):
    """``last`` is inclusive, and neither names nor instants beyond it are seen."""
    source = kit.Source(signal_frame([(1, "A", 1), (2, "A", 2), (3, "B", 3)]), kind="signal", batch=1)
    rows, names = released(Clock([source], always_open(), last=ns(START) + 2 * MINUTE))
    assert [1.0, 2.0] == [row[3] for row in rows]
    assert ["A"] == names


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_an_unsorted_source_is_refused_by_name_and_row(kit, batch):
    """The same rows are refused alike, whatever the batches."""
    source = kit.Source(signal_frame([(1, "A", 1), (5, "A", 2), (3, "A", 3)]), name="news", kind="signal", batch=batch)
    with pytest.raises(DataError, match=r"source 'news' goes back in time at row 2, .*'symbol': 'A'"):
        released(Clock([source], always_open()))


def test_late_rows_are_restamped_and_counted(kit):
    """With ``late = restamp`` a row from the past is known now, before what has happened since."""
    source = kit.Source(signal_frame([(1, "A", 1), (5, "A", 2), (3, "A", 3)]), name="news", kind="signal", batch=1)
    clock = Clock([source], always_open(), late="restamp")
    assert [(1, 1.0), (5, 3.0), (5, 2.0)] == [((row[0] - ns(START)) // MINUTE, row[3]) for row in released(clock)[0]]
    assert {"news": 1} == clock.late_rows


# --- sessions -----------------------------------------------------------------------------------------

NEW_YORK = (
    ("2024-03-08", "2024-03-08T09:30-05:00", "2024-03-08T16:00-05:00"),
    ("2024-03-11", "2024-03-11T09:30-04:00", "2024-03-11T16:00-04:00"),  # clocks went forward on Sunday
    ("2024-07-03", "2024-07-03T09:30-04:00", "2024-07-03T13:00-04:00"),  # a half day before a holiday
    ("2024-07-05", "2024-07-05T09:30-04:00", "2024-07-05T16:00-04:00"),
    ("2024-11-01", "2024-11-01T09:30-04:00", "2024-11-01T16:00-04:00"),
    ("2024-11-04", "2024-11-04T09:30-05:00", "2024-11-04T16:00-05:00"),  # clocks went back
)


@pytest.mark.parametrize("batch", [0, 1])
def test_sessions_open_and_close_at_their_own_instants(kit, batch):
    """Summer time, holidays and half days are the calendar's; daily labels are known at their session's close."""
    days = [date.fromisoformat(row[0]) for row in NEW_YORK]
    frame = pl.DataFrame({"timestamp": days, "symbol": ["A"] * len(days), "close": [1.0] * len(days)})
    clock = Clock([kit.Source(frame, batch=batch)], table_of(kit.Calendar(*NEW_YORK)))
    expected = [
        (datetime.fromisoformat(row[1 + edge]).astimezone(UTC), ("open", "close")[edge], date.fromisoformat(row[0]))
        for row in NEW_YORK
        for edge in (0, 1)
    ]
    assert expected == session_instants(clock)


def test_the_session_in_which_the_data_ends_still_closes(kit):
    """The last minute bars are followed by the session's close, and by no later session."""
    frame = kit.minutes(5, first=datetime(2024, 3, 8, 14, 30, tzinfo=UTC))
    clock = Clock([kit.Source(frame, bar="1m", stamp="open")], table_of(kit.Calendar(*NEW_YORK)))
    instants = session_instants(clock)
    assert [("open", 14), ("close", 21)] == [(kind, moment.hour) for moment, kind, _ in instants]


def test_a_market_that_never_closes_ends_each_day_at_midnight(kit):
    """24/7: a day's bar is known as the next day opens, and the day after the data is not begun."""
    clock = Clock([kit.Source(kit.bars(2, ("A",)))], always_open())
    assert [
        (datetime(2024, 1, 1, tzinfo=UTC), "open", date(2024, 1, 1)),
        (datetime(2024, 1, 2, tzinfo=UTC), "close", date(2024, 1, 1)),
        (datetime(2024, 1, 2, tzinfo=UTC), "open", date(2024, 1, 2)),
        (datetime(2024, 1, 3, tzinfo=UTC), "close", date(2024, 1, 2)),
    ] == session_instants(clock)


def test_real_half_days_close_early(kit):
    """The exchange's own calendar: three hours early on the day before Independence Day."""
    market = pytest.importorskip("ml4t_backtest_calendar_market.calendar", reason="calendar-market is not installed")
    from ml4t.backtest.interfaces import Setup

    calendar = market.MarketCalendar(market.MarketCalendar.Config(name="XNYS"), Setup(name="market"))
    days = [date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 5)]
    frame = pl.DataFrame({"timestamp": days, "symbol": ["A"] * 3, "close": [1.0] * 3})
    clock = Clock([kit.Source(frame)], table_of(calendar, date(2024, 1, 1), date(2024, 12, 31)))
    closes = [(moment.hour, label) for moment, kind, label in session_instants(clock) if kind == "close"]
    assert list(zip((20, 17, 20), days, strict=True)) == closes


# --- time of one's own --------------------------------------------------------------------------------


class Fake:
    """Time that moves only when somebody waits, at most a step at once."""

    def __init__(self, now, step):
        self.time, self.step, self.waits = now, step, 0

    def now(self):
        return self.time

    def wait_until(self, instant):
        self.waits += 1
        assert self.waits < 100_000, "nobody but the end of time is waited for"
        self.time = min(max(instant, self.time), self.time + self.step)


class Polled:
    """A source that gives a row once the time has come, and an empty frame before."""

    def __init__(self, source, fake):
        self.spec, self._frame, self._fake, self.empty = source.spec, source.frame, fake, 0

    def batches(self):
        for place in range(len(self._frame)):
            while ns(self._frame["known_at"][place]) > self._fake.now():
                self.empty += 1
                yield self._frame[:0]
            yield self._frame[place : place + 1]


def instants_of(clock, check=lambda instant: None):
    out = []
    for chunk in clock.chunks():
        for place, instant in enumerate(chunk.instants):
            clock.move(instant)
            rows = [part.rows.values[0, part.bounds[place] : part.bounds[place + 1]].tolist() for part in chunk.sources]
            if any(rows):
                check(instant)
            out.append((instant, rows, place in chunk.opens, place in chunk.closes))
    return out


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("step", [MINUTE // 3, 7 * MINUTE, 10**18])
def test_recorded_data_gives_the_same_instants_on_paper(kit, batch, step):
    """No row comes before its time, and none is missing."""
    begin = datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    minutes = kit.minutes(40, ("A", "B"), first=begin)
    table = table_of(kit.Calendar(*NEW_YORK))

    def sources():
        other = kit.Source(minutes[::7], name="slow", bar="1m", stamp="open", batch=batch)
        return [kit.Source(minutes, bar="1m", stamp="open", batch=batch), other]

    expected = instants_of(Clock(sources(), table))
    fake = Fake(ns(begin) - 10 * MINUTE, step)

    def check(instant):
        assert instant <= fake.now()

    assert expected == instants_of(Clock(sources(), table, mode="paper", time_source=fake), check)


def test_a_live_source_with_nothing_to_say_holds_nobody_up(kit):
    """An empty frame means: nothing up to now; rows of the others are released meanwhile."""
    fake = Fake(ns(START), MINUTE // 2)
    busy = Polled(kit.Source(signal_frame([(m, "A", m) for m in range(1, 30)]), name="busy", kind="signal"), fake)
    quiet = Polled(kit.Source(signal_frame([(25, "B", 99)]), name="quiet", kind="signal"), fake)
    clock = Clock([busy, quiet], always_open(), mode="live", time_source=fake)
    seen = []
    rows = instants_of(clock, lambda instant: seen.append((instant - ns(START)) // MINUTE) or fake.now())
    assert list(range(1, 30)) == seen
    assert [[25.0], [99.0]] == next(row[1] for row in rows if row[0] == ns(START) + 25 * MINUTE)
    assert quiet.empty > 10


def test_live_time_needs_a_source(kit):
    """Nobody reads a wall clock unasked."""
    with pytest.raises(RunError, match="clock in mode live needs a time source"):
        Clock([], always_open(), mode="live")


# --- dynamic events -----------------------------------------------------------------------------------


def test_timers_come_in_order_of_time_then_of_request():
    """A timer of the past is due now."""
    clock, log = Clock([], always_open()), []
    clock.move(100)
    for name, instant in (("late", 300), ("b", 200), ("c", 200), ("past", 50)):
        clock.at(instant, lambda name=name: log.append(name))
    for instant in (100, 200, 300):
        assert instant == clock.next_timer
        clock.move(instant)
        for callback in clock.due():
            callback()
    assert ["past", "b", "c", "late"] == log


def test_time_does_not_go_back():
    """The clock's owner moves it forward only."""
    clock = Clock([], always_open())
    clock.move(10)
    with pytest.raises(RunError, match="clock cannot go back from 10 to 9"):
        clock.move(9)


def test_missing_numbers_are_nan(kit):
    """A null in a value column is unknown, not zero."""
    frame = signal_frame([(1, "A", 1), (2, "A", 2)]).with_columns(x=pl.Series([None, 2.0]))
    rows, _ = released(Clock([kit.Source(frame, kind="signal")], always_open()))
    assert [True, False] == [bool(np.isnan(row[3])) for row in rows]
