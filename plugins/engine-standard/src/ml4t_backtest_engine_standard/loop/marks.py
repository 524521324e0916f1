"""Marks and rates, brought up to date when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released, Take
from ml4t.backtest.interfaces import SourceSpec
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.loop.latest import Latest
from ml4t_backtest_engine_standard.loop.rates import Rates
from ml4t_backtest_engine_standard.loop.sides import Sides

__all__ = ["Marks", "keeper"]

Floats = NDArray[np.float64]


class Marks:
    """Takes over what price feeds have released.

    Args:
        prices: Price feeds, in run-file order.
        rates: Rates of exchange; None in runs of one currency.

    Attributes:
        rates: As given.
    """

    __slots__ = ("_prices", "rates")

    def __init__(self, prices: Sequence[Released], rates: Rates | None) -> None:
        self._prices, self.rates = tuple(prices), rates

    def fold(self) -> None:
        """Bring marks, and the rates that they make, up to date."""
        for released in self._prices:
            released.fold()
        if self.rates is not None:
            self.rates.update()

    def check(self) -> None:
        """Stop the run where a balance or a position is in a currency without a rate."""
        if self.rates is not None:
            self.rates.check()


def keeper(spec: SourceSpec, state: RunState) -> Take | None:
    """Return what keeps something of a source's released rows by symbol; None for a source that needs none.

    Those of price feeds are written into the marks and extremes of the run.

    Args:
        spec: The feed's description.
        state: The run's columns.
    """
    if spec.kind not in ("bar", "quote", "trade"):
        return Latest(len(spec.fields), state) if spec.kind == "signal" else None
    sides = Sides(state) if spec.kind == "quote" else None

    def take(symbol: NDArray[np.int32], values: Floats, times: NDArray[np.int64], each_once: bool) -> None:
        if sides is not None:
            prices = sides.mids(symbol, *(values[spec.fields.index(name)] for name in ("bid", "ask")))
        else:
            prices = values[spec.fields.index("close" if spec.kind == "bar" else "price")]
        instruments = state.instruments
        _widen_extremes(spec, state, symbol, values, prices, times[0], each_once)
        ids: Any = symbol
        late, width = bool((times[0] < times[1]).any()), len(state.symbols)
        if not late and not each_once and len(symbol) > width and _is_complete(symbol[-width:], prices[-width:]):
            prices, times, each_once = prices[-width:], times[:, -width:], True  # what came before is overwritten
        known = np.isfinite(prices)
        if late:  # a price that formed later may be known already
            order = np.argsort(times[0], kind="stable")
            ids, prices, times = ids[order], prices[order], times[:, order]
            known = np.isfinite(prices) & (times[0] >= instruments["mark_time"][ids])
        if not known.all():
            ids, prices, times = ids[known], prices[known], times[:, known]
        elif not late and each_once:
            ids = slice(len(prices))  # several times faster
        instruments["mark"][ids] = prices
        instruments["mark_time"][ids] = times[0]

    return take


def _is_complete(symbol: NDArray[np.int32], prices: Floats) -> bool:
    """Say whether these are prices of the symbols 0, 1, 2 …, all known."""
    return bool((symbol == np.arange(len(symbol))).all() and np.isfinite(prices).all())


def _widen_extremes(
    spec: SourceSpec,
    state: RunState,
    ids: NDArray[np.int32],
    values: Floats,
    prices: Floats,
    times: NDArray[np.int64],
    each_once: bool,
) -> None:
    """Widen what held symbols have reached since their last fill."""
    positions = state.positions
    if not positions["quantity"].any():
        return
    fresh = (positions["quantity"][ids] != 0.0) & (times > positions["since"][ids])
    if not fresh.any():
        return
    for side, widen in (("high", np.fmax), ("low", np.fmin)):
        reached = values[spec.fields.index(side)] if side in spec.fields else prices
        if each_once:
            widen(positions[side][: len(ids)], reached, out=positions[side][: len(ids)], where=fresh)
        else:
            widen.at(positions[side], ids[fresh], reached[fresh])
