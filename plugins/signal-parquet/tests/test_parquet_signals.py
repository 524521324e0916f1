"""The signal source over Parquet files."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError, RunFileError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_signal_parquet import plugin
from ml4t_backtest_signal_parquet.source import ParquetSignalConfig, ParquetSignalSource
from ml4t_backtest_testkit import make_setup

MOMENT = datetime(2024, 1, 2, 15, 0, tzinfo=UTC)
KEYS = {"symbol": ["A", "B", "A", "B"], "sector": ["x"] * 4, "score": [1.0, -1.0, 2.0, None], "rank": [1, 2, 1, 2]}
LABELS = [date(2024, 1, 2)] * 2 + [date(2024, 1, 3)] * 2
MOMENTS = [MOMENT] * 2 + [MOMENT + timedelta(hours=1)] * 2


def opened(folder, stamps, **settings):
    """Write predictions and open a source of them."""
    pl.DataFrame({**KEYS, **stamps}).write_parquet(folder / "predictions.parquet")
    settings.setdefault("path", "predictions.parquet")
    config = Engine.configure(ParquetSignalConfig, settings, where="signal", owner="signal-parquet")
    source = ParquetSignalSource(config, make_setup("predictions", folder))
    source.open(Window())
    return source


def test_the_plugin_offers_the_source():
    """The name of the run file leads to the class."""
    expected = {"parquet": "ml4t_backtest_signal_parquet.source:ParquetSignalSource"}
    assert expected == dict(plugin.ml4t_register_signal_sources())
    assert "signal-parquet" == plugin.MANIFEST.name


def test_labelled_predictions_need_no_setting(tmp_path):
    """A date is the session whose close they used; UTC midnights are the same."""
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in LABELS]
    for stamps in (LABELS, midnights):
        source = opened(tmp_path, {"timestamp": stamps})
        spec = source.spec
        assert ("predictions", "signal", ("score", "rank"), False) == (spec.name, spec.kind, spec.fields, spec.drives)
        assert ("label", 0, None) == (spec.rule.convention, spec.rule.latency_ns, spec.valid_for)
        (batch,) = source.batches()
        assert (LABELS, ["symbol", "timestamp", "score", "rank"]) == (batch["timestamp"].to_list(), batch.columns)
        assert ("predictions.parquet: 1 of 4 rows have no score: unknown there",) == source.notes()


def test_a_bare_intraday_timestamp_is_refused_with_the_line_to_add(tmp_path):
    """Nothing is taken as known at a bare timestamp."""
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {"timestamp": MOMENTS})
    (problem,) = caught.value.problems
    assert problem.startswith("predictions.parquet: ")
    assert 'columns = { event_time = "timestamp" }   # or { known_at = "timestamp" }' in problem
    assert 'latency = "0s"' in problem


@pytest.mark.parametrize(
    ("columns", "settings", "convention"),
    [
        ({"known_at": MOMENTS}, {}, "known_at"),
        ({"known_at": MOMENTS, "event_time": MOMENTS, "timestamp": MOMENTS}, {}, "known_at"),
        ({"event_time": MOMENTS}, {"latency": "250ms"}, "event_time"),
        ({"timestamp": MOMENTS}, {"columns": {"known_at": "timestamp"}}, "known_at"),
        ({"timestamp": MOMENTS}, {"columns": {"event_time": "timestamp"}, "latency": "5m"}, "event_time"),
        ({"date": LABELS}, {"latency": "2h"}, "label"),
    ],
)
def test_sources_say_when_they_are_known(tmp_path, columns, settings, convention):
    """By a column, by a delay after an event, or by a session and a delay."""
    assert convention == opened(tmp_path, columns, values=["score"], **settings).spec.rule.convention


def test_event_times_need_a_latency(tmp_path):
    """Zero is an answer, silence is none."""
    with pytest.raises(DataError, match='latency = "0s"'):
        opened(tmp_path, {"event_time": MOMENTS})


def test_values_are_chosen_and_renamed(tmp_path):
    """The run's names are those of ``context.signal``."""
    source = opened(tmp_path, {"timestamp": LABELS}, values=["alpha"], columns={"alpha": "score"})
    assert ("alpha",) == source.spec.fields
    with pytest.raises(DataError, match=r'no column scor; it has .*\n    columns = { scor = "score" }'):
        opened(tmp_path, {"timestamp": LABELS}, values=["scor"])


def test_a_value_may_outlive_the_next_release(tmp_path):
    """``valid_for`` is a duration; anything else is refused."""
    assert 5 * 86_400 * 10**9 == opened(tmp_path, {"timestamp": LABELS}, valid_for="5d").spec.valid_for
    with pytest.raises(RunFileError, match="soon"):
        opened(tmp_path, {"timestamp": LABELS}, valid_for="soon")


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"timestamp": LABELS, "symbol": ["A", "A", "A", "B"]}, "row 1 (A, 2024-01-02): this symbol and stamp were"),
        ({"timestamp": LABELS[::-1]}, "row 2 (A, 2024-01-02): the stamps of this symbol go back"),
        ({"timestamp": LABELS, "score": [1.0, float("inf"), 1.0, 1.0]}, "row 1 (B, 2024-01-02): score is infinite"),
    ],
)
def test_bad_rows_are_refused_by_file_and_row(tmp_path, columns, fault):
    """As in a feed, but a value may have any sign."""
    with pytest.raises(DataError) as caught:
        opened(tmp_path, columns)
    assert caught.value.problems[0].startswith(f"predictions.parquet {fault}")


