"""What may be set, and what is kept, of the strategies that follow a signal."""

from datetime import date

import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Setup
from ml4t_backtest_strategy_signal import plugin
from ml4t_backtest_strategy_signal.strategy import SignalStrategy, SignalStrategyConfig, WeightStrategy, period_of


def configured(**settings):
    """Return a configuration as from a run file."""
    return Engine.configure(SignalStrategyConfig, settings, where="strategy", owner="strategy-signal")


def test_the_plugin_offers_the_strategies():
    """The names of the run file lead to the classes."""
    offered = dict(plugin.ml4t_register_strategies())
    package = "ml4t_backtest_strategy_signal.strategy"
    assert {"signal": f"{package}:SignalStrategy", "weights": f"{package}:WeightStrategy"} == offered
    assert "strategy-signal" == plugin.MANIFEST.name
    assert issubclass(WeightStrategy, object)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"long": 0, "short": 0}, "nothing can be held"),
        ({"long": -1}, "nothing can be held"),
        ({"gross": 0.0}, "gross was 0.0"),
        ({"rebalance": "hourly"}, "rebalance was 'hourly'"),
        ({"lnog": 10}, 'did you mean "long"'),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, fault):
    """Before the run."""
    with pytest.raises(RunFileError, match=fault):
        configured(**settings)


@pytest.mark.parametrize(
    ("rebalance", "same", "other"),
    [
        ("daily", date(2024, 1, 2), date(2024, 1, 3)),
        ("weekly", date(2024, 1, 5), date(2024, 1, 8)),
        ("weekly", date(2024, 1, 1), date(2023, 12, 31)),
        ("monthly", date(2024, 1, 31), date(2024, 2, 1)),
        ("monthly", date(2024, 1, 31), date(2025, 1, 2)),
    ],
)
def test_a_period_is_what_its_sessions_have_in_common(rebalance, same, other):
    """Weeks are those of ISO 8601."""
    first = period_of(date(2024, 1, 2), rebalance)
    assert first == period_of(same, rebalance)
    assert first != period_of(other, rebalance)


def test_the_period_survives_a_snapshot():
    """A resumed run does not rebalance twice in a month."""
    strategy = SignalStrategy(configured(rebalance="monthly"), Setup(name="signal"))
    strategy.set_state({"period": [2024, 1]})
    assert {"period": [2024, 1]} == strategy.get_state()
