"""Runs with tables of facts and a universe, from run files and in Python."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import DataError

DAYS = [date(2024, 1, 1) + timedelta(days=place) for place in range(12)]
NAMES = ("AAA", "BBB", "CCC")


def prices(seed=3):
    """Daily bars of three symbols."""
    rng = np.random.default_rng(seed)
    rows = [(day, name, *(100 * (1 + rng.uniform(-0.02, 0.02, 2)))) for day in DAYS for name in NAMES]
    return pl.DataFrame(rows, schema=["timestamp", "symbol", "open", "close"], orient="row")


def scores():
    """AAA is always best, CCC always worst."""
    rows = [(day, name, float(-place)) for day in DAYS for place, name in enumerate(NAMES)]
    return pl.DataFrame(rows, schema=["timestamp", "symbol", "score"], orient="row")


MEMBERS = pl.DataFrame({"symbol": NAMES, "from": [None, None, DAYS[4]], "to": [DAYS[5], None, None]})
FUNDAMENTALS = pl.DataFrame(
    {
        "symbol": ["AAA", "BBB", "BBB"],
        "event_time": [date(2023, 12, 29)] * 3,
        "known_at": [datetime(2024, 1, day, 13, tzinfo=UTC) for day in (2, 3, 8)],
        "value": [1.0, 2.0, 0.5],
        "audited": [True, False, True],
        "report_date": [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 8)],
        "sector": ["tech", "energy", "energy"],
    }
)


def held(result):
    """Return whose positions were not flat at each close, by day."""
    rows = result.positions.filter(pl.col("quantity") != 0).group_by("session").agg(pl.col("symbol").sort())
    return {session.day: symbols for session, symbols in rows.iter_rows()}


def traded(universe, *, minds=True):
    strategy = {"use": "signal", "long": 2, "universe": minds}
    signal = {"use": "frame", "frame": scores(), "latency": "0s"}
    return Engine(prices=prices(), signal=signal, strategy=strategy, universe=universe, capital=1e6).run()


def test_the_strategy_signal_holds_members_only():
    """AAA leaves after the sixth, CCC comes on the fifth: positions follow at the next open."""
    days = held(traded(MEMBERS))
    assert days[3] == ["AAA", "BBB"] and days[6] == ["AAA", "BBB"]  # noqa: PT018
    assert days[8] == ["BBB", "CCC"] == days[12]


@pytest.mark.parametrize("universe", [None, MEMBERS])
def test_the_strategy_signal_can_be_told_not_to_mind(universe):
    days = held(traded(universe, minds=universe is None))
    assert days[3] == days[12] == ["AAA", "BBB"]


@pytest.mark.parametrize("minds", [True, False])
def test_target_weights_of_those_who_left_count_as_nothing(minds):
    """Unless the strategy is told not to mind."""
    weights = scores().with_columns(score=pl.lit(0.3)).rename({"score": "weight"})
    engine = Engine(
        prices=prices(), weights=weights, universe=MEMBERS, strategy={"use": "weights", "universe": minds}, capital=1e6
    )
    days = held(engine.run())
    assert days[3] == (["AAA", "BBB"] if minds else ["AAA", "BBB", "CCC"])
    assert days[12] == (["BBB", "CCC"] if minds else ["AAA", "BBB", "CCC"])


class ByValue(Strategy):
    """Hold what is cheap, as far as it is known."""

    def __init__(self):
        self.told = []

    def on_slice(self, market, context):
        value = context.asof("fundamentals", "value", max_age="400d")
        context.order_target_weights(np.where(np.isnan(value), 0.0, 0.3 / np.where(value > 0, value, 1.0)))
        self.told.append((value.tolist(), context.asof("fundamentals", "sector"), context.universe.tolist()))


FILES = """
schema = 1
capital = 1_000_000

[[feed]]
use = "parquet"
path = "prices.parquet"

[[table]]
name = "fundamentals"
use = "{form}"
path = "fundamentals.{form}"

[[table]]
name = "members"
use = "{form}"
path = "members.{form}"

[universe]
table = "members"

