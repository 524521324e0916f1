"""What a run produced."""

from __future__ import annotations

import difflib
import html
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ml4t.backtest.errors import DataError
from ml4t.backtest.state import REASONS, REFUSED
from ml4t_backtest_engine_standard.result import frames, hashes
from ml4t_backtest_engine_standard.result.fates import FATES

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.interfaces.portfolio import Portfolio
    from ml4t.backtest.state import RunState
    from ml4t_backtest_engine_standard.result.journal import Journal

__all__ = ["Result"]

Made = TypeVar("Made")


def _kept(make: Callable[[Any], Made]) -> Callable[[Any], Made]:
    """Keep what is made at the first call; a ``cached_property`` would not be the property of the contract."""

    @wraps(make)
    def get(result: Any) -> Made:
        if make.__name__ not in result._made:
            result._made[make.__name__] = make(result)
        made: Made = result._made[make.__name__]
        return made

    return get


@dataclass(kw_only=True, eq=False, repr=False)
class Result:
    """Frames, figures and fingerprints of one run; each is made when first asked for, and kept.

    Args:
        state: The run's columns.
        journal: Its diary.
        portfolio: Its accounting, for round trips and metrics.
        name: Name of the run.
        status: ``done``, ``failed`` or ``interrupted``.
        error: What ended the run, with its notes; empty when it ended well.
        flags: Sentences that nobody who sees the figures may miss, such as ``fills at the same close``.
        notes: Findings in the input that did not stop the run, as sentences.
        findings: Those of the gate among them, one row each.
        header: Lines of the run's header.
        counts: Rows by what became of them: ``rows`` released in all; of signals ``late`` and ``unknown``.
        elapsed: Seconds from the first instant to the last.
        currency: The base currency.
        book_states: Columns of each book, where there are several strategies.
        golden: File with the expected output of the scenario that was run, if one was.
        origin: What the engine knows of the run's making, for the manifest: ``run`` (the settings), ``seed``,
            ``distributions`` (name -> version of each one used), ``inputs`` (source -> SHA-256).
    """

    state: RunState
    journal: Journal
    portfolio: Portfolio
    name: str = "run"
    status: str = "done"
    error: str = ""
    flags: Sequence[str] = ()
    notes: Sequence[str] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    header: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    elapsed: float = 0.0
    currency: str = "USD"
    golden: Path | None = None
    book_states: Sequence[RunState] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    _made: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    @_kept
    def fills(self) -> pl.DataFrame:
        """Fills in the order in which they were made."""
        return frames.with_book(frames.fills(self.state, self.currency), self.state, self.journal.books)

    @property
    @_kept
    def orders(self) -> pl.DataFrame:
        """Every transition of every order."""
        made = frames.orders(self.state, self.journal.request_rows)
        return frames.with_book(made, self.state, self.journal.books)

    @property
    @_kept
    def ledger(self) -> pl.DataFrame:
        """Every cash movement."""
        return frames.ledger(self.state, self.currency)

    @property
    @_kept
    def equity(self) -> pl.DataFrame:
        """Cash, equity, exposures and profit per session close."""
        return frames.equity(self.state)

    @property
    @_kept
    def books(self) -> pl.DataFrame:
        """Cash, equity, exposures and profit of each of several strategies per session close."""
        return frames.books(self.book_states, self.journal.books)

    @property
    @_kept
    def trades(self) -> pl.DataFrame:
        """Round trips (first in, first out), open ones included."""
        return self.portfolio.trades()

    @property
    @_kept
    def positions(self) -> pl.DataFrame:
        """Positions held at each session close."""
        return self.journal.positions()

    @property
    @_kept
    def targets(self) -> pl.DataFrame:
        """What vector decisions asked for and the orders that came of it."""
        return self.journal.targets()

    @property
    @_kept
    def signals(self) -> pl.DataFrame:
        """What was known from signal sources, and its fate."""
        return self.journal.signals()

    @property
    @_kept
    def signal_counts(self) -> Mapping[str, Mapping[str, int]]:
        """Rows of each signal source, by its name: ``rows`` of all, and how many had each fate."""
        frame, counts = self.signals, dict[str, dict[str, int]]()
        for name in self.journal.signal_fields:
            fates = frame.filter(frame["source"] == name)["fate"]
            counts[name] = {"rows": len(fates), **{fate: int((fates == fate).sum()) for fate in FATES}}
        return counts

    @property
    @_kept
    def records(self) -> pl.DataFrame:
        """Values that the strategy recorded."""
        return self.journal.records()

    @property
    @_kept
    def metrics(self) -> Mapping[str, float]:
        """Figures of the run; returns are fractions."""
        return self.portfolio.metrics()

    @property
    @_kept
    def decision_hash(self) -> str:
        """SHA-256 of what was decided; equal runs have equal ones."""
        return hashes.decision_hash(self.state, self.journal.request_rows)

    @property
    @_kept
    def result_hash(self) -> str:
        """SHA-256 of decisions, fills, ledger and equity."""
        return hashes.result_hash(self.state, self.journal.request_rows)

    @property
    @_kept
    def refusals(self) -> Mapping[str, int]:
        """Number of refused orders by reason."""
        events = self.state.order_events.rows()
        reasons = np.unique_counts(events["reason"][events["status"] == REFUSED])
        return {REASONS[i]: int(n) for i, n in zip(reasons.values, reasons.counts, strict=True)}

    @property
    def final_equity(self) -> float:
        """Cash plus marked positions at the end, in base currency."""
        return self.portfolio.equity()

    @property
    @_kept
    def manifest(self) -> Mapping[str, Any]:
        """How the run ended, what it was made of and its fingerprints; plain values, secrets left out."""
        ending = {"schema": 1, "name": self.name, "status": self.status, "error": self.error}
        findings = {"flags": self.flags, "notes": self.notes, "findings": self.findings, "counts": self.counts}
        findings["signals"] = self.signal_counts
        fingerprints = {"decision_hash": self.decision_hash, "result_hash": self.result_hash}
        return {**ending, **_plain({**self.origin, **findings, "platform": _platform()}), **fingerprints}

    def golden_lines(self) -> list[str]:
        """Return the run as text to be compared: fills, then equity; 12 significant digits."""
        fills = self.fills.select("timestamp", "symbol", "quantity", "price", "commission").iter_rows()
        lines = [f"fill {at:%FT%T} {symbol} {q:.12g} {p:.12g} {c:.12g}" for at, symbol, q, p, c in fills]
        rows = self.equity.select("session", "equity").iter_rows()
        return lines + [f"equity {session} {value:.12g}" for session, value in rows]

    def matches_golden_output(self, path: str | Path | None = None) -> bool:
        """Compare the run with a file of expected lines, those of ``golden_lines``.

        Args:
            path: The file; by default that of the scenario that was run.

        Returns:
            True when they agree.

        Raises:
            AssertionError: They do not; the message is the difference.
            DataError: There is no such file.
        """
        golden = self.golden if path is None else Path(path)
        if golden is None or not golden.is_file():
            where = "no scenario was run" if golden is None else f"{golden} does not exist"
            raise DataError(f"there is no expected output to compare with: {where}; pass path= of an existing file")
        expected = golden.read_text(encoding="utf-8").splitlines()
        actual = self.golden_lines()
        difference = list(difflib.unified_diff(expected, actual, str(golden), "this run", n=1, lineterm=""))
        if difference:
            raise AssertionError("\n".join(["the run differs from the expected output:", *difference[:60]]))
        return True

    def __repr__(self) -> str:
        figures = f"{self.state.fills.count:,} fills, final equity {self.final_equity:,.2f} {self.currency}"
        return f"<Result {self.name!r} {self.status}: {figures}>"

    def _repr_html_(self) -> str:
        rows = [("status", self.status), ("final equity", f"{self.final_equity:,.2f} {self.currency}")]
        rows += [(name.replace("_", " "), f"{value:,.6g}") for name, value in self.metrics.items()]
        rows += [("flag", flag) for flag in self.flags]
        cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table><caption>{html.escape(self.name)}</caption>{cells}</table>"


def _plain(value: object, key: str = "") -> Any:
    """Return what JSON can hold; values of keys that sound secret are starred out."""
    if re.search("key|token|password|secret", key, re.IGNORECASE):
        return "***"
    if isinstance(value, Mapping):
        return {str(name): _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _platform() -> dict[str, str]:
    """Return what bits may depend on: hashes are promised for one platform."""
    facts = {"system": f"{platform.system()} {platform.release()}", "python": platform.python_version()}
    facts |= {"c_library": " ".join(platform.libc_ver()), "cpu": platform.processor() or platform.machine()}
    return facts | {name: version(name) for name in ("numpy", "numba", "polars") if find_spec(name)}
