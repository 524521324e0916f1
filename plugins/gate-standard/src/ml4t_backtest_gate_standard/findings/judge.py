"""What a gate keeps while the sources of a run are opened: severities, what was found, and where to look closer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rules import Severity, read_severities

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import SourceSpec
    from ml4t_backtest_gate_standard.checks import RowGate

__all__ = ["Judge", "Looked"]

# Which rule a source breaks that cannot be opened, by what the error says.
_FATAL = {
    r"no rows": "unreadable",
    r"trained_through": "known-too-early",
    r"cannot be read.*(?i:time.?zone|offset)": "mixed-zones",
    r"cannot be read": "unreadable",
    r"\n    timezone = ": "naive-stamps",
    r"not said when its rows are known|session labels|is no time zone|stamps are ": "unclear-stamps",
    r"no column|is no column": "missing-column",
}


@dataclass(eq=False)
class Looked:
    """One source that was opened.

    Attributes:
        name: Its name in the run.
        origin: File or frame, for messages.
        source: The input as it is.
        plan: Its rows in canonical columns, as a query, in the order of the input.
        place: Names a row of ``plan`` by its number.
        spec: What the source says of its rows; None where it could not be settled.
        symbols: Those that the settings ask for; empty for all.
    """

    name: str
    origin: str
    source: pl.LazyFrame
    plan: pl.LazyFrame
    place: Callable[[int], str]
    spec: SourceSpec | None = None
    symbols: Sequence[str] = ()


@dataclass(eq=False)
class Judge:
    """Severities and findings of one run.

    Attributes:
        severities: Of each rule.
        survey: Whether all findings are wanted, so that rows are never refused; else only what is cheap is kept.
        findings: What was found so far.
        looked: The sources opened so far, where all findings are wanted.
        flows: What checks the rows of sources that are read while the run goes on, by their names.
    """

    severities: Mapping[str, Severity] = field(default_factory=lambda: read_severities({}))
    survey: bool = False
    findings: list[Finding] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    flows: dict[str, RowGate] = field(default_factory=dict)

    def add(self, finding: Finding, name: str, origin: str) -> None:
        """Keep a finding about a source, with the severity of its rule."""
        self.findings += self._judged([finding], name, origin)

    def follow(self, gate: RowGate, name: str) -> RowGate:
        """Keep what checks the rows of a source while they flow, and return it."""
        self.flows[name] = gate
        return gate

    def all_findings(self) -> list[Finding]:
        """Return what was found so far, in rows that flow too."""
        flowing = [self._judged(gate.found(), name, gate.origin) for name, gate in self.flows.items()]
        return [*self.findings, *(finding for found in flowing for finding in found)]

    def _judged(self, findings: Iterable[Finding], name: str, origin: str) -> list[Finding]:
        severities = ((finding, self.severities[finding.rule]) for finding in findings)
        return [
            replace(finding, severity=severity, source=name, file=origin)
            for finding, severity in severities
            if severity != "ignore"
        ]

    def refused(self, problems: Sequence[str], name: str, origin: str) -> None:
        """Keep why a source could not be opened, unless its rows say so already."""
        if any(finding.source == name and finding.severity == "error" for finding in self.findings):
            return
        for problem in problems:
            rule = next((rule for pattern, rule in _FATAL.items() if re.search(pattern, problem)), "unreadable")
            what, _, remedy = problem.removeprefix(f"{origin}: ").partition("; ")
            self.add(Finding(rule=rule, what=what, remedy=remedy), name, origin)
