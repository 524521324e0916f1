"""One finding, and findings as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import polars as pl

from ml4t_backtest_gate_standard.findings.rules import Severity

__all__ = ["SCHEMA", "Finding", "frame_of"]

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "rule": pl.String,
    "severity": pl.Enum(["error", "warning", "note"]),
    "source": pl.String,
    "file": pl.String,
    "symbol": pl.String,
    "count": pl.Int64,
    "rows": pl.List(pl.String),
    "what": pl.String,
    "remedy": pl.String,
}


@dataclass(slots=True, kw_only=True)
class Finding:
    """What a rule found in one source.

    Attributes:
        rule: One of ``RULES``.
        severity: ``error``, ``warning`` or ``note``; ``ignore`` is never shown.
        source: Name of the source in the run.
        file: File, glob or frame.
        symbol: Symbol of the first row; None where it is about none.
        count: How many rows, or whatever ``what`` counts.
        rows: The first few, as ``file row n (symbol, stamp)``.
        what: What is wrong.
        remedy: What to do.
    """

    rule: str
    what: str
    remedy: str
    count: int = 1
    symbol: str | None = None
    rows: tuple[str, ...] = ()
    severity: Severity = "note"
    source: str = ""
    file: str = ""


def frame_of(findings: Iterable[Finding]) -> pl.DataFrame:
    """Return findings as a frame with ``SCHEMA``: errors first, then warnings, then notes; ignored ones left out."""
    rows = [asdict(finding) for finding in findings if finding.severity != "ignore"]
    columns = {name: [row[name] for row in rows] for name in SCHEMA}
    columns["rows"] = [list(each) for each in columns["rows"]]
    return pl.DataFrame(columns, schema=SCHEMA).sort("severity", maintain_order=True)
