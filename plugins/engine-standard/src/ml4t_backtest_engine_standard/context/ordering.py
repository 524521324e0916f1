"""Orders from a strategy: every form ends as requests in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import ACCEPTED, PARTIAL, TIMES_IN_FORCE, RunState
from ml4t_backtest_engine_standard.context.handles import Order, to_datetime
from ml4t_backtest_engine_standard.context.outbox import Outbox
from ml4t_backtest_engine_standard.context.sizing import Sizer
from ml4t_backtest_engine_standard.result.journal import Journal

__all__ = ["Ordering"]

Ints = NDArray[np.int64]


class Ordering:
    """The ordering half of a context; percents and weights are fractions, quantities are signed."""

    _state: RunState
    _outbox: Outbox
    _sizer: Sizer
    _journal: Journal

    def index(self, symbol: str) -> int:
        """Return the column of a symbol.

        Raises:
            OrderError: When no released row has named it yet; the nearest known one is suggested.
        """
        try:
            return self._state.symbols.id(symbol)
        except KeyError:
            near = nearest(symbol, self._state.symbols.names) or "see context.symbols"
            when = to_datetime(self._state.now).isoformat()
            raise OrderError(f"symbol {symbol!r} is not known at {when}: {near}") from None

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return orders that may still fill, those still in the outbox included, oldest first."""
        place = None if symbol is None else self.index(symbol)
        rows = self._state.orders.rows()
        live = (rows["status"] == ACCEPTED) | (rows["status"] == PARTIAL)
        if place is not None:
            live &= rows["symbol"] == place
        ids = [*np.flatnonzero(live).tolist(), *self._outbox.pending_ids(place)]
        return [Order(each, self._state, self._outbox) for each in ids]

    def order(
        self,
        symbol: str,
        quantity: float,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: str = "GTC",
        tag: str = "",
    ) -> Order:
        """Ask for a signed quantity; a market order unless a price is given.

        Returns:
            A handle whose ``status`` and ``reason`` tell what became of it.
        """
        kind = (limit_price is not None) + 2 * (stop_price is not None)  # an index into ORDER_KINDS
        if time_in_force not in TIMES_IN_FORCE:
            raise OrderError(f"time_in_force {time_in_force!r} is not one of {', '.join(TIMES_IN_FORCE)}")
        ids = self._outbox.place(
            np.array([self.index(symbol)]),
            np.array([float(quantity)]),
            kind=kind,
            time_in_force=TIMES_IN_FORCE.index(time_in_force),
            limit_price=np.nan if limit_price is None else limit_price,
            stop_price=np.nan if stop_price is None else stop_price,
            tag=self._tag(tag),
        )
        return Order(int(ids[0]), self._state, self._outbox)

    def order_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for a signed value in base currency at the mark; None when it truncates to nothing."""
        return self._one("value", symbol, value, tag)

    def order_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for a signed fraction of equity at the mark; None when it truncates to nothing."""
        return self._one("percent", symbol, percent, tag)

    def order_target(self, symbol: str, quantity: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a quantity, open market and limit orders counted; None if nothing is."""
        return self._one("target_quantity", symbol, quantity, tag)

    def order_target_value(self, symbol: str, value: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a value in base currency at the mark; None if nothing is."""
        return self._one("target_value", symbol, value, tag)

    def order_target_percent(self, symbol: str, percent: float, *, tag: str = "") -> Order | None:
        """Ask for what is missing to a fraction of equity at the mark; None if nothing is."""
        return self._one("target_percent", symbol, percent, tag)

    def order_quantities(self, quantities: ArrayLike, *, tag: str = "") -> Ints:
        """Ask for signed quantities over ``symbols``; NaN and 0 ask for nothing.

        Returns:
            Order ids, int64 (n,), -1 where nothing was asked for.
        """
        return self._basket("quantity", quantities, "keep", tag)

    def order_target_quantities(
        self, quantities: ArrayLike, *, missing: Literal["keep", "close"] = "keep", tag: str = ""
    ) -> Ints:
        """Ask for what is missing to target quantities over ``symbols``.

        Args:
            quantities: float64 (n,); NaN keeps a symbol as it is, 0 closes it.
            missing: ``close`` closes every NaN.
            tag: Text kept with the orders.

        Returns:
            Order ids, int64 (n,), -1 where no order was needed.
        """
        return self._basket("target_quantity", quantities, missing, tag)

    def order_target_weights(
        self, weights: ArrayLike, *, missing: Literal["keep", "close"] = "keep", tag: str = ""
    ) -> Ints:
        """Ask for what is missing to target weights (fractions of equity) over ``symbols``; as above."""
        return self._basket("target_percent", weights, missing, tag)

    def cancel(self, order: Order | int) -> None:
        """Ask for the end of an order; one that is done already stays as it is, with the reason recorded."""
        handle = order if isinstance(order, Order) else Order(int(order), self._state, self._outbox)
        row = handle._row()
        remainder = handle.quantity - handle.filled if handle.is_open else 0.0
        self._outbox.cancel(handle.id, int(row["symbol"]), remainder, bool(row["is_target"]))

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask for the end of every open order, or of those of one symbol."""
        for order in self.open_orders(symbol):
            self.cancel(order)

    def _one(self, kind: str, symbol: str, amount: float, tag: str) -> Order | None:
        place = self.index(symbol)
        if np.isinf(amount):
            raise OrderError(f"an infinite amount of {symbol} was asked for: give a number, or NaN for no change")
        ids = self._sizer.place(kind, np.array([place]), np.array([float(amount)]), self._tag(tag))
        return None if ids[0] < 0 else Order(int(ids[0]), self._state, self._outbox)

    def _basket(self, kind: str, amounts: ArrayLike, missing: str, tag: str) -> Ints:
        if isinstance(amounts, Mapping) or hasattr(amounts, "reindex"):  # a pandas index would go unheeded
            raise OrderError(
                f"a {type(amounts).__name__} was given, expected an array in the order of context.symbols: "
                "begin with np.full(len(context.symbols), np.nan) and set [context.index(symbol)]"
            )
        asked = np.array(amounts, np.float64)
        if asked.shape != (len(self._state.symbols),):
            raise OrderError(
                f"a vector of shape {asked.shape} was given for {len(self._state.symbols)} symbols: "
                "give one value per symbol of context.symbols"
            )
        if np.isinf(asked).any():
            bad = ", ".join(self._state.symbols.names[place] for place in np.flatnonzero(np.isinf(asked))[:5])
            raise OrderError(f"infinite amounts were asked for {bad}: give numbers, or NaN for no change")
        if missing == "close":
            asked[np.isnan(asked)] = 0.0
        elif missing != "keep":
            raise OrderError(f"missing={missing!r} is not one of keep, close")
        ids = self._sizer.place(kind, np.arange(len(asked)), asked, self._tag(tag), basket=True)
        self._journal.target(self._state.now, kind, asked, ids)
        return ids

    def _tag(self, text: str) -> int:
        tags = self._state.tags
        if text not in tags:
            tags.append(text)
        return tags.index(text)
