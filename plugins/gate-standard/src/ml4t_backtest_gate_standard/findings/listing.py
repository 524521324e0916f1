"""Rules about which symbols there are, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["changing_symbols", "missing_symbols", "span_of", "unknown_symbols"]

_SESSIONS = 5  # that a symbol may begin later, or end earlier, than its source
_NAMED = 3


def span_of(view: View) -> pl.DataFrame:
    """Return when each symbol has its first and its last row: ``symbol`` (String), ``first`` and ``last`` (Date)."""
    spans = view.rows.group_by("symbol", maintain_order=True).agg(first=pl.col("day").min(), last=pl.col("day").max())
    return spans.with_columns(pl.col("symbol").cast(pl.String))


def changing_symbols(spans: pl.DataFrame, expected: pl.Series) -> Iterator[Finding]:
    """Find symbols that begin later, or end earlier, than their source.

    Args:
        spans: As ``span_of`` returns them, of all symbols of a source.
        expected: Days (Date) on which the source has rows, or should have.
    """
    days = expected.to_physical().to_numpy()
    first, last = (np.searchsorted(days, spans[name].to_physical().to_numpy()) for name in ("first", "last"))
    if not len(first):
        return
    cases = (
        ("symbols-appear", first - first.min() > _SESSIONS, "first", "begin more than 5 sessions after their source"),
        ("symbols-vanish", last.max() - last > _SESSIONS, "last", "end more than 5 sessions before their source"),
    )
    for rule, mask, name, what in cases:
        if mask.any():
            found = spans.filter(pl.Series(mask)).sort(name, descending=name == "first")
            rows = tuple(f"{symbol}: {day}" for symbol, day in found.select("symbol", name).head(_NAMED).iter_rows())
            remedy = "right for listings and delistings: tell the run of delistings by [[actions]]"
            yield Finding(
                rule=rule,
                what=f"symbols {what}",
                remedy=remedy,
                count=found.height,
                symbol=found["symbol"][0],
                rows=rows,
            )


def unknown_symbols(signals: Collection[str], market: Collection[str]) -> Iterator[Finding]:
    """Find symbols that signals are about and no feed has."""
    if strange := sorted(set(signals) - set(market)):
        what = f"signals are about symbols that no feed has: {', '.join(strange[:_NAMED])}"
        what += f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        remedy = "add their prices, or correct the names; nothing can be traded on them"
        yield Finding(rule="unknown-symbols", what=what, remedy=remedy, count=len(strange), symbol=strange[0])


def missing_symbols(wanted: Collection[str], there: Collection[str]) -> Iterator[Finding]:
    """Find symbols that the settings of a source ask for and of which it has no row."""
    if missing := sorted(set(wanted) - set(there)):
        what = f"settings ask for symbols without a row: {', '.join(missing[:_NAMED])}"
        what += f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        remedy = "correct the names in symbols, or start and end"
        yield Finding(rule="unknown-symbols", what=what, remedy=remedy, count=len(missing), symbol=missing[0])
