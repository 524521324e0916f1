"""Classes of faults of data that other engines had: ties, merges, holes, clocks that are off, quotes of one side.

Row order within a stamp of real prints: ``test_real_files.py``; the order of random sources:
``tests/properties/test_delivery_order.py``; each single bad value with its message: ``test_bad_input.py``.
"""

import os
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.errors import InputError, RunError
from ml4t_backtest_testkit.market import random_market
from ml4t_backtest_testkit.plain_sources import PlainSource

START = datetime(2024, 1, 2, tzinfo=UTC)
FIELDS = ("open", "high", "low", "close", "volume")
NAMES = [f"S{number}" for number in range(10)]


class Churn(Strategy):
    """Turns every position over in every slice, in a pattern that hangs on the date alone."""

    def __init__(self, seed=0):
        self.seed = seed

    def on_slice(self, market, context):
        """Ask for weights of plus and minus a twentieth."""
        rng = random.Random(f"{self.seed} {context.now:%Y-%m-%d %H:%M}")
        for symbol in sorted(context.symbols):
            context.order_target_percent(symbol, rng.choice((-0.05, 0.0, 0.05)))


class Alternate(Strategy):
    """Buys and sells one unit in turn at every event."""

    def __init__(self):
        self.count = 0

    def on_event(self, event, context):
        """Order."""
        self.count += 1
        context.order(event.symbol, 1.0 if self.count % 2 else -1.0)


def run(frame, strategy=None, **settings):
    """Run daily bars."""
    feed = {"use": "frame", "name": "prices", "frame": frame, "bar": "1d", "prices": "raw"}
    account = {"type": "unlimited", "on_silence": "hold"}
    keywords = {"strategy": strategy or Churn(), "capital": {"USD": 1e6}, "account": account, "seed": 1} | settings
    return Engine(feed=[feed], **keywords).run()


@pytest.fixture(scope="session")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def test_a_hundred_shuffles_of_ties_make_no_difference():
    """Bars of one stamp come in any order of rows; the run does not know."""
    market = random_market(seed=3, symbols=5, bars=20)
    first, rng = run(market), np.random.default_rng(4)
    assert len(first.fills) > 50
    for _ in range(100):
        shuffled = market[rng.permutation(len(market))].sort("timestamp", maintain_order=True)
        again = run(shuffled)
        assert (first.decision_hash, first.result_hash) == (again.decision_hash, again.result_hash)


def test_fifty_feeds_of_a_million_events_are_merged_in_order():
    """Stamps never go down, each row comes once and when it is known, whatever the batches."""
    rng, sources, total = np.random.default_rng(5), [], 50 * 20_000
    base = int(START.timestamp()) * 10**9
    for number in range(50):
        stamps = np.sort(rng.integers(0, 10**6, 20_000)) * 10**6 + base
        columns = {"symbol": [f"S{number % 7}"] * 20_000, "price": np.arange(20_000.0) + number * 20_000 + 1}
        frame = pl.DataFrame(columns | {"event_time": pl.Series(stamps).cast(pl.Datetime("ns", "UTC"))})
        batch = int(rng.choice([0, 997, 5_000]))
        sources.append(PlainSource(frame, name=f"s{number}", kind="trade", batch=batch))
    always = AlwaysOpen()
    table = SessionTable(always.sessions(date(2024, 1, 1), date(2024, 12, 31)), timezone="UTC", name="24/7")
    instants, rows, seen = [], 0, np.zeros(total, np.bool_)
    for chunk in Clock(sources, table).chunks():
        instants += chunk.instants
        for part in chunk.sources:
            sizes = np.diff(part.bounds)
            assert (np.repeat(chunk.instants, sizes) == part.rows.known_at[part.bounds[0] : part.bounds[-1]]).all()
            values = part.rows.values[0, part.bounds[0] : part.bounds[-1]]
            assert (np.diff(values) > 0).all()
            seen[values.astype(np.int64) - 1] = True
            rows += len(values)
    assert all(before < after for before, after in pairwise(instants))
    assert (total, True) == (rows, bool(seen.all()))


