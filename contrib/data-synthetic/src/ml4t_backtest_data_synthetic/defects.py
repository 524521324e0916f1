"""What can be wrong with data, planted at known places: one function per rule of the data gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from ml4t.backtest.core.stamps import parse_duration
from ml4t_backtest_data_synthetic.config import BAR_DEFECTS, QUOTE_DEFECTS, SIGNAL_DEFECTS
from ml4t_backtest_data_synthetic.planting import NO_DEFECTS, Plot
from ml4t_backtest_data_synthetic.world import World

__all__ = ["NO_DEFECTS", "plant"]

Planter: TypeAlias = Callable[[Plot], None]
_STALE = 60  # bars


def plant(name: str, frame: pl.DataFrame, world: World) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Plant those defects of a market that belong to one of its frames.

    Args:
        name: ``bars``, ``quotes``, ``trades`` or ``signals``.
        frame: Its rows, without a defect.
        world: The market, whose config names the defects.

    Returns:
        The rows, and the places as ``SyntheticMarket.defects`` has them.

    Raises:
        RunFileError: The market cannot have such a defect.
    """
    rules = {"bars": BAR_DEFECTS, "quotes": QUOTE_DEFECTS, "trades": (), "signals": SIGNAL_DEFECTS}[name]
    plot = Plot(name, frame, world)
    for number, rule in enumerate(_PLANTERS):
        if rule in world.config.defects and rule in rules:
            plot.rule, plot.rng = rule, np.random.default_rng([world.seed, 5, number])
            _PLANTERS[rule](plot)
    return plot.finish()


def _value(**values: pl.Expr) -> Planter:
    """Return what gives a few rows other values."""

    def planter(plot: Plot) -> None:
        plot.set(plot.choose(), **values)

    return planter


def _unadjusted_split(plot: Plot) -> None:
    symbol = plot.choose_symbol()
    _, stamp, places = _middle(plot, symbol)
    later = (pl.col("symbol") == symbol) & (pl.col("timestamp") >= stamp)
    prices = [pl.when(later).then(pl.col(name) / 2).otherwise(pl.col(name)).alias(name) for name in _PRICES]
    volume = pl.when(later).then(pl.col("volume") * 2).otherwise(pl.col("volume")).alias("volume")
    plot.mark(places[:1])
    plot.frame = plot.frame.with_columns(*prices, volume)
    plot.use(symbol)


def _stale(plot: Plot) -> None:
    symbol = plot.choose_symbol()
    _, _, places = _middle(plot, symbol)
    plot.need(len(places) > _STALE, f"more than {2 * _STALE} bars")
    still = pl.lit(plot.frame["close"][places[0]])
    plot.set(places[:_STALE], open=still, high=still, low=still, close=still)
    plot.use(symbol)


def _missing_session(plot: Plot) -> None:
    symbol = plot.choose_symbol()
    day, stamp, _ = _middle(plot, symbol)
    plot.mark_missing(symbol, stamp)
    plot.remove((plot.frame["symbol"] == symbol) & (_days(plot) == day))


