"""The same data gives the same run, in whatever form, order or type it comes."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t_backtest_testkit import random_market

# Names that a reader could take for numbers, for nothing, for a truth or for an ending.
SYMBOLS = ("000001", "NA", "BRK.B", "true", "1e5")
FIELDS = ("open", "high", "low", "close", "volume")
MINUTE = {"bar": "5m", "stamp": "close"}
TICKS = {"latency": "0s"}


class Churn(Strategy):
    """Ask for random weights of the symbols that there are, and now and then for a single order."""

    def on_slice(self, market, context):
        self.slices = getattr(self, "slices", 0) + 1
        if self.slices % 3 == 0:
            context.order_target_weights(context.rng.uniform(-0.5, 0.5, len(context.symbols)) / len(context.symbols))
        else:
            place = int(context.rng.integers(len(context.symbols)))
            context.order(context.symbols[place], float(context.rng.integers(1, 9)))


@cache
def daily() -> pl.DataFrame:
    """Bars by date, some left out and some without an open."""
    return random_market(seed=11, symbols=SYMBOLS, bars=60, missing=0.1, null=0.05)


@cache
def minutes() -> pl.DataFrame:
    """Bars of five minutes over several days of 2024 in which clocks in New York changed."""
    return random_market(seed=12, symbols=SYMBOLS, bars=900, minutes=5, missing=0.1, start=date(2024, 3, 8))


@cache
def trades() -> pl.DataFrame:
    """Trades of which several of one symbol share a stamp, so that their order in the file counts."""
    rng = np.random.default_rng(13)
    start = datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    stamps = sorted(start + timedelta(milliseconds=250 * int(step)) for step in rng.integers(0, 400, 1500))
    return pl.DataFrame(
        {
            "symbol": [SYMBOLS[place] for place in rng.integers(0, len(SYMBOLS), 1500)],
            "event_time": stamps,
            "price": (100 + rng.normal(0, 1, 1500).cumsum() / 10).round(2),
            "size": rng.integers(1, 500, 1500).astype(np.float64),
        }
    )


def hashes(folder: Path, feed: dict) -> tuple[str, str]:
    """Run the strategy over a feed beside whose files it lies."""
    table = {"name": "prices", **feed}
    if "path" in table:
        path = table["path"]
        table["path"] = [str(folder / each) for each in path] if isinstance(path, list) else str(folder / path)
    result = Engine(
        feed=table,
        strategy=Churn(),
        broker={"slippage": {"use": "bps", "bps": 2.0}, "commission": {"use": "percent", "rate": 0.0005}},
        account={"type": "unlimited", "on_silence": "hold"},
        seed=3,
        reporter=[],
    ).run()
    assert result.fills.height > 50
    return result.decision_hash, result.result_hash


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The hashes of each set of rows as one Parquet file in order."""
    folder = tmp_path_factory.mktemp("expected")
    found = {}
    for name, frame, feed in (("daily", daily(), {}), ("minutes", minutes(), MINUTE), ("trades", trades(), TICKS)):
        frame.write_parquet(folder / f"{name}.parquet")
        prices = {} if name == "trades" else {"prices": "raw"}
        found[name] = hashes(folder, {"use": "parquet", "path": f"{name}.parquet", **prices, **feed})
    assert 3 == len(set(found.values()))
    return found


def shuffled(frame: pl.DataFrame, seed: int = 4) -> pl.DataFrame:
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)


def within_days(frame: pl.DataFrame) -> pl.DataFrame:
    """Days in order, symbols of a day in none."""
    return shuffled(frame).sort("timestamp", maintain_order=True)


