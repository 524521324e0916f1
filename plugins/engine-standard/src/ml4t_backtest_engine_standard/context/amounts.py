"""Orders by value, percent and target, for one symbol or for all: every form ends as requests in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.context.handles import Order, to_datetime
from ml4t_backtest_engine_standard.context.outbox import Outbox
from ml4t_backtest_engine_standard.context.sizing import Sizer
from ml4t_backtest_engine_standard.context.terms import text
from ml4t_backtest_engine_standard.result.journal import Journal

__all__ = ["Amounts"]

Ints = NDArray[np.int64]


class Amounts:
    """The part of a context that turns amounts into market orders."""

    _state: RunState
    _outbox: Outbox
    _sizer: Sizer
    _journal: Journal
    _tags: dict[str, int]

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
        self._journal.target(self._state.now, kind, asked, ids, self._outbox.book)
        return ids

    def _tag(self, tag: str) -> int:
        return self._number_of(text("tag", tag), self._state.tags, self._tags)

    @staticmethod
    def _number_of(name: str, known: list[str], numbers: dict[str, int]) -> int:
        """Return the place of a text among those known, which it joins if need be."""
        if len(numbers) != len(known):  # a resumed run brings its own
            numbers.update({each: row for row, each in enumerate(known)})
        if name not in numbers:
            numbers[name] = len(known)
            known.append(name)
        return numbers[name]
