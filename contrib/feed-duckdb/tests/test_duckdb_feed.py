"""The feed over DuckDB databases."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_duckdb import plugin
from ml4t_backtest_feed_duckdb.feed import DuckDBDataFeed, DuckDBFeedConfig
from ml4t_backtest_testkit import make_setup

DAYS = [date(2024, 1, day) for day in (2, 3)]
BARS = pl.DataFrame({"symbol": ["A", "B"] * 2, "timestamp": sorted(DAYS * 2), "close": [1.0, 2.0, 3.0, 4.0]})


@pytest.fixture
def folder(tmp_path):
    """A database with bars in no order, once more in a schema, and a view; and the same rows as a file."""
    shuffled = BARS.sample(fraction=1.0, shuffle=True, seed=5)
    with duckdb.connect(str(tmp_path / "market.duckdb")) as connection:
        connection.execute("CREATE TABLE prices AS SELECT * FROM shuffled")
        connection.execute('CREATE SCHEMA "the lake"')
        connection.execute('CREATE TABLE "the lake".prices AS SELECT * FROM shuffled')
        connection.execute("CREATE VIEW doubled AS SELECT symbol, timestamp, 2 * close AS close, 'x' AS y FROM prices")
    shuffled.write_parquet(tmp_path / "prices.parquet")
    return tmp_path


def opened(folder, window=None, **settings):
    """Open a feed of the database, or of what the settings say."""
    settings.setdefault("path", "market.duckdb")
    settings = {name: value for name, value in settings.items() if value is not None}
    config = Engine.configure(DuckDBFeedConfig, settings, where="feed", owner="feed-duckdb")
    feed = DuckDBDataFeed(config, make_setup("prices", folder))
    feed.open(window or Window())
    return feed


def rows(feed):
    """Drain a feed, in an order of symbols."""
    return pl.concat(feed.batches()).sort("timestamp", "symbol")


def test_the_plugin_offers_the_feed():
    """The name of the run file leads to the class."""
    assert {"duckdb": "ml4t_backtest_feed_duckdb.feed:DuckDBDataFeed"} == dict(plugin.ml4t_register_feeds())
    assert "feed-duckdb" == plugin.MANIFEST.name


@pytest.mark.parametrize(
    "settings",
    [
        {"table": "prices"},
        {"table": "the lake.prices"},
        {"query": "SELECT * FROM prices -- all of them"},
        {"query": "WITH lake AS (FROM prices) SELECT close, symbol, timestamp FROM lake;"},
        {"query": "SELECT * FROM '*.parquet'", "path": None},
        {"table": "doubled", "query": None, "columns": {"close": "close"}},
    ],
)
def test_a_table_a_view_and_a_query_are_read_in_time_order(folder, settings):
    """Names may need quotes; files in a query are those beside the run file."""
    factor = 2.0 if settings.get("table") == "doubled" else 1.0
    read = rows(opened(folder, **settings)).select(BARS.columns)
    assert BARS.with_columns(pl.col("close") * factor).equals(read)


def test_numbers_of_any_type_are_read(folder):
    """Decimals are what databases keep prices in."""
    query = "SELECT symbol, timestamp, close::DECIMAL(18, 4) AS close, 5::HUGEINT AS volume FROM prices"
    gathered = rows(opened(folder, query=query)).select(pl.col("close", "volume").cast(pl.Float64))
    assert ([1.0, 2.0, 3.0, 4.0], [5.0] * 4) == (gathered["close"].to_list(), gathered["volume"].to_list())


def test_symbols_and_days_of_the_run_are_fetched(folder):
    """Others are not; quotes in names are letters."""
    second = int(datetime(2024, 1, 3, tzinfo=UTC).timestamp()) * 10**9
    assert [2.0, 4.0] == rows(opened(folder, table="prices", symbols=["B", "O'B"]))["close"].to_list()
    assert [3.0, 4.0] == rows(opened(folder, Window(first=second), table="prices"))["close"].to_list()
    assert [1.0, 2.0] == rows(opened(folder, Window(last=second - 1), table="prices"))["close"].to_list()


def test_the_database_can_be_open_elsewhere(folder):
    """It is read, not locked; the feed lets go of it once it is open."""
    feed = opened(folder, table="prices")
    with duckdb.connect(str(folder / "market.duckdb")) as connection:
        connection.execute("DELETE FROM prices")
    assert 4 == rows(feed).height


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "market.duckdb: <query>: say what to read: one of table and query"),
        ({"table": "prices", "query": "SELECT 1"}, "market.duckdb: prices: say what to read: one of table and query"),
        ({"table": "price"}, "market.duckdb: price: cannot be read: Catalog Error: "),
        ({"query": "SELECT"}, "market.duckdb: <query>: cannot be read: Parser Error: "),
        ({"query": "DROP TABLE prices"}, "market.duckdb: <query>: query is no single SELECT; "),
        ({"query": "COPY prices TO 'x.csv'"}, "market.duckdb: <query>: query is no single SELECT; "),
        ({"query": "FROM prices; FROM prices"}, "market.duckdb: <query>: query is no single SELECT; "),
        ({"query": ""}, "market.duckdb: <query>: query is no single SELECT; "),
        ({"query": "SELECT symbol FROM prices"}, "market.duckdb: <query>: no column timestamp; it has symbol"),
        ({"path": "markt.duckdb", "table": "prices"}, "markt.duckdb: no such file in "),
        ({"path": "*", "table": "prices"}, "*: 2 files have such names; give one database per feed"),
        ({"path": "prices.parquet", "table": "prices"}, "prices.parquet: cannot be read as a DuckDB database: "),
    ],
)
def test_what_cannot_be_read_is_refused(folder, settings, expected):
    """With what was asked for."""
    with pytest.raises(DataError) as caught:
        opened(folder, **settings)
    assert caught.value.problems[0].startswith(expected)
    assert not (folder / "x.csv").exists()


def test_a_fault_is_named_by_symbol_and_stamp(folder):
    """A row of a table has no number."""
    with pytest.raises(DataError, match=r"^market.duckdb: <query> \(A, 2024-01-02\): close is not above zero; "):
        opened(folder, query="SELECT symbol, timestamp, -close AS close FROM prices WHERE close = 1")


def test_the_digest_is_that_of_the_columns_read(folder):
    """The same for a table and for a query that gives its rows."""
    first = opened(folder, table="prices", symbols=["A"]).digest()
    assert first == opened(folder, query="SELECT * FROM prices WHERE symbol = 'A'").digest()
    assert first != opened(folder, table="prices").digest()


_MIDNIGHTS = """
from datetime import date