def by_symbol(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("symbol", "timestamp", descending=[True, False])


def parquet(change: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame, options=None, **feed):
    """Return a form: one Parquet file of the changed rows."""

    def make(folder: Path, frame: pl.DataFrame) -> dict:
        change(frame).write_parquet(folder / "rows.parquet", **(options or {}))
        return {"use": "parquet", "path": "rows.parquet", **feed}

    return make


def csv(change=lambda frame: frame, name="rows.csv", pack=lambda content: content, options=None, **feed):
    """Return a form: one CSV file of the changed rows."""

    def make(folder: Path, frame: pl.DataFrame) -> dict:
        text = change(frame).write_csv(**(options or {}))
        (folder / name).write_bytes(pack(text.encode()))
        return {"use": "csv", "path": name, **feed}

    return make


def memory(change: Callable[[pl.DataFrame], object] = lambda frame: frame, **feed):
    """Return a form: a frame that is made of the rows."""
    return lambda folder, frame: {"use": "frame", "frame": change(frame), **feed}


def pieces(key: Callable[[dict], str], write: Callable[[pl.DataFrame, Path], object], *without: str, **feed):
    """Return a form: files whose names follow from their rows, shuffled among each other."""

    def make(folder: Path, frame: pl.DataFrame) -> dict:
        names = pl.Series("#", [key(row) for row in frame.iter_rows(named=True)])
        for (name,), part in frame.with_columns(names).group_by("#", maintain_order=True):
            file = folder / "rows" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            write(part.drop("#", *without), file)
        return {"path": "rows", **feed}

    return make


def delta(folder: Path, frame: pl.DataFrame) -> dict:
    """A table written in two parts, in partitions."""
    options = {"partition_by": ["symbol"]}
    shuffled(frame).head(100).write_delta(folder / "lake", delta_write_options=options)
    shuffled(frame).slice(100).write_delta(folder / "lake", mode="append", delta_write_options=options)
    return {"use": "delta", "path": "lake"}


def database(change=lambda frame: frame):
    """Return a form: a table of a database."""

    def make(folder: Path, frame: pl.DataFrame) -> dict:
        rows = change(frame)  # the query below reads the frame by its name
        with duckdb.connect(str(folder / "market.duckdb")) as connection:
            connection.execute("CREATE TABLE bars AS SELECT * FROM rows")
        assert rows.height == frame.height
        return {"use": "duckdb", "path": "market.duckdb", "table": "bars"}

    return make


def stream(write: str, name: str, options=None):
    """Return a form: an Arrow file or stream."""

    def make(folder: Path, frame: pl.DataFrame) -> dict:
        getattr(frame, write)(folder / name, **(options or {}))
        return {"use": "ipc", "path": name}

    return make


def renamed(frame: pl.DataFrame) -> pl.DataFrame:
    """Other names, another order of columns, and one that nobody needs."""
    new = frame.rename({"timestamp": "Date", "symbol": "Ticker", "close": "Adj Close", "open": "first price"})
    return new.select(pl.lit("x").alias("sector"), *reversed(new.columns))


RENAMED = {"columns": {"close": "Adj Close", "open": "first price"}}


def whole_cents(frame: pl.DataFrame) -> pl.DataFrame:
    """Prices as decimals, volumes as integers, symbols as categories."""
    cents = [pl.col(name).cast(pl.Decimal(18, 2)) for name in ("open", "high", "low", "close")]
    return frame.with_columns(*cents, pl.col("volume").cast(pl.Int32), pl.col("symbol").cast(pl.Categorical))


def pandas_long(frame: pl.DataFrame) -> pd.DataFrame:
    columns = {name: frame[name].to_list() for name in frame.columns}
    made = pd.DataFrame(columns)
    made["timestamp"] = pd.to_datetime(made["timestamp"])
    return made


def wide(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A frame per field, symbols in another order in each."""
    names = sorted(SYMBOLS)
    return {
        field: frame.pivot("symbol", index="timestamp", values=field)
        .sort("timestamp")
        .select("timestamp", *(names[place:] + names[:place]))
        for place, field in enumerate(FIELDS)
    }


def wide_pandas(frame: pl.DataFrame) -> dict[str, pd.DataFrame]:
    return {field: pandas_long(frame).pivot(index="timestamp", columns="symbol", values=field) for field in FIELDS}


def local(frame: pl.DataFrame) -> pl.DataFrame:
    """Stamps without a zone, as a clock on a wall in New York shows them; it shows one hour twice in autumn only."""
    zone = pl.col("timestamp").dt.convert_time_zone("America/New_York")
    return frame.with_columns(zone.dt.replace_time_zone(None))


def starts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp") - timedelta(minutes=5))


def write_parquet(frame: pl.DataFrame, file: Path) -> None:
    frame.write_parquet(file)


DAILY = {
    "parquet, piece by piece": parquet(options={"row_group_size": 7}, batch_rows=13),
    "parquet, symbol after symbol": parquet(by_symbol),
    "parquet, symbols in no order within days": parquet(within_days),
    "parquet, shuffled": parquet(shuffled, sort=True),
    "parquet, streamed": parquet(options={"row_group_size": 7}, stream=True),
    "parquet, streamed, symbol after symbol": parquet(by_symbol, options={"row_group_size": 7}, stream=True),
    "parquet, streamed, shuffled": parquet(shuffled, options={"row_group_size": 7}, sort=True, stream=True),
    "parquet, streamed, other types": parquet(whole_cents, stream=True),
    "partitions by symbol, streamed": pieces(
        lambda row: f"symbol={row['symbol']}/0.parquet", write_parquet, "symbol", use="parquet", stream=True
    ),
    "a file per symbol, streamed": pieces(
        lambda row: f"{row['symbol']}.parquet",
        write_parquet,
        "symbol",
        use="parquet",
        symbol_from="filename",
        stream=True,
    ),
    "parquet, datetimes at midnight": parquet(
        lambda rows: rows.with_columns(pl.col("timestamp").cast(pl.Datetime("ms")))
    ),
    "parquet, other types": parquet(whole_cents),
    "parquet, other names": parquet(renamed, **RENAMED),
    "csv": csv(prices="raw"),
    "csv, compressed": csv(name="rows.csv.gz", pack=gzip.compress),
    "csv, shuffled": csv(shuffled, sort=True),
    "csv, another dialect": csv(
        options={"separator": ";", "decimal_comma": True, "date_format": "%d.%m.%Y", "null_value": "-"},
        separator=";",
        decimal_comma=True,
        date_format="%d.%m.%Y",
        null_values=["-"],
    ),
    "csv, without a header": csv(
        lambda rows: rows.select("timestamp", *FIELDS, "symbol"),
        options={"include_header": False},
        header=["timestamp", *FIELDS, "symbol"],
    ),
    "csv, other names": csv(renamed, **RENAMED),
    "csv, a folder per symbol": pieces(
        lambda row: f"symbol={row['symbol']}/{row['timestamp']:%Y-%m}.csv",
        lambda part, file: part.write_csv(file),
        "symbol",
        use="csv",
    ),
    "csv, a file per symbol": pieces(
        lambda row: f"{row['symbol']}.csv",
        lambda part, file: part.write_csv(file),
        "symbol",
        use="csv",
        symbol_from="filename",
    ),
    "ipc": stream("write_ipc", "rows.arrow"),
    "ipc, compressed": stream("write_ipc", "rows.feather", {"compression": "zstd"}),
    "ipc stream": stream("write_ipc_stream", "rows.arrows"),
    "partitions by symbol": pieces(
        lambda row: f"symbol={row['symbol']}/0.parquet", write_parquet, "symbol", use="parquet"
    ),
    "partitions by symbol and month": pieces(
        lambda row: f"symbol={row['symbol']}/month={row['timestamp'].month}/0.parquet",
        write_parquet,
        "symbol",
        use="parquet",
    ),
    "partitions by day": pieces(
        lambda row: f"timestamp={row['timestamp']}/0.parquet", write_parquet, "timestamp", use="parquet"
    ),
    "a file per symbol": pieces(
        lambda row: f"{row['symbol']}.parquet", write_parquet, "symbol", use="parquet", symbol_from="filename"
    ),
    "a file per month": pieces(lambda row: f"{row['timestamp']:%Y-%m}.parquet", write_parquet, use="parquet"),
    "a file per day of the week": pieces(
        lambda row: f"{row['timestamp']:%w}.parquet", write_parquet, use="parquet", sort=True
    ),
    "polars": memory(),
    "polars, lazy": memory(lambda rows: rows.lazy()),
    "polars, shuffled": memory(shuffled, sort=True),
    "polars, other types": memory(whole_cents),
    "polars, wide": memory(wide),
    "pandas": memory(pandas_long),
    "pandas, indexed by stamp": memory(lambda rows: pandas_long(rows).set_index("timestamp")),
    "pandas, indexed by stamp without a name": memory(
        lambda rows: pandas_long(rows).set_index("timestamp").rename_axis(None)
    ),
    "pandas, indexed by stamp and symbol": memory(lambda rows: pandas_long(rows).set_index(["timestamp", "symbol"])),
    "pandas, indexed by symbol and stamp": memory(
        lambda rows: pandas_long(rows).set_index(["symbol", "timestamp"]).sort_index()
    ),
    "pandas, indexed by period": memory(
        lambda rows: pandas_long(rows).set_index("timestamp").to_period("D").sort_index(kind="stable")
    ),
    "pandas, categories": memory(lambda rows: pandas_long(rows).astype({"symbol": "category"})),
    "pandas, wide": memory(wide_pandas),
    "pandas, fields over symbols": memory(lambda rows: pd.concat(wide_pandas(rows), axis=1)),
    "pandas, symbols over fields": memory(lambda rows: pd.concat(wide_pandas(rows), axis=1).swaplevel(axis=1)),
    "arrow": memory(lambda rows: rows.to_arrow()),
    "arrow, batches": memory(
        lambda rows: pa.RecordBatchReader.from_batches(
            rows.to_arrow().schema, rows.to_arrow().to_batches(max_chunksize=17)
        )
    ),
    "arrow, dictionaries": memory(lambda rows: rows.with_columns(pl.col("symbol").cast(pl.Categorical)).to_arrow()),
    "delta": delta,
    "duckdb": database(shuffled),
}
INTRADAY = {
    "csv": csv(**MINUTE),
    "csv, epochs": csv(lambda rows: rows.with_columns(pl.col("timestamp").dt.epoch("s")), **MINUTE),
    "csv, local time": csv(local, timezone="America/New_York", **MINUTE),
    "ipc": lambda folder, frame: {**stream("write_ipc", "rows.arrow")(folder, frame), **MINUTE},
    "parquet, local time": parquet(local, timezone="America/New_York", **MINUTE),
    "parquet, in another zone": parquet(
        lambda rows: rows.with_columns(pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo")), **MINUTE
    ),
    "parquet, nanoseconds": parquet(lambda rows: rows.cast({"timestamp": pl.Datetime("ns", "UTC")}), **MINUTE),
    "parquet, milliseconds": parquet(lambda rows: rows.cast({"timestamp": pl.Datetime("ms", "UTC")}), **MINUTE),
    "parquet, streamed": parquet(options={"row_group_size": 100}, stream=True, **MINUTE),
    "parquet, streamed, symbol after symbol": parquet(
        by_symbol, options={"row_group_size": 100}, stream=True, batch_rows=64, **MINUTE
    ),
    "parquet, streamed, local time": parquet(local, timezone="America/New_York", stream=True, **MINUTE),
    "parquet, stamped with starts": parquet(starts, bar="5m", stamp="open"),
    "parquet, symbol after symbol": parquet(by_symbol, **MINUTE),
    "parquet, piece by piece": parquet(options={"row_group_size": 100}, batch_rows=64, **MINUTE),
    "partitions by symbol": pieces(
        lambda row: f"symbol={row['symbol']}/0.parquet", write_parquet, "symbol", use="parquet", **MINUTE
    ),
    "polars": memory(**MINUTE),
    "pandas": memory(pandas_long, **MINUTE),
    "polars, wide": memory(wide, **MINUTE),
    "delta": lambda folder, frame: {**delta(folder, frame), **MINUTE},
    "duckdb": lambda folder, frame: {**database(shuffled)(folder, frame), **MINUTE},
}
TICK_FORMS = {
    "csv": csv(**TICKS),
    "ipc": lambda folder, frame: {**stream("write_ipc", "rows.arrow")(folder, frame), **TICKS},
    "parquet, piece by piece": parquet(options={"row_group_size": 100}, batch_rows=64, **TICKS),
    "parquet, streamed": parquet(options={"row_group_size": 100}, stream=True, **TICKS),
    "polars": memory(**TICKS),
    "arrow": memory(lambda rows: rows.to_arrow(), **TICKS),
    "duckdb": lambda folder, frame: {**database()(folder, frame), **TICKS},
}


@pytest.mark.parametrize("form", DAILY)
def test_daily_bars_give_the_same_run(tmp_path, expected, form):
    """Whatever file, frame, order, type and name they have."""
    assert expected["daily"] == hashes(tmp_path, {"prices": "raw", **DAILY[form](tmp_path, daily())})


@pytest.mark.parametrize("form", INTRADAY)
def test_intraday_bars_give_the_same_run(tmp_path, expected, form):
    """And in whatever zone, unit and convention their stamps are written."""
    assert expected["minutes"] == hashes(tmp_path, {"prices": "raw", **INTRADAY[form](tmp_path, minutes())})


@pytest.mark.parametrize("form", TICK_FORMS)
def test_trades_give_the_same_run(tmp_path, expected, form):
    """Their order in the source counts, and stays; so nothing is said of files in another order."""
    assert expected["trades"] == hashes(tmp_path, TICK_FORMS[form](tmp_path, trades()))


def test_other_data_give_another_run(tmp_path, expected):
    """The hash must be able to differ: by one price, or one row less."""
    last = pl.int_range(pl.len()) == pl.len() - 1
    last = daily().with_columns(close=pl.when(last).then(pl.col("low")).otherwise("close"))
    for changed in (last, daily().slice(1)):
        feed = {"prices": "raw", "use": "frame", "frame": changed}
        assert expected["daily"] != hashes(tmp_path, feed)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("us_equity_daily_lean", {}), ("us_equity_minute_trades_lean", {"bar": "1m", "stamp": "open"})],
)
def test_real_prices_give_the_same_run_in_any_form(tmp_path, name, settings):
    """Splits, holes, reused tickers and rows before and after hours included."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    frame = pl.read_parquet(shared / "data" / f"{name}.parquet").filter(
        pl.col("timestamp") >= datetime(2013, 1, 1, tzinfo=UTC)
    )
    settings = {"prices": "raw", **settings}
    forms = {
        "parquet": parquet(),
        "csv": csv(),
        "ipc": stream("write_ipc", "rows.arrow"),
        "partitions": DAILY["partitions by symbol"],
        "a file per symbol": DAILY["a file per symbol"],
        "shuffled": parquet(shuffled, sort=True),
        "polars": memory(),
        "arrow": memory(lambda rows: rows.to_arrow()),
        "delta": delta,
        "duckdb": database(shuffled),
    }
    found = {}
    for form, make in forms.items():
        folder = tmp_path / form
        folder.mkdir()
        found[form] = hashes(folder, {**settings, **make(folder, frame)})
    assert {found["parquet"]} == set(found.values()), found
