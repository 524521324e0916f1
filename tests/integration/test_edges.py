"""What happens at the edges of a run: its first instant, and figures that are none."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from ml4t.backtest import Engine, RunError, Strategy


def feed(price):
    """Return eight daily bars of one symbol at one price, round the clock."""
    days = [date(2024, 1, day) for day in range(1, 9)]
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [price] * 8)
    frame = pl.DataFrame({"timestamp": days, "symbol": ["A"] * 8, **prices})
    return {"use": "frame", "name": "prices", "frame": frame, "prices": "raw"}


@pytest.mark.parametrize("warmup", [None, "5d"])
def test_the_first_slice_is_that_of_the_first_session(warmup):
    """A bar known at the very start belongs to the session before: with warm-up or without, it calls nobody."""

    class First(Strategy):
        def __init__(self):
            self.slices = []

        def on_slice(self, market, context):
            self.slices.append(context.session.date)

    strategy = First()
    Engine(feed=feed(10.0), strategy=strategy, start=date(2024, 1, 5), warmup=warmup).run()
    assert [date(2024, 1, day) for day in (5, 6, 7, 8)] == strategy.slices


def test_a_run_whose_equity_is_no_number_fails():
    """Nobody should rank strategies by infinity."""

    class Absurd(Strategy):
        def on_slice(self, market, context):
            context.order("A", 1e15)

    with pytest.raises(RunError, match="at the close of session 2024-01-02"):
        Engine(feed=feed(1e300), strategy=Absurd(), account={"type": "unlimited"}).run()


def test_a_schedule_at_the_close_begins_with_the_first_session_of_the_data():
    """Round the clock the session before closes as the first one opens; nothing of it is known."""

    class Closes(Strategy):
        def __init__(self):
            self.days = []

        def on_start(self, context):
            context.schedule(self.note, at="close")

        def note(self, context):
            self.days.append((context.now.day, len(context.symbols)))

    strategy = Closes()
    Engine(feed=feed(10.0), strategy=strategy).run()
    assert [(day, 1) for day in range(2, 10)] == strategy.days


def test_the_manifest_names_the_kernel_and_what_took_part():
    """A result can be traced to the versions that made it."""

    class Idle(Strategy):
        def on_slice(self, market, context):
            """Do nothing."""

    used = Engine(feed=feed(10.0), strategy=Idle()).run().manifest["distributions"]
    wanted = {
        "kernel",
        "engine-standard",
        "gate-standard",
        "feed-frame",
        "broker-simulation",
        "fill-standard",
        "portfolio-standard",
    }
    assert {f"ml4t-backtest-{name}" for name in wanted} == set(used)


def test_a_start_between_bars_is_the_same_in_stretches_and_step_by_step():
    """A bar known at the very start is warm-up, however the run is driven."""

    class Heard(Strategy):
        def __init__(self):
            self.minutes = []

        def on_event(self, event, context):
            self.minutes.append(context.now.minute)

    stamps = pl.datetime_range(datetime(2024, 1, 2, 10), datetime(2024, 1, 2, 10, 9), "1m", time_zone="UTC", eager=True)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [10.0] * 10)
    frame = pl.DataFrame({"timestamp": stamps, "symbol": ["A"] * 10, **prices})
    start = datetime(2024, 1, 2, 10, 5, tzinfo=UTC)
    settings = {"prices": frame, "bar": "1m", "stamp": "open", "price_basis": "raw", "start": start, "warmup": "1h"}
    whole, stepped = Heard(), Heard()
    Engine(strategy=whole, **settings).run()
    list(Engine(strategy=stepped, **settings).steps())
    assert [6, 7, 8, 9, 10] == stepped.minutes
    assert stepped.minutes == whole.minutes
