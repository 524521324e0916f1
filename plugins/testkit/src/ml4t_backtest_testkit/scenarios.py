"""Markets for ``engine.run(scenario=name)``: callables ``(seed, **parameters)`` that return engine settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ml4t.backtest.interfaces import Strategy

if TYPE_CHECKING:
    from ml4t.backtest.core.event import Event
    from ml4t.backtest.interfaces.context import Context, Market

__all__ = ["CountEvents", "FollowScore", "events", "fixed_draws", "market_orders_test"]

_GOLDEN = Path(__file__).with_name("golden")


class CountEvents(Strategy):
    """Counts events and does nothing else.

    Attributes:
        count: Events seen.
    """

    def __init__(self) -> None:
        self.count = 0

    def on_event(self, event: Event, context: Context) -> None:
        """Count one."""
        self.count += 1


class FollowScore(Strategy):
    """Holds in equal parts what has a positive score, and changes nothing where there is none."""

    def on_slice(self, market: Market, context: Context) -> None:
        """Ask for the weights that the scores known now give."""
        score = context.signal("score")
        known = np.isfinite(score)
        if known.any():
            long = known & (score > 0.0)
            weight = 0.9 / max(1, int(long.sum()))
            context.order_target_weights(np.where(long, weight, np.where(known, 0.0, np.nan)))


def events(*, seed: int, events: int = 1_000_000) -> Mapping[str, object]:
    """Return one symbol's minute bars and a strategy that counts them: what an event costs.

    Args:
        seed: Seed of the random walk and of the run.
        events: Number of bars.
    """
    if events < 1:
        raise ValueError(f"events was {events}; give at least 1")
    close = 100.0 + np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, events))
    close = np.maximum(close, 1.0)
    opening = np.concatenate([close[:1], close[:-1]])
    begin = datetime(2000, 1, 3, tzinfo=UTC)
    last = begin + timedelta(minutes=events - 1)
    stamps = pl.datetime_range(begin, last, "1m", time_unit="us", eager=True)
    prices = pl.DataFrame(
        {
            "symbol": pl.repeat("AAA", events, dtype=pl.Categorical(), eager=True),
            "timestamp": stamps,
            "open": opening,
            "high": np.maximum(opening, close),
            "low": np.minimum(opening, close),
            "close": close,
            "volume": np.full(events, 100.0),
        }
    )
    feed = {"bar": "1m", "stamp": "close"}
    return {"name": "events", "prices": prices, **feed, "strategy": CountEvents(), "seed": seed}


def market_orders_test(*, seed: int) -> Mapping[str, object]:
    """Return market orders at the next open over five symbols, two of which have holes.

    The market is fixed, whatever the seed: the expected output is part of this distribution. Bars are left
    out, one open is null, one symbol begins late; costs are 5 bps and 0.005 per share, at least 1.

    Args:
        seed: Seed of the run; nothing in it is random.
    """
    prices, signals = _fixed_market()
    return {
        "name": "market_orders_test",
        "golden": _GOLDEN / "market_orders_test.txt",
        "feed": [{"use": "frame", "name": "prices", "frame": prices, "bar": "1d", "prices": "raw"}],
        "signals": signals,
        "strategy": FollowScore(),
        "broker": {
            "use": "simulation",
            "fill": {"use": "next-open"},
            "slippage": {"use": "bps", "bps": 5.0},
            "commission": {"use": "per-share", "rate": 0.005, "minimum": 1.0},
        },
        "portfolio": {"use": "standard"},
        "capital": {"USD": 100_000.0},
        "account": {"type": "unlimited", "on_silence": "hold"},
        "seed": seed,
    }


def _fixed_market() -> tuple[pl.DataFrame, pl.DataFrame]:
    draws = fixed_draws(20_240_101)
    names = ("AAA", "BBB", "CCC", "DDD", "EEE")
    cents = dict.fromkeys(names, 10_000)
    rows, scores = [], []
    for day in range(60):
        label = date(2024, 1, 1) + timedelta(days=day)
        for place, name in enumerate(names):
            opening = cents[name] + next(draws) % 201 - 100
            close = opening + next(draws) % 401 - 199
            high, low = max(opening, close) + next(draws) % 50, min(opening, close) - next(draws) % 50
            volume, score = 1_000 + next(draws) % 9_000, next(draws) % 2_001 - 1_000
            cents[name] = close
            hole = (name == "BBB" and day % 7 == 3) or (name == "CCC" and 20 <= day < 29)
            if hole or (name == "EEE" and day < 12):
                continue
            first = None if (name, day) == ("DDD", 33) else opening / 100
            rows.append((name, label, first, high / 100, low / 100, close / 100, float(volume)))
            if day % 5 == place % 2:
                scores.append((name, label, score / 1_000))
    columns = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    prices = pl.DataFrame(rows, schema=columns, orient="row")
    return prices, pl.DataFrame(scores, schema=["symbol", "timestamp", "score"], orient="row")


def fixed_draws(state: int) -> Iterator[int]:
    """Yield whole numbers of a linear congruential generator: the same ones with every version of NumPy."""
    while True:
        state = (6_364_136_223_846_793_005 * state + 1_442_695_040_888_963_407) % 2**64
        yield state >> 33
