"""The frames of a market."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml4t.backtest import Engine
from ml4t.backtest.errors import DataError, RunFileError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_data_synthetic import SyntheticConfig, generate, sources
from ml4t_backtest_data_synthetic.sources import SyntheticActions, SyntheticDataFeed
from ml4t_backtest_testkit import make_setup

BUSY = {"symbols": 8, "sessions": 400, "splits": 1.0, "dividends": 3.0, "delistings": 0.2, "renames": 0.5, "late": 0.4}


@pytest.fixture(scope="module")
def busy():
    """A market in which much happens."""
    return generate(seed=11, **BUSY)


def opened(window=None, **settings):
    """Open a feed of a market."""
    feed = SyntheticDataFeed(SyntheticDataFeed.Config(**settings), make_setup("synthetic"))
    feed.open(window or Window())
    return feed


def test_the_same_seed_makes_the_same_market(busy):
    """And another seed another one."""
    again, other = generate(seed=11, **BUSY), generate(seed=12, **BUSY)
    for name in ("bars", "quotes", "trades", "signals", "actions", "regimes"):
        assert_frame_equal(getattr(busy, name), getattr(again, name))
        assert not getattr(busy, name).equals(getattr(other, name))


def test_bars_are_possible(busy):
    """Positive, on the tick, high and low around open and close, volume in whole units."""
    bars = busy.bars
    low, high = pl.min_horizontal("open", "close", "low"), pl.max_horizontal("open", "close", "high")
    assert bars.select(((pl.col("low") == low) & (pl.col("high") == high) & (pl.col("low") > 0)).all()).item()
    cents = bars.select("open", "high", "low", "close").to_numpy() * 100
    assert np.abs(cents - np.rint(cents)).max() < 1e-6
    assert (bars["volume"] == bars["volume"].floor()).all()
    assert bars["volume"].min() >= 1
    assert not bars.select("symbol", "timestamp").is_duplicated().any()


def test_quotes_stand_around_the_close_and_never_cross(busy):
    """At least a tick apart, of the same bars."""
    both = busy.bars.select("symbol", "close").with_columns(busy.quotes.select("bid", "ask"))
    assert len(busy.bars) == len(busy.quotes) == len(busy.trades)
    assert both.select((pl.col("ask") - pl.col("bid") > 0.0099).all()).item()
    assert both.select((pl.col("bid") <= pl.col("close")).all() & (pl.col("ask") >= pl.col("close")).all()).item()
    assert busy.bars["close"].equals(busy.trades["price"].alias("close"))


def test_splits_and_dividends_fit_raw_prices():
    """In a market without noise a price changes by its actions only."""
    calm = {"volatility": 0.0, "drift": 0.0, "price": 1000.0}
    market = generate(symbols=6, sessions=300, splits=2.0, dividends=4.0, seed=3, **calm)
    close = market.bars.with_columns(before=pl.col("close").shift(1).over("symbol")).drop_nulls()
    joined = close.join(market.actions, left_on=["symbol", "timestamp"], right_on=["symbol", "ex_date"], how="left")
    expected = pl.col("before") / pl.col("ratio").fill_null(1.0) - pl.col("amount").fill_null(0.0)
    off = joined.select((pl.col("close") - expected).abs().max()).item()
    assert {"split", "dividend"} == set(market.actions["kind"])
    assert off < 0.0301  # half a tick, and that of the price before, times 5 in a reverse split


def test_a_symbol_is_known_by_one_name_at_a_time(busy):
    """The old name ends where the new one begins; a delisted one has no bars from then on."""
    for action in busy.actions.filter(pl.col("kind").is_in(["symbol-change", "delisting"])).to_dicts():
        old = busy.bars.filter(symbol=action["symbol"])["timestamp"]
        assert old.max() < action["ex_date"]
        if action["new_symbol"] is not None:
            assert action["ex_date"] == busy.bars.filter(symbol=action["new_symbol"])["timestamp"].min()
    assert {"symbol-change", "delisting"} <= set(busy.actions["kind"])


def test_actions_are_known_before_they_take_effect(busy):
    """Five sessions, or from the first close on."""
    early = busy.actions.select((pl.col("ex_date").cast(pl.Datetime("ns", "UTC")) >= pl.col("known_at")).all())
    assert early.item()


def test_returns_have_the_moments_that_were_asked_for():
    """Volatility, correlation, turbulence and skill, within what the draws allow."""
    market = generate(symbols=40, sessions=3000, volatility=0.2, correlation=0.5, skill=0.3, seed=5)
    wide = market.bars.pivot("symbol", index="timestamp", values="close").drop("timestamp").to_numpy()
    returns = np.diff(np.log(wide), axis=0)
    turbulent = market.regimes["turbulent"].to_numpy()[1:]
    calm, wild = returns[~turbulent].std(axis=0), returns[turbulent].std(axis=0)
    assert 0.7 < np.median(calm) / (0.2 / np.sqrt(252)) < 1.4
    assert 2.0 < np.median(wild / calm) < 3.0
    assert 0.1 < turbulent.mean() < 0.25
    correlation = np.corrcoef(returns[~turbulent].T)
    assert 0.45 < correlation[np.triu_indices(40, 1)].mean() < 0.55
    score = market.signals.pivot("symbol", index="timestamp", values="score").drop("timestamp").to_numpy()
    skill = np.corrcoef(score[:-1].ravel(), (returns / np.where(turbulent, 2.5, 1.0)[:, None] / calm).ravel())[0, 1]
    assert 0.25 < skill < 0.35


@pytest.mark.parametrize("limit", [0, 10**6])
@pytest.mark.parametrize("settings", [{}, {"bar": "1h", "sessions": 20}, {"kind": "quote", "bar": "6h"}])
def test_the_feed_has_the_rows_of_the_frame(settings, limit, monkeypatch):
    """In batches of any size, whether made at once or while they are read."""
    monkeypatch.setattr(sources, "_CHECKED_ROWS", limit)
    shape = {"symbols": 4, "sessions": 50, "seed": 9, "missing": 0.1, **settings}
    market = generate(**{name: value for name, value in shape.items() if name != "kind"})
    expected = market.quotes if "kind" in settings else market.bars
    for size in (1, 13, 65_536):
        rows = pl.concat(opened(batch_rows=size, **shape).batches())
        assert_frame_equal(expected, rows.with_columns(pl.col("symbol").cast(pl.String)))


@pytest.mark.parametrize("settings", [{}, {"bar": "1h"}, {"kind": "quote"}, {"kind": "trade", "latency": "2s"}])
def test_a_large_market_says_the_same_of_its_rows(settings, monkeypatch):
    """As the gate does of one that is small enough to be checked."""
    checked = opened(**settings).spec
    monkeypatch.setattr(sources, "_CHECKED_ROWS", 0)
    assert checked == opened(**settings).spec


def test_a_window_is_made_without_what_lies_before(monkeypatch):
    """A session's rows hang on seed and session alone."""
    monkeypatch.setattr(sources, "_CHECKED_ROWS", 0)
    whole = pl.concat(opened(sessions=300, bar="1h").batches())
    moment = int(whole["timestamp"][4000].timestamp()) * 10**9
    part = pl.concat(opened(Window(first=moment, last=moment + 86_400 * 10**9), sessions=300, bar="1h").batches())
    assert 0 < len(part) < len(whole) / 10
    assert_frame_equal(whole.filter(pl.col("timestamp").is_in(part["timestamp"].unique().implode())), part)


