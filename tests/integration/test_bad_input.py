"""Bad input beyond what ``test_command.py`` tries: each fault is named with its file, its row and the remedy."""

import json
from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, RunFileError
from ml4t_backtest_cli.main import DONE, INPUT, main

RUN_FILE = """
schema = 1
name = "small"
capital = { USD = 10_000 }

[clock]
calendar = "24/7"

[[feed]]
use = "parquet"
path = "prices.parquet"
bar = "1d"
prices = "raw"

[[signal]]
use = "parquet"
path = "scores.parquet"

[strategy]
use = "signal"
long = 1

[broker]
slippage = { use = "bps", bps = 5.0 }
"""
DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(15)]


def prices() -> pl.DataFrame:
    rows = [
        (symbol, day, price, price + 1, price - 1, price, 100.0)
        for day in DAYS
        for symbol, price in (("AAA", 100.0 + day.day), ("BBB", 50.0))
    ]
    return pl.DataFrame(rows, ["symbol", "timestamp", "open", "high", "low", "close", "volume"], orient="row")


def scores() -> pl.DataFrame:
    return prices().select("symbol", "timestamp", score=pl.col("close") - 100)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a run file, prices and predictions, which is also the current one."""
    (tmp_path / "run.toml").write_text(RUN_FILE)
    prices().write_parquet(tmp_path / "prices.parquet")
    scores().write_parquet(tmp_path / "scores.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value(column, row, new, file="prices"):
    """Put a value into one place of a file."""

    def spoil(folder):
        path = folder / f"{file}.parquet"
        frame = pl.read_parquet(path)
        values = frame[column].to_list()
        values[row] = new
        frame.with_columns(pl.Series(column, values, dtype=frame.schema[column])).write_parquet(path)

    return spoil


def csv(change):
    """Have the prices read from a CSV file whose text is changed."""

    def spoil(folder):
        text = prices().write_csv()
        assert change[0] in text
        (folder / "prices.csv").write_text(text.replace(*change, 1))
        edit('use = "parquet"\npath = "prices.parquet"', 'use = "csv"\npath = "prices.csv"')(folder)

    return spoil


def edit(before, after):
    """Change the run file."""

    def spoil(folder):
        text = (folder / "run.toml").read_text()
        assert before in text
        (folder / "run.toml").write_text(text.replace(before, after, 1))

    return spoil


def write(file, content):
    """Put other bytes into a file."""
    return lambda folder: (folder / file).write_bytes(content)


def rewrite(file, change):
    """Write a changed frame."""

    def spoil(folder):
        change(pl.read_parquet(folder / f"{file}.parquet")).write_parquet(folder / f"{file}.parquet")

    return spoil


def no_file(name):
    return lambda folder: (folder / name).unlink()


def all_of(*spoilers):
    def spoil(folder):
        for each in spoilers:
            each(folder)

    return spoil


CASES = {
    # what is wrong: (how it is made so, what the message must name)
    "a price of zero": (value("close", 4, 0.0), ["prices.parquet row 4", "AAA", "2024-01-03", "close", "above zero"]),
    "a negative price": (value("open", 5, -3.0), ["prices.parquet row 5", "BBB", "open", "allow_negative_prices"]),
    "an infinite price": (value("high", 6, float("inf")), ["prices.parquet row 6", "AAA", "high is infinite"]),
    "high below low": (value("high", 7, 1.0), ["prices.parquet row 7", "BBB", "high is below low", "correct"]),
    "negative volume": (value("volume", 8, -1.0), ["prices.parquet row 8", "volume is negative"]),
    "no symbol": (value("symbol", 3, None), ["prices.parquet row 3", "no symbol", "leave the row out"]),
    "no stamp": (value("timestamp", 3, None), ["prices.parquet row 3", "no timestamp", "leave the row out"]),
    "an infinite prediction": (
        value("score", 9, float("inf"), "scores"),
        ["scores.parquet row 9", "score is infinite"],
    ),
    "a prediction given twice": (
        rewrite("scores", lambda frame: pl.concat([frame, frame.tail(1)])),
        ["scores.parquet row 30", "BBB", "2024-01-15", "given before", "row 29", "keep one"],
    ),
    "predictions that go back": (
        rewrite("scores", lambda frame: frame.reverse()),
        ["scores.parquet row", "go back", "sort = true"],
    ),
    "predictions that are gone": (no_file("scores.parquet"), ["scores.parquet", "no such file"]),
    "predictions without numbers": (
        rewrite("scores", lambda frame: frame.with_columns(score=pl.lit("high"))),
        ["scores.parquet", "no column holds numbers"],
    ),
    "a file that is no Parquet": (write("prices.parquet", b"symbol,timestamp"), ["prices.parquet", "cannot be read"]),
    "an empty file": (write("prices.parquet", b""), ["prices.parquet", "cannot be read"]),
    "a file without rows": (rewrite("prices", lambda frame: frame.head(0)), ["prices.parquet", "no rows"]),
    "no rows between start and end": (
        edit("schema = 1", "schema = 1\nstart = 2030-01-01\nend = 2030-12-31"),
        ["prices.parquet", "no rows", "start and end"],
    ),
    "a folder of other files": (
        edit('path = "prices.parquet"', 'path = "."'),
        [".: cannot be read: did not find column open"],
    ),
    "a column called otherwise": (
        rewrite("prices", lambda frame: frame.rename({"close": "last_close"})),
        ["prices.parquet", "no column close", 'columns = { close = "last_close" }'],
    ),
    "text for a price": (
        rewrite("prices", lambda frame: frame.with_columns(open=pl.lit("n/a"))),
        ["prices.parquet row 0", "open is 'n/a', which is no number"],
    ),
    "text in a CSV file": (csv(("101.0", "1O1.0")), ["prices.csv row 0", "1O1.0", "no number"]),
    "a stamp in a CSV file": (csv(("2024-01-02", "02/01/2024")), ["prices.csv", "02/01/2024", "date_format"]),
    "a short row of a CSV file": (csv(("AAA,2024-01-02,", "AAA,")), ["prices.csv"]),
    "end before start": (edit("schema = 1", "schema = 1\nstart = 2024-02-01\nend = 2024-01-01"), ["run.toml", "start"]),
    "a wrong date": (edit("schema = 1", 'schema = 1\nstart = "soon"'), ["run.toml", "start", "'soon'"]),
    "an unknown table": (edit("[broker]", "[brokre]"), ["run.toml", "brokre", 'did you mean "broker"']),
    "an unknown key of the strategy": (edit("long = 1", "lonk = 1"), ["run.toml", "strategy.lonk", '"long"']),
    "an unknown key of a model": (edit("bps = 5.0", "bips = 5.0"), ["run.toml", "broker.slippage.bips", '"bps"']),
    "a wrong type in a model": (edit("bps = 5.0", 'bps = "5"'), ["run.toml", "broker.slippage.bps", "'5'", "float"]),
    "a value out of range": (edit("bps = 5.0", "bps = -5.0"), ["broker.slippage", "-5", ">= 0"]),
    "NaN as a setting": (edit("bps = 5.0", "bps = nan"), ["broker.slippage.bps", "nan"]),
    "an unknown model": (
        edit('use = "bps"', 'use = "bsp"'),
        ["run.toml: broker.slippage: no slippage", '"bsp"', "bps"],
    ),
    "an unknown calendar": (
        edit('calendar = "24/7"', 'calendar = "XNYZ"'),
        ["run.toml: clock.calendar", "XNYZ", "XNYS"],
    ),
    "no capital": (edit("USD = 10_000", "USD = 0"), ["run.toml", "capital"]),
    "a missing distribution": (
        edit("schema = 1", 'schema = 1\nplugins = { require = ["ml4t-backtest-feed-oracle>=1.0"] }'),
        ["ml4t-backtest-feed-oracle", "pip install"],
    ),
    "a version that is not there": (
        edit("schema = 1", 'schema = 1\nplugins = { require = ["ml4t-backtest-feed-parquet>=9"] }'),
        ["ml4t-backtest-feed-parquet", "9", "0.1.0"],
    ),
    "a plugin switched off": (
        edit("schema = 1", 'schema = 1\nplugins = { disable = ["slippage-standard"] }'),
        ["run.toml: broker.slippage: no slippage is called", "plugin slippage-standard", "is installed but disabled"],
    ),
    "a duration without a unit": (
        edit("schema = 1", 'schema = 1\nstart = 2024-01-05\nwarmup = "400"'),
        ["run.toml: warmup", "400d", '"400"'],
    ),
    "a length that is no duration": (
        edit('bar = "1d"', 'bar = "daily"'),
        ["prices.parquet: bar", '"daily" is no duration'],
    ),
    "several at once": (
        all_of(edit("capital =", "capitol ="), edit("[broker]", "[brokre]"), edit("schema = 1", "schema = 7")),
        ["capitol", "brokre", "schema"],
    ),
    "several components at once": (
        all_of(edit("bps = 5.0", 'bps = "5"'), edit("long = 1", "lonk = 1"), edit('bar = "1d"', "bar = 1")),
        ["broker.slippage.bps", "strategy.lonk", "feed.0.bar"],
    ),
    "several rows and files at once": (
        all_of(value("close", 4, 0.0), value("high", 7, 1.0), value("score", 9, float("inf"), "scores")),
        ["prices.parquet row 4", "prices.parquet row 7", "scores.parquet row 9"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_named_with_its_place_and_remedy(folder, capsys, case):
    """One clear error per fault, exit code 2, no traceback, and no run folder."""
    spoil, expected = CASES[case]
    spoil(folder)
    before = sorted(path.name for path in folder.iterdir())
    code = main(["run", "run.toml"])
    out, err = capsys.readouterr()

    assert INPUT == code
    assert [] == [text for text in expected if text not in err]
    assert "" == out
    assert all(line.startswith(("error: ", "    ")) for line in err.splitlines())
    assert "Traceback" not in err
    assert before == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("several")])
def test_several_faults_come_in_one_report(folder, capsys, case):
    """A user mends them all before the next attempt."""
    spoil, expected = CASES[case]
    spoil(folder)
    main(["run", "run.toml"])

    assert 3 == capsys.readouterr().err.count("error: ") == len(expected)


def test_a_run_file_that_is_not_there(folder, capsys):
    """The file is named, and nothing is made."""
    assert INPUT == main(["run", "gone.toml"])
    assert "error: gone.toml: the run file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_field_is_a_finding(folder, capsys, missing):
    """A null or NaN price stops nothing; the symbol waits, and manifest and summary count the rows."""
    for row in (2, 4):
        value("open", row, missing)(folder)
    assert DONE == main(["run", "run.toml"])

    assert "prices.parquet: 2 of 30 rows have no open: a symbol cannot fill there" in capsys.readouterr().out
    manifest = json.loads((folder / "runs" / "small" / "manifest.json").read_text())
    assert any("2 of 30 rows have no open" in note for note in manifest["notes"])
    fills = pl.read_parquet(folder / "runs" / "small" / "fills.parquet").filter(pl.col("symbol") == "AAA")
    assert date(2024, 1, 4) == fills["timestamp"][0].date()


def test_negative_prices_are_legal_where_they_are_declared(folder):
    """Some instruments have them, and say so."""
    value("low", 5, -3.0)(folder)
    edit('prices = "raw"', 'prices = "raw"\nallow_negative_prices = true')(folder)
    assert DONE == main(["run", "run.toml", "--quiet"])


def test_market_orders_fill_at_trades(folder):
    """Trades have no open: a market order takes the next one whatever price of a bar it would wait for."""
    trades = prices().select("symbol", known_at=pl.col("timestamp").cast(pl.Datetime("us", "UTC")), price="close")
    trades.write_parquet(folder / "prices.parquet")
    edit('bar = "1d"\nprices = "raw"', "")(folder)
    assert DONE == main(["run", "run.toml"])

    fills = pl.read_parquet(folder / "runs" / "small" / "fills.parquet")
    assert ["trade"] == fills["reason"].unique().to_list()


def test_each_fault_of_a_component_begins_with_the_key_of_its_table():
    """A component that finds several faults tells each of them in full."""
    frame = prices().rename({"close": "last_close", "symbol": "code"})
    with pytest.raises(RunFileError) as caught:
        Engine(prices=frame, strategy="signal")
    assert ["feed.0: <prices>: no column symbol", "feed.0: <prices>: no column close"] == [
        problem.partition(";")[0] for problem in caught.value.problems
    ]


@pytest.mark.parametrize(("start", "first"), [("2024-01-05", 5), (date(2024, 1, 5), 5)])
def test_a_date_may_be_written_as_text(start, first):
    """In Python as in a run file."""
    result = Engine(prices=prices(), signals=scores(), strategy={"use": "signal", "long": 1}, start=start).run()
    assert date(2024, 1, first) == result.equity["session"][0]


def test_text_that_is_no_date_is_refused():
    """In Python as in a run file."""
    with pytest.raises(RunFileError, match=r"^end was 'soon', expected date or datetime"):
        Engine(prices=prices(), signals=scores(), strategy="signal", end="soon")
