"""The gate that sources are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.columns import Arrangement
from ml4t_backtest_gate_standard.files import digest_files, find_files, partitions, place_in
from ml4t_backtest_gate_standard.findings.finding import frame_of
from ml4t_backtest_gate_standard.findings.judge import Judge
from ml4t_backtest_gate_standard.findings.rules import read_severities
from ml4t_backtest_gate_standard.frames import copy_frame, digest_frame, take_frame
from ml4t_backtest_gate_standard.rows import open_rows

if TYPE_CHECKING:
    from ml4t.backtest.core.sessions import SessionTable
    from ml4t.backtest.interfaces import FeedConfig, Gate, SignalConfig, Window
    from ml4t.backtest.interfaces.gate import Location, Place
    from ml4t_backtest_gate_standard.rows import OpenRows
    from ml4t_backtest_gate_standard.streamed import StreamedRows

__all__ = ["StandardGate"]


class StandardGate:
    """Columns mapped by name, every row checked, stamps settled, rows in time order.

    Args:
        settings: The table ``[gate]`` of a run file: rule -> severity.
        survey: Whether to keep all findings rather than to refuse rows.

    Raises:
        RunFileError: The settings name unknown rules or severities.
    """

    def __init__(self, settings: Mapping[str, object] | None = None, *, survey: bool = False) -> None:
        self._judge = Judge(read_severities(settings or {}), survey)

    arrange = staticmethod(Arrangement)
    copy_frame = staticmethod(copy_frame)
    digest_frame = staticmethod(digest_frame)
    find_files = staticmethod(find_files)
    partitions = staticmethod(partitions)
    place_in = staticmethod(place_in)
    digest_files = staticmethod(digest_files)

    def open_rows(
        self,
        source: pl.LazyFrame,
        config: FeedConfig | SignalConfig,
        window: Window,
        *,
        name: str,
        origin: str,
        place: Place | None = None,
        files: Sequence[Location] = (),
        stream: bool | None = None,
    ) -> OpenRows | StreamedRows:
        """Map the columns of an input, check every row and put rows in time order; see the protocol."""
        try:
            return open_rows(
                source,
                config,
                window,
                name=name,
                origin=origin,
                place=place,
                files=files,
                stream=stream,
                judge=self._judge,
            )
        except DataError as error:
            self._judge.refused(error.problems, name, origin)
            raise

    def take_frame(self, frame: object, config: FeedConfig | SignalConfig, *, name: str, origin: str) -> pl.DataFrame:
        """Copy the needed columns of a frame; see the protocol. A survey copies one without them, too, and goes on."""
        try:
            return take_frame(frame, config, name=name, origin=origin)
        except DataError:
            if self._judge.survey:
                return copy_frame(frame, origin)
            raise

    def findings(
        self,
        sessions: Mapping[str, SessionTable],
        actions: pl.DataFrame,
        refused: Mapping[str, Sequence[str]],
    ) -> pl.DataFrame:
        """Return what was found in the sources opened so far; see the protocol."""
        for name, problems in refused.items():
            self._judge.refused(problems, name, name)
        if self._judge.survey:
            from ml4t_backtest_gate_standard.findings.survey import survey

            survey(self._judge, sessions, actions)
        return frame_of(self._judge.all_findings())


if TYPE_CHECKING:
    _keeps_the_contract: Gate = StandardGate()