@pytest.mark.parametrize("place", [1, 7, 500, 998])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_first_row_that_goes_back_is_named(tmp_path, place, form):
    """By file, row and stamp, before the run."""
    stamps = [START + timedelta(minutes=number) for number in range(1_000)]
    stamps[place] = START - timedelta(minutes=1)
    stamps[-1] = START - timedelta(minutes=2) if place < 998 else stamps[-1]
    frame = pl.DataFrame({"symbol": ["A"] * 1_000, "timestamp": stamps, "close": np.arange(1.0, 1_001.0)})
    getattr(frame, f"write_{form}")(tmp_path / f"bars.{form}")
    feed = {"use": form, "path": str(tmp_path / f"bars.{form}"), "bar": "1m", "stamp": "close", "prices": "raw"}
    with pytest.raises(InputError) as caught:
        Engine(feed=[feed], strategy=Churn(), capital={"USD": 1e6}).run()
    text = str(caught.value)
    assert f"bars.{form} row {place}" in text
    assert f"{stamps[place]:%Y-%m-%d}" in text
    assert f"{stamps[place]:%H:%M}" in text


@pytest.mark.parametrize("hole", [None, float("nan")])
@pytest.mark.parametrize("field", FIELDS)
def test_a_hole_in_every_bar_leaves_no_hole_in_the_account(field, hole):
    """A thousand bars of ten symbols; in each bar one symbol has no such figure, and no fill takes it."""
    market = random_market(seed=6, symbols=NAMES, bars=1_000, start=date(2000, 1, 3))
    bar = pl.int_range(pl.len()) // len(NAMES)
    holed = bar % len(NAMES) == pl.int_range(pl.len()) % len(NAMES)
    frame = market.with_columns(pl.when(holed).then(pl.lit(hole, pl.Float64)).otherwise(pl.col(field)).alias(field))
    result = run(frame)
    assert len(result.fills) > 2_000
    for name, columns in (("fills", ("price", "quantity")), ("equity", ("cash", "equity")), ("ledger", ("amount",))):
        table = getattr(result, name).select(pl.col(columns).is_finite().all())
        assert all(table.row(0)), (name, table)
    if field == "open":  # that is the price that market orders take
        gone = frame.filter(pl.col("open").is_null() | pl.col("open").is_nan()).select("symbol", "timestamp")
        days = result.fills.select("symbol", pl.col("timestamp").dt.date())
        assert days.join(gone, on=["symbol", "timestamp"]).is_empty()


def gaps(market, lengths):
    """Take bars out: of each symbol as many as said, from the eleventh on."""
    bar = pl.int_range(pl.len()).over("symbol")
    long = pl.col("symbol").replace_strict(lengths, default=0, return_dtype=pl.Int64)
    return market.filter(~((bar >= 10) & (bar < 10 + long)))


def filled_in_gaps(result, market, frame):
    """Return the fills on days on which their symbol has no bar."""
    gone = market.join(frame, on=["symbol", "timestamp"], how="anti")
    days = result.fills.select("symbol", pl.col("timestamp").dt.date())
    return days.join(gone, on=["symbol", "timestamp"])


@pytest.mark.parametrize("length", [1, 2, 5, 6, 21, 63, 250])
def test_a_gap_in_one_of_ten_symbols_breaks_nothing(length):
    """Nothing fills in it, and the account stays a number; all else goes on."""
    market = random_market(seed=7, symbols=NAMES, bars=266)
    frame = gaps(market, {"S3": length})
    result = run(frame)
    assert length == len(market) - len(frame)
    assert filled_in_gaps(result, market, frame).is_empty()
    assert result.equity.select(pl.col("cash", "equity").is_finite().all()).row(0) == (True, True)
    assert 266 == len(result.equity)


def test_gaps_of_every_length_up_to_250_break_nothing():
    """Of 250 symbols one has a gap of one bar, one of two, and so on."""
    names = [f"S{number:03d}" for number in range(251)]
    market = random_market(seed=7, symbols=names, bars=266)
    frame = gaps(market, {name: number for number, name in enumerate(names)})
    result = run(frame, Churn(1))
    assert 250 * 251 // 2 == len(market) - len(frame)
    assert len(result.fills) > 10_000
    assert filled_in_gaps(result, market, frame).is_empty()
    assert result.equity.select(pl.col("cash", "equity").is_finite().all()).row(0) == (True, True)


def test_a_gap_stops_the_run_where_the_policy_says_so():
    """The default: a position without a price for more than five sessions stops the run, naming symbol and date."""

    class Hold(Strategy):
        def on_slice(self, market, context):
            if context.position("S3").quantity == 0:
                context.order("S3", 1.0)

    market = random_market(seed=7, symbols=NAMES, bars=30)
    days = market["timestamp"].unique(maintain_order=True)
    for length, stops in ((5, False), (7, True)):
        gap = days[10 : 10 + length].implode()
        frame = market.filter(~((pl.col("symbol") == "S3") & pl.col("timestamp").is_in(gap)))
        if stops:
            with pytest.raises(RunError, match=r"S3"):
                run(frame, Hold(), account={"type": "unlimited"})
        else:
            assert len(run(frame, Hold(), account={"type": "unlimited"}).fills) == 1


