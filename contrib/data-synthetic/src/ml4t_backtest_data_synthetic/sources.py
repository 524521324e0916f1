"""A synthetic market as a feed, a signal source and a table of corporate actions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import DAY_NS, SessionTable
from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import (
    CheckedSource,
    DataFeed,
    FeedConfig,
    Setup,
    SignalConfig,
    SignalSource,
    SourceSpec,
    TableSource,
    Window,
)
from ml4t_backtest_data_synthetic.config import SyntheticConfig
from ml4t_backtest_data_synthetic.defects import plant
from ml4t_backtest_data_synthetic.generating import always_open
from ml4t_backtest_data_synthetic.rows import FIELDS, Kind, make_rows, make_scores
from ml4t_backtest_data_synthetic.world import World, make_world

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import OpenRows

__all__ = ["SyntheticActions", "SyntheticDataFeed", "SyntheticFeedConfig", "SyntheticSignalSource"]

# Up to so many rows are made at once and go through the gate as those of a file do; beyond, while they are read.
_CHECKED_ROWS = 1_000_000
# A session's label and its close may be a day apart in UTC, and its rows are known up to a day after.
_SLACK_NS = 3 * DAY_NS


@dataclass(frozen=True, kw_only=True)
class SyntheticFeedConfig(SyntheticConfig):
    """What a feed takes of a synthetic market, beside the market itself.

    Attributes:
        kind: ``bar``, ``quote`` or ``trade``: the last ones of each bar.
        latency: From the end of a bar to when its row is known, such as ``"250ms"``.
        drives: Whether ``on_slice`` is called for these rows.
        batch_rows: Rows per batch; any number gives the same rows.
    """

    kind: Kind = "bar"
    latency: str = "0s"
    drives: bool = True
    batch_rows: int = 65_536

    def __post_init__(self) -> None:
        """Refuse figures with which there is no feed."""
        super().__post_init__()
        parse_duration(self.latency, "latency")
        if self.batch_rows < 1:
            raise RunFileError(f"batch_rows was {self.batch_rows}, expected at least 1")


class SyntheticDataFeed(DataFeed):
    """Bars, quotes or trades of a synthetic market.

    Up to a million rows, and all where there are ``defects``, are made at once and go through the gate as those of
    a file do; more are made while they are read, in the memory of one session's bars.
    """

    Config = SyntheticFeedConfig

    def __init__(self, config: SyntheticFeedConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._world: World | None = None
        self._range = (0, 0)
        self._rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """What the rows are."""
        if self._rows is not None:
            return self._rows.spec
        config, name = self._config, self._setup.name
        bar = config.kind == "bar"
        rule = StampRule(
            convention=("label" if config.daily else "close") if bar else "event_time",
            period_ns=parse_duration(config.bar) if bar else None,
            latency_ns=parse_duration(config.latency),
            origin=_origin(name),
            calendar=config.calendar,
        )
        return SourceSpec(
            name=name,
            kind=config.kind,
            fields=FIELDS[config.kind],
            rule=rule,
            prices="raw" if bar else None,
            drives=config.drives,
            origin=_origin(name),
        )

    def open(self, window: Window) -> None:
        """Draw the market from session to session.

        Args:
            window: The stretch that the run reads; a few more sessions are made at both ends.

        Raises:
            DataError: The calendar has too few sessions, or the gate refuses what was planted.
        """
        config = self._config
        self._world = world = _world(config, self._setup)
        first = -(2**62) if window.first is None else window.first - _SLACK_NS
        last = 2**62 if window.last is None else window.last + _SLACK_NS
        begin = int(np.searchsorted(world.calendar["close"], first))
        end = int(np.searchsorted(world.calendar["open"], last, side="right"))
        self._range = (min(begin, end), end)
        if _size(world) <= _CHECKED_ROWS or config.defects:
            self._rows = self._checked(world, window)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order."""
        if self._rows is not None:
            yield from self._rows.batches()
            return
        assert self._world is not None, "open the source first"
        size, held, count = self._config.batch_rows, list[pl.DataFrame](), 0
        start, stop = self._range
        for frame in make_rows(self._world, self._config.kind, start=start, stop=stop):
            held.append(frame)
            count += len(frame)
            if count >= size:
                whole = pl.concat(held)
                full = len(whole) // size * size
                yield from whole[:full].iter_slices(size)
                held, count = [whole[full:]], len(whole) - full
        if count or start == stop:
            yield pl.concat(held) if held else next(make_rows(self._world, self._config.kind)).clear()

    def digest(self) -> str:
        """SHA-256 (hex) of settings and seed, which say all."""
        world = self._world
        return "" if world is None else _digest(world, self._config.kind)

    def notes(self) -> tuple[str, ...]:
        """Say that no market was like this."""
        own = (f"{_origin(self._setup.name)}: made up, not measured",)
        return own if self._rows is None else (*self._rows.notes, *own)

    def close(self) -> None:
        """Let go of the market."""
        self._rows = self._world = None

    def _checked(self, world: World, window: Window) -> OpenRows:
        config, bars = self._config, self._config.kind == "bar"
        frame = pl.concat(make_rows(world, config.kind)).with_columns(pl.col("symbol").cast(pl.String))
        if config.defects:
            frame, _ = plant(f"{config.kind}s", frame, world)
        unclear = "unclear-stamps" in config.defects
        settings = FeedConfig(
            bar=config.bar if bars else None,
            stamp=None if config.daily or not bars or unclear else "close",
            prices="raw" if bars else None,
            latency=config.latency,
            drives=config.drives,
            batch_rows=config.batch_rows,
            calendar=config.calendar,
        )
        return self._setup.gate.open_rows(
            frame.lazy(), settings, window, name=self._setup.name, origin=_origin(self._setup.name)
        )