def test_the_digest_is_that_of_the_bytes(tmp_path):
    """Other predictions, another digest."""
    first = opened(tmp_path, {"timestamp": LABELS}).digest()
    assert 64 == len(first)
    assert first != opened(tmp_path, {"timestamp": LABELS, "rank": [2, 1, 2, 1]}).digest()


def test_a_missing_file_is_refused(tmp_path):
    """By the name in the settings."""
    with pytest.raises(DataError, match=r"^missing.parquet: no such file in "):
        opened(tmp_path, {"timestamp": LABELS}, path="missing.parquet")


def test_a_folder_per_day_gives_the_day(tmp_path):
    """Predictions are often written so: one file per date."""
    for day, part in pl.DataFrame({**KEYS, "date": LABELS}).group_by("date"):
        place = tmp_path / "predictions" / "model=7" / f"date={day[0]}"
        place.mkdir(parents=True)
        part.drop("date").write_parquet(place / "0.parquet")
    source = opened(tmp_path, {"timestamp": LABELS}, path="predictions")
    assert (("score", "rank"), "label") == (source.spec.fields, source.spec.rule.convention)
    assert LABELS == pl.concat(source.batches())["timestamp"].to_list()
    with pytest.raises(DataError, match="no column timestamp"):
        opened(tmp_path, {"timestamp": LABELS}, path="predictions", hive=False)


def test_streamed_signals_are_those_of_the_file(tmp_path):
    """Also where each symbol stands by itself, so that rows are sorted through files."""
    stamps = [datetime(2024, 1, 2, 9, minute, tzinfo=UTC) for minute in range(60)]
    frame = pl.DataFrame({"known_at": [*stamps, *stamps], "symbol": ["B"] * 60 + ["A"] * 60, "score": range(120)})
    frame.write_parquet(tmp_path / "signals.parquet", row_group_size=30)
    found = []
    for stream in (True, False):
        config = ParquetSignalConfig(path="signals.parquet", stream=stream)
        source = ParquetSignalSource(config, make_setup("signals", tmp_path))
        source.open(Window())
        rows = pl.concat(list(source.batches())).with_columns(pl.col("symbol").cast(pl.String))
        found.append(rows.sort("known_at", "symbol").rows())
        source.close()
    assert found[0] == found[1]
    assert 120 == len(found[0])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_files_with_and_without_a_zone_are_not_read_as_one(tmp_path, order):
    """Predictions of one file would be known hours before they were."""
    for name, zone in (("naive", None), ("zoned", "UTC")):
        stamps = pl.Series([datetime(2024, 1, 2, 15)]).dt.replace_time_zone(zone)
        frame = pl.DataFrame({"symbol": [name], "known_at": stamps, "score": [1.0]})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    config = ParquetSignalConfig(
        path=tuple(("naive.parquet", "zoned.parquet")[place] for place in order), timezone="America/New_York", sort=True
    )
    with pytest.raises(DataError, match=r"known_at has a zone in zoned.parquet and none in naive.parquet; write them"):
        ParquetSignalSource(config, make_setup("predictions", tmp_path)).open(Window())


def test_further_files_may_differ_where_nothing_is_lost(tmp_path):
    """One file per month, of which a later one holds whole numbers, narrower ones, or stamps in another zone."""
    first = pl.DataFrame({"symbol": ["A"], "known_at": [MOMENT], "score": [1.5], "rank": [1]})
    later = [
        first.with_columns(known_at=pl.col("known_at").dt.convert_time_zone("Asia/Tokyo"), score=pl.lit(2)),
        first.with_columns(known_at=pl.col("known_at").dt.cast_time_unit("ms"), rank=pl.lit(3, pl.Int8)),
        first.with_columns(symbol=pl.col("symbol").cast(pl.Categorical), score=pl.lit(2.5, pl.Float32)),
    ]
    for number, frame in enumerate([first, *later]):
        frame = frame.with_columns(pl.col("known_at").dt.offset_by(f"{number}d"))
        frame.write_parquet(tmp_path / f"{number}.parquet")
    source = ParquetSignalSource(ParquetSignalConfig(path=str(tmp_path)), make_setup("predictions", tmp_path))
    source.open(Window())
    (batch,) = source.batches()
    assert [MOMENT + timedelta(days=number) for number in range(4)] == batch["known_at"].to_list()
    assert [1.5, 2.0, 1.5, 2.5] == batch["score"].to_list()
    assert [1, 1, 3, 1] == batch["rank"].to_list()
