"""The feed over frames in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window

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


class FrameDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of a frame, which is copied when the feed is made."""

    Config = FrameFeedConfig

    def __init__(self, config: FrameFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._origin = f"<{setup.name}>"
        self._frame = setup.gate.take_frame(config.frame, config, name=setup.name, origin=self._origin)

    def open(self, window: Window) -> None:
        """Check the rows.

        Raises:
            DataError: Naming rows, what is wrong and what to do.
        """
        self.rows = self._gate.open_rows(
            self._frame.lazy(), self._config, window, name=self._setup.name, origin=self._origin
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the columns."""
        return self._gate.digest_frame(self._frame)