@dataclass(frozen=True, kw_only=True)
class SyntheticSignalConfig(SyntheticConfig):
    """What a signal source takes of a synthetic market, beside the market itself.

    Attributes:
        latency: From a session's close to when its scores are known, such as ``"1h"``.
    """

    latency: str = "0s"


class SyntheticSignalSource(CheckedSource, SignalSource):
    """The score of a synthetic market: one value per symbol and session, known at its close."""

    Config = SyntheticSignalConfig

    def __init__(self, config: SyntheticSignalConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._world: World | None = None

    def open(self, window: Window) -> None:
        """Make the scores and give them to the gate.

        Raises:
            DataError: The calendar has too few sessions, or the gate refuses what was planted.
        """
        self._world = world = _world(self._config, self._setup)
        frame, _ = plant("signals", make_scores(world), world)
        settings = SignalConfig(values=("score",), latency=self._config.latency, calendar=self._config.calendar)
        name = self._setup.name
        self.rows = self._setup.gate.open_rows(frame.lazy(), settings, window, name=name, origin=_origin(name))

    def digest(self) -> str:
        """SHA-256 (hex) of settings and seed, which say all."""
        return "" if self._world is None else _digest(self._world, "signal")


class SyntheticActions(TableSource):
    """The corporate actions of a synthetic market, for ``[[actions]]``."""

    Config = SyntheticConfig

    def __init__(self, config: SyntheticConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup

    def read(self) -> pl.DataFrame:
        """Return them, in order of ``ex_date``, then symbol."""
        return _world(self._config, self._setup).actions

    def digest(self) -> str:
        """SHA-256 (hex) of settings and seed, which say all."""
        return _digest(_world(self._config, self._setup), "actions")


def _world(config: SyntheticConfig, setup: Setup) -> World:
    sessions: SessionTable = setup.sessions(config.calendar) if setup.sessions is not None else always_open()
    return make_world(config, setup.seed if config.seed is None else config.seed, sessions)


def _digest(world: World, what: str) -> str:
    # Fields by their names, so that sources of one market differ in what they take only.
    market = SyntheticConfig(**{name: getattr(world.config, name) for name in SyntheticConfig.__dataclass_fields__})
    text = repr((what, world.seed, astuple(replace(market, seed=None, calendar=""))))
    return hashlib.sha256(text.encode() + world.calendar.tobytes()).hexdigest()


def _size(world: World) -> int:
    """Return how many rows there are at most."""
    config, table = world.config, world.calendar
    length = DAY_NS if config.daily else parse_duration(config.bar)
    return config.symbols * int(np.maximum((table["close"] - table["open"]) // length, 1).sum())


def _origin(name: str) -> str:
    return f"<{name}>"
