"""Orders of every kind, their amendment and their end, as requests in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from operator import index
from typing import Any, Final

import numpy as np

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import OrderError
from ml4t.backtest.interfaces.orders import Bracket, Leg
from ml4t.backtest.state import ACCEPTED, HELD, PARTIAL, REASONS
from ml4t_backtest_engine_standard.context.amounts import Amounts
from ml4t_backtest_engine_standard.context.handles import Order
from ml4t_backtest_engine_standard.context.terms import number, price_columns, text, time_columns
from ml4t_backtest_engine_standard.schedule import Schedule

__all__ = ["Ordering"]

_LIVE = (ACCEPTED, PARTIAL, HELD)
_PRICES: Final = ("limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset")
_MORE: Final = ("reduce_only", "client_id", "tag")
_LEG = {"symbol", "quantity", "time_in_force", "expires_at", "parent", *_PRICES, *_MORE}
_NO_QUANTITY, _NO_PRICE = REASONS.index("quantity-not-finite"), REASONS.index("price-not-finite")
_NOBODY = 2**62  # an id above that of any order


class Ordering(Amounts):
    """The ordering half of a context; percents and weights are fractions, quantities are signed."""

    _schedule: Schedule
    _clients: dict[str, int]

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return orders that may still fill, oldest first.

        Those in the outbox and held ones are included, those whose end was asked for are not.
        """
        place = None if symbol is None else self.index(symbol)
        rows = self._state.orders.rows()
        live = np.isin(rows["status"], _LIVE) & (rows["cancelled_at"] == 0)
        if self._outbox.holders:
            live &= rows["book"] == self._outbox.book
        if place is not None:
            live &= rows["symbol"] == place
        ids = [*np.flatnonzero(live).tolist(), *self._outbox.pending_ids(place)]
        orders = [Order(each, self._state, self._outbox) for each in ids]
        return [each for each in orders if not each.cancel_requested] if self._outbox.count else orders

    def order(
        self,
        symbol: str,
        quantity: float,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        trail_amount: float | None = None,
        trail_percent: float | None = None,
        limit_offset: float | None = None,
        time_in_force: str = "GTC",
        expires_at: date | None = None,
        reduce_only: bool = False,
        client_id: str = "",
        parent: Order | int | None = None,
        tag: str = "",
    ) -> Order:
        """Ask for a signed quantity; a market order unless a price or a trail is given.

        Args:
            symbol: The instrument.
            quantity: Signed; taken as it is, without truncation to lots.
            limit_price: The limit; None for none, NaN is refused.
            stop_price: The stop; beside a trail the level that the trailing stop begins at.
            trail_amount: Distance of a trailing stop, in the instrument's currency.
            trail_percent: Distance of a trailing stop, a fraction of the price.
            limit_offset: Signed; the limit of a trailing stop-limit is its level plus this.
            time_in_force: ``GTC, DAY, GTD, IOC, FOK, OPG, CLS``.
            expires_at: End of a GTD order: zone-aware, or a date for that session's close.
            reduce_only: Whether it may only close what is held.
            client_id: A name of your own, to be used once in a run.
            parent: Handle or id of the order whose fills release this one.
            tag: Text kept with the order.

        Returns:
            A handle whose ``status`` and ``reason`` tell what became of it.

        Raises:
            OrderError: The call means nothing: an unknown symbol or time in force, two trails, a naive datetime.
        """
        prices = price_columns(limit_price, stop_price, trail_amount, trail_percent, limit_offset)
        columns = prices | time_columns(time_in_force, expires_at, self._schedule.sessions)
        if parent is not None:
            columns["parent"] = _id_of(parent, unknown=_NOBODY)
        return self._add(symbol, quantity, columns, reduce_only=reduce_only, client_id=client_id, tag=tag)

    def bracket(
        self,
        symbol: str,
        quantity: float,
        *,
        entry_limit: float | None = None,
        entry_stop: float | None = None,
        target_price: float | None = None,
        stop_price: float | None = None,
        trail_amount: float | None = None,
        trail_percent: float | None = None,
        time_in_force: str = "GTC",
        expires_at: date | None = None,
        tag: str = "",
    ) -> Bracket:
        """Ask for an entry, a protective stop and a target; the latter two wait for it and cancel each other.

        Args:
            symbol: The instrument.
            quantity: Signed quantity of the entry; its children are of the other side.
            entry_limit: Limit of the entry; None for none.
            entry_stop: Stop of the entry; a market order where both are None.
            target_price: Limit of the target; None for no target.
            stop_price: Price of the protective stop, or the level that a trailing one begins at.
            trail_amount: Distance of a trailing protective stop, in the instrument's currency.
            trail_percent: The same as a fraction of the price.
            time_in_force: Of the entry; its children are GTC.
            expires_at: Of the entry.
            tag: Text kept with each.

        Returns:
            The handles; None for a child that was not asked for.

        Raises:
            OrderError: There is neither stop nor target, or the call means nothing.
        """
        protective = price_columns(None, stop_price, trail_amount, trail_percent)
        if not protective and target_price is None:
            raise OrderError(
                "a bracket without children was asked for: give stop_price=, trail_amount=, trail_percent= or "
                "target_price=, or use order"
            )
        entry = price_columns(entry_limit, entry_stop)
        entry |= time_columns(time_in_force, expires_at, self._schedule.sessions)
        size, first = number("quantity", quantity), self._outbox.next_id
        made = self._add(symbol, size, {**entry, "counts": 0}, tag=tag)
        family = {"parent": first, "group": first + 1}
        stop = self._add(symbol, -size, protective | family, tag=tag) if protective else None
        target = price_columns(target_price)
        return Bracket(made, stop, self._add(symbol, -size, target | family, tag=tag) if target else None)

    def oco(self, *legs: Leg) -> list[Order]:
        """Ask for orders of one symbol of which a fill reduces, and any other end cancels, the rest.

        Args:
            legs: Two or more dicts of what ``order`` takes: ``{"symbol": "A", "quantity": -5, "limit_price": 9.0}``.

        Raises:
            OrderError: There are fewer than two legs, or one means nothing.
        """
        if len(legs) < 2:
            raise OrderError(f"oco was given {len(legs)} legs: give two or more, or use order")
        for leg in legs:
            if not isinstance(leg, Mapping) or {"symbol", "quantity"} - set(leg):
                raise OrderError(f"oco was given {leg!r}: give each leg as a dict with symbol, quantity and more")
            if unknown := set(leg) - _LEG:
                raise OrderError(f"a leg has the unknown key {min(unknown)!r}: {nearest(min(unknown), [*_LEG])}")
        columns = [self._leg_columns(leg) for leg in legs]
        first = self._outbox.next_id
        orders = []
        for leg, given in zip(legs, columns, strict=True):
            more: Any = {name: value for name, value in leg.items() if name in _MORE}
            orders.append(self._add(leg["symbol"], leg["quantity"], given | {"group": first}, **more))
        return orders

    def amend(
        self,
        order: Order | int,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> None:
        """Ask for new terms of an order, for prices that form from now on; a refusal is recorded.

        Args:
            order: Handle or id.
            quantity: The whole, what has filled included; None keeps it, NaN is refused.
            limit_price: None keeps it, NaN is refused.
            stop_price: None keeps it, NaN is refused.

        Raises:
            OrderError: Nothing is to be changed.
        """
        given = {"quantity": quantity, "limit_price": limit_price, "stop_price": stop_price}
        columns: dict[str, float] = {name: number(name, value) for name, value in given.items() if value is not None}
        if not columns:
            raise OrderError("amend was told nothing to change: give quantity=, limit_price= or stop_price=")
        handle = Order(self._own(order), self._state, self._outbox)
        bad = [name for name, value in columns.items() if np.isnan(value)]
        if bad:  # in a request NaN means "keep"
            columns["reason"] = _NO_QUANTITY if "quantity" in bad else _NO_PRICE
        self._outbox.amend(handle._row(), handle.id, columns, open_=handle.is_open)

    def cancel(self, order: Order | int) -> None:
        """Ask for the end of an order (handle or id) for prices that form from now on; a refusal is recorded."""
        handle = Order(self._own(order), self._state, self._outbox)
        row = handle._row()
        remainder = handle.remaining if row["counts"] and handle.is_open else 0.0
        self._outbox.cancel(handle.id, int(row["symbol"]), remainder, bool(row["is_target"]))

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask for the end of every open order, or of those of one symbol.

        Children go before the orders that would release them, and of a group one stands for all.
        """
        orders = self.open_orders(symbol)
        children = [each for each in reversed(orders) if each.parent is not None]
        groups = set()
        for order in [*children, *(each for each in orders if each.parent is None)]:
            if order.group not in groups:
                self.cancel(order)
                groups |= {order.group} - {None}

    def _leg_columns(self, leg: Leg) -> dict[str, float]:
        self.index(leg["symbol"])
        number("quantity", leg["quantity"])
        text("client_id", leg.get("client_id", ""))
        text("tag", leg.get("tag", ""))
        prices: Any = {name: value for name, value in leg.items() if name in _PRICES}
        times = time_columns(leg.get("time_in_force", "GTC"), leg.get("expires_at"), self._schedule.sessions)
        columns: dict[str, float] = price_columns(**prices) | times
        if (parent := leg.get("parent")) is not None:
            columns["parent"] = _id_of(parent, unknown=_NOBODY)
        return columns

    def _add(
        self,
        symbol: str,
        quantity: float,
        columns: dict[str, float],
        *,
        reduce_only: bool = False,
        client_id: str = "",
        tag: str = "",
    ) -> Order:
        """Send one order; only market and limit orders that stand alone count towards targets."""
        place, size = self.index(symbol), number("quantity", quantity)
        text("client_id", client_id)
        text("tag", tag)
        if reduce_only:
            columns["reduce_only"] = 1
        if columns.get("kind", 0) > 1 or reduce_only or "group" in columns or "parent" in columns:
            columns["counts"] = 0
        if client_id:
            columns["client_id"] = self._client(client_id)
        if tag:
            columns["tag"] = self._tag(tag)
        return Order(self._outbox.add(place, size, columns), self._state, self._outbox)

    def _own(self, order: Order | int) -> int:
        """Return the id of an order, one that nobody has where it is of another book."""
        order_id = _id_of(order)
        if self._outbox.holders and order_id >= 0:
            row = Order(order_id, self._state, self._outbox)._row()
            return order_id if row["book"] == self._outbox.book else -1
        return order_id

    def _client(self, name: str) -> int:
        return self._number_of(name, self._state.client_ids, self._clients)


def _id_of(order: Order | int, *, unknown: int = -1) -> int:
    """Return the id of a handle, or an id that columns can hold."""
    try:
        given = order.id if isinstance(order, Order) else index(order)
    except TypeError:
        raise OrderError(f"{order!r} is no order: give a handle, or its id") from None
    return given if 0 <= given < _NOBODY else unknown
