"""Runs that begin, end or fail in odd places."""

import functools
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import (
    Engine,
    InputError,
    LookAheadError,
    Reporter,
    RunError,
    SessionEvent,
    SnapshotError,
    Strategy,
)
from ml4t.backtest.hookspecs import Manifest, hookimpl
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_engine_standard.loop import running


class Watch(Strategy):
    """Keeps the instants of its slices; does something in the first."""

    def __init__(self, act=None):
        self.seen, self._act = [], act

    def on_slice(self, market, context):
        self.seen.append(context.now)
        if self._act is not None and len(self.seen) == 1:
            self._act(context)


class Told(Reporter):
    """Keeps what it is told, and raises at one of the calls."""

    def __init__(self, bad=""):
        self.calls, self._bad = [], bad

    def started(self, header, out):
        self._note("started")

    def progress(self, progress):
        self._note("progress")

    def finished(self, result, out):
        self._note("finished")

    def _note(self, call):
        self.calls.append(call)
        if call == self._bad:
            raise ValueError(f"no more paper at {call}")


def bars(first=date(2024, 3, 4), days=6, symbol="A", price=100.0):
    """Daily bars."""
    rows = [(symbol, first + timedelta(day), price + day, price + day) for day in range(days)]
    return pl.DataFrame(rows, ["symbol", "timestamp", "open", "close"], orient="row")


def fail(context):
    raise KeyError("of the strategy")


def test_an_error_of_a_reporter_does_not_hide_that_of_the_strategy():
    """The first error counts, and tells of the second; every reporter is told."""
    reporters = [Told("finished"), Told()]
    engine = Engine(prices=bars(), strategy=Watch(fail), reporter=reporters)
    with pytest.raises(KeyError, match="of the strategy") as caught:
        engine.run()
    assert "no more paper at finished" in caught.value.__notes__[-1]
    assert "finished" == reporters[1].calls[-1]
    assert "failed" == engine.result.status


def test_every_reporter_is_told_of_the_end():
    """One that raises does not keep the result from the next."""
    reporters = [Told("finished"), Told()]
    engine = Engine(prices=bars(), strategy=Watch(), reporter=reporters)
    with pytest.raises(ValueError, match="no more paper") as caught:
        engine.run()
    assert "was raised in finished of Told" in caught.value.__notes__[0]
    assert "finished" == reporters[1].calls[-1]
    assert "done" == engine.result.status


def test_a_reporter_that_raises_on_the_way_ends_the_run(monkeypatch):
    """What was recorded until then is there, and it is said who raised."""
    monkeypatch.setattr(running, "_PROGRESS_SECONDS", 0.0)
    engine = Engine(prices=bars(), strategy=Watch(), reporter=[Told("progress")])
    with pytest.raises(ValueError, match="no more paper") as caught:
        engine.run()
    assert 'raised in reporter.progress of reporter "Told"' in caught.value.__notes__[0]
    assert "failed" == engine.result.status


def test_a_hook_that_raises_does_not_hide_the_error_it_is_told_of():
    """The strategy's error is what the user has to see."""

    class Plugin:
        MANIFEST = Manifest(api=1, name="bad", summary="raises")

        @hookimpl
        def ml4t_run_failed(self, engine, error):
            raise ValueError("of the hook")

    host = PluginHost()
    host.register_local(Plugin())
    with pytest.raises(KeyError, match="of the strategy") as caught:
        Engine(prices=bars(), strategy=Watch(fail), host=host).run()
    assert "of the hook" in str(caught.value.__context__)


class Listens(Watch):
    """Counts the session events that it listens to."""

    listens_to = (SessionEvent,)

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_event(self, event, context):
        self.count += isinstance(event, SessionEvent)


def test_a_second_run_of_an_engine_hears_each_event_once():
    """The first run's strategy no longer listens."""
    strategy = Listens()
    engine = Engine(prices=bars(), strategy=strategy)
    engine.run()
    once, strategy.count = strategy.count, 0
    engine.run()
    assert 12 == once
    assert once == strategy.count


def test_a_subscriber_on_the_engine_hears_of_every_open():
    """The bus is there once the engine is made; what is subscribed before the run counts."""
    engine, opens = Engine(prices=bars(), strategy=Watch()), []
    engine.bus.subscribe(SessionEvent, lambda event: opens.append(event) if event.kind == "open" else None)
    engine.run()
    assert 6 == len(opens)


