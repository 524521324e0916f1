"""The signal source over frames in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.core.frames import Arrangement, OpenRows, SignalConfig, open_rows
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.interfaces import Setup, SignalSource, SourceSpec, Window
from ml4t_backtest_signal_frame.long import digest_frame, is_wide, long_frame, own_memory, unpivoted

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
        self._config, self._setup = config, setup
        self._origin = f"<{setup.name}>"
        self._valid_for = None if config.valid_for is None else parse_duration(config.valid_for)
        frame = long_frame(config.frame, self._origin)
        if config.symbol is None and not config.columns and is_wide(frame):
            frame = unpivoted(frame, config.values[0] if config.values else setup.name, self._origin)
            # No value is no row: a symbol without one keeps the value that is still valid.
            frame = frame.drop_nulls().drop_nans()
        found = Arrangement(frame.schema, config, self._origin)
        self._frame = own_memory(frame.select(list(dict.fromkeys(found.columns.values()))))
        self._rows: OpenRows | None = None

    @property
    def spec(self) -> SourceSpec:
        """The description of this source; valid after ``open``."""
        rows = self._opened
        return SourceSpec(
            name=self._setup.name,
            kind="signal",
            fields=rows.fields,
            rule=rows.rule,
            drives=False,
            valid_for=self._valid_for,
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
        assert self._rows is not None, "open the source first"
        return self._rows
