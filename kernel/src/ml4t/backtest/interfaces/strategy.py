"""The strategy: a class with the callbacks it needs."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ml4t.backtest.core.event import Event, FillEvent
    from ml4t.backtest.interfaces.context import Context, Market, SignalBatch
    from ml4t.backtest.interfaces.orders import Order

__all__ = ["Strategy"]


class Strategy(ABC):
    """Trading logic; override what is needed, at least one of the callbacks that see data.

    Order of calls: ``on_start`` once before any data is visible; per session ``before_trading_start`` (before any
    of its data) and ``after_trading_end`` (after its real close); per instant ``on_fill``, ``on_order``,
    ``on_symbols``, ``on_signal``, then ``on_event`` per row and ``on_slice`` once; ``on_end`` exactly once, also
    after an error. Requests made in a callback are carried out when it returns.

    Attributes:
        listens_to: Event classes, user-defined ones above all, that ``on_event`` gets from the bus besides
            the rows of driving feeds and signals.
    """

    listens_to: ClassVar[tuple[type[Event], ...]] = ()

    def on_start(self, context: Context) -> None:
        """Set up: ``context.subscribe`` and ``context.schedule`` belong here."""

    def before_trading_start(self, context: Context) -> None:
        """Called once a session at its open, before any of its data."""

    def on_event(self, event: Event, context: Context) -> None:
        """Called for each row of a driving feed and each signal row, and for user-defined events."""

    def on_slice(self, market: Market, context: Context) -> None:
        """Called once per instant at which rows of a driving feed become known."""

    def on_signal(self, batch: SignalBatch, context: Context) -> None:
        """Called once per release of a signal source."""

    def on_fill(self, fill: FillEvent, context: Context) -> None:
        """Called for each fill, after all matching of the instant."""

    def on_order(self, order: Order, context: Context) -> None:
        """Called for each transition that ends or changes an order without a fill; ``order.change`` is its reason.

        These are refusals (also of a request to cancel or amend), cancels, expiries, and the reasons ``amended``,
        ``cancel-requested``, ``triggered``, ``parent-filled``, ``one-cancels-other``, ``parent-ended``,
        ``corporate-action`` and ``changed-by-risk``.
        """

    def on_symbols(self, added: tuple[str, ...], context: Context) -> None:
        """Called when released rows name symbols for the first time."""

    def after_trading_end(self, context: Context) -> None:
        """Called once a session at its real close, after the strategy's other callbacks."""

    def on_end(self, context: Context) -> None:
        """Called exactly once at the end; requests made here are refused."""

    def get_state(self) -> Mapping[str, Any]:
        """Return what a snapshot must keep: plain values and NumPy arrays; by default the attributes."""
        return dict(vars(self))

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        vars(self).update(state)
