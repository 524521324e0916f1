"""What plugins see of the engine: a component of its own, of kind ``engine``."""

# The body of a protocol's method is its docstring.
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.core.bus import EventBus
    from ml4t.backtest.interfaces.result import Result

__all__ = ["Engine", "RunFile"]


@dataclass(frozen=True)
class RunFile:
    """Settings of a run, overrides applied.

    Attributes:
        path: Where it was read from; None where the settings were given in Python.
        base_dir: Folder that relative paths and local modules are looked up in.
        settings: Top-level key -> value; keys that take several tables hold lists of tables.
    """

    path: Path | None
    base_dir: Path
    settings: dict[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Assembles a run, drives its instants, and hands back a result.

    Attributes:
        bus: The run's event bus.
        run_file: The settings.
    """

    bus: EventBus
    run_file: RunFile

    @staticmethod
    def read(path: Path | str, overrides: Sequence[str] = ()) -> RunFile:
        """Read a run file; ``overrides`` are ``dotted.key=value`` texts."""

    @classmethod
    def from_file(cls, path: Path | str, overrides: Sequence[str] = ()) -> Engine:
        """Make an engine from a run file."""

    @property
    def result(self) -> Result | None:
        """What the last run produced, also after an error."""

    @property
    def header(self) -> tuple[str, ...]:
        """What this run assumes, in lines."""

    def check(self) -> pl.DataFrame:
        """Return all that is wrong with the data of this run, one row per finding, without running it."""

    def steps(self) -> Iterator[datetime]:
        """Yield after each instant; ``result`` is set when the iterator is done or closed."""

    def run(self, out: Path | str | None = None, *, resume: Path | str | None = None) -> Result:
        """Run to the end; ``out`` is the folder of reporters that write, ``resume`` a snapshot to go on from."""

    def snapshot(self, path: Path | str) -> None:
        """Write all that is needed to go on from here; call it between two ``steps``."""