def test_a_run_file_needs_nothing_else(tmp_path):
    """Feed, score and actions of one market, on the sessions of an exchange."""
    market = 'use = "synthetic"\nsymbols = 6\nsessions = 120\nsplits = 2.0\ndividends = 4.0\n'
    (tmp_path / "run.toml").write_text(
        f'schema = 1\nname = "made"\ncapital = {{ USD = 100_000 }}\n[clock]\ncalendar = "XNYS"\n'
        f"[[feed]]\n{market}[[signal]]\n{market}[[actions]]\n{market}"
        '[strategy]\nuse = "signal"\nlong = 2\n[[reporter]]\nuse = "parquet"\n'
    )
    first, second = (Engine.from_file(tmp_path / "run.toml").run() for _ in range(2))
    assert len(first.fills) > 10
    assert first.equity["equity"].is_finite().all()
    assert first.result_hash == second.result_hash


def test_sources_of_one_market_agree():
    """The actions of the table are those of the bars."""
    settings = {"symbols": 3, "sessions": 300, "splits": 3.0}
    table = SyntheticActions(SyntheticConfig(**settings), make_setup("actions")).read()
    assert_frame_equal(generate(**settings).actions, table)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"symbols": 0}, "symbols was 0, expected 1 to 10000"),
        ({"correlation": 1.5}, "correlation was 1.5, expected 0.0 to 0.99"),
        ({"bar": "1w"}, 'bar was "1w", expected "1d" or a duration of 1s to 12h'),
        ({"defects": ("bad-luck",)}, "defects has 'bad-luck', which cannot be planted; choose among unreadable, "),
        ({"defects": ("gaps",)}, "defects has 'gaps', which needs bars shorter than a session; "),
        ({"defects": ("holiday-rows",)}, "defects has 'holiday-rows', which needs a calendar with days without "),
    ],
)
def test_a_market_that_cannot_be_is_refused(settings, expected):
    """With the figure and what is possible."""
    with pytest.raises(RunFileError) as caught:
        generate(**settings)
    (problem,) = caught.value.problems
    assert problem.startswith(expected)


def test_a_calendar_that_ends_is_named():
    """With how many sessions it has."""
    with pytest.raises(DataError, match=r"^calendar 24/7 has 730 sessions from 2099-01-01 on, 20,000 are"):
        generate(SyntheticConfig(sessions=20_000), first=date(2099, 1, 1))
