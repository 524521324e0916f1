"""Every error this project raises, in one tree.

    BacktestError
    ├── InputError                 what the user gave is wrong: exit code 2, nothing has run
    │   ├── RunFileError           keys, values and types of a run file or of keyword arguments
    │   ├── DataError              files, frames and their rows
    │   └── PluginError            a plugin is missing, broken, refused or ambiguous
    │       └── UnknownComponent   nobody offers a component of that kind and name
    ├── RunError                   a run could not go on: exit code 1
    │   ├── LookAheadError         something asked for more than was known or declared
    │   ├── OrderError             a request that no broker could make sense of
    │   └── SnapshotError          a snapshot is torn, foreign or does not fit this run
    └── RunInterrupted             the user stopped the run: exit code 130

A component's own exception keeps its type; the engine adds a note (PEP 678) that names the
component, its distribution and version, the event class and the timestamp.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BacktestError", "DataError", "InputError", "LookAheadError", "OrderError", "PluginError", "RunError",
    "RunFileError", "RunInterrupted", "SnapshotError", "UnknownComponent",
]  # fmt: skip


class BacktestError(Exception):
    """Root of every error raised by the kernel and the first-party plugins."""


class InputError(BacktestError):
    """What the user gave is wrong; raised before the run, with nothing half-written.

    Args:
        *problems: One complete sentence per problem: what is wrong, where, and what to do.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: Sequence[str] = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class RunFileError(InputError):
    """A run file or the engine's keyword arguments do not validate."""


class DataError(InputError):
    """A file or frame, or rows in it, cannot be used."""


class PluginError(InputError):
    """A plugin is missing, broken, refused or ambiguous."""


class UnknownComponent(PluginError):
    """No installed plugin offers a component of that kind and name."""


class RunError(BacktestError):
    """A run that had begun could not go on."""


class LookAheadError(RunError):
    """More was asked for than was known or declared at that instant."""


class OrderError(RunError):
    """A request from a strategy was malformed (wrong length, infinite, unknown symbol)."""


class SnapshotError(RunError):
    """A snapshot is torn, was made by another version, or does not fit this run."""


class RunInterrupted(BacktestError):
    """The user stopped the run between two instants."""