import duckdb
import polars as pl
from ml4t.backtest import Engine

with duckdb.connect("zoned.duckdb") as connection:
    day = "TIMESTAMPTZ '2024-03-04 00:00:00+00' + INTERVAL (number) DAY"
    rows = f"SELECT 'A' AS symbol, 1.0 AS close, {day} AS timestamp FROM range(5) t(number)"
    connection.execute(f"CREATE TABLE days AS {rows}")
feed = {"use": "duckdb", "path": "zoned.duckdb", "table": "days"}
signals = pl.DataFrame({"symbol": ["A"], "timestamp": [date(2024, 3, 4)], "score": [1.0]})
settings = {"strategy": {"use": "signal", "long": 1}, "broker": {"fill": {"use": "next-close"}}}
print(Engine(feed=[feed], signals=signals, **settings).run().equity["session"].to_list())
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_stamps_with_a_zone_are_read_in_utc_on_every_machine(tmp_path, zone):
    """DuckDB shows them in the zone of the machine, where midnights are none."""
    environment = {**os.environ, "TZ": zone}
    command = [sys.executable, "-c", _MIDNIGHTS]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert str([date(2024, 3, day) for day in range(4, 9)]) == done.stdout.strip(), done.stderr


def test_columns_of_intervals_are_nobodys_business(folder):
    """Polars has no such type; asked for, the column is not there."""
    query = "SELECT *, INTERVAL 1 DAY AS held FROM prices"
    assert 4 == rows(opened(folder, query=query)).height
    with pytest.raises(DataError, match="no column held"):
        opened(folder, query=query, fields=["held"])
    with pytest.raises(DataError, match="all of its columns are intervals"):
        opened(folder, query="SELECT INTERVAL 1 DAY AS held")


def test_late_bars_of_before_the_start_are_fetched(folder):
    """They are known within the run."""
    query = "SELECT *, TIMESTAMPTZ '2024-01-20 00:00:00+00' AS known_at FROM prices"
    start = int(datetime(2024, 1, 19, tzinfo=UTC).timestamp()) * 10**9
    assert 4 == rows(opened(folder, Window(first=start), query=query)).height
    with pytest.raises(DataError, match="no rows"):
        opened(folder, Window(first=start), query="SELECT * FROM prices")
