"""The signal source over frames in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.interfaces import OpenRows, Setup, SignalConfig, SignalSource, SourceSpec, Window

__all__ = ["FrameSignalConfig", "FrameSignalSource"]


@dataclass(frozen=True, kw_only=True)
class FrameSignalConfig(SignalConfig):
    """What a signal source of frames takes, beside the settings of every signal source that reads columns.

    Attributes:
        frame: A polars, pandas or Arrow frame, long; or a mapping of signal to wide frame, each with stamps
            in a column (in pandas, the index) and one column per symbol; or one wide frame, whose signal is
            then called as ``values`` says, or as the source is.
    """

    frame: object = field(repr=False)


class FrameSignalSource(SignalSource):
    """Predictions and other values of a frame, which is copied when the source is made."""

    Config = FrameSignalConfig

    def __init__(self, config: FrameSignalConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        self._origin = f"<{setup.name}>"
        self._frame = setup.gate.take_frame(config.frame, config, name=setup.name, origin=self._origin)
        self._rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""
        return self._opened.spec

    def open(self, window: Window) -> None:
        """Check the rows.

        Raises:
            DataError: Naming rows, what is wrong and what to do.
        """
        self._rows = self._gate.open_rows(
            self._frame.lazy(), self._config, window, name=self._setup.name, origin=self._origin
        )

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in time order."""
        return self._opened.batches()

    def digest(self) -> str:
        """SHA-256 (hex) of the columns."""
        return self._gate.digest_frame(self._frame)

    def notes(self) -> tuple[str, ...]:
        """Findings that do not stop a run, one sentence each."""
        return self._opened.notes

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = None

    @property
    def _opened(self) -> OpenRows:
        assert self._rows is not None, "open the source first"
        return self._rows
