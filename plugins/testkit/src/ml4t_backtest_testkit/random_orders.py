"""A strategy that asks for anything that can be asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from ml4t.backtest import Strategy

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.context import Context, Market
    from ml4t.backtest.interfaces.orders import Order, OrderTerms

__all__ = ["RandomOrders"]

_ALONE = ("GTC", "GTC", "DAY", "GTD", "IOC", "FOK", "OPG", "CLS")
_RESTING = ("GTC", "DAY", "GTD")


class RandomOrders(Strategy):
    """Orders of every kind and time in force, brackets, groups, children, amendments and cancels, at random.

    Quantities are whole, prices lie within a few percent of the last one; now and then a request makes no sense.
    """

    def on_slice(self, market: Market, context: Context) -> None:
        """Ask for one or two things."""
        for _ in range(int(context.rng.integers(1, 3))):
            symbol = context.symbols[int(context.rng.integers(len(context.symbols)))]
            if context.price(symbol) > 0.0:
                self._ask(context, symbol)

    def on_order(self, order: Order, context: Context) -> None:
        """Answer an end with a new order, now and then."""
        if not order.is_open and order.symbol and context.rng.integers(8) == 0:
            context.order(order.symbol, order.quantity, tag="again")

    def _ask(self, context: Context, symbol: str) -> None:
        asks: tuple[Callable[[Context, str], object], ...]
        asks = (self._alone, self._alone, self._bracket, self._oco, self._child, self._change, self._change)
        asks[int(context.rng.integers(len(asks)))](context, symbol)

    def _alone(self, context: Context, symbol: str) -> Order:
        return context.order(symbol, self._size(context), **self._terms(context, symbol))

    def _bracket(self, context: Context, symbol: str) -> None:
        size = self._size(context)
        side, price, rng = (1.0 if size > 0.0 else -1.0), context.price(symbol), context.rng
        context.bracket(
            symbol,
            size,
            entry_limit=price * float(rng.uniform(0.98, 1.02)) if rng.integers(2) else None,
            stop_price=price * (1.0 - side * float(rng.uniform(0.0, 0.04))) if rng.integers(2) else None,
            target_price=price * (1.0 + side * float(rng.uniform(0.0, 0.04))),
        )

    def _oco(self, context: Context, symbol: str) -> None:
        size, price = self._size(context), context.price(symbol)
        context.oco(
            {"symbol": symbol, "quantity": size, "limit_price": price * float(context.rng.uniform(0.97, 1.03))},
            {"symbol": symbol, "quantity": 2.0 * size, "stop_price": price * float(context.rng.uniform(0.97, 1.03))},
        )

    def _child(self, context: Context, symbol: str) -> None:
        parent = self._alone(context, symbol)
        limit = context.price(symbol) * float(context.rng.uniform(0.97, 1.03))
        context.order(symbol, -parent.quantity, limit_price=limit, parent=parent)

    def _change(self, context: Context, symbol: str) -> None:
        orders = context.open_orders(symbol)
        if not orders or context.rng.integers(20) == 0:
            context.cancel(int(context.rng.integers(-1, 50)))
            return
        order = orders[int(context.rng.integers(len(orders)))]
        choice = int(context.rng.integers(4))
        if choice == 0:
            context.cancel(order)
        elif choice == 1:
            context.amend(order, quantity=self._size(context))
        elif order.limit_price is not None:
            context.amend(order, limit_price=order.limit_price * float(context.rng.uniform(0.98, 1.02)))
        else:
            context.amend(order, stop_price=context.price(symbol) * float(context.rng.uniform(0.98, 1.02)))

    def _terms(self, context: Context, symbol: str) -> OrderTerms:
        rng, price = context.rng, context.price(symbol)
        terms: OrderTerms = {"reduce_only": bool(rng.integers(6) == 0)}
        kind = int(rng.integers(7))
        if kind in (1, 3):
            terms["limit_price"] = price * float(rng.uniform(0.97, 1.03))
        if kind in (2, 3):
            terms["stop_price"] = price * float(rng.uniform(0.97, 1.03))
        if kind == 4:
            terms["trail_percent"] = float(rng.uniform(0.0, 0.04))
        if kind in (5, 6):
            terms["trail_amount"] = price * float(rng.uniform(0.0, 0.04))
        if kind == 6:
            terms["limit_offset"] = price * float(rng.uniform(-0.01, 0.01))
        allowed = _ALONE if kind < 2 else _RESTING
        terms["time_in_force"] = allowed[int(rng.integers(len(allowed)))]
        if terms["time_in_force"] == "GTD":
            terms["expires_at"] = context.now + timedelta(days=int(rng.integers(0, 5)))
        return terms

    @staticmethod
    def _size(context: Context) -> float:
        return float(context.rng.integers(-20, 21))
