"""The signal source over frames in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml4t.backtest.interfaces import CheckedSource, Setup, SignalConfig, SignalSource, Window

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


class FrameSignalSource(CheckedSource, SignalSource):
    """Predictions and other values of a frame, which is copied when the source is made."""

    Config = FrameSignalConfig

    def __init__(self, config: FrameSignalConfig, setup: Setup) -> None:
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