def test_there_is_no_snapshot_of_a_run_that_has_not_begun(tmp_path):
    """Resuming from one would skip on_start."""
    engine = Engine(prices=bars(), strategy=Watch())
    with pytest.raises(RunError, match="the run has not begun"):
        engine.snapshot(tmp_path / "snapshot")


def test_a_snapshot_says_which_schedule_it_cannot_keep(tmp_path):
    """A lambda has no name that a later process could find."""

    class Scheduled(Watch):
        def on_start(self, context):
            context.schedule(lambda context: None)

    engine = Engine(prices=bars(), strategy=Scheduled())
    steps = engine.steps()
    next(steps)
    with pytest.raises(SnapshotError, match="schedule of <lambda>"):
        engine.snapshot(tmp_path / "snapshot")
    steps.close()


def test_a_schedule_takes_any_callable():
    """Also one without a name."""

    class Scheduled(Watch):
        count = 0

        def on_start(self, context):
            context.schedule(functools.partial(self.add, 2))

        def add(self, amount, context):
            self.count += amount

    strategy = Scheduled()
    Engine(prices=bars(), strategy=strategy).run()
    assert 2 <= strategy.count
    assert 0 == strategy.count % 2


@pytest.mark.parametrize(("at", "tz"), [("25:00", None), ("09:61", None), ("09:30", "Mars/Olympus"), ("noon", None)])
def test_a_time_of_day_that_is_none_is_refused(at, tz):
    """Hours, minutes and zones are checked before the run."""

    class Scheduled(Watch):
        def on_start(self, context):
            context.schedule(self.nothing, at=at, tz=tz)

        def nothing(self, context):
            pass

    with pytest.raises(RunError, match="is not understood"):
        Engine(prices=bars(), strategy=Scheduled()).run()


def test_a_recorded_figure_cannot_take_the_name_of_the_instant():
    """It would replace it."""
    with pytest.raises(RunError, match="give the figure another name"):
        Engine(prices=bars(), strategy=Watch(lambda context: context.record(timestamp=5.0))).run()


def test_a_signal_has_one_source():
    """Of two that give the same name nobody could tell which is meant."""
    scores = bars().select("symbol", "timestamp", score=pl.lit(1.0))
    with pytest.raises(InputError, match="signal 'score' is given by 'other' and by 'signals'"):
        Engine(
            prices=bars(),
            signals=scores,
            signal=[{"use": "frame", "name": "other", "frame": scores}],
            strategy=Watch(),
        )


def test_every_source_has_a_name_of_its_own():
    """Also where the name given to one is what another would get."""
    feeds = [
        {"use": "frame", "name": name, "frame": bars(symbol=symbol)}
        for name, symbol in (("a", "A"), ("a-2", "B"), ("a", "C"))
    ]
    result = Engine(feed=feeds, strategy=Watch()).run()
    assert ["a", "a-2", "a-3"] == list(result.manifest["inputs"])


@pytest.mark.parametrize("aware", [True, False])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC", "Pacific/Kiritimati"])
def test_start_and_end_do_not_depend_on_the_zone_of_the_stamps(zone, aware):
    """Every bar known after start and not after end has its slice."""
    begin, end = datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 6, 20, tzinfo=UTC)
    hours = [datetime(2024, 3, 3, tzinfo=UTC) + timedelta(hours=hour) for hour in range(120)]
    stamps = pl.Series("timestamp", hours).dt.convert_time_zone(zone)
    stamps = stamps if aware else stamps.dt.replace_time_zone(None)
    frame = pl.DataFrame([stamps]).with_columns(symbol=pl.lit("A"), open=1.0, close=1.0)
    strategy = Watch()
    stated = {} if aware else {"timezone": zone}
    Engine(prices=frame, bar="1h", stamp="close", strategy=strategy, start=date(2024, 3, 5), end=end, **stated).run()
    assert [hour for hour in hours if begin < hour <= end] == strategy.seen


def test_signals_known_after_the_start_are_there_though_made_before():
    """What counts is when a row is known."""
    scores = bars().select("symbol", pl.col("timestamp").cast(pl.Datetime("us", "UTC")).alias("event_time"), score=1.0)
    seen = []
    Engine(
        prices=bars(),
        signal=[{"use": "frame", "frame": scores, "latency": "50h"}],
        strategy=Watch(lambda context: seen.append(context.signal("score")[0])),
        start=date(2024, 3, 6),
    ).run()
    assert [1.0] == seen


