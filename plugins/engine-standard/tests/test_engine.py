"""A run as a whole: how it is made, driven and ended."""

import os
import signal
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import DataError, InputError, RunError, RunInterrupted
from ml4t.backtest.interfaces import RiskManager


class Momentum(Strategy):
    """Hold what rose, short what fell, by chance a little more."""

    def __init__(self):
        self.ended = 0

    def on_start(self, context):
        context.subscribe("prices", history=3)

    def on_slice(self, market, context):
        rose = market.close > context.history("close", 3)[0]
        context.order_target_quantities(rose * 20.0 - 10.0 + context.rng.integers(0, 3, len(rose)))

    def on_end(self, context):
        self.ended += 1


class Failing(Strategy):
    """Raise in a callback."""

    def __init__(self, where, error=ValueError):
        self.where, self.error, self.ended = where, error, 0

    def on_start(self, context):
        self.fail("on_start")

    def on_slice(self, market, context):
        context.order_target("A", 5.0)
        if context.now.day == 5:
            self.fail("on_slice")

    def on_fill(self, fill, context):
        self.fail("on_fill")

    def on_end(self, context):
        self.ended += 1
        self.fail("on_end")

    def fail(self, where):
        if where == self.where:
            raise self.error("no way")


def hashes(result):
    return result.decision_hash, result.result_hash


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_steps_and_batches_change_nothing(kit, batch):
    """One run, driven in stretches or instant by instant, read whole or row by row."""
    expected = kit.run(Momentum(), kit.Source(kit.bars()), seed=3)
    engine = kit.engine(Momentum(), kit.Source(kit.bars(), batch=batch), seed=3)
    instants = list(engine.steps())
    assert expected.fills.height > 10
    assert hashes(expected) == hashes(engine.result)
    assert sorted(set(instants)) == instants
    assert 20 == len(instants)  # closes alone: nobody asked for the opens


def test_the_seed_decides_what_is_random(kit):
    """The same again, and another."""
    one, again, other = (kit.run(Momentum(), kit.Source(kit.bars()), seed=seed) for seed in (3, 3, 4))
    assert hashes(one) == hashes(again)
    assert one.decision_hash != other.decision_hash


def test_two_engines_run_side_by_side(kit):
    """Instant by instant in turn, neither notices the other."""
    alone = [kit.run(Momentum(), kit.Source(kit.bars(seed=seed)), seed=seed) for seed in (1, 2)]
    engines = [kit.engine(Momentum(), kit.Source(kit.bars(seed=seed)), seed=seed) for seed in (1, 2)]
    for _ in zip(*(engine.steps() for engine in engines), strict=True):
        pass
    assert [hashes(result) for result in alone] == [hashes(engine.result) for engine in engines]


def test_a_run_file_and_objects_give_the_same(tmp_path, kit, monkeypatch):
    """The same settings, written down or handed over; with the components that are installed."""
    for name in ("feed_parquet", "feed_frame", "broker_simulation", "portfolio_standard", "fill_standard"):
        pytest.importorskip(f"ml4t_backtest_{name}", reason=f"{name} is not installed")
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "cache"))
    kit.bars().write_parquet(tmp_path / "prices.parquet")
    (tmp_path / "mine.py").write_text(
        "from ml4t.backtest import Strategy\n\n\n"
        "class Buy(Strategy):\n"
        "    def on_slice(self, market, context):\n"
        "        context.order_target_weights(market.close / market.close.sum() * 0.9)\n"
    )
    (tmp_path / "run.toml").write_text(
        'schema = 1\nseed = 5\ncapital = { EUR = 50_000 }\n[[feed]]\nuse = "parquet"\nname = "prices"\n'
        'path = "prices.parquet"\n[strategy]\nuse = "mine:Buy"\n'
    )
    from_file = Engine.from_file(tmp_path / "run.toml").run()
    space = {}
    exec((tmp_path / "mine.py").read_text(), space)
    from_objects = Engine(prices=kit.bars(), strategy=space["Buy"](), capital={"EUR": 50_000}, seed=5).run()
    assert from_file.fills.height > 3
    assert hashes(from_file) == hashes(from_objects)
    assert "EUR" == from_file.currency == from_objects.currency


# --- start, end, warm-up ------------------------------------------------------------------------------


class Calls(Strategy):
    """Count rows and remember the first history."""

    def __init__(self):
        self.days, self.first = [], None

    def on_start(self, context):
        context.subscribe("prices", history=4)

    def on_symbols(self, added, context):
        self.days.append(("symbols", added))

    def on_slice(self, market, context):
        self.days.append(context.session.date.day)
        if self.first is None:
            self.first = context.history("close", 4)[:, 0].tolist()


