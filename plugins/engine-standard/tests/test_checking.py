"""``Engine.check``: findings of all sources of a run, and those of a run in its manifest."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError, RunFileError

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(30)]


class Hold(Strategy):
    """Do nothing."""

    def on_slice(self, market, context):
        """See rows, and leave them."""


def bars(**columns):
    """Return 30 daily bars of A at prices that rise."""
    close = [100.0 + 0.1 * day for day in range(30)]
    return pl.DataFrame({"symbol": ["A"] * 30, "timestamp": DAYS, "open": close, "close": close, **columns})


def test_good_data_have_no_findings():
    """The frame has its columns all the same."""
    found = Engine(prices=bars(), open=False).check()
    assert found.is_empty()
    columns = ["rule", "severity", "source", "file", "symbol", "count", "rows", "what", "remedy"]
    assert columns == found.columns


def test_data_that_a_run_refuses_are_looked_at_unopened():
    """``open=False`` is for data that one does not trust yet."""
    prices = bars(close=[-1.0 - day for day in range(30)])
    with pytest.raises(InputError):
        Engine(prices=prices, strategy=Hold)
    found = Engine(prices=prices, open=False).check()
    assert [("nonpositive-price", "error", "prices", 30)] == found.select("rule", "severity", "source", "count").rows()


def test_what_is_wrong_with_one_source_does_not_hide_another():
    """Prices, signals, actions and tables, each with a fault of its own."""
    found = Engine(
        prices=bars(close=[float("inf")] * 30),
        signals=pl.DataFrame({"symbol": ["A"], "timestamp": [DAYS[0]], "score": [float("inf")]}),
        actions=pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [DAYS[3]], "ratio": [-2.0]}),
        tables={"facts": pl.DataFrame({"symbol": ["A"], "value": [1.0]})},
        open=False,
    ).check()
    assert {"prices", "signals", "actions.0", "facts"} == {*found["source"]}


def test_signals_about_prices_that_the_gate_never_saw_are_no_finding():
    """A feed that brings rows of its own, as the sample does, is not looked at; so no symbol can be missing in it."""
    signals = pl.DataFrame({"symbol": ["AAPL"], "timestamp": [datetime(2020, 1, 3)], "score": [1.0]})
    found = Engine(feed={"use": "sample"}, signals=signals, open=False)
    assert "unknown-symbols" not in found.check()["rule"].to_list()


def test_an_action_explains_a_jump():
    """The same prices with the split and without."""
    split = pl.when(pl.col("timestamp") >= DAYS[10]).then(4.0).otherwise(1.0)
    prices = bars().with_columns(pl.col("open", "close") / split)
    assert ["unadjusted-split"] == Engine(prices=prices, open=False).check()["rule"].to_list()
    split = pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [DAYS[10]], "ratio": [4.0]})
    assert Engine(prices=prices, actions=split, open=False).check().is_empty()


def test_checking_leaves_the_engine_as_it_was():
    """It can run afterwards, and check again."""
    engine = Engine(prices=bars(), strategy=Hold)
    engine.check()
    assert "done" == engine.run().status
    assert engine.check().is_empty()


def test_nothing_to_check_is_an_error():
    """A run file without a feed says nothing about data."""
    with pytest.raises(RunFileError, match="nothing to check"):
        Engine().check()


def test_an_unknown_rule_is_one_of_the_run_files_mistakes():
    """It is reported with the others, and in Python too."""
    with pytest.raises(RunFileError) as error:
        Engine(prices=bars(), gate={"missing-valu": "note"}, clock={"calender": "XNYS"})
    assert any("did you mean missing-value" in problem for problem in error.value.problems)
    assert any("clock.calender" in problem for problem in error.value.problems)


def test_findings_that_stop_nothing_are_in_the_manifest():
    """With the rule that made them, for programs."""
    result = Engine(prices=bars(close=[None] + [1.0] * 29), strategy=Hold).run()
    finding = result.manifest["findings"][0]
    assert ("missing-value", "note", "prices", 1) == tuple(
        finding[name] for name in ("rule", "severity", "source", "count")
    )


def test_a_rule_that_is_raised_stops_a_run_and_one_that_is_lowered_does_not():
    """What is severe is for the run file to say."""
    with pytest.raises(InputError, match="have no close"):
        Engine(prices=bars(close=[None] + [1.0] * 29), strategy=Hold, gate={"missing-value": "error"})
    prices = bars(volume=[-1.0] + [1.0] * 29)
    result = Engine(prices=prices, gate={"negative-size": "warning"}, strategy=Hold).run()
    assert "done" == result.status
    assert any("1 of 30 rows are kept although volume is negative" in note for note in result.notes)


def test_findings_in_rows_that_flow_are_in_the_manifest_too(tmp_path):
    """Large files are checked while the run goes on."""
    bars(close=[1.0] * 20 + [None] * 10).write_parquet(tmp_path / "bars.parquet")
    feed = {"use": "parquet", "name": "bars", "path": str(tmp_path / "bars.parquet"), "stream": True}
    result = Engine(feed=feed, strategy=Hold).run()
    assert [("missing-value", "bars", 10)] == [
        (finding["rule"], finding["source"], finding["count"]) for finding in result.manifest["findings"]
    ]


def test_each_source_is_held_against_its_own_calendar():
    """Days that are holidays in New York only, and a feed of which another is made."""
    days = [date(2024, 1, 12), date(2024, 1, 15), date(2024, 1, 16)]  # 15 January: Martin Luther King's day
    rows = pl.DataFrame({"symbol": ["A"] * 3, "timestamp": days, "open": [1.0, 1.1, 1.2], "close": [1.0, 1.1, 1.2]})
    feeds = [{"use": "frame", "name": name, "frame": rows, "calendar": name} for name in ("XLON", "XNYS")]
    minute = pl.DataFrame(
        {"symbol": ["A"] * 2, "timestamp": [datetime(2024, 1, 15, 15), datetime(2024, 1, 16, 15)], "close": [1.0, 1.1]}
    )
    inner = {"use": "frame", "frame": minute, "bar": "1h", "stamp": "open", "timezone": "UTC", "calendar": "XNYS"}
    feeds.append({"use": "resample", "name": "days", "of": inner, "every": "1d"})
    found = Engine(feed=feeds, calendar="XLON", open=False).check()
    assert [("holiday-rows", "XNYS"), ("holiday-rows", "days.of")] == found.select("rule", "source").rows()
