"""A whole market in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t_backtest_data_synthetic.config import SyntheticConfig
from ml4t_backtest_data_synthetic.defects import NO_DEFECTS, plant
from ml4t_backtest_data_synthetic.rows import Kind, make_rows, make_scores
from ml4t_backtest_data_synthetic.world import make_world

__all__ = ["SyntheticMarket", "always_open", "generate"]


@dataclass(frozen=True)
class SyntheticMarket:
    """The frames of one market.

    Attributes:
        config: Its settings.
        bars: ``symbol``, ``timestamp`` (Date, or the bar's end in UTC), ``open, high, low, close, volume``.
        quotes: ``symbol``, ``event_time``, ``bid, bid_size, ask, ask_size``: the last quote of each bar.
        trades: ``symbol``, ``event_time``, ``price, size``: the last trade of each bar.
        signals: ``symbol``, ``timestamp`` (Date), ``score``: known at the session's close.
        actions: Corporate actions, as ``actions=`` takes them.
        regimes: ``session`` (Date) and whether it is ``turbulent``.
        defects: What was planted: ``rule``, ``frame`` (bars, quotes or signals), ``row`` in it after all defects are
            planted (null where a row is missing or the whole frame is meant), ``symbol``, ``stamp`` (text).
    """

    config: SyntheticConfig
    bars: pl.DataFrame
    quotes: pl.DataFrame
    trades: pl.DataFrame
    signals: pl.DataFrame
    actions: pl.DataFrame
    regimes: pl.DataFrame
    defects: pl.DataFrame


def always_open() -> SessionTable:
    """Return the sessions of a market that never closes: each UTC day of 1970 to 2100."""
    always = AlwaysOpen()
    return SessionTable(
        always.sessions(date(1970, 1, 1), date(2100, 12, 31)), timezone=always.timezone, name=always.name
    )


def generate(
    config: SyntheticConfig | None = None, *, table: SessionTable | None = None, **settings: Any
) -> SyntheticMarket:
    """Make a market in memory; the same settings give the same frames.

    Args:
        config: Its settings; the defaults where it is None.
        table: Sessions of its calendar; every UTC day where it is None.
        **settings: Fields of the config to set.

    Raises:
        RunFileError: A setting is out of its range.
        DataError: The calendar has too few sessions.
    """
    config = replace(config or SyntheticConfig(), **settings)
    world = make_world(config, config.seed or 0, table or always_open())
    kinds: tuple[Kind, ...] = ("bar", "quote", "trade")
    frames = {kind: pl.concat(make_rows(world, kind)).with_columns(pl.col("symbol").cast(pl.String)) for kind in kinds}
    bars, quotes, trades = (frames[kind] for kind in kinds)
    signals, places = make_scores(world), [NO_DEFECTS]
    if config.defects:
        bars, found = plant("bars", bars, world)
        quotes, more = plant("quotes", quotes, world)
        signals, rest = plant("signals", signals, world)
        places += [found, more, rest]
    regimes = pl.DataFrame(
        {"session": [world.day(place) for place in range(config.sessions)], "turbulent": world.turbulent}
    )
    return SyntheticMarket(config, bars, quotes, trades, signals, world.actions, regimes, pl.concat(places))
