"""What a run leaves behind."""

# The body of a protocol's method is its docstring.
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.state import RunState

__all__ = ["Result"]


class Result(Protocol):
    """Frames, figures and fingerprints of one run.

    Attributes:
        state: The run's columns.
        name: Name of the run.
        status: ``done``, ``failed`` or ``interrupted``.
        error: What ended the run, with its notes; empty when it ended well.
        flags: Sentences that nobody who sees the figures may miss, such as ``fills at the same close``.
        notes: Findings in the input that did not stop the run.
        header: Lines of the run's header.
        counts: Rows by what became of them: ``rows`` released in all; of signals ``late`` and ``unknown``.
        elapsed: Seconds from the first instant to the last.
        currency: The base currency.
    """

    state: RunState
    name: str
    status: str
    error: str
    flags: Sequence[str]
    notes: Sequence[str]
    header: Sequence[str]
    counts: Mapping[str, int]
    elapsed: float
    currency: str

    @property
    def fills(self) -> pl.DataFrame:
        """Fills in the order in which they were made."""

    @property
    def orders(self) -> pl.DataFrame:
        """Every transition of every order."""

    @property
    def ledger(self) -> pl.DataFrame:
        """Every cash movement."""

    @property
    def equity(self) -> pl.DataFrame:
        """Cash, equity, exposures and profit per session close."""

    @property
    def trades(self) -> pl.DataFrame:
        """Round trips (first in, first out), open ones included."""

    @property
    def positions(self) -> pl.DataFrame:
        """Positions held at each session close."""

    @property
    def targets(self) -> pl.DataFrame:
        """What vector decisions asked for and the orders that came of it."""

    @property
    def signals(self) -> pl.DataFrame:
        """What was known from signal sources, and its fate."""

    @property
    def records(self) -> pl.DataFrame:
        """Values that the strategy recorded."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the run; returns are fractions."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """Number of refused orders by reason."""

    @property
    def final_equity(self) -> float:
        """Cash plus marked positions at the end, in base currency."""

    @property
    def decision_hash(self) -> str:
        """SHA-256 of what was decided; equal runs have equal ones."""

    @property
    def result_hash(self) -> str:
        """SHA-256 of decisions, fills, ledger and equity."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """How the run ended, what it was made of and its fingerprints; plain values, secrets left out."""

    def golden_lines(self) -> list[str]:
        """Return the run as text to be compared: fills, then equity; 12 significant digits."""

    def matches_golden_output(self, path: str | Path | None = None) -> bool:
        """Compare the run with a file of ``golden_lines`` (default: the scenario's); AssertionError if they differ."""