def test_rows_before_the_start_warm_up_in_silence(kit):
    """Released, so that history is there, and never told of."""
    frame = kit.bars(10, "A")
    strategy, source = Calls(), kit.Source(frame)
    result = kit.run(strategy, source, start=date(2024, 1, 4), end=date(2024, 1, 8), warmup="2d")
    assert [4, 5, 6, 7, 8] == strategy.days
    assert frame["close"].to_list()[:4] == strategy.first
    assert 8 == result.counts["rows"]
    window = source.opened[0]
    day = 86_400_000_000_000
    assert (date(2024, 1, 2) - date(1970, 1, 1)).days * day == window.first
    assert (date(2024, 1, 9) - date(1970, 1, 1)).days * day == window.last
    assert [date(2024, 1, day) for day in range(4, 9)] == result.equity["session"].to_list()


def test_a_start_after_the_end_is_refused(kit):
    """With both."""
    with pytest.raises(InputError, match="start 2024-01-08 is not before end 2024-01-04"):
        kit.engine(Calls(), kit.Source(kit.bars()), start=date(2024, 1, 8), end=date(2024, 1, 4))


@pytest.mark.parametrize(("capital", "cash"), [(None, 100_000.0), (5e5, 5e5), ({"EUR": 7e4}, 7e4)])
def test_capital_is_a_number_or_a_currency(kit, capital, cash):
    """100,000 where nothing is said."""
    assert cash == kit.run(Calls(), kit.Source(kit.bars(3)), capital=capital).final_equity


def test_instruments_have_their_own_lots(kit):
    """By name, or by ``*`` for the rest."""

    class Buy(Strategy):
        def on_slice(self, market, context):
            context.order_target_weights(np.full(3, 0.3))

    rows = [{"symbol": "A", "lot": 100.0}, {"symbol": "*", "lot": 0.5, "multiplier": 2.0}]
    result = kit.run(Buy(), kit.Source(kit.bars(3)), instruments=rows)
    lots = {"A": 100.0, "B": 0.5, "C": 0.5}
    assert {"A", "B", "C"} == set(result.fills["symbol"])
    assert all(
        quantity % lots[symbol] == 0 for symbol, quantity in result.fills.select("symbol", "quantity").iter_rows()
    )
    values = result.fills.filter(pl.col("symbol") == "B").select(pl.col("quantity") * pl.col("price")).to_series()
    assert 10_000 < values[0] < 20_000  # 30,000 at two a unit


def test_a_strategy_that_sees_nothing_is_refused(kit):
    """Before the run."""

    class Blind(Strategy):
        def on_end(self, context):
            pass

    with pytest.raises(InputError, match="Blind has no callback that sees data: write on_slice, on_event or on_signal"):
        kit.engine(Blind(), kit.Source(kit.bars()))


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("on_start", "before the first instant"),
        ("on_slice", "at 2024-01-05T00:00:00+00:00"),
        ("on_fill", "at 2024-01-03T00:00:00+00:00"),
        ("on_end", "at 2024-01-21T00:00:00+00:00"),
    ],
)
def test_an_error_keeps_its_type_and_says_whose_it_is(kit, where, when):
    """Callback, component and time in a note; the result holds what was recorded; on_end comes once."""
    strategy, source = Failing(where), kit.Source(kit.bars())
    engine = kit.engine(strategy, source)
    with pytest.raises(ValueError, match="no way") as caught:
        engine.run()
    note = caught.value.__notes__[-1]
    assert note.startswith(f"raised in {where} of ")
    place = f"line {caught.traceback[-1].lineno + 1} of {Path(__file__).name}"
    assert note.endswith(f" {when}, {place}")
    assert "failed" == engine.result.status
    assert "ValueError: no way" in engine.result.error
    assert 1 == strategy.ended == source.closed
    if where == "on_slice":
        assert 1 == engine.result.fills.height
        assert "end-of-run" not in engine.result.orders["reason"].to_list()


def test_the_owner_of_a_component_is_named_with_its_version(kit):
    """As the plugin host knows it; here, an object that was handed over."""
    engine = kit.engine(Failing("on_slice"), kit.Source(kit.bars()))
    with pytest.raises(ValueError, match="no way") as caught:
        engine.run()
    assert "Failing" in caught.value.__notes__[-1]


def test_errors_of_other_components_are_theirs(kit):
    """Not the strategy's: the broker's, a feed's in mid-run, a risk manager's."""

    class Bad(kit.Broker):
        def match(self, rows, start, stop):
            raise OSError("venue is gone")

        def finish(self):
            raise OSError("still gone")

    class Torn(kit.Source):
        def batches(self):
            yield from self.frame.iter_slices(7)
            raise OSError("file is gone")

    class Strict(RiskManager):
        def check(self, requests, state):
            raise ArithmeticError("no risk at all")

    buyer = Failing("never")
    engine = kit.engine(buyer, kit.Source(kit.bars()), broker=Bad())
    with pytest.raises(OSError, match="venue is gone") as broker:
        engine.run()
    assert "raised in broker.match of " in broker.value.__notes__[-1]
    assert "Bad" in broker.value.__notes__[-1]
    assert 1 == buyer.ended, "on_end comes though the broker could not finish"
    assert "still gone" in engine.result.error

    with pytest.raises(OSError, match="file is gone") as feed:
        kit.engine(Momentum(), Torn(kit.bars())).run()
    assert "raised in batches of " in feed.value.__notes__[-1]
    assert "Torn" in feed.value.__notes__[-1]

    with pytest.raises(ArithmeticError, match="no risk at all") as risk:
        kit.engine(Momentum(), kit.Source(kit.bars()), risk=[Strict()]).run()
    assert "raised in risk.check of " in risk.value.__notes__[-1]
    assert "Strict" in risk.value.__notes__[-1]


