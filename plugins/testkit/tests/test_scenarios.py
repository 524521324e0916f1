"""Scenarios, run files and the benchmark."""

import subprocess
import sys

import pytest

from ml4t.backtest import Engine, UnknownComponent
from ml4t_backtest_testkit import benchmark
from ml4t_backtest_testkit.actions_scenario import prices_of_scenario
from ml4t_backtest_testkit.engines import plain_engine
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.reference import PlainPortfolio, RowsFeed, RowsSignal
from ml4t_backtest_testkit.scenarios import events, market_orders_test


def test_market_orders_match_their_golden_output():
    """The scenario gives the lines that are shipped beside it."""
    assert Engine(seed=42).run(scenario="market_orders_test").matches_golden_output()


def test_the_golden_output_is_that_of_the_plain_components():
    """Broker, portfolio and feeds written twice, without common code, agree on the scenario."""
    settings = dict(market_orders_test(seed=1))
    golden = settings.pop("golden")
    settings["broker"] |= {"use": PlainBroker()}
    settings["portfolio"] = PlainPortfolio()
    del settings["account"]  # the plain portfolio lets everything pass
    feed = settings.pop("feed")[0]
    settings["feed"] = [RowsFeed(feed["frame"])]
    settings["signal"] = [RowsSignal(settings.pop("signals"))]
    assert Engine(**settings).run().matches_golden_output(golden)


def test_splits_and_dividends_match_their_golden_output():
    """The scenario gives the lines that are shipped beside it."""
    assert Engine(seed=42).run(scenario="split_dividend_test").matches_golden_output()


def test_splits_and_dividends_are_those_of_a_hand_that_keeps_books():
    """What the positions are after each action, and what is cut off, added up day by day."""
    result = Engine(seed=42).run(scenario="split_dividend_test")
    bars = {(row["symbol"], row["timestamp"]): row for row in prices_of_scenario().iter_rows(named=True)}
    days = sorted({day for _, day in bars})
    held, cash, worths = {"AAA": 0.0, "BBB": 0.0, "CCC": 0.0}, 100_000.0, []

    def traded(symbol, quantity, price):
        nonlocal cash
        held[symbol] += quantity
        cash -= quantity * price

    def cut(symbol, ratio, before):
        """Multiply a position; what is no whole share is paid at the last close in new shares."""
        nonlocal cash
        whole = float(int(held[symbol] * ratio + 1e-9))
        cash += (held[symbol] * ratio - whole) * bars[symbol, before]["close"] / ratio
        held[symbol] = whole

    for number, day in enumerate(days):
        before = days[number - 1]
        if number == 3:
            for symbol, quantity in (("AAA", 100.0), ("BBB", -60.0), ("CCC", 75.0)):
                traded(symbol, quantity, bars[symbol, day]["open"])
        elif number == 6:
            cash += held["BBB"] * 0.25
        elif number == 10:
            held["AAA"] *= 2.0
            traded("AAA", 20.0, min(53.45, bars["AAA", day]["open"]))
        elif number == 14:
            cut("CCC", 1.5, before)
        elif number == 16:
            cash += held["AAA"] * 0.4
        elif number == 22:
            held["BBB"] *= 0.2
        elif number == 27:
            traded("CCC", -45.0, min(38.0 / 1.5, bars["CCC", day]["open"]))
        elif number == 28:
            cut("CCC", 1.1, before)
        elif number == 34:
            traded("AAA", -140.0, bars["AAA", day]["open"])
            traded("BBB", 12.0, bars["BBB", day]["open"])
        worths.append(cash + sum(size * bars[symbol, day]["close"] for symbol, size in held.items()))
    assert {"AAA": 80.0, "BBB": 0.0, "CCC": 73.0} == held
    assert worths == pytest.approx(result.equity["equity"].to_list(), rel=1e-12)


def test_a_difference_from_the_golden_output_is_shown(tmp_path):
    """What differs is in the message."""
    result = Engine(seed=42).run(scenario="market_orders_test")
    golden = tmp_path / "golden.txt"
    golden.write_text("\n".join(result.golden_lines()[1:]))
    with pytest.raises(AssertionError, match=r"\+fill 2024-01-02T00:00:00 AAA"):
        result.matches_golden_output(golden)


def test_an_unknown_scenario_names_those_that_exist():
    """The error lists the scenarios."""
    with pytest.raises(UnknownComponent, match="events, market_orders_test, split_dividend_test"):
        Engine(seed=42).run(scenario="zzz")


def test_events_are_counted():
    """The scenario delivers as many events as were asked for."""
    engine = Engine(seed=42)
    assert 1_234 == engine.run(events=1_234).counts["rows"]


def test_events_are_at_least_one():
    """A number below one is refused."""
    with pytest.raises(ValueError, match="give at least 1"):
        events(seed=1, events=0)


engine = Engine(seed=42)


@benchmark
def test_ten_thousand_events():
    """The decorated function is a test, and counts the events of the engine that it uses."""
    engine.run(events=10_000)


def test_the_benchmark_measures(capsys):
    """A call prints events and events per second."""
    test_ten_thousand_events()
    assert 10_000 == test_ten_thousand_events.measurement.events
    assert "test_ten_thousand_events: " in capsys.readouterr().out


def test_the_benchmark_keeps_result_and_arguments(market):
    """What the function takes and returns is unchanged; a returned result counts once."""

    @benchmark
    def run(prices):
        from ml4t_backtest_testkit.engines import RandomTrader

        return plain_engine(RandomTrader(), prices).run()

    result = run(market(seed=1, symbols=2, bars=10))
    assert (20, 20) == (result.counts["rows"], run.measurement.events)


def test_a_run_file_runs(run_file):
    """The files that the fixture writes are a whole run."""
    result = Engine.from_file(run_file({"name": "mine", "seed": None})).run()
    assert ("mine", 3) == (result.name, result.fills.height)


def test_a_run_file_of_intraday_bars_runs(run_file, market):
    """Minute bars are declared as such."""
    result = Engine.from_file(run_file(prices=market(seed=1, bars=20, minutes=1))).run()
    assert 60 == result.counts["rows"]


def test_a_host_of_given_plugins_finds_nothing_else(only_plugins):
    """Installed plugins are not looked for."""
    from ml4t_backtest_testkit import plugin

    host = only_plugins(plugin)
    assert ["testkit"] == [each.name for each in host.plugins()]
    assert ["events", "market_orders_test", "split_dividend_test"] == host.components.names("scenario")


def test_the_same_arguments_make_the_same_market(market):
    """Two calls agree, two seeds do not."""
    assert market(seed=1, missing=0.1).equals(market(seed=1, missing=0.1))
    assert not market(seed=1).equals(market(seed=2))


def test_pytest_loads_no_kernel_for_the_testkit():
    """A session that uses no fixture of the testkit imports neither the kernel nor polars."""
    source = (
        "import sys, ml4t_backtest_testkit.fixtures\n"
        "heavy = {'ml4t', 'polars', 'numpy', 'pluggy'} & set(sys.modules)\n"
        "print(sorted(heavy - {'pluggy'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