def _gap(plot: Plot) -> None:
    plot.need(not plot.world.config.daily, "bars shorter than a session")
    symbol = plot.choose_symbol()
    day, _, _ = _middle(plot, symbol)
    here = ((plot.frame["symbol"] == symbol) & (_days(plot) == day)).arg_true().to_list()
    plot.need(len(here) >= 3, "at least three bars a session")
    gone = here[len(here) // 3 : 2 * len(here) // 3]
    plot.mark_missing(symbol, plot.frame["timestamp"][gone[0]])
    plot.remove(pl.Series(np.isin(np.arange(len(plot.frame)), gone)))


def _appear(plot: Plot) -> None:
    symbol = plot.choose_symbol()
    _, stamp, _ = _middle(plot, symbol)
    plot.use(symbol)
    plot.mark_missing(symbol, plot.frame["timestamp"].min())
    plot.remove((plot.frame["symbol"] == symbol) & (plot.frame["timestamp"] < stamp))


def _vanish(plot: Plot) -> None:
    symbol = plot.choose_symbol()
    _, stamp, _ = _middle(plot, symbol)
    plot.use(symbol)
    plot.mark_missing(symbol, stamp)
    plot.remove((plot.frame["symbol"] == symbol) & (plot.frame["timestamp"] >= stamp))


def _outside(plot: Plot) -> None:
    plot.need(not plot.world.config.daily, "bars shorter than a session")
    closes, opens = plot.world.calendar["close"], plot.world.calendar["open"]
    away = 2 * parse_duration(plot.world.config.bar)
    nights = np.flatnonzero(opens[1:] - closes[:-1] > 2 * away)
    plot.need(len(nights) > 0, "a calendar that closes")
    close = int(closes[nights[len(nights) // 2]])
    last = (_instants(plot.frame["timestamp"]) <= close).arg_true().to_list()[-1]
    late = pl.lit(close + away, pl.Int64).cast(pl.Datetime("ns", "UTC")).alias("timestamp")
    plot.insert(plot.frame[last : last + 1].with_columns(late), [last])


def _holiday(plot: Plot) -> None:
    labels = plot.world.calendar["label"]
    nights = np.flatnonzero(np.diff(labels) > 1)
    plot.need(len(nights) > 0, "a calendar with days without a session")
    night = int(nights[len(nights) // 2])
    day, after = plot.world.day(night), plot.world.day(night) + timedelta(days=1)
    last = (_days(plot) <= day).arg_true().to_list()[-1]
    stamp = plot.frame["timestamp"][last]
    later = pl.lit(after if isinstance(stamp, date) and not isinstance(stamp, datetime) else stamp + timedelta(days=1))
    row = plot.frame[last : last + 1]
    plot.insert(row.with_columns(later.cast(plot.frame.schema["timestamp"]).alias("timestamp")), [last])


def _duplicate(plot: Plot) -> None:
    places = plot.choose()
    plot.insert(plot.frame[places], places)


def _unsorted(plot: Plot) -> None:
    for place in plot.choose():
        mine = (plot.frame["symbol"] == plot.frame["symbol"][place]).arg_true().to_list()
        before = mine[mine.index(place) - 1]
        stamps = plot.frame["timestamp"].to_list()
        stamps[before], stamps[place] = stamps[place], stamps[before]
        dtype = plot.frame.schema["timestamp"]
        plot.frame = plot.frame.with_columns(pl.Series("timestamp", stamps, dtype))
        plot.mark([place])


def _not_a_number(plot: Plot) -> None:
    plot.frame = plot.frame.with_columns(pl.col("close").cast(pl.String))
    plot.set(plot.choose(), close=pl.lit("n/a"))


def _early(plot: Plot) -> None:
    plot.frame = plot.frame.with_columns(_ends(plot).alias("known_at"))
    plot.set(plot.choose(), known_at=pl.col("known_at").dt.offset_by("-1s"))


def _open_stamped(plot: Plot) -> None:
    plot.need(not plot.world.config.daily, "bars shorter than a session")
    plot.mark_all()
    plot.frame = plot.frame.with_columns(pl.col("timestamp").dt.offset_by(f"-{plot.world.config.bar}"))


def _naive(plot: Plot) -> None:
    plot.mark_all()
    plot.frame = plot.frame.with_columns(_moments(plot).dt.replace_time_zone(None).alias("timestamp"))


def _unclear(plot: Plot) -> None:
    plot.mark_all()
    plot.frame = plot.frame.with_columns(_moments(plot).alias("timestamp"))


def _mixed(plot: Plot) -> None:
    plot.need(plot.world.config.daily, 'bar = "1d"')
    plot.frame = plot.frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))
    plot.set(plot.choose(), timestamp=pl.col("timestamp").dt.offset_by("5h"))


def _without_symbols(plot: Plot) -> None:
    plot.mark_all()
    plot.frame = plot.frame.drop("symbol")


def _without_rows(plot: Plot) -> None:
    plot.mark_all()
    plot.frame = plot.frame.clear()


def _seen_before(plot: Plot) -> None:
    plot.frame = plot.frame.with_columns(trained_through=pl.col("timestamp").dt.offset_by("-30d"))
    plot.set(plot.choose(), trained_through=pl.col("timestamp").dt.offset_by("1d"))


def _leak(plot: Plot) -> None:
    world, plot_rows = plot.world, plot.frame
    standard = world.returns / np.maximum(world.deviation, 1e-12)
    listed = [
        symbol
        for session in range(len(world.calendar))
        for symbol in np.flatnonzero((world.begins <= session) & (session < world.ends)).tolist()
    ]
    session = np.searchsorted(world.calendar["label"], plot_rows["timestamp"].to_physical().to_numpy())
    plot.mark_all()
    plot.frame = plot_rows.with_columns(score=pl.Series(standard[session, listed]))


def _middle(plot: Plot, symbol: str) -> tuple[date, Any, list[int]]:
    """Return a day about the middle of a symbol's rows, its first stamp there, and its rows from it on."""
    own = plot.frame.filter(pl.col("symbol") == symbol)["timestamp"]
    day = _as_days(own)[len(own) // 2]
    places = ((plot.frame["symbol"] == symbol) & (_days(plot) >= day)).arg_true().to_list()
    return day, plot.frame["timestamp"][places[0]], places


def _days(plot: Plot) -> pl.Series:
    return _as_days(plot.frame["timestamp"])


def _as_days(stamps: pl.Series) -> pl.Series:
    # A bar that ends at midnight is one of the day before.
    return stamps if stamps.dtype == pl.Date else stamps.dt.offset_by("-1ns").dt.date()


def _instants(stamps: pl.Series) -> pl.Series:
    return stamps.dt.timestamp("ns") if stamps.dtype != pl.Date else stamps.cast(pl.Datetime("ns")).dt.timestamp("ns")


def _ends(plot: Plot) -> pl.Series:
    """Return when each bar ends, UTC."""
    stamps = plot.frame["timestamp"]
    if stamps.dtype != pl.Date:
        return stamps
    closes = plot.world.calendar["close"][
        np.searchsorted(plot.world.calendar["label"], stamps.to_physical().to_numpy())
    ]
    return pl.Series(closes).cast(pl.Datetime("ns", "UTC"))


def _moments(plot: Plot) -> pl.Series:
    """Return stamps that name no session."""
    stamps = plot.frame["timestamp"]
    if stamps.dtype != pl.Date:
        return stamps
    return stamps.dt.combine(time(16)).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


_PRICES = ("open", "high", "low", "close")
# In this order: what looks at sessions comes before what spoils stamps, what spoils the frame comes last.
_PLANTERS: Mapping[str, Planter] = {
    "symbols-appear": _appear,
    "symbols-vanish": _vanish,
    "unadjusted-split": _unadjusted_split,
    "stale-prices": _stale,
    "missing-session": _missing_session,
    "gaps": _gap,
    "outside-session": _outside,
    "holiday-rows": _holiday,
    "infinite-value": _value(high=pl.lit(np.inf)),
    "nonpositive-price": _value(low=pl.lit(0.0)),
    "negative-size": _value(volume=pl.lit(-1.0)),
    "high-below-low": _value(high=pl.col("low"), low=pl.col("high") + 1.0),
    "close-outside-range": _value(close=pl.col("high") * 1.01),
    "missing-value": _value(open=pl.lit(None)),
    "zero-volume": _value(volume=pl.lit(0.0)),
    "crossed-quote": _value(bid=pl.col("ask"), ask=pl.col("bid")),
    "unknown-symbols": _value(symbol=pl.lit("NOSUCH")),
    "known-too-early": _seen_before,
    "signal-leak": _leak,
    "duplicate-rows": _duplicate,
    "unsorted-rows": _unsorted,
    "negative-latency": _early,
    "open-stamped": _open_stamped,
    "mixed-zones": _mixed,
    "naive-stamps": _naive,
    "unclear-stamps": _unclear,
    "not-a-number": _not_a_number,
    "missing-key": _value(symbol=pl.lit(None, pl.String)),
    "missing-column": _without_symbols,
    "unreadable": _without_rows,
}
