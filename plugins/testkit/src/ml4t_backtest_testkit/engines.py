"""Engines over plain components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.reference import PlainFill, PlainPortfolio, RowsFeed, RowsSignal

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest.interfaces.context import Context, Market

__all__ = ["RandomTrader", "plain_engine"]


class RandomTrader(Strategy):
    """Orders a random quantity, now and then, of a random symbol; cancels, and asks for targets, as often.

    Attributes:
        asked: Ids of the orders that were asked for.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []

    def on_slice(self, market: Market, context: Context) -> None:
        """Ask for something."""
        rng = context.rng
        symbol = context.symbols[int(rng.integers(len(context.symbols)))]
        choice = int(rng.integers(6))
        order = None
        if choice <= 2:
            order = context.order(symbol, float(rng.integers(1, 50)) * (1.0 if rng.integers(2) else -1.0))
        elif choice == 3:
            order = context.order_target(symbol, float(rng.integers(-50, 50)))
        elif choice == 4:
            order = context.order_target_percent(symbol, float(rng.uniform(-0.3, 0.3)))
        else:
            context.cancel_all(symbol)
        if order is not None:
            self.asked.append(order.id)


def plain_engine(
    strategy: object,
    prices: pl.DataFrame,
    signals: pl.DataFrame | None = None,
    *,
    host: PluginHost | None = None,
    **settings: Any,
) -> Engine:
    """Return an engine whose components are plain ones, save those that are given.

    Args:
        strategy: The strategy.
        prices: Bars, see ``RowsFeed``.
        signals: Predictions, see ``RowsSignal``.
        host: Plugins; none by default.
        **settings: Whatever ``Engine`` takes.
    """
    broker: object = settings.pop("broker", None) or {}
    if not isinstance(broker, Mapping):
        broker = {"use": broker}
    settings["broker"] = {"use": PlainBroker(), "fill": PlainFill(), **broker}
    settings.setdefault("portfolio", PlainPortfolio())
    settings.setdefault("feed", [RowsFeed(prices)])
    if signals is not None:
        settings.setdefault("signal", [RowsSignal(signals)])
    return Engine(strategy=strategy, host=host or PluginHost.only(), **settings)
