"""What is said of an input that a run can live with, or that has no row that it wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from ml4t.backtest.core.stamps import StampRule
from ml4t.backtest.interfaces.gate import FeedConfig, SignalConfig
from ml4t_backtest_gate_standard.checks import RowGate
from ml4t_backtest_gate_standard.columns import Arrangement

__all__ = ["doubts_about", "reach_of", "remarks_on"]

_NAMED = 3


def remarks_on(found: Arrangement, config: FeedConfig | SignalConfig, origin: str) -> Iterator[str]:
    """Yield what the settings leave open."""
    if found.kind == "bar" and isinstance(config, FeedConfig) and config.prices is None:
        yield f'{origin}: prices are taken as raw; say so with `prices = "raw"`, or "split" or "total"'


def doubts_about(gate: RowGate, rule: StampRule, plan: pl.LazyFrame, time: str) -> Iterator[str]:
    """Yield a doubt about bars within the day that all begin, or end, at midnight: they may be of days."""
    bars = gate.kind == "bar" and gate.all_midnight and rule.convention in ("open", "close")
    if bars and plan.select(pl.col(time).n_unique()).collect().item() > 1:
        fault = "all stamps are midnights, though bars are said to be shorter than a day"
        yield f'{gate.origin}: {fault}; those of days are told by bar = "1d", without stamp'


def reach_of(source: pl.LazyFrame, columns: Mapping[str, str], time: str) -> str:
    """Return between which days an input has rows, and of whom, in words; nothing where there are none."""
    stamps = pl.col(columns[time])
    first, last = source.select(first=stamps.min(), last=stamps.max()).collect().row(0)
    if first is None:
        return ""
    whose = ""
    if "symbol" in columns:
        named = source.select(pl.col(columns["symbol"]).cast(pl.String).unique().sort()).head(_NAMED).collect()
        whose = f", such as {', '.join(named.to_series().drop_nulls())}"
    return f": it has some from {first:%Y-%m-%d} to {last:%Y-%m-%d}{whose}"
