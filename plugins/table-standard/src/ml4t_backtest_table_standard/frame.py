"""The table over a frame in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from ml4t.backtest.interfaces import Setup, TableSource
from ml4t_backtest_table_standard.columns import TableConfig, rename_columns

__all__ = ["FrameTable", "FrameTableConfig"]


@dataclass(frozen=True, kw_only=True)
class FrameTableConfig(TableConfig):
    """What a table in memory takes.

    Attributes:
        frame: A polars, pandas or Arrow frame, one row per fact.
    """

    frame: object = field(repr=False)


class FrameTable(TableSource):
    """The rows of a frame, which is copied when the table is made."""

    Config = FrameTableConfig

    def __init__(self, config: FrameTableConfig, setup: Setup) -> None:
        origin, self._gate = f"<{setup.name}>", setup.gate
        self._rows = rename_columns(setup.gate.copy_frame(config.frame, origin), config.columns, origin)

    def read(self) -> pl.DataFrame:
        """Return all rows."""
        return self._rows

    def digest(self) -> str:
        """SHA-256 (hex) of the columns."""
        return self._gate.digest_frame(self._rows)
