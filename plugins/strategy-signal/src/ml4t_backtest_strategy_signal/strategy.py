"""Strategies that follow a signal by a declared rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml4t.backtest.interfaces import Setup, Strategy
from ml4t_backtest_strategy_signal.weights import rank_weights

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.context import Context, Market, SignalBatch

__all__ = ["SignalStrategy", "SignalStrategyConfig", "WeightStrategy", "WeightStrategyConfig"]


@dataclass(frozen=True, kw_only=True)
class SignalStrategyConfig:
    """How a signal becomes target weights.

    Attributes:
        signal: Name of the signal, higher is better.
        long: Number of symbols held long: those with the highest values.
        short: Number of symbols held short: those with the lowest values.
        gross: Sum of the absolute target weights when all places are taken, a fraction of equity.
        threshold: Hold long only values of at least this, and short only of at most minus this.
        weighting: ``equal``: each symbol gets ``gross / (long + short)``; ``proportional``: to its value.
        rebalance: ``every-slice``; the first slice of each session (``daily``), week or month; or whenever
            the signal is released (``signal``).
        universe: Whether only members of the run's universe are held; without ``[universe]`` all are members.
    """

    signal: str = "score"
    long: int = 10
    short: int = 0
    gross: float = 1.0
    threshold: float | None = None
    weighting: Literal["equal", "proportional"] = "equal"
    rebalance: Literal["every-slice", "daily", "weekly", "monthly", "signal"] = "every-slice"
    universe: bool = True

    def __post_init__(self) -> None:
        if self.long < 0 or self.short < 0 or self.long + self.short == 0:
            raise ValueError(f"long = {self.long} and short = {self.short}: nothing can be held")
        if not (np.isfinite(self.gross) and self.gross > 0):
            raise ValueError(f"gross was {self.gross}, expected a fraction above 0, such as 1.0")


class SignalStrategy(Strategy):
    """Hold the symbols with the best values of a signal; sell what is no longer among them.

    A symbol without a price or a value is not held, nor is one that is no member of the universe. While no symbol at
    all has a value, nothing is done.
    """

    Config = SignalStrategyConfig

    def __init__(self, config: SignalStrategyConfig, setup: Setup) -> None:
        self._config = config
        self._period: tuple[int, ...] = ()

    def on_start(self, context: Context) -> None:
        """Ask for the signal, so that a name that nobody gives is an error before the first instant."""
        context.signal(self._config.signal)

    def on_slice(self, market: Market, context: Context) -> None:
        """Rebalance where a period begins."""
        if self._config.rebalance == "signal":
            return
        session = context.session
        label = context.now.date() if session is None else session.date
        period = period_of(label, self._config.rebalance)
        if (not period or period != self._period) and self._rebalance(context):
            self._period = period

    def on_signal(self, batch: SignalBatch, context: Context) -> None:
        """Rebalance where the signal is released, if that is the rule."""
        if self._config.rebalance == "signal" and self._config.signal in batch.values:
            self._rebalance(context)

    def get_state(self) -> Mapping[str, Any]:
        """Return the period of the last rebalancing."""
        return {"period": list(self._period)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._period = tuple(state["period"])

    def _rebalance(self, context: Context) -> bool:
        config = self._config
        held = context.universe if config.universe else np.isfinite(context.price())
        scores = np.where(held, context.signal(config.signal), np.nan)
        if not np.isfinite(scores).any():
            return False
        weights = rank_weights(
            scores,
            long=config.long,
            short=config.short,
            gross=config.gross,
            threshold=config.threshold,
            weighting=config.weighting,
        )
        context.order_target_weights(weights, missing="close")
        return True


@dataclass(frozen=True, kw_only=True)
class WeightStrategyConfig:
    """Where the weights come from.

    Attributes:
        source: Name of the signal source; its first value is the weight, a fraction of equity.
        universe: Whether the weight of a symbol that has a price and is no member of the run's universe counts as 0;
            without ``[universe]`` all are members.
    """

    source: str = "weights"
    universe: bool = True


class WeightStrategy(Strategy):
    """Trade to given target weights at each release; a symbol that a release leaves out is sold."""

    Config = WeightStrategyConfig

    def __init__(self, config: WeightStrategyConfig, setup: Setup) -> None:
        self._source, self._universe = config.source, config.universe

    def on_start(self, context: Context) -> None:
        """Ask for the source, so that a name that nobody gives is an error before the first instant."""
        context.subscribe(self._source)

    def on_signal(self, batch: SignalBatch, context: Context) -> None:
        """Ask for the weights of this release."""
        if batch.source == self._source:
            weights = np.full(len(context.symbols), np.nan)
            weights[batch.symbol_ids] = next(iter(batch.values.values()))
            if self._universe:
                weights[np.isfinite(context.price()) & ~context.universe] = 0.0
            context.order_target_weights(weights, missing="close")


def period_of(label: date, rebalance: str) -> tuple[int, ...]:
    """Return what two sessions of one period have in common; an empty tuple where each slice counts."""
    if rebalance == "daily":
        return (label.toordinal(),)
    if rebalance == "weekly":
        return tuple(label.isocalendar()[:2])
    return (label.year, label.month) if rebalance == "monthly" else ()
