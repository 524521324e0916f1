"""What came of a run, for a person to read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ml4t_backtest_reporter_console.progress import duration

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.interfaces.result import Result

__all__ = ["drawdown_dates", "printable", "summary"]

_FATES = ("traded", "refused", "late", "stale", "unknown-symbol", "unused")
_ENDINGS = {"failed": "the run failed", "interrupted": "the run was interrupted"}


def summary(result: Result, out: Path | None = None) -> list[str]:
    """Return the lines of the summary.

    Args:
        result: Of a run that ended well, failed or was interrupted.
        out: The run folder, if one was written.
    """
    lines = []
    if result.status != "done":
        lines.append(f"{_ENDINGS.get(result.status, result.status)}; the figures are those up to there")
    if result.status == "interrupted":  # the error of a failed run was raised, and is told by who caught it
        lines += [f"  {text}" for text in printable(result.error).splitlines()]
    lines += [f"{label:<18}{text}" for label, text in _figures(result)]
    lines += [f"{'flag':<18}{printable(flag)}" for flag in result.flags]
    lines += [f"{'note':<18}{printable(note)}" for note in result.notes]
    lines.append(f"{'decision hash':<18}{result.decision_hash}")
    lines.append(f"{'result hash':<18}{result.result_hash}")
    if out is not None:
        lines.append(f"{'run folder':<18}{printable(str(out))}")
    return lines


def printable(text: str) -> str:
    """Return a text from outside without control characters, which could command a terminal."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "?", text)


def drawdown_dates(equity: pl.DataFrame) -> tuple[str, str] | None:
    """Return the sessions of the peak before the deepest fall and of its low, or None without a fall."""
    values, sessions = equity["equity"].to_list(), equity["session"].to_list()
    peak, deepest, dates = -math.inf, 0.0, None
    top = None
    for value, session in zip(values, sessions, strict=True):
        if value > peak:
            peak, top = value, session
        if peak > 0 and value / peak - 1 < deepest:
            deepest, dates = value / peak - 1, (str(top), str(session))
    return dates


def _figures(result: Result) -> Iterator[tuple[str, str]]:
    metrics, currency = result.metrics, result.currency
    yield "final equity", f"{result.final_equity:,.2f} {currency}"
    yield from _returns(metrics)
    dates = drawdown_dates(result.equity)
    span = f" ({dates[0]} to {dates[1]})" if dates else ""
    yield "max drawdown", _number(metrics, "max_drawdown", _percent) + span
    yield (
        "turnover",
        _number(metrics, "turnover", lambda value: f"{value:,.2f} times the mean equity a year, both sides"),
    )
    commission, slippage = metrics.get("commission", 0.0), metrics.get("slippage", 0.0)
    paid = f"commission {commission:,.2f}, slippage {slippage:,.2f} {currency}"
    yield "costs", paid if commission or slippage else "NONE: no costs were charged"
    fills, orders = result.state.fills.count, result.state.orders.count
    trades = _number(metrics, "n_trades", lambda value: f"{value:,.0f}")
    yield "activity", f"{orders:,} orders, {fills:,} fills, {trades} closed round trips"
    refused = [f"{count:,} {reason or 'without a reason'}" for reason, count in result.refusals.items()]
    yield "refused orders", ", ".join(refused) or "none"
    if found := _signals(result):
        yield "signal rows", found
    counted = {printable(name): count for name, count in result.counts.items() if count and name != "rows"}
    if counted:
        yield "counted", ", ".join(f"{count:,} {name}" for name, count in counted.items())
    rows = result.counts.get("rows", 0)
    speed = f", {rows / result.elapsed:,.0f} rows/s" if result.elapsed > 0 else ""
    yield "elapsed", f"{duration(result.elapsed)} for {rows:,} rows{speed}"


def _returns(metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    yield "return", _number(metrics, "total_return", _percent)
    yield "annual return", _number(metrics, "annual_return", _percent)
    yield "annual volatility", _number(metrics, "annual_volatility", _percent)
    yield "Sharpe ratio", _number(metrics, "sharpe", lambda value: f"{value:.2f}")


def _signals(result: Result) -> str:
    """Return what became of signal rows, source by source where there are several."""
    counts: dict[str, dict[str, int]] = {}
    for source, fate, count in result.signals.group_by("source", "fate", maintain_order=True).len().iter_rows():
        counts.setdefault(source, {})[fate] = count
    texts = {
        source: ", ".join(f"{fates[name]:,} {name}" for name in _FATES if name in fates)
        for source, fates in counts.items()
    }
    return "; ".join(text if len(texts) == 1 else f"{printable(name)}: {text}" for name, text in texts.items())


def _number(metrics: Mapping[str, float], name: str, show: Callable[[float], str]) -> str:
    value = metrics.get(name, math.nan)
    return show(value) if math.isfinite(value) else "not defined"


def _percent(value: float) -> str:
    return f"{value:,.2%}"
