"""The feed over frames in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.core.frames import Arrangement, FeedConfig, OpenRows, open_rows
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import DataFeed, Setup, SourceSpec, Window
from ml4t_backtest_feed_frame.long import digest_frame, long_frame, own_memory

__all__ = ["FrameDataFeed", "FrameFeedConfig"]


@dataclass(frozen=True, kw_only=True)
class FrameFeedConfig(FeedConfig):
    """What a feed of frames takes, beside the settings of every feed that reads columns.

    Attributes:
        frame: A polars, pandas or Arrow frame, long; or a mapping of field to wide frame, as in
            ``{"open": opens, "close": closes}``, each with stamps in a column (in pandas, the index) and one
            column per symbol.
    """

    frame: object = field(repr=False)


class FrameDataFeed(DataFeed):
    """Bars, quotes or trades of a frame, which is copied when the feed is made."""

    Config = FrameFeedConfig

    def __init__(self, config: FrameFeedConfig, setup: Setup) -> None:
        self._config, self._setup = config, setup
        self._origin = f"<{setup.name}>"
        frame = long_frame(config.frame, self._origin)
        _refuse_wide(frame, config, self._origin)
        found = Arrangement(frame.schema, config, self._origin)
        self._frame = own_memory(frame.select(list(dict.fromkeys(found.columns.values()))))
        self._rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this feed; valid after ``open``."""
        rows, config = self._opened, self._config
        return SourceSpec(
            name=self._setup.name,
            kind=rows.kind,
            fields=rows.fields,
            rule=rows.rule,
            prices=(config.prices or "raw") if rows.kind == "bar" else None,
            drives=config.drives,
            origin=self._origin,
        )

    def open(self, window: Window) -> None:
        """Check the rows.

        Raises:
            DataError: Naming rows, what is wrong and what to do.
        """
        self._rows = open_rows(self._frame.lazy(), self._config, window, origin=self._origin)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order."""
        return self._opened.batches()

    def digest(self) -> str:
        """SHA-256 (hex) of the columns."""
        return digest_frame(self._frame)

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run, one sentence each."""
        return self._opened.notes

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = None

    @property
    def _opened(self) -> OpenRows:
        assert self._rows is not None, "open the feed first"
        return self._rows


def _refuse_wide(frame: pl.DataFrame, config: FrameFeedConfig, origin: str) -> None:
    """Say how to give a wide frame; which field its values are cannot be guessed."""
    long = {"symbol", "asset", "ticker", "open", "close", "price", "bid", "ask", "adj close", "adj_close"}
    if config.symbol is None and not config.columns and not long & {name.strip().lower() for name in frame.columns}:
        raise DataError(
            f"{origin}: no column symbol; where this is a wide frame, with a column per symbol, "
            'say what its values are, as in prices = {"close": frame}'
        )
