"""Bars, quotes, trades and scores of one session after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.sessions import NO_BREAK
from ml4t.backtest.core.stamps import parse_duration
from ml4t_backtest_data_synthetic.world import World

__all__ = ["FIELDS", "Kind", "make_rows", "make_scores"]

Floats = NDArray[np.float64]
Kind: TypeAlias = Literal["bar", "quote", "trade"]
FIELDS: dict[Kind, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "bid_size", "ask", "ask_size"),
    "trade": ("price", "size"),
}


def make_rows(world: World, kind: Kind = "bar", *, start: int = 0, stop: int | None = None) -> Iterator[pl.DataFrame]:
    """Yield the rows of each session, in order of stamp, then symbol.

    Args:
        world: The market.
        kind: What a row is; quotes and trades are the last ones of each bar.
        start, stop: Sessions to take, from and up to.

    Yields:
        ``symbol`` (Enum), the stamp (daily bars: ``timestamp``, Date, the session's label; other bars:
        ``timestamp``, their end; quotes and trades: ``event_time``; Datetime in ns, UTC), and the fields of the
        kind (Float64, prices in currency per unit on whole ticks). A session's rows hang on seed and session alone.
    """
    for session in range(start, len(world.calendar) if stop is None else stop):
        rng = np.random.default_rng([world.seed, 2, session])
        ends = _bar_ends(world, session)
        bars = _bars(world, session, len(ends), rng)
        sampled = rng.uniform(size=bars["close"].shape) >= world.config.missing
        kept = (sampled & (world.begins <= session) & (session < world.ends)).ravel()
        values = (
            bars if kind == "bar" else _FROM_BARS[kind](world, bars, np.random.default_rng([world.seed, 3, session]))
        )
        daily = kind == "bar" and world.config.daily
        stamps = np.full(len(ends), world.day(session), "M8[D]") if daily else ends.view("M8[ns]")
        stamp = pl.Series(np.repeat(stamps, len(world.begins)))
        columns = {
            "symbol": _symbols(world, session, len(ends)),
            "timestamp" if kind == "bar" else "event_time": stamp if daily else stamp.dt.replace_time_zone("UTC"),
            **{name: values[name].ravel() for name in FIELDS[kind]},
        }
        yield pl.DataFrame(columns).filter(pl.Series(kept))


def make_scores(world: World) -> pl.DataFrame:
    """Return a score of each symbol at each session, known at its close.

    Returns:
        ``symbol`` (String), ``timestamp`` (Date), ``score`` (Float64): as if standard normal, correlated by
        ``skill`` with the return of the session after.
    """
    config, rng = world.config, np.random.default_rng([world.seed, 4])
    standard = world.returns / np.maximum(world.deviation, 1e-12)
    ahead = np.concatenate([standard[1:], rng.standard_normal((1, config.symbols))])
    score = config.skill * ahead + np.sqrt(1.0 - config.skill**2) * rng.standard_normal(ahead.shape)
    frames = []
    for session in range(len(world.calendar)):
        listed = np.flatnonzero((world.begins <= session) & (session < world.ends))
        names = [world.name(symbol, session) for symbol in listed.tolist()]
        frames.append(
            pl.DataFrame(
                {"symbol": names, "timestamp": [world.day(session)] * len(names), "score": score[session, listed]},
                schema={"symbol": pl.String, "timestamp": pl.Date, "score": pl.Float64},
            )
        )
    return pl.concat(frames)


def _bar_ends(world: World, session: int) -> NDArray[np.int64]:
    """Return the ends of a session's whole bars, UTC ns; none in its break."""
    opening, close, pause, resume = (int(world.calendar[name][session]) for name in _EDGES)
    if world.config.daily:
        return np.array([close], np.int64)
    length = parse_duration(world.config.bar)
    parts = [(opening, close)] if pause == NO_BREAK else [(opening, pause), (resume, close)]
    return np.concatenate([np.arange(begin + length, end + 1, length, dtype=np.int64) for begin, end in parts])


_EDGES = ("open", "close", "break_start", "break_end")


def _bars(world: World, session: int, count: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return a session's bars, (bars, symbols): a Brownian bridge from its open to its close."""
    config = world.config
    size = (count, config.symbols)
    deviation = world.deviation[session] * np.sqrt(0.8 / max(count, 1))
    begin, end = np.log(world.opens[session]), np.log(world.closes[session])
    walk = np.cumsum(rng.standard_normal(size) * deviation, axis=0)
    elapsed = np.arange(1, count + 1)[:, None] / max(count, 1)
    close = np.exp(begin + walk + elapsed * (end - begin - walk[-1:]))
    opening = np.concatenate([world.opens[session][None, :], close[:-1]])
    high = np.maximum(opening, close) * np.exp(np.abs(rng.standard_normal(size)) * deviation / 2)
    low = np.minimum(opening, close) * np.exp(-np.abs(rng.standard_normal(size)) * deviation / 2)
    volume = np.exp(rng.standard_normal(size) * 0.4) * config.volume / max(count, 1)
    prices = {"open": opening, "high": high, "low": low, "close": close}
    return {name: _on_tick(column, config.tick) for name, column in prices.items()} | {"volume": np.ceil(volume)}


def _on_tick(prices: Floats, tick: float) -> Floats:
    """Return prices on whole ticks, at least one."""
    steps = np.maximum(np.rint(prices / tick), 1.0)
    per_unit = np.rint(1.0 / tick)
    return steps / per_unit if tick < 1.0 and abs(per_unit * tick - 1.0) < 1e-9 else steps * tick


def _quotes(world: World, bars: dict[str, Floats], rng: np.random.Generator) -> dict[str, Floats]:
    """Return bid and ask around the close, at least a tick apart, and their sizes."""
    tick, close = world.config.tick, bars["close"]
    half = close * world.config.spread_bps * 0.5e-4 * np.exp(rng.standard_normal(close.shape) * 0.3)
    bid = _on_tick(np.floor((close - half) / tick + 1e-6) * tick, tick)
    ask = np.maximum(_on_tick(np.ceil((close + half) / tick - 1e-6) * tick, tick), _on_tick(bid + tick, tick))
    sizes = np.ceil(np.exp(rng.standard_normal((2, *close.shape)) * 0.5) * 100.0)
    return {"bid": bid, "bid_size": sizes[0], "ask": ask, "ask_size": sizes[1]}


def _trades(world: World, bars: dict[str, Floats], rng: np.random.Generator) -> dict[str, Floats]:
    """Return a trade at each close."""
    return {"price": bars["close"], "size": np.ceil(bars["volume"] * rng.uniform(0.001, 0.01, bars["close"].shape))}


_FROM_BARS: dict[Kind, Any] = {"quote": _quotes, "trade": _trades}


def _symbols(world: World, session: int, count: int) -> pl.Series:
    """Return the names of a session, once per bar."""
    every = pl.Enum([name for names in world.names for _, name in names])
    names = pl.Series([world.name(symbol, session) for symbol in range(len(world.names))], dtype=every)
    return names.gather(np.tile(np.arange(len(names), dtype=np.uint32), count))
