"""Schedules: from rules over sessions to instants."""

from datetime import UTC, datetime, timedelta

import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.errors import RunError
from ml4t_backtest_engine_standard.schedule import Schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Thursday and Friday, the clocks go forward, Monday and Tuesday, a half day; then the first of the next month.
ROWS = (
    ("2024-03-07", "2024-03-07T09:30-05:00", "2024-03-07T16:00-05:00"),
    ("2024-03-08", "2024-03-08T09:30-05:00", "2024-03-08T16:00-05:00"),
    ("2024-03-11", "2024-03-11T09:30-04:00", "2024-03-11T16:00-04:00"),
    ("2024-03-12", "2024-03-12T09:30-04:00", "2024-03-12T13:00-04:00"),
    ("2024-04-01", "2024-04-01T09:30-04:00", "2024-04-01T16:00-04:00"),
)


@pytest.fixture
def due(kit):
    """From a rule to its instants, as texts."""
    calendar = kit.Calendar(*ROWS)
    table = SessionTable(calendar.rows, timezone=calendar.timezone, name="HAND")

    def due(rule, at, tz=None):
        schedule = Schedule(table)
        schedule.add(due, rule, at, tz)
        instants = schedule.entries[0][1].tolist()
        return [f"{EPOCH + timedelta(microseconds=each // 1000):%m-%d %H:%M}" for each in instants]

    return due


def test_daily_is_each_session(due):
    """At its own open and close, summer time and half days included."""
    assert ["03-07 14:30", "03-08 14:30", "03-11 13:30", "03-12 13:30", "04-01 13:30"] == due("daily", "open")
    assert ["03-07 21:00", "03-08 21:00", "03-11 20:00", "03-12 17:00", "04-01 20:00"] == due("daily", "close")


def test_offsets_are_from_the_real_edge(due):
    """Five minutes before the close of a half day is before its close."""
    assert "03-12 16:55" == due("daily", "close-5m")[3]
    assert "03-07 15:00" == due("daily", "open+30m")[0]


def test_weekly_and_monthly_take_the_first_session(due):
    """Of the week of the calendar, and of the month."""
    assert ["03-07 14:30", "03-11 13:30", "04-01 13:30"] == due("weekly", "open")
    assert ["03-07 21:00", "04-01 20:00"] == due("monthly", "close")


def test_a_time_of_day_is_local(due):
    """In the calendar's zone, or in the one given."""
    assert ["03-07 15:00", "04-01 14:00"] == due("monthly", "10:00")
    assert ["03-07 10:00", "04-01 09:00"] == due("monthly", "10:00", "Europe/London")


def test_a_time_of_day_is_left_out_where_the_session_is_over_by_then(due):
    """At 15:00 the half day is; a time outside of the usual hours is meant, and kept each day."""
    assert ["03-07 20:00", "03-08 20:00", "03-11 19:00", "04-01 19:00"] == due("daily", "15:00")
    assert ["03-07 21:30", "03-08 21:30", "03-11 20:30", "03-12 20:30", "04-01 20:30"] == due("daily", "16:30")
    assert ["03-07 13:00", "03-08 13:00", "03-11 12:00", "03-12 12:00", "04-01 12:00"] == due("daily", "08:00")


def test_an_evening_belongs_to_the_session_that_it_begins(kit):
    """Futures open at 17:00 on the day before; 18:00 is an hour later, 09:00 in the morning after."""
    rows = [(f"2024-03-1{day}", f"2024-03-1{day - 1}T17:00-05:00", f"2024-03-1{day}T16:00-05:00") for day in (2, 3, 4)]
    calendar = kit.Calendar(*rows)
    table = SessionTable(calendar.rows, timezone="America/Chicago", name="HAND")
    for at, first in (("18:00", "2024-03-11T23:00+00:00"), ("09:00", "2024-03-12T14:00+00:00")):
        schedule = Schedule(table)
        schedule.add(print, "daily", at, None)
        ((_, instants, closes),) = schedule.entries
        begin = (datetime.fromisoformat(first) - EPOCH) // timedelta(microseconds=1) * 1000
        assert [begin + day * 86400 * 10**9 for day in range(3)] == instants.tolist()
        assert table.close.tolist() == closes.tolist()


@pytest.mark.parametrize(
    ("rule", "at"),
    [
        ("yearly", "open"),
        ("daily", "noon"),
        ("daily", "9:30"),
        ("daily", "open+"),
        ("daily", None),
        (["daily"], "open"),
    ],
)
def test_what_is_not_understood_is_said(due, rule, at):
    """With what would be."""
    with pytest.raises(RunError, match="is not understood: rule is one of daily, weekly, monthly, at is open"):
        due(rule, at)


class Scheduled(Strategy):
    """Log what is called when."""

    def __init__(self, *schedules):
        self.schedules, self.log = schedules, []

    def on_start(self, context):
        for rule, at in self.schedules:
            context.schedule(self.due, rule, at=at)

    def due(self, context):
        self.log.append(("due", context.now, context.session.date.day))

    def on_slice(self, market, context):
        self.log.append(("slice", context.now, context.session.date.day))


def test_timers_interleave_with_rows(kit):
    """Between rows at their own instant, and before the strategy's rows where the instants are one."""
    first = datetime(2024, 3, 7, 14, 30, tzinfo=UTC)
    strategy = Scheduled(("daily", "open+2m"), ("daily", "09:33"), ("daily", "open"))
    frame = kit.minutes(3, first=first)[::2]  # known at 14:31 and 14:33
    kit.run(strategy, kit.Source(frame, bar="1m", stamp="open"), clock={"calendar": kit.Calendar(*ROWS)})
    minutes = [(kind, (moment - first) // timedelta(minutes=1), day) for kind, moment, day in strategy.log]
    assert [("slice", 1, 7), ("due", 2, 7), ("due", 3, 7), ("slice", 3, 7)] == [each for each in minutes if each[1]]


def test_at_the_open_the_session_is_the_one_that_opens(kit):
    """Not the one that closed last."""
    strategy = Scheduled(("daily", "open"))
    frame = kit.bars(5, "A", first=datetime(2024, 3, 7).date())
    kit.run(strategy, kit.Source(frame), clock={"calendar": kit.Calendar(*ROWS)}, start=datetime(2024, 3, 8).date())
    opened = [(moment.day, day) for kind, moment, day in strategy.log if kind == "due"]
    assert [(8, 8), (11, 11)] == opened


def test_a_schedule_made_on_the_way_is_refused(kit):
    """It would never be called: better said than ignored."""

    class Late(Strategy):
        def on_slice(self, market, context):
            context.schedule(self.on_end)

    with pytest.raises(RunError, match="on_end was scheduled while the run is under way: call schedule in on_start"):
        kit.run(Late(), kit.Source(kit.bars(3)))
