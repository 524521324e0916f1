"""All rules over all sources that were opened: what ``check`` adds to the checks of single rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.findings import listing, order, sessions, signals, splits, values
from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.judge import Judge, Looked
from ml4t_backtest_gate_standard.findings.rows import View, views

__all__ = ["survey"]

_NAMED = 3
_PRICES = 5_000_000  # closes that signals are compared with


def survey(judge: Judge, calendars: Mapping[str, SessionTable], actions: pl.DataFrame) -> None:
    """Look closer at every source and tell the judge what was found.

    Args:
        judge: Holds the sources, and is told.
        calendars: Sessions by the name of their calendar, as sources give it; ``""`` for those of the run.
        actions: Columns ``symbol``, ``kind`` and ``ex_date`` (Date).
    """
    market: set[str] = set()
    prices: list[pl.DataFrame] = []
    for looked in judge.looked:
        for finding in order.mixed_zones(looked):
            judge.findings[:] = [each for each in judge.findings if not _unclear(each, looked)]
            judge.add(finding, looked.name, looked.origin)
    settled = [looked for looked in judge.looked if looked.spec is not None]
    for looked in sorted(settled, key=lambda looked: looked.spec is not None and looked.spec.kind == "signal"):
        spec, found = looked.spec, dict[tuple[str, str], Finding]()
        spans, days = [], pl.Series(dtype=pl.Date)
        try:
            for view in views(looked, calendars.get(spec.rule.calendar if spec else "", calendars[""])):
                spans.append(listing.span_of(view))
                days = _days(view)
                for finding in _rules(view, actions, prices):
                    _merge(found, finding)
                if spec and spec.kind == "bar" and sum(part.height for part in prices) < _PRICES:
                    prices.append(view.rows.select(pl.col("symbol").cast(pl.String), "end", "close"))
        except DataError as error:
            judge.refused(error.problems, looked.name, looked.origin)
            continue
        if not spans:
            continue
        together = pl.concat(spans)
        names = together["symbol"].to_list()
        if spec and spec.kind == "signal":
            last = listing.unknown_symbols(names, market or names)  # none where feeds bring rows of their own
        else:
            market |= set(names)
            last = listing.changing_symbols(together, days)
        for finding in (*last, *listing.missing_symbols(looked.symbols, names)):
            _merge(found, finding)
        for finding in found.values():
            judge.add(finding, looked.name, looked.origin)


def _rules(view: View, actions: pl.DataFrame, prices: list[pl.DataFrame]) -> Iterator[Finding]:
    yield from values.zero_volume(view)
    yield from values.stale_prices(view)
    yield from values.early_rows(view)
    yield from sessions.missing_sessions(view)
    yield from sessions.outside_sessions(view)
    yield from sessions.gaps(view)
    yield from splits.unadjusted_splits(view, actions)
    if view.spec.kind == "signal" and prices:
        yield from signals.signal_leaks(view, pl.concat(prices))


def _unclear(finding: Finding, looked: Looked) -> bool:
    """Say whether a finding is only what follows from stamps in several zones."""
    return finding.source == looked.name and finding.rule in ("unclear-stamps", "naive-stamps")


def _merge(found: dict[tuple[str, str], Finding], finding: Finding) -> None:
    """Add a finding to one of the same kind about other symbols."""
    first = found.setdefault((finding.rule, finding.what), finding)
    if first is not finding:
        first.count += finding.count
        first.rows = (first.rows + finding.rows)[:_NAMED]


def _days(view: View) -> pl.Series:
    """Return the days of the sessions that are expected."""
    labels = np.append(view.sessions.label, 0)[view.expected.to_numpy()]
    return pl.Series(labels).cast(pl.Int32).cast(pl.Date)
