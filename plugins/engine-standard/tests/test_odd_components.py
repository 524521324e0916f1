"""Values of a run file that stand where a component should be named, and are no name."""

import pytest

from ml4t.backtest import Engine, RunFileError, Strategy
from ml4t_backtest_testkit.plain_sources import daily_bars

ODD = ["7", "1.5", "true", "[1, 'a']", "2024-01-01", "2024-01-01T00:00:00Z", "07:32:00", "{ use = {} }", "{ use = 7 }"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    ("table", "key", "where"),
    [
        ("clock", "calendar", "clock.calendar"),
        ("broker", "fill", "broker.fill"),
        ("broker", "slippage", "broker.slippage"),
    ],
)
def test_what_is_no_component_is_refused_where_it_stands(tmp_path, table, key, where, value):
    """Rather than taken for a component, which it is to Python."""
    daily_bars().write_parquet(tmp_path / "prices.parquet")
    (tmp_path / "run.toml").write_text(
        'schema = 1\ncapital = { USD = 1_000 }\n[[feed]]\nuse = "parquet"\npath = "prices.parquet"\n'
        f'prices = "raw"\n[strategy]\nuse = "signal"\nlong = 1\n[{table}]\n{key} = {value}\n'
    )
    with pytest.raises(RunFileError, match=rf"{where} was .*, expected the name of a {where.split('.')[1]} component"):
        Engine.from_file(tmp_path / "run.toml")


def test_a_seed_below_zero_is_refused():
    """No generator takes one."""

    class Idle(Strategy):
        def on_slice(self, market, context):
            pass

    with pytest.raises(RunFileError, match="seed was -1, expected 0 or above"):
        Engine(prices=daily_bars(), price_basis="raw", strategy=Idle(), capital={"USD": 1_000.0}, seed=-1)