[strategy]
use = "mine:ByValue"
"""


def in_python():
    strategy = ByValue()
    tables = {"fundamentals": FUNDAMENTALS, "members": MEMBERS}
    engine = Engine(prices=prices(), tables=tables, universe="members", strategy=strategy, capital=1e6)
    return engine, strategy


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_run_file_with_tables_is_the_run_in_python(tmp_path, form):
    """Parquet, CSV and frames say the same."""
    prices().write_parquet(tmp_path / "prices.parquet")
    for name, frame in (("fundamentals", FUNDAMENTALS), ("members", MEMBERS)):
        getattr(frame, f"write_{form}")(tmp_path / f"{name}.{form}")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom ml4t.backtest import Strategy\n\n\nclass ByValue(Strategy):\n"
        "    def on_slice(self, market, context):\n"
        '        value = context.asof("fundamentals", "value", max_age="400d")\n'
        "        context.order_target_weights(np.where(np.isnan(value), 0.0, 0.3 / np.where(value > 0, value, 1.0)))\n"
        '        assert context.asof("fundamentals", "audited").dtype == float\n'
        '        assert context.asof("fundamentals", "report_date").dtype == "datetime64[ns]"\n',
        encoding="utf-8",
    )
    run = tmp_path / "run.toml"
    run.write_text(FILES.format(form=form), encoding="utf-8")
    engine, strategy = in_python()
    expected = engine.run()
    result = Engine.from_file(run).run()
    assert result.decision_hash == expected.decision_hash
    assert result.result_hash == expected.result_hash
    assert expected.fills.height > 5
    assert {"table.0", "table.1"} < set(result.origin["inputs"])
    assert strategy.told[-1][1] == ["tech", "energy", None]


def test_steps_and_runs_see_the_same_tables():
    engine, first = in_python()
    for _ in engine.steps():
        pass
    other, second = in_python()
    assert engine.result.result_hash == other.run().result_hash
    np.testing.assert_equal(first.told, second.told)


def test_a_run_goes_on_from_a_snapshot_with_what_tables_said(tmp_path):
    """Rows known before are known again, those after come when they are due."""
    engine, whole = in_python()
    expected = engine.run()
    engine, first = in_python()
    for now in engine.steps():
        if now.day == 7:
            engine.snapshot(tmp_path / "snapshot")
            break
    engine, second = in_python()
    result = engine.run(resume=tmp_path / "snapshot")
    assert result.result_hash == expected.result_hash
    np.testing.assert_equal(second.told, whole.told)  # what was told before is state of the strategy
    assert len(first.told) < len(whole.told)


def test_tables_that_nobody_asks_change_nothing():
    """Neither hashes nor fills, though their rows make instants of their own."""
    signal = {"use": "frame", "frame": scores(), "latency": "0s"}
    strategy = {"use": "signal", "long": 1, "short": 1}
    plain = Engine(prices=prices(), signal=signal, strategy=strategy, capital=1e6).run()
    tables = {"fundamentals": FUNDAMENTALS, "market": FUNDAMENTALS.drop("symbol")}
    with_tables = Engine(prices=prices(), signal=signal, strategy=strategy, capital=1e6, tables=tables).run()
    assert with_tables.decision_hash == plain.decision_hash
    assert with_tables.result_hash == plain.result_hash


def test_warm_up_releases_tables_silently():
    """On the first day with a callback everything known by then is there."""
    engine = Engine(
        prices=prices(), tables={"fundamentals": FUNDAMENTALS}, strategy=(strategy := ByValue()), start=DAYS[6],
        warmup="5d", capital=1e6,
    )  # fmt: skip
    engine.run()
    np.testing.assert_equal(strategy.told[0][0], [1.0, 2.0, np.nan])


def test_all_that_is_wrong_with_tables_is_said_at_once():
    with pytest.raises(DataError) as caught:
        Engine(
            prices=prices(),
            tables={"one": FUNDAMENTALS.drop("known_at"), "two": FUNDAMENTALS.drop("event_time", "known_at")},
            universe=MEMBERS.with_columns(to=pl.lit(date(2020, 1, 1))),
            strategy=ByValue(),
        )
    text = str(caught.value)
    assert "table one: it is not said when its rows are known" in text
    assert "table two: no column known_at or event_time" in text
    assert "table universe row 2: to is before from" in text
