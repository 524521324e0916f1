"""Whole runs over real market data, checked against rules that hold for every run."""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

MINUTE = {"bar": "1m", "stamp": "open"}
BID = {"columns": {name: f"bid_{name}" for name in ("open", "high", "low", "close")}}
COSTS = {"slippage": {"use": "bps", "bps": 2.0}, "commission": {"use": "percent", "rate": 0.0005}}


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


class Churn(Strategy):
    """Ask for random weights now and then, and in between for single orders, some of them cancelled."""

    def __init__(self, every: int = 3) -> None:
        self.every, self.slices = every, 0

    def on_slice(self, market, context):
        self.slices += 1
        if self.slices % self.every == 0:
            weights = context.rng.uniform(-0.8, 0.8, len(context.symbols)) / len(context.symbols)
            context.order_target_weights(np.where(context.universe, weights, np.nan))
        elif self.slices % self.every == 1:
            symbol = context.symbols[int(context.rng.integers(len(context.symbols)))]
            context.order(symbol, float(context.rng.integers(1, 9)))
        elif context.rng.random() < 0.2:
            context.cancel_all()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and how it is read.

    Attributes:
        calendar: The exchange; None where bars are stamped with their starts.
        period: Length of a bar stamped with its start.
        lot: Order sizes are truncated to this.
    """

    file: str
    feed: dict
    calendar: str | None = None
    period: timedelta | None = None
    fill: str = "next-open"
    every: int = 3
    lot: float = 1.0
    engine: dict = field(default_factory=dict)


CASES = [
    Case(file="sp500_daily_2013_2018", feed={"prices": "split"}, calendar="XNYS", every=20),
    Case(file="us_equity_daily_lean", feed={"prices": "raw"}, calendar="XNYS"),
    Case(file="etf_daily_yahoo_2007_2013", feed={"prices": "raw"}, calendar="XNYS"),
    Case(
        file="us20_adjclose_1990_2022_skfolio",
        feed={"prices": "total", "columns": {"close": "adj_close"}},
        calendar="XNYS",
        fill="next-close",
        every=40,
    ),
    Case(
        file="us_equity_minute_trades_lean",
        feed={"prices": "raw", **MINUTE},
        period=timedelta(minutes=1),
        engine={"calendar": "XNYS"},
    ),
    Case(
        file="us_equity_hour_lean",
        feed={"prices": "raw", "bar": "1h", "stamp": "open"},
        period=timedelta(hours=1),
        every=20,
        engine={"calendar": "XNYS"},
    ),
    Case(
        file="crypto_minute_btcusd_coinbase",
        feed={"prices": "raw", **MINUTE},
        period=timedelta(minutes=1),
        lot=1e-6,
        engine={"calendar": "24/7"},
    ),
    Case(
        file="crypto_5m_binance_btc_pairs",
        feed={"prices": "raw", "bar": "5m", "stamp": "open"},
        period=timedelta(minutes=5),
        fill="same-close",
    ),
    Case(
        file="fx_minute_quotes_usdjpy_fxcm",
        feed={"prices": "raw", **MINUTE, **BID},
        period=timedelta(minutes=1),
        fill="next-close",
    ),
    Case(
        file="fx_daily_quotes_fxcm",
        feed={"prices": "raw", "bar": "1d", "stamp": "open", **BID},
        period=timedelta(days=1),
    ),
]


def run(case, data):
    """Run random orders over a file."""
    table = {"use": "parquet", "name": "prices", "path": str(data / f"{case.file}.parquet"), **case.feed}
    clock = {} if case.calendar is None else {"calendar": case.calendar}
    return Engine(
        feed=[table],
        strategy=Churn(case.every),
        broker={"fill": {"use": case.fill}, **COSTS},
        instruments=[{"symbol": "*", "lot": case.lot}],
        capital=1_000_000,
        account={"type": "unlimited", "on_silence": "hold"},  # the files have holes, of weeks even
        seed=13,
        reporter=[],
        **clock,
        **case.engine,
    ).run()


def bars_of(case, data):
    """Return the file's rows with when they begin and end, by a published table of sessions or by their stamps."""
    rows = pl.read_parquet(data / f"{case.file}.parquet")
    columns = case.feed.get("columns", {})
    names = {name: columns.get(name, name) for name in ("open", "high", "low", "close")}
    kept = {name: column for name, column in names.items() if column in rows.columns}
    rows = rows.select("symbol", "timestamp", **{name: pl.col(column) for name, column in kept.items()})
    if case.calendar is None:
        start = pl.col("timestamp").cast(pl.Datetime("ns", "UTC"))
        return rows.with_columns(begin=start, end=(start + case.period).cast(pl.Datetime("ns", "UTC")))
    table = pl.read_parquet(data / "calendar_sessions.parquet").filter(pl.col("calendar") == case.calendar)
    sessions = table.select(
        pl.col("session").cast(pl.Date).alias("day"),
        pl.col("open").cast(pl.Datetime("ns", "UTC")).alias("begin"),
        pl.col("close").cast(pl.Datetime("ns", "UTC")).alias("end"),
    )
    return rows.with_columns(day=pl.col("timestamp").cast(pl.Date)).join(sessions, on="day", how="left").drop("day")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.file)
def done(request, data):
    """A case, its result and its bars."""
    return request.param, run(request.param, data), bars_of(request.param, data)


def test_positions_are_the_sums_of_fills(done):
    """No position comes from anywhere else."""
    _, result, _ = done
    sums = dict(result.fills.group_by("symbol").agg(pl.col("quantity").sum()).iter_rows())
    held = zip(result.state.symbols.names, result.state.positions["quantity"].tolist(), strict=True)

    assert result.fills.height > 100
    for symbol, quantity in held:
        assert sums.get(symbol, 0.0) == pytest.approx(quantity, abs=1e-6)