@pytest.mark.parametrize("name", ["bbo", "trades"])
def test_a_clock_that_is_behind_is_refused_with_a_count(data, name):
    """The receive stamps of this recording lie 1.2 s before the exchange's, in every row."""
    feed = {
        "use": "parquet",
        "path": str(data / f"l2_btcusdt_usdm_20240808_{name}.parquet"),
        "columns": {"event_time": "timestamp", "known_at": "received"},
    }
    others = {"bbo": "19,068", "trades": "3,887"}[name]
    with pytest.raises(InputError, match=rf"row 0 \(BTCUSDT, .*known_at is before event_time \(and {others} more rows"):
        Engine(feed=[feed], strategy=Alternate(), capital={"USD": 1e6}).run()


def quotes(rows):
    """Return quotes a second apart: (bid, ask)."""
    stamps = [START + timedelta(seconds=number) for number in range(len(rows))]
    columns = {"symbol": ["A"] * len(rows), "event_time": stamps}
    return pl.DataFrame(
        columns | {"bid": [row[0] for row in rows], "ask": [row[1] for row in rows]},
        schema_overrides={"bid": pl.Float64, "ask": pl.Float64},
    )


def run_quotes(frame, **settings):
    """Run quotes that are known when they happen."""
    feed = {"use": "frame", "name": "quotes", "frame": frame, "latency": "0s"}
    return Engine(feed=[feed], strategy=Alternate(), capital={"USD": 1e6}, **settings).run()


def test_nothing_fills_at_a_missing_side():
    """Random quotes of which each side is missing at times: buys fill at an ask, sells at a bid, or wait."""
    rng = random.Random(8)
    rows = [
        (None if rng.random() < 0.3 else 99.0 + number, None if rng.random() < 0.3 else 99.5 + number)
        for number in range(400)
    ]
    frame = quotes(rows)
    fills = run_quotes(frame).fills
    sides = fills.join(frame, left_on="timestamp", right_on=pl.col("event_time").cast(fills.schema["timestamp"]))
    assert len(fills) == len(sides) > 200
    expected = pl.when(pl.col("quantity") > 0).then("ask").otherwise("bid")
    assert sides.select((pl.col("price") == expected).all()).item()


def test_crossed_quotes_are_counted_and_cost_nothing_below_zero():
    """A bid above the ask is a finding; what is paid for the spread is never negative."""
    rng = random.Random(9)
    rows = [(100.0 + number % 7, 100.0 + number % 7 + rng.choice((0.5, -0.5))) for number in range(300)]
    crossed = sum(bid > ask for bid, ask in rows)
    result = run_quotes(quotes(rows), broker={"slippage": {"use": "spread", "bps": 4.0}})
    assert len(result.fills) > 100
    assert result.fills["slippage"].min() >= 0.0
    assert [note for note in result.notes if f"{crossed} of 300 rows" in note and "bid above ask" in note], result.notes


@pytest.mark.parametrize("feeds_of", [("trades", "quotes"), ("quotes",)])
def test_real_quotes_of_one_side_fill_at_that_side_only(data, feeds_of):
    """Ticks of several venues, each of which updates one side at a time; a trade gives the first mark, or they do."""
    ticks = pl.read_parquet(data / "us_equity_ticks_quotes_lean.parquet").slice(20_000, 5_000)
    frame = ticks.rename({"timestamp": "event_time"}).select("symbol", "event_time", "bid", "ask")
    assert frame.select((pl.col("bid").is_null() != pl.col("ask").is_null()).mean()).item() > 0.9
    trade = frame.head(1).select("symbol", "event_time", price=pl.coalesce("bid", "ask"))
    tables = {"trades": trade, "quotes": frame}
    feeds = [{"use": "frame", "name": name, "frame": tables[name], "latency": "0s"} for name in feeds_of]
    result = Engine(feed=feeds, strategy=Alternate(), capital={"USD": 1e6}, account={"type": "unlimited"}).run()
    fills = result.fills.filter(pl.col("reason").cast(pl.String) == "quote")
    at = frame.group_by("event_time").agg(pl.col("bid", "ask").drop_nulls())
    sides = fills.join(at, left_on="timestamp", right_on=pl.col("event_time").cast(fills.schema["timestamp"]))
    assert len(fills) == len(sides) > 500
    taken = zip(sides["quantity"], sides["price"], sides["bid"], sides["ask"], strict=True)
    assert all(price in (asks if quantity > 0 else bids) for quantity, price, bids, asks in taken)
