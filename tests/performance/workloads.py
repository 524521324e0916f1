"""The measured workloads: their data, what a strategy does with them, and the bare loops they are held against.

w1s   250 symbols x 5,040 sessions; after every close +100 shares of the 25 best scores, -100 of the 25 worst
w1w   the same bars; +-2 % of equity in 25 names each, by scores that change slowly
w3a   one symbol, 1,000,000 minutes, a callback per bar that only counts
w3b   100 symbols, 10,000 minutes, a callback per slice that only counts

An order decided at a close takes the next open; there are no costs. The bare loops share no code with the
engine and do only what cannot be left out; they are plain functions, which Numba may compile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest import Engine, Strategy

Floats = NDArray[np.float64]

CAPITAL = 10_000_000.0
SHARES, WEIGHT = 100.0, 0.02
FIELDS = ("open", "high", "low", "close", "volume")
SCORES = {"w1s": "fresh_score", "w1w": "slow_score"}


# --- data ---------------------------------------------------------------------------------------------


def random_walk(rng: np.random.Generator, shape: tuple[int, int], volatility: Any, first: Floats) -> list[Floats]:
    """Return open, high, low, close and volume, each float64 (bars, symbols), prices in whole cents."""
    close = first * np.exp(np.cumsum(rng.standard_normal(shape) * volatility, axis=0))
    before = np.vstack([np.broadcast_to(first, (1, shape[1])), close[:-1]])
    open_ = before * np.exp(rng.standard_normal(shape) * volatility * 0.3)
    high = np.maximum(open_, close) * (1 + np.abs(rng.standard_normal(shape)) * volatility * 0.5)
    low = np.minimum(open_, close) * (1 - np.abs(rng.standard_normal(shape)) * volatility * 0.5)
    volume = rng.integers(10_000, 1_000_000, shape).astype(float)
    return [*(np.maximum(np.round(price, 2), 0.01) for price in (open_, high, low, close)), volume]


def slow_scores(rng: np.random.Generator, shape: tuple[int, int], persistence: float = 0.95) -> Floats:
    """Return first-order autoregressive scores of variance 1, float64 (bars, symbols)."""
    scores = np.empty(shape)
    scores[0] = rng.standard_normal(shape[1])
    for bar in range(1, shape[0]):
        fresh = rng.standard_normal(shape[1])
        scores[bar] = persistence * scores[bar - 1] + np.sqrt(1 - persistence * persistence) * fresh
    return scores


def daily(rng: np.random.Generator, days: pl.Series, symbols: int) -> pl.DataFrame:
    """Return the bars and both scores of w1s and w1w, long, a row per (timestamp, symbol) in this order."""
    shape = (len(days), symbols)
    volatility = rng.uniform(0.008, 0.02, symbols)
    bars = random_walk(rng, shape, volatility, rng.uniform(50, 200, symbols))
    fresh = rng.standard_normal(shape)
    return _long(days, symbols, [*bars, fresh, slow_scores(rng, shape)], [*FIELDS, *SCORES.values()])


def sessions(count: int) -> pl.Series:
    """Return the labels of the last ``count`` New York sessions up to the end of 2025."""
    from ml4t_backtest_calendar_market import MarketCalendar

    found = MarketCalendar(MarketCalendar.Config(name="XNYS")).sessions(date(2004, 1, 2), date(2025, 12, 31))
    return pl.Series(found["label"][-count:].astype("datetime64[D]"))


def write(folder: Path) -> None:
    """Write the data of all workloads, once."""
    names = [folder / f"{name}.parquet" for name in ("daily", "minutes", "slices")]
    if all(name.exists() for name in names):
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(42)  # one stream, in this order
    daily(rng, sessions(5040), 250).write_parquet(names[0])
    first = datetime(2020, 1, 1)
    for name, bars, symbols in ((names[1], 1_000_000, 1), (names[2], 10_000, 100)):
        minutes = pl.datetime_range(first, first + timedelta(minutes=bars - 1), "1m", eager=True)
        start = np.array([100.0]) if symbols == 1 else rng.uniform(50, 200, symbols)
        _long(minutes, symbols, random_walk(rng, (bars, symbols), 0.0005, start), FIELDS).write_parquet(name)


def _long(stamps: pl.Series, symbols: int, columns: list[Floats], fields: Any) -> pl.DataFrame:
    keys = {
        "timestamp": stamps.gather(np.repeat(np.arange(len(stamps)), symbols)),
        "symbol": [f"A{number:03d}" for number in range(symbols)] * len(stamps),
    }
    return pl.DataFrame({**keys, **{name: values.ravel() for name, values in zip(fields, columns, strict=True)}})


# --- what is asked for ----------------------------------------------------------------------------------


def targets(frame: pl.DataFrame, workload: str) -> Floats:
    """Return what to hold after each session, float64 (sessions, symbols): shares, or fractions of equity."""
    scores = wide(frame, SCORES[workload])
    best = np.argsort(-scores, axis=1, kind="stable")
    tenth, rows = scores.shape[1] // 10, np.arange(len(scores))[:, None]
    out = np.zeros(scores.shape)
    out[rows, best[:, :tenth]] = 1.0
    out[rows, best[:, -tenth:]] = -1.0
    return out * (SHARES if workload == "w1s" else WEIGHT)


def wide(frame: pl.DataFrame, field: str) -> Floats:
    """Return a column of a full long frame, float64 (bars, symbols)."""
    return np.ascontiguousarray(frame[field].to_numpy().reshape(-1, frame["symbol"].n_unique()))


class BySlice(Strategy):
    """Ask for the next row of targets at each slice."""

    def __init__(self, wanted: Floats, weights: bool = False) -> None:
        self.wanted, self.weights, self.calls = iter(wanted), weights, 0

    def on_slice(self, market: Any, context: Any) -> None:
        self.calls += 1
        ask = context.order_target_weights if self.weights else context.order_target_quantities
        ask(next(self.wanted))


class ByEvent(Strategy):
    """Ask for the next row of targets at the last event of each session."""

    def __init__(self, wanted: Floats) -> None:
        self.wanted, self.calls, self.last = wanted, 0, wanted.shape[1]

    def on_event(self, event: Any, context: Any) -> None:
        self.calls += 1
        if self.calls % self.last == 0:
            context.order_target_quantities(self.wanted[self.calls // self.last - 1])


class CountEvents(Strategy):
    """Count events."""

    calls = 0

    def on_event(self, event: Any, context: Any) -> None:
        self.calls += 1


class CountSlices(Strategy):
    """Count slices."""

    calls = 0

    def on_slice(self, market: Any, context: Any) -> None:
        self.calls += 1


def daily_engine(bars: pl.DataFrame, strategy: Strategy, **settings: Any) -> Engine:
    """Return a run over daily bars of New York, at the next open, without costs."""
    return Engine(prices=bars, strategy=strategy, calendar="XNYS", capital=CAPITAL, **settings)


def minute_engine(bars: pl.DataFrame, strategy: Strategy) -> Engine:
    """Return a run over minute bars stamped at their open."""
    return Engine(prices=bars, strategy=strategy, bar="1m", stamp="open", timezone="UTC", capital=CAPITAL)


# --- bare loops -----------------------------------------------------------------------------------------


def bare_shares(open_: Floats, close: Floats, wanted: Floats, cash: float) -> tuple[int, float]:
    """Hold at each open what was wanted at the close before; return fills and final equity."""
    held = np.zeros(open_.shape[1])
    fills = 0
    equity = cash
    for day in range(len(open_)):
        equity = cash
        for symbol in range(open_.shape[1]):
            if day > 0 and wanted[day - 1, symbol] != held[symbol]:
                cash -= (wanted[day - 1, symbol] - held[symbol]) * open_[day, symbol]
                held[symbol] = wanted[day - 1, symbol]
                fills += 1
        equity = cash
        for symbol in range(open_.shape[1]):
            equity += held[symbol] * close[day, symbol]
    return fills, equity


def bare_weights(open_: Floats, close: Floats, wanted: Floats, cash: float) -> tuple[int, float]:
    """Size by equity and close of the decision, cut the order to whole shares, fill at the next open."""
    held = np.zeros(open_.shape[1])
    fills = 0
    equity = cash
    for day in range(len(open_)):
        for symbol in range(open_.shape[1]):
            if day == 0:
                continue
            weight = wanted[day - 1, symbol]
            order = -held[symbol]
            if weight != 0.0:
                order = np.trunc(weight * equity / close[day - 1, symbol] - held[symbol])
            if order != 0.0:
                cash -= order * open_[day, symbol]
                held[symbol] += order
                fills += 1
        equity = cash
        for symbol in range(open_.shape[1]):
            equity += held[symbol] * close[day, symbol]
    return fills, equity


def bare_days(fill: Any, open_: Floats, close: Floats, wanted: Floats, cash: float) -> float:
    """Call Python once a day, which looks at a row of each column and asks one compiled loop for the fills."""
    held = np.zeros(open_.shape[1])
    before = np.zeros(open_.shape[1])
    equity = cash
    for opens, closes, ask in zip(open_, close, wanted, strict=True):
        cash = fill(opens, before, held, cash)
        equity = cash + float(held @ closes)
        before = ask
    return equity


def bare_fill(opens: Floats, wanted: Floats, held: Floats, cash: float) -> float:
    """Bring ``held`` to ``wanted`` at these opens; return cash."""
    for symbol in range(len(opens)):
        if wanted[symbol] != held[symbol]:
            cash -= (wanted[symbol] - held[symbol]) * opens[symbol]
            held[symbol] = wanted[symbol]
    return cash


@dataclass
class Counter:
    """What the bare Python loops call."""

    calls: int = 0

    def on_bar(self, timestamp: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Count a bar."""
        self.calls += 1

    def on_rows(self, timestamp: int, columns: Mapping[str, Floats]) -> None:
        """Count a slice."""
        self.calls += 1


def bare_events(frame: pl.DataFrame) -> int:
    """Call a method once a row with the row's values."""
    counter = Counter()
    call = counter.on_bar
    columns = [frame[name].to_physical().to_numpy().tolist() for name in ("timestamp", *FIELDS)]
    for row in zip(*columns, strict=True):
        call(*row)
    return counter.calls


def bare_slices(frame: pl.DataFrame, symbols: int) -> int:
    """Call a method once a slice with a view of each column."""
    counter = Counter()
    call = counter.on_rows
    columns = [frame[name].to_numpy().reshape(-1, symbols) for name in FIELDS]
    for stamp, *views in zip(frame["timestamp"].to_physical().to_numpy()[::symbols].tolist(), *columns, strict=True):
        call(stamp, dict(zip(FIELDS, views, strict=True)))
    return counter.calls
