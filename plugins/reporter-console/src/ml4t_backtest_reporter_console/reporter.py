"""Progress on standard error while the run goes on, header and summary on standard output."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml4t.backtest.interfaces import Progress, Reporter, Setup
from ml4t_backtest_reporter_console.progress import bar, line
from ml4t_backtest_reporter_console.summary import printable, summary

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.result import Result

__all__ = ["ConsoleReporter", "ConsoleReporterConfig"]

_ERASE = "\r\x1b[K"


@dataclass(frozen=True, kw_only=True)
class ConsoleReporterConfig:
    """What is shown.

    Attributes:
        progress: ``bar`` redraws one line, ``lines`` writes a line now and then, ``none`` is silent; ``auto``
            is a bar on a terminal and lines elsewhere.
        interval: Least time between two plain lines of progress, seconds.
        header: Whether the rules in force are shown before the run.
        summary: Whether the figures are shown after the run.
    """

    progress: Literal["auto", "bar", "lines", "none"] = "auto"
    interval: float = 5.0
    header: bool = True
    summary: bool = True


class ConsoleReporter(Reporter):
    """Writes for a person: what is run under which rules, how far it is, and what came of it.

    Args:
        config: What is shown.
        setup: Not used.
    """

    Config = ConsoleReporterConfig

    def __init__(self, config: ConsoleReporterConfig, setup: Setup) -> None:
        self._config = config
        self._drawn = False
        self._last = 0.0

    def started(self, header: tuple[str, ...], out: Path | None) -> None:
        """Show the header."""
        if self._config.header:
            print(*(_loud(printable(text)) for text in header), "", sep="\n", flush=True)

    def progress(self, progress: Progress) -> None:
        """Redraw the bar, or write a line when the last one is long enough ago."""
        style = self._config.progress
        if style == "bar" or (style == "auto" and sys.stderr.isatty()):
            self._drawn = True
            print(
                _ERASE + bar(progress, shutil.get_terminal_size().columns),
                end="",
                file=sys.stderr,
                flush=True,
            )
        elif style != "none" and progress.elapsed - self._last >= self._config.interval:
            self._last = progress.elapsed
            print(line(progress), file=sys.stderr, flush=True)

    def finished(self, result: Result, out: Path | None) -> None:
        """Show the summary; the folder is named where one was written."""
        if self._drawn:
            print(_ERASE, end="", file=sys.stderr, flush=True)
        if self._config.summary:
            print(*(_loud(text) for text in summary(result, out)), sep="\n", flush=True)


def _loud(text: str) -> str:
    """Make a line bold on a terminal when nobody should overlook it."""
    alarming = text.startswith(("flag", "the run ")) or "no costs" in text or text == "costs: none"
    if alarming and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\x1b[1m{text}\x1b[0m"
    return text
