"""The sample prices as a feed of daily bars."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ml4t.backtest.core.stamps import StampRule
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import DataFeed, Setup, SourceSpec, Window
from ml4t_backtest_data_sample.sample import prices, prices_path

__all__ = ["SampleDataFeed"]

_BATCH_ROWS = 65_536
_EPOCH = datetime.date(1970, 1, 1)
_DAY_NS = 86_400_000_000_000
# A session's close and its label may be a calendar day apart in UTC.
_SLACK = datetime.timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What to take of the sample prices.

    Attributes:
        symbols: Symbols to read; empty, the default, means all twenty.
    """

    symbols: tuple[str, ...] = ()


class SampleDataFeed(DataFeed):
    """Daily bars of twenty US shares: fully adjusted closes, labelled with their sessions.

    Args:
        config: Which symbols.
        setup: The name of the feed in the run; no randomness and no path is used.
    """

    Config = SampleConfig

    def __init__(self, config: SampleConfig, setup: Setup) -> None:
        self._config = config
        self._name = setup.name
        self._rows = pl.DataFrame()

    @property
    def spec(self) -> SourceSpec:
        """Bars with a close only, adjusted for splits and dividends, known at the end of their session."""
        origin = prices_path().name
        rule = StampRule(convention="label", period_ns=_DAY_NS, origin=origin)
        return SourceSpec(name=self._name, kind="bar", fields=("close",), rule=rule, prices="total", origin=origin)

    def open(self, window: Window) -> None:
        """Read the rows of the window.

        Args:
            window: The stretch of event time that the run reads; a few more sessions are read at both ends.

        Raises:
            DataError: If a symbol of the config is not among the twenty.
        """
        rows = prices()
        unknown = sorted(set(self._config.symbols) - set(rows["symbol"]))
        if unknown:
            offered = ", ".join(sorted(set(rows["symbol"])))
            raise DataError(f"the sample prices have no symbol {', '.join(unknown)}: choose among {offered}")
        if self._config.symbols:
            rows = rows.filter(pl.col("symbol").is_in(self._config.symbols))
        if window.first is not None:
            rows = rows.filter(pl.col("timestamp") >= _label(window.first) - _SLACK)
        if window.last is not None:
            rows = rows.filter(pl.col("timestamp") <= _label(window.last) + _SLACK)
        self._rows = rows

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield symbol, timestamp (Date) and close, in order of session, then symbol."""
        yield from self._rows.iter_slices(_BATCH_ROWS)

    def digest(self) -> str:
        """SHA-256 of the Parquet file."""
        return hashlib.sha256(prices_path().read_bytes()).hexdigest()

    def notes(self) -> tuple[str, ...]:
        """Say what a reader of results has to know of these prices."""
        return (
            "the sample prices are adjusted closes: share counts and costs per share are not real",
            "the companies of the sample prices were chosen with hindsight: they survived",
        )


def _label(instant: int) -> datetime.date:
    return _EPOCH + datetime.timedelta(days=instant // _DAY_NS)
