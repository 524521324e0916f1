"""Timers: calls at instants of their own, whether rows arrive or not."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import RunError

BEGIN = datetime(2024, 3, 7, 14, 30, tzinfo=UTC)


class Timed(Strategy):
    """Log what is called when, in minutes from the begin; set timers by what is given."""

    def __init__(self, *timers, later=()):
        self.timers, self.later, self.log = timers, dict(later), []

    def set(self, timer, context):
        at = timer.get("at")
        context.timer(self.rang, **timer | ({} if at is None else {"at": BEGIN + timedelta(minutes=at)}))

    def on_start(self, context):
        for timer in self.timers:
            self.set(timer, context)

    def rang(self, context):
        self.log.append(("timer", (context.now - BEGIN) / timedelta(minutes=1)))


class InSlices(Timed):
    def on_slice(self, market, context):
        minute = round((context.now - BEGIN) / timedelta(minutes=1))
        self.log.append(("rows", minute))
        if minute in self.later:
            self.set(self.later.pop(minute), context)


class InEvents(Timed):
    def on_event(self, event, context):
        minute = round((context.now - BEGIN) / timedelta(minutes=1))
        if ("rows", minute) not in self.log:
            self.log.append(("rows", minute))
        if minute in self.later:
            self.set(self.later.pop(minute), context)


def log_of(kit, strategy, rows=12, step=2, symbols="A"):
    """Run over rows known at 1, 3, 5, ... minutes; return the log and when timers rang."""
    frame = kit.minutes(rows, symbols, first=BEGIN)
    frame = frame.filter(((frame["timestamp"] - BEGIN).dt.total_minutes() % step) == 0)
    kit.run(strategy, kit.Source(frame, bar="1m", stamp="open"), end=BEGIN + timedelta(minutes=11))
    return strategy.log, [minute for kind, minute in strategy.log if kind == "timer"]


@pytest.mark.parametrize(
    ("timer", "expected"),
    [
        ({"at": 4}, [4]),
        ({"at": 5}, [5]),
        ({"after": "90s"}, [2.5]),
        ({"every": "4m"}, [5, 9]),
        ({"at": 2, "every": "3m"}, [2, 5, 8, 11]),
        ({"after": "1m", "every": "5m"}, [2, 7]),
        ({"at": 11}, [11]),
        ({"at": 12}, []),
    ],
)
@pytest.mark.parametrize("kind", [InSlices, InEvents])
def test_timers_of_on_start_ring_between_rows(kit, kind, timer, expected):
    """Durations count from the first instant, which is minute 1; after the end, minute 11, none is called."""
    assert expected == log_of(kit, kind(timer))[1]


@pytest.mark.parametrize("kind", [InSlices, InEvents])
@pytest.mark.parametrize("symbols", ["A", "AB"])
def test_timers_set_on_the_way_ring_in_time(kit, kind, symbols):
    """Also within a stretch in which nothing but rows would be delivered, and at the instant of a row before it."""
    later = {3: {"after": "30s"}, 5: {"every": "1m"}}
    log, _ = log_of(kit, kind(later=later), symbols=symbols)
    rows = [("rows", minute) for minute in (1, 3, 5, 7, 9, 11)]
    rang = [("timer", minute) for minute in (3.5, 6, 7, 8, 9, 10, 11)]
    assert sorted(rows + rang, key=lambda entry: (entry[1], entry[0] == "rows")) == log


def test_a_timer_may_set_another(kit):
    """And one that is called again may end itself by not asking again."""

    class Chain(Timed):
        def rang(self, context):
            super().rang(context)
            if len(self.log) < 4:
                context.timer(self.rang, after="20s")

    assert [2, 2 + 1 / 3, 2 + 2 / 3, 3] == pytest.approx(log_of(kit, Chain({"at": 2}))[1])


def test_orders_of_timers_take_the_next_price(kit):
    """An order made between rows fills at the open of the next bar that begins after it."""

    class Order(Timed):
        def rang(self, context):
            context.order("A", 1.0)

    strategy = Order({"at": 4})
    frame = kit.minutes(12, "A", first=BEGIN)
    result = kit.run(strategy, kit.Source(frame, bar="1m", stamp="open"))
    assert [BEGIN + timedelta(minutes=4)] == result.fills["timestamp"].to_list()


@pytest.mark.parametrize(
    ("timer", "message"),
    [
        ({}, "is not understood: give at or after, or every alone"),
        ({"at": 4, "after": "1m"}, "is not understood: give at or after, or every alone"),
        ({"after": "soon"}, 'timer\\(rang, .*"soon" is no duration'),
        ({"after": "0s"}, "a duration is nothing; give more"),
        ({"at": 0}, "the timer of rang is before the first instant of the run"),
    ],
)
def test_timers_that_say_no_later_instant_are_refused(kit, timer, message):
    """With what was asked and what to give."""
    with pytest.raises(RunError, match=message):
        log_of(kit, InSlices(timer))


def test_a_timer_is_later_than_now_and_has_a_zone(kit):
    """On the way an instant that is over, or now, is an error."""
    with pytest.raises(RunError, match="is not later than the present; give a later instant"):
        log_of(kit, InSlices(later={5: {"at": 5}}))

    class Naive(Strategy):
        def on_start(self, context):
            context.timer(self.on_end, datetime(2024, 3, 8))

    with pytest.raises(RunError, match="at has no time zone; add one"):
        kit.run(Naive(), kit.Source(kit.bars(3)))


@pytest.mark.parametrize(
    "asked", [{"at": "2024-03-08"}, {"at": date(2024, 3, 8)}, {"after": timedelta(1)}, {"every": 5}]
)
def test_a_timer_of_another_type_is_refused(kit, asked):
    """With what the arguments are."""

    class Odd(Strategy):
        def on_start(self, context):
            context.timer(self.on_end, **asked)

    with pytest.raises(RunError, match="at is a datetime with a time zone, after and every are text"):
        kit.run(Odd(), kit.Source(kit.bars(3)))


def test_timers_before_the_start_are_not_called(kit):
    """They count from the first instant with callbacks."""
    strategy = InSlices({"every": "4m"})
    frame = kit.minutes(12, "A", first=BEGIN)
    kit.run(
        strategy,
        kit.Source(frame, bar="1m", stamp="open"),
        start=BEGIN + timedelta(minutes=5, seconds=30),
        end=BEGIN + timedelta(minutes=11),
    )
    assert [9.5] == [minute for kind, minute in strategy.log if kind == "timer"]
