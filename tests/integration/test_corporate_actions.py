"""Corporate actions from files and frames, through run files and keywords."""

from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import DataError, InputError, SnapshotError

DAYS = [date(2024, 1, 1) + timedelta(days=number) for number in range(6)]
CLOSES = [8.0, 8.0, 8.0, 4.0, 4.0, 4.0]
PRICES = pl.DataFrame({"timestamp": DAYS, "symbol": ["A"] * 6, "open": CLOSES, "close": CLOSES})
SPLIT = pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [DAYS[3]], "ratio": [2.0]})


class Past(Strategy):
    """Keep what history says at last."""

    def on_start(self, context):
        context.subscribe("prices", history=6)

    def on_slice(self, market, context):
        self.past = context.history("close", 6, symbol="A").tolist()


def past(**settings):
    """Run and return the closes as they look at the end, and the result."""
    strategy = Past()
    result = Engine(strategy=strategy, **{"prices": PRICES, **settings}).run()
    return strategy.past, result


def test_frames_files_and_tables_are_the_same_actions(tmp_path, monkeypatch):
    """As a keyword, in a list, by their kind; polars, pandas and Arrow."""
    monkeypatch.chdir(tmp_path)
    SPLIT.write_parquet("actions.parquet")
    SPLIT.rename({"ex_date": "date"}).write_csv("actions.csv")
    given = [
        SPLIT,
        SPLIT.to_pandas(),
        SPLIT.to_arrow(),
        [SPLIT.head(0), SPLIT],
        {"frame": SPLIT},
        {"use": "frame", "frame": SPLIT, "name": "mine"},
        {"use": "parquet", "path": "actions.parquet"},
        {"use": "csv", "path": "actions.csv", "columns": {"ex_date": "date"}},
    ]
    for actions in given:
        assert [4.0] * 6 == past(actions=actions)[0]
    assert CLOSES == past()[0]
    assert CLOSES == past(actions=pl.DataFrame())[0]


def test_the_header_counts_actions_by_their_kind():
    """So that a table of another market is noticed."""
    more = SPLIT.with_columns(kind=pl.lit("dividend"), amount=1.0)
    lines = Engine(prices=PRICES, actions=[SPLIT, more], strategy=Past()).header
    assert "actions: 1 dividend, 1 split" in lines
    assert not any("actions" in line for line in Engine(prices=PRICES, strategy=Past()).header)


def test_a_run_file_names_its_actions(tmp_path):
    """Paths are looked up beside it; what was read is in the manifest, and another table is another input."""
    SPLIT.write_parquet(tmp_path / "actions.parquet")
    PRICES.write_parquet(tmp_path / "prices.parquet")
    (tmp_path / "past.py").write_text(
        "from ml4t.backtest import Strategy\n"
        "class Past(Strategy):\n    def on_slice(self, market, context):\n        pass\n"
    )
    (tmp_path / "run.toml").write_text(
        'schema = 1\n[[feed]]\nuse = "parquet"\npath = "prices.parquet"\n[strategy]\nuse = "past:Past"\n'
        '[[actions]]\nuse = "parquet"\npath = "actions.parquet"\n'
    )
    first = Engine.from_file(tmp_path / "run.toml").run().manifest["inputs"]
    assert {"parquet", "actions.0"} == set(first)
    SPLIT.with_columns(ratio=3.0).write_parquet(tmp_path / "actions.parquet")
    second = Engine.from_file(tmp_path / "run.toml").run().manifest["inputs"]
    assert first["parquet"] == second["parquet"]
    assert first["actions.0"] != second["actions.0"]


def test_everything_that_is_wrong_with_actions_is_one_error(tmp_path):
    """Of all tables, with their rows."""
    late = SPLIT.with_columns(known_at=pl.lit(DAYS[3]))
    with pytest.raises(DataError) as caught:
        past(actions=[SPLIT.with_columns(ratio=0.0), late])
    first, second = caught.value.problems
    assert first.startswith("actions.0 row 0: ratio is not above 0")
    assert second.startswith("actions.1 row 0: is known after it takes effect")
    with pytest.raises(InputError, match=r"no such file"):
        past(actions={"use": "parquet", "path": "nowhere.parquet"})
    with pytest.raises(InputError, match=r"actions\.0"):
        past(actions={"use": "parquet"})
    with pytest.raises(InputError, match=r"actions\.0.* was list"):
        past(actions=[[1]])


@pytest.mark.parametrize("basis", ["split", "total"])
def test_adjusted_prices_with_splits_are_refused(basis):
    """They would be applied a second time."""
    with pytest.raises(DataError, match=rf'prices = "{basis}", and actions would apply splits a second time'):
        past(actions=SPLIT, price_basis=basis)


def test_a_snapshot_fits_one_table_of_actions(tmp_path):
    """Other actions are another run."""

    def engine(actions):
        return Engine(prices=PRICES, actions=actions, strategy=Past())

    first = engine(SPLIT)
    steps = first.steps()
    for _ in range(3):
        next(steps)
    first.snapshot(tmp_path / "snapshot")
    steps.close()
    with pytest.raises(SnapshotError, match="the data is not what the snapshot's run read"):
        engine(SPLIT.with_columns(ratio=3.0)).run(resume=tmp_path / "snapshot")
    engine(SPLIT).run(resume=tmp_path / "snapshot")