def test_cash_is_explained_by_the_ledger(done):
    """Each fill and each commission moves cash by what it says, and nothing else does."""
    _, result, _ = done
    fills, ledger = result.fills, result.ledger
    paid = ledger.filter(pl.col("kind") == "fill")
    charged = ledger.filter(pl.col("kind") == "commission")

    assert ["deposit"] == ledger["kind"].unique(maintain_order=True).to_list()[:1]
    assert (paid["order_id"] == fills["order_id"]).all()
    np.testing.assert_array_equal(-fills["quantity"] * fills["price"], paid["amount"])
    np.testing.assert_array_equal(-fills["commission"], charged["amount"])
    np.testing.assert_allclose(ledger["amount"].cum_sum(), ledger["balance"], rtol=1e-9)
    assert ledger["balance"][-1] == result.state.accounts["cash"][0] == result.equity["cash"][-1]


def test_equity_is_cash_and_marked_positions(done):
    """At the end, recomputed from the last closes of the file; at every session a number."""
    _, result, bars = done
    last = bars.drop_nulls("close").sort("end").group_by("symbol").agg(pl.col("close").last())
    marks = dict(last.iter_rows())
    held = zip(result.state.symbols.names, result.state.positions["quantity"].tolist(), strict=True)
    worth = sum(quantity * marks[symbol] for symbol, quantity in held if quantity)

    assert result.equity["equity"].is_finite().all()
    assert result.equity["timestamp"].is_sorted()
    assert result.equity["cash"][-1] + worth == pytest.approx(result.equity["equity"][-1], rel=1e-9)
    profit = result.equity["realised"] + result.equity["unrealised"] - result.equity["commission"]
    np.testing.assert_allclose(1_000_000 + profit, result.equity["equity"], rtol=1e-9)


def test_every_order_has_an_end(done):
    """Filled, cancelled, expired or refused: no order is forgotten."""
    _, result, _ = done
    ends = result.orders.group_by("order_id").agg(pl.col("status").last())["status"].cast(pl.String)

    assert {"filled", "cancelled", "expired", "refused"} >= set(ends)
    filled = result.orders.filter(pl.col("status") == "filled")
    assert filled["order_id"].to_list() == result.fills["order_id"].to_list()
    assert (filled["quantity"] == filled["filled"]).all()


def test_orders_take_the_first_price_that_formed_after_them(done):
    """The open of the first later bar, or its close; never a null one, and none from before the order."""
    case, result, bars = done
    price, at = ("open", "begin") if case.fill == "next-open" else ("close", "end")
    offers = bars.drop_nulls(price).select("symbol", "begin", "end", price, offered_at=at).sort("offered_at")
    met = result.fills.sort("submitted_at").join_asof(
        offers,
        left_on="submitted_at",
        right_on="offered_at",
        by="symbol",
        strategy="forward",
        allow_exact_matches=case.fill != "next-close",
        check_sortedness=False,
    )

    assert 0 == met["offered_at"].null_count()
    np.testing.assert_array_equal(met["offered_at"], met["timestamp"])
    np.testing.assert_array_equal(met[price], met["reference_price"])
    np.testing.assert_array_equal(met["end"], met["known_at"])


def test_no_reference_price_is_outside_its_bar(done):
    """Before slippage, a price lies between low and high wherever the file's own row does."""
    case, result, bars = done
    price, at = ("open", "begin") if case.fill == "next-open" else ("close", "end")
    if "low" not in bars.columns:
        pytest.skip("these prices are closes only")
    met = result.fills.join(bars, left_on=["symbol", "timestamp"], right_on=["symbol", at], how="left")
    outside = (pl.col("reference_price") < pl.col("low")) | (pl.col("reference_price") > pl.col("high"))
    broken = (pl.col(price) < pl.col("low")) | (pl.col(price) > pl.col("high"))

    assert 0 == met[price].null_count()
    assert 0 == met.filter(outside & ~broken).height
    assert met.filter(outside).height < 0.01 * met.height


def test_null_prices_are_notes_and_fill_nothing(data):
    """A share whose open is unknown waits for its next bar; the run says how many rows have none."""
    case = CASES[0]
    rows = pl.read_parquet(data / f"{case.file}.parquet")
    gaps = rows.filter(pl.col("open").is_null())
    everything = run(Case(**{**vars(case), "every": 2}), data)

    assert any(f"{gaps.height} of 308,053 rows have no open: a symbol cannot fill there" in n for n in everything.notes)
    days = everything.fills.select("symbol", pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.date())
    gaps = gaps.select("symbol", pl.col("timestamp").cast(pl.Date))
    assert 0 == days.join(gaps, on=["symbol", "timestamp"]).height


def test_bars_before_and_after_hours_belong_to_the_run(data):
    """Minutes outside the session are prices like others; opens and closes of sessions stay where they are."""
    case = next(case for case in CASES if case.file == "us_equity_minute_trades_lean")
    result = run(case, data)
    local = result.fills["timestamp"].dt.convert_time_zone("America/New_York").dt.time()

    early = local.dt.hour() < 9
    late = local.dt.hour() >= 16
    assert (early.any(), late.any()) == (True, True)
    closes = result.equity["timestamp"].dt.convert_time_zone("America/New_York")
    assert {(16, 0)} == set(zip(closes[:-1].dt.hour(), closes[:-1].dt.minute(), strict=True))