def test_rows_before_1970_are_refused_with_the_remedy():
    """They are in order, and it is said what is wrong."""
    with pytest.raises(InputError, match=r"begins before 1970.*set start to 1970-01-01 or later"):
        Engine(prices=bars(first=date(1969, 12, 29)), strategy=Watch()).run()
    strategy = Watch()
    Engine(prices=bars(first=date(1969, 12, 29)), strategy=strategy, start=date(1970, 1, 1)).run()
    assert 3 == len(strategy.seen)


def test_a_price_known_late_does_not_replace_a_newer_one():
    """The mark is the price that formed last of those known."""
    hours = [datetime(2024, 3, 4, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    fast = pl.DataFrame({"symbol": "A", "timestamp": hours, "open": [1.0, 2.0, 3.0], "close": [1.0, 2.0, 3.0]})
    late = pl.DataFrame({"symbol": "A", "timestamp": hours, "open": 7.0, "close": [70.0, 80.0, 90.0]})
    late = late.with_columns(known_at=pl.Series([hours[2] + timedelta(minutes=m) for m in (30, 10, 40)]))
    feeds = [{"use": "frame", "frame": frame, "bar": "1h", "stamp": "close"} for frame in (fast, late)]
    feeds[1]["grace"] = "100m"  # two bars that ended before 03:00 come at 03:40, the last one at 04:40

    class Marks(Watch):
        def on_slice(self, market, context):
            self.seen.append((context.price("A"), context.price_age("A") // 60_000_000_000))

    strategy = Marks()
    Engine(feed=feeds, strategy=strategy).run()
    assert [(1.0, 0), (2.0, 0), (3.0, 0), (3.0, 40), (90.0, 100)] == strategy.seen
    strategy = Marks()
    Engine(feed=feeds[1:], strategy=strategy).run()
    assert [(80.0, 100), (90.0, 100)] == strategy.seen


@pytest.mark.parametrize("key", ["lot", "multiplier", "quantity_step"])
def test_an_instrument_has_finite_sizes(key):
    """An infinite lot would truncate every order to no number."""
    with pytest.raises(InputError, match="all finite"):
        Engine(prices=bars(), strategy=Watch(), instruments=[{"symbol": "A", key: float("inf")}])


def test_positions_are_not_rounded_more_coarsely_than_sizes():
    """A step above the lot would turn a fill of 2.5 into 3."""
    with pytest.raises(InputError, match=r"quantity_step 1 is above the lot 0\.5"):
        Engine(prices=bars(), strategy=Watch(), instruments=[{"symbol": "A", "lot": 0.5, "quantity_step": 1.0}])


def test_a_run_that_is_under_way_cannot_begin_again():
    """Neither by steps nor from a callback; the run itself goes on."""
    engine = Engine(prices=bars(), strategy=Watch())
    steps = engine.steps()
    next(steps)
    with pytest.raises(RunError, match="this run is under way"):
        next(engine.steps())
    assert 5 <= len(list(steps))

    engine = Engine(prices=bars(), strategy=Watch(lambda context: engine.run()))
    with pytest.raises(RunError, match="this run is under way"):
        engine.run()


def test_a_history_of_fewer_than_no_bars_is_an_error():
    """As one of more than were declared."""
    with pytest.raises(LookAheadError, match="history of -1 bars"):
        Engine(prices=bars(), strategy=Watch(lambda context: context.history("close", -1))).run()


def test_explicit_fractions_of_a_coin_keep_the_accounts_in_balance():
    """A small account buys a fourteen-thousandth of a coin that costs sixty thousand, and no dollar of it is lost."""
    closes = [60_000.0 + 137.31 * day for day in range(20)]
    frame = pl.DataFrame(
        {"timestamp": [date(2024, 3, 4) + timedelta(days=day) for day in range(20)], "symbol": "BTC"}
    ).with_columns(open=pl.Series(closes), close=pl.Series(closes))

    class Fractions(Strategy):
        count = 0

        def on_slice(self, market, context):
            self.count += 1
            size = 100.0 / 7.3 / float(market.close[0])
            context.order("BTC", size if self.count % 2 else -size / 3)

    coin = {"symbol": "BTC", "asset_class": "crypto"}
    result = Engine(
        prices=frame, price_basis="raw", calendar="24/7", capital=100, instruments=coin, strategy=Fractions()
    ).run()
    last = result.equity.row(-1, named=True)
    held = float(result.fills["quantity"].sum())
    spent = float((result.fills["quantity"] * result.fills["price"]).sum())
    assert last["equity"] == pytest.approx(100.0 - spent + held * closes[-1], abs=1e-9)
