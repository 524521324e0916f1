"""From what a strategy asks for to order quantities, by one rule for one symbol and for baskets.

Order = truncate((wanted - position - open orders) / lot) * lot, where wanted is the quantity itself, or
amount / (mark x multiplier x rate), or equity x fraction / (mark x multiplier x rate), all as known at the decision,
amounts and equity in base currency.
What is left of an earlier target's orders is replaced, not counted. A target of 0 closes whatever is held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.state import REASONS, RunState
from ml4t_backtest_engine_standard.loop.rates import Rates

__all__ = ["Sizer"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NO_MARK = REASONS.index("no-mark")
_DUST = 1e-9  # lots; 0.3 / 0.1 is a little less than 3


class _Orders(Protocol):
    count: int

    def open_quantities(self) -> tuple[Floats, Floats]: ...
    def cancel_targets(self, symbols: Ints) -> None: ...
    def place(
        self,
        symbols: Ints,
        quantities: Floats,
        *,
        is_target: bool,
        tag: int,
        basket: int,
        reasons: Ints | None,
    ) -> Ints: ...


class Sizer:
    """Turns amounts into order requests.

    Args:
        state: The run's columns.
        outbox: Takes the requests.
        fold: Brings marks up to date.
        equity: Gives equity at these marks.
        rates: Rates of exchange; None in runs of one currency.

    Attributes:
        baskets: Number of vector decisions that led to orders.
        numbering: (books, number of this one), so that baskets of several books have numbers of their own.
    """

    def __init__(
        self,
        state: RunState,
        outbox: _Orders,
        fold: Callable[[], None],
        equity: Callable[[], float],
        rates: Rates | None = None,
    ) -> None:
        self._state = state
        self._outbox = outbox
        self._fold = fold
        self._equity = equity
        self._rates = rates
        self.baskets, self.numbering = 0, (1, 0)

    def place(self, kind: str, symbols: Ints, amounts: Floats, tag: int, *, basket: bool = False) -> Ints:
        """Place what the amounts ask for.

        Args:
            kind: ``quantity, value, percent, target_quantity, target_value, target_percent``.
            symbols: int64 (m,), distinct symbol ids.
            amounts: float64 (m,); NaN asks for nothing.
            tag: Index of the tag.
            basket: Whether the orders are judged as one.

        Returns:
            Order ids, int64 (m,), -1 where nothing had to be sent.
        """
        is_target = kind.startswith("target_")
        rows = slice(None) if basket else symbols  # a basket names every symbol, in order
        if not kind.endswith("quantity"):
            self._fold()
            if self._rates is not None:
                self._rates.check()
                self._rates.needed(symbols[np.nan_to_num(amounts) != 0.0])
        instruments = self._state.instruments[rows]
        wanted = quantity = self._wanted(kind.removeprefix("target_"), instruments, amounts)
        replaces, from_targets = False, quantity
        if is_target:
            counted = self._state.positions["quantity"][rows]
            if replaces := bool(self._state.working or self._outbox.count):
                open_, from_targets = (column[rows] for column in self._outbox.open_quantities())
                counted = _to_step(counted + (open_ - from_targets), instruments["quantity_step"])
            quantity = wanted - counted
        if kind != "quantity":
            lot = instruments["lot"]
            lots = quantity / lot
            whole = np.trunc(lots + np.copysign(_DUST + np.abs(lots) * 2.0**-50, lots)) * lot
            whole = _to_step(whole, lot) if (lot % 1.0).any() else whole
            quantity = np.where(amounts == 0.0, quantity, whole) if is_target else whole
        send = (amounts == amounts) & (quantity != 0.0)  # also without a price: that order is refused
        if replaces:
            stale = (amounts == amounts) & (from_targets != 0.0)
            same = stale & (quantity == from_targets)
            send &= ~same
            replaced = np.flatnonzero(stale & ~same)
            if len(replaced):
                self._outbox.cancel_targets(symbols[replaced])
        ids = np.full(len(symbols), -1, np.int64)
        chosen = send.nonzero()[0]
        if len(chosen):
            quantity = quantity[chosen]
            unpriced = np.isnan(quantity)
            self.baskets += basket
            ids[chosen] = self._outbox.place(
                symbols[chosen],
                quantity,
                is_target=is_target,
                tag=tag,
                basket=self.baskets * self.numbering[0] + self.numbering[1] if basket else -1,
                reasons=np.where(unpriced, _NO_MARK, 0) if unpriced.any() else None,
            )
        return ids

    def _wanted(self, kind: str, instruments: NDArray[np.void], amounts: Floats) -> Floats:
        """Return quantities before truncation; NaN where an amount other than 0 meets no price."""
        if kind == "quantity":
            return amounts
        unit = instruments["mark"] * instruments["multiplier"]
        unit = unit if self._rates is None else unit * self._rates.rates[instruments["currency"]]
        value = amounts * self._equity() if kind == "percent" else amounts
        with np.errstate(all="ignore"):
            return np.where(amounts == 0.0, 0.0, value / unit)


def _to_step(quantities: Floats, steps: Floats) -> Floats:
    """Return sums of quantities without the dust of adding them; a step of 0 leaves them as they are."""
    with np.errstate(all="ignore"):
        inverse = np.floor(1.0 / steps + 0.5)
        counts = np.floor(quantities / steps + 0.5)
        binary = np.abs(inverse * steps - 1.0) < 1e-9  # 1e-9 is no float, its inverse is
        rounded = np.where(binary, counts / inverse, counts * steps)
    return np.where((steps > 0.0) & (np.abs(counts) < 2.0**52), rounded, quantities)
