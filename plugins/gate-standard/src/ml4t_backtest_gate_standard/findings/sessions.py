"""Rules that take the calendar: sessions without rows, rows without session, bars stamped at the wrong end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.rows import View

__all__ = ["gaps", "missing_sessions", "outside_sessions"]

_NAMED = 3


def missing_sessions(view: View) -> Iterator[Finding]:
    """Find sessions between the first and the last row of a symbol in which it has none."""
    inside = view.rows.filter(pl.col("session") >= 0).select("symbol", "session").unique()
    if view.spec.kind == "signal" or inside.is_empty():
        return
    place = pl.Series("place", np.searchsorted(view.expected.to_numpy(), inside["session"].to_numpy()))
    by_symbol = inside.with_columns(place).sort("symbol", "place")
    step = pl.col("place") - pl.col("place").shift(1).over("symbol")
    holes = by_symbol.with_columns(lacking=step - 1).filter(pl.col("lacking") > 0)
    if holes.height:
        labels = view.sessions.label[view.expected.to_numpy()[(holes["place"] - holes["lacking"]).to_numpy()]]
        days = pl.Series(labels).cast(pl.Int32).cast(pl.Date)
        named = zip(holes["symbol"].cast(pl.String), days, holes["lacking"], strict=True)
        rows = [f"{symbol}: {lacking} from {day} on" for symbol, day, lacking in list(named)[:_NAMED]]
        what = f"symbols have no row in sessions of {view.sessions.name} between their first and their last one"
        remedy = "fill the holes from another source; or name the calendar that the rows have"
        count, symbol = int(holes["lacking"].sum()), holes["symbol"][0]
        yield Finding(rule="missing-session", what=what, remedy=remedy, count=count, symbol=symbol, rows=tuple(rows))


def outside_sessions(view: View) -> Iterator[Finding]:
    """Find rows outside of sessions, and bars that are stamped at their open though the settings say close."""
    if view.spec.kind == "signal":
        return
    outside = view.rows.filter(pl.col("session") < 0)
    if finding := _open_stamped(view):
        yield finding
        outside = outside.filter(~pl.col("end").is_in(_opens(view).to_list()))
    labels = pl.Series(view.sessions.label).cast(pl.Int32).cast(pl.Date)
    holiday = outside.filter(~pl.col("day").is_in(labels.to_list()))
    if holiday.height:
        what = f"rows lie on days without a session of {view.sessions.name}"
        remedy = 'leave them out (outside_sessions = "drop"), or name the calendar that the rows have'
        yield _finding("holiday-rows", view, holiday, what, remedy)
    early = outside.filter(pl.col("day").is_in(labels.to_list()))
    if early.height:
        what = f"rows lie outside the sessions of {view.sessions.name} on days that have one"
        remedy = 'leave them out (outside_sessions = "drop"), or correct their zone'
        yield _finding("outside-session", view, early, what, remedy)


def gaps(view: View) -> Iterator[Finding]:
    """Count bars that are missing between two bars of one session."""
    period = view.spec.rule.period_ns
    if view.spec.kind != "bar" or not view.intraday or not period:
        return
    before = view.rows.select("#", "symbol", "start", "end", "day", "session").with_columns(
        since=pl.col("end").shift(1).over("symbol"), same=pl.col("session") == pl.col("session").shift(1).over("symbol")
    )
    pauses, ends = (
        np.append(view.sessions.data[name], 0)[before["session"].to_numpy()] for name in ("break_start", "break_end")
    )
    resting = np.minimum(before["start"].to_numpy(), ends) - np.maximum(before["since"].fill_null(0).to_numpy(), pauses)
    rest = pl.Series(np.where(pauses > 0, np.maximum(resting, 0), 0))
    found = before.with_columns(lacking=(pl.col("start") - pl.col("since") - rest) // period).filter(
        (pl.col("session") >= 0) & pl.col("same") & (pl.col("lacking") > 0)
    )
    if found.height:
        finding = _finding(
            "gaps",
            view,
            found.sort("lacking", descending=True),
            "bars are missing before these, within sessions",
            "where nothing was traded that is right; else fill them from another source",
        )
        finding.count = int(found["lacking"].sum())
        yield finding


def _open_stamped(view: View) -> Finding | None:
    """Find bars said to be stamped at their close of which one ends when most sessions open, and none at the close."""
    if view.spec.rule.convention != "close" or view.spec.kind != "bar":
        return None
    opens = _opens(view)
    first = view.rows.filter(pl.col("end").is_in(opens.to_list()))
    rows = np.searchsorted(view.sessions.close, view.rows["end"].to_numpy())
    seen = np.unique(rows)
    at_close = np.isin(view.sessions.close[seen[seen < len(view.sessions)]], view.rows["end"].to_numpy())
    at_open = first["end"].n_unique()
    if at_open * 2 <= len(seen) or int(at_close.sum()) * 2 >= len(seen):
        return None
    what = "the first bar of most sessions is stamped at the open, though stamps are said to be closes"
    remedy = 'write stamp = "open": as it is, every bar is known one bar before it ends'
    return _finding("open-stamped", view, first, what, remedy)


def _opens(view: View) -> pl.Series:
    """Return opens at which no other session closes, of the stretch that the rows span."""
    opens, closes = view.sessions.open, view.sessions.close
    apart = np.append(True, opens[1:] > closes[:-1])
    ends = view.rows["end"].to_numpy()
    first, last = ends.min(initial=np.iinfo(np.int64).max), ends.max(initial=0)
    return pl.Series(opens[apart & (opens >= first) & (opens <= last)])


def _finding(rule: str, view: View, found: pl.DataFrame, what: str, remedy: str) -> Finding:
    symbol = found["symbol"][0]
    return Finding(rule=rule, what=what, remedy=remedy, count=found.height, symbol=symbol, rows=view.places(found))
