"""Several strategies as one: each is called with its own context, in the order of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ml4t.backtest.core.event import CorporateActionEvent, Event, FillEvent
from ml4t.backtest.interfaces.setup import Setup
from ml4t.backtest.interfaces.strategy import Strategy
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.context.context import Context, OwnBook
from ml4t_backtest_engine_standard.context.handles import Order
from ml4t_backtest_engine_standard.context.outbox import Outbox

__all__ = ["Ensemble", "gather", "own_method"]


class Ensemble(Strategy):
    """The strategies of a run with several books; the engine calls it like one.

    Args:
        strategies: In the order of the settings.
        contexts: One for each.
        outbox: Of the run; told whose turn it is.
        state: The run's columns.
        books: The columns of each book.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        contexts: Sequence[Context],
        outbox: Outbox,
        state: RunState,
        books: Sequence[RunState],
    ) -> None:
        self._members = list(zip(strategies, contexts, strict=True))
        self._outbox, self._state, self._books = outbox, state, list(books)
        classes = [each for strategy in strategies if own_method(strategy, "on_event") for each in strategy.listens_to]
        self.listens_to = tuple(dict.fromkeys(classes))  # type: ignore[misc]  # of these strategies

    def callback(self, name: str) -> Callable[..., Any] | None:
        """Return what calls a callback of all strategies that have it; None where none has."""
        methods = [(place, own_method(strategy, name)) for place, (strategy, _) in enumerate(self._members)]
        methods = [(place, method) for place, method in methods if method is not None]
        if not methods:
            return None
        if name in ("on_fill", "on_order"):
            return self._tell_fill if name == "on_fill" else self._tell_order
        turns = [(place, method, self._members[place][1]) for place, method in methods if method is not None]
        turn_to = self._outbox.turn_to

        def call(*arguments: Any) -> None:
            for place, method, context in turns:
                turn_to(place)
                method(*arguments[:-1], context)

        return call

    def on_start(self, context: Any) -> None:
        """Start every strategy."""
        for place, (strategy, own) in enumerate(self._members):
            self._outbox.turn_to(place)
            strategy.on_start(own)

    def on_end(self, context: Any) -> None:
        """End every strategy, also after one of them has raised; then raise the first error."""
        first: Exception | None = None
        for place, (strategy, own) in enumerate(self._members):
            self._outbox.turn_to(place)
            try:
                strategy.on_end(own)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def hear(self, event: Event) -> None:
        """Hand an event from the bus to the strategies that listen to its class."""
        for place, (strategy, own) in enumerate(self._members):
            method = own_method(strategy, "on_event")
            if method and isinstance(event, (*strategy.listens_to, CorporateActionEvent)):
                self._outbox.turn_to(place)
                method(event, own)

    def _tell_fill(self, fill: FillEvent, context: Any) -> None:
        """Tell the owner of a fill; of no book's order, each book of its part."""
        owner = int(self._state.orders.data[fill.order_id]["book"])
        for place, (strategy, own) in enumerate(self._members):
            part: FillEvent | None = fill if place == owner else None
            if owner < 0:
                rows = self._books[place].fills.rows()
                rows = rows[(rows["order_id"] == fill.order_id) & (rows["known_at"] == fill.known_at)]
                rows = rows[rows["price"] == fill.price]
                quantity, commission = (float(np.sum(rows[name])) for name in ("quantity", "commission"))
                part = replace(fill, quantity=quantity, commission=commission) if len(rows) else None
            if part is not None and (method := own_method(strategy, "on_fill")):
                self._outbox.turn_to(place)
                method(part, own)

    def _tell_order(self, order: Order, context: Any) -> None:
        """Tell the owner of an order, or who asked for what nobody has; of no book's order all."""
        known = 0 <= order.id < self._state.orders.count and order.change != "unknown-order"
        owner = int(self._state.orders.data[order.id]["book"]) if known else self._outbox.asker(order.id)
        for place, (strategy, own) in enumerate(self._members):
            if owner in (place, -1) and (method := own_method(strategy, "on_order")):
                self._outbox.turn_to(place)
                method(order, own)

    def get_state(self) -> Mapping[str, Any]:
        """Return nothing: a snapshot keeps each strategy by itself."""
        return {}


def gather(
    parts: Parts, state: RunState, outbox: Outbox, make: Callable[[Setup, OwnBook | None], Context]
) -> tuple[Strategy, list[Context]]:
    """Return what the engine calls as the strategy, and the context of each strategy.

    Args:
        parts: The opened components; the portfolio is open.
        state: The run's columns.
        outbox: Of the run.
        make: Makes a context.
    """
    if not parts.books:
        return parts.strategy, [make(parts.strategy_setup, None)]
    portfolio: Any = parts.portfolio  # that it keeps books was looked at by the assembly
    portfolio.keep_books([book.share for book in parts.books])
    size, found = len(parts.books), [portfolio.books[place] for place in range(len(parts.books))]
    outbox.holders = [columns for _, columns in found]
    contexts = [
        make(book.setup, OwnBook(book.name, found[place][0], found[place][1], (size, place)))
        for place, book in enumerate(parts.books)
    ]
    for place, context in enumerate(contexts):
        context._schedule.before = partial(outbox.turn_to, place)
    strategies = [book.strategy for book in parts.books]
    return Ensemble(strategies, contexts, outbox, state, outbox.holders), contexts


def own_method(strategy: Strategy, name: str) -> Callable[..., Any] | None:
    """Return the strategy's own callback; None where it left the default."""
    if isinstance(strategy, Ensemble):
        return strategy.callback(name)
    return None if getattr(type(strategy), name) is getattr(Strategy, name) else getattr(strategy, name)