def test_unsorted_rows_end_a_run_with_their_place(kit):
    """The clock's own check, for sources that do not look themselves."""
    engine = kit.engine(Calls(), kit.Source(kit.bars(5, "A").reverse()))
    with pytest.raises(DataError, match="source 'prices' goes back in time at row 1"):
        engine.run()
    assert "failed" == engine.result.status


# --- ends ---------------------------------------------------------------------------------------------


class Interrupted(Strategy):
    """Press Ctrl-C on a day."""

    def __init__(self, day, times=1):
        self.day, self.times, self.days, self.ended = day, times, [], 0

    def on_slice(self, market, context):
        if context.session.date.day == self.day:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)
        context.order_target("A", float(context.session.date.day))
        self.days.append(context.session.date.day)

    def on_end(self, context):
        self.ended += 1


def test_ctrl_c_ends_the_run_after_the_instant(kit):
    """The result holds what was recorded; the handler of before is back."""
    before, strategy = signal.getsignal(signal.SIGINT), Interrupted(6)
    result = kit.run(strategy, kit.Source(kit.bars()))
    assert "interrupted" == result.status
    assert [1, 2, 3, 4, 5, 6] == strategy.days
    assert 5 == result.fills.height
    assert 1 == strategy.ended
    assert before is signal.getsignal(signal.SIGINT)


def test_a_second_ctrl_c_ends_the_run_at_once(kit):
    """Amid the callback."""
    strategy = Interrupted(6, times=2)
    result = kit.run(strategy, kit.Source(kit.bars()))
    assert "interrupted" == result.status
    assert [1, 2, 3, 4, 5] == strategy.days
    assert 1 == strategy.ended


def test_ctrl_c_between_steps_is_the_caller_s(kit):
    """In steps() nobody takes the signal away."""
    engine = kit.engine(Interrupted(6), kit.Source(kit.bars()))
    with pytest.raises(RunInterrupted, match="stopped by the user"):
        for _ in engine.steps():
            pass
    assert "interrupted" == engine.result.status


def test_steps_that_are_closed_leave_a_result(kit):
    """And the sources closed, on_end called once."""
    strategy, source = Momentum(), kit.Source(kit.bars())
    engine = kit.engine(strategy, source)
    steps = engine.steps()
    for _ in range(8):
        next(steps)
    steps.close()
    assert "interrupted" == engine.result.status
    assert datetime(2024, 1, 9, tzinfo=UTC) == engine.result.equity["timestamp"].to_list()[-1]
    assert 1 == strategy.ended == source.closed


def test_an_engine_can_run_again(kit):
    """Each run is assembled anew and gives the same."""
    engine = kit.engine(Momentum(), kit.Source(kit.bars()))
    first = engine.run()
    for _ in engine.steps():
        pass
    assert hashes(first) == hashes(engine.result) == hashes(engine.run())


def test_nothing_can_be_kept_of_a_run_that_is_over(kit, tmp_path):
    """A snapshot is taken between two steps."""
    engine = kit.engine(Momentum(), kit.Source(kit.bars()))
    engine.run()
    with pytest.raises(RunError, match="there is nothing to snapshot"):
        engine.snapshot(tmp_path / "snapshot")


def test_hooks_are_called_as_often_for_a_long_run(kit):
    """Ten bars and a hundred thousand."""
    from ml4t.backtest.plugins import PluginHost

    def called(bars):
        host, names = PluginHost(only=[]), Counter()
        host.manager.add_hookcall_monitoring(
            lambda name, *rest: names.update([name]), lambda outcome, name, *rest: None
        )
        rows = Calls()
        kit.run(rows, kit.Source(kit.minutes(bars), bar="1m", stamp="open"), host=host)
        assert bars == len([day for day in rows.days if isinstance(day, int)])
        return names

    assert called(10) == called(100_000)


def test_the_distribution_at_fault_is_named_with_its_version(kit, monkeypatch):
    """For a component that came from a plugin."""
    broker = pytest.importorskip("ml4t_backtest_broker_simulation.broker", reason="broker-simulation is not installed")

    def match(*arguments):
        raise OSError("venue is gone")

    monkeypatch.setattr(broker.SimulationBroker, "match", match)
    settings = {"feed": kit.Source(kit.bars()), "strategy": Momentum(), "portfolio": kit.Portfolio()}
    engine = Engine(**settings, broker={"fill": kit.Fill()})
    with pytest.raises(OSError, match="venue is gone") as caught:
        engine.run()
    note = caught.value.__notes__[-1]
    assert "ml4t-backtest-broker-simulation 0.1.0" in note
    assert "broker.match" in note
    assert "at 2024-01-03T00:00:00+00:00" in note
