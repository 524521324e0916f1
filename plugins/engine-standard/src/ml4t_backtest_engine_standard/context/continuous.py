"""Futures as a series: the present contract, its past with that of those before it, and the roll."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import OrderError, RunError
from ml4t_backtest_engine_standard.context.handles import Order
from ml4t_backtest_engine_standard.context.ordering import Ordering
from ml4t_backtest_engine_standard.context.portfolio import Portfolio

__all__ = ["PRICES", "Rolling", "Series"]

Floats = NDArray[np.float64]
PRICES: Final = ("open", "high", "low", "close", "vwap")
_TAG: Final = "roll"


class Series:
    """What is known of one continuous series: released bars of the contracts that were picked, and the rolls.

    Args:
        root: The series.
        ratio: Whether earlier contracts are scaled rather than shifted.

    Attributes:
        contract: Column of the present contract; -1 before the first.
        known: Columns of all contracts that rows have named.
        volumes: Column of a contract -> volume of its last bar.
    """

    def __init__(self, root: str, *, ratio: bool) -> None:
        self.contract = -1
        self.known: list[int] = []
        self.volumes: dict[int, float] = {}
        self._root, self._ratio = root, ratio
        self._fields: tuple[str, ...] = ()
        self._count = 0
        self._bars: Floats = np.zeros((0, 0))
        self._rolls: NDArray[np.int64] = np.zeros(64, np.int64)  # rolls before each bar
        self._changes: list[float] = []
        self._closes: dict[int, tuple[list[int], list[float]]] = {}  # of each contract: when formed, close

    def hear(self, fields: tuple[str, ...], bars: Mapping[int, Floats], formed_at: int) -> None:
        """Take note of the bars of one instant.

        Args:
            fields: Names of the columns of a bar.
            bars: Column of a contract -> float64 (n_fields,).
            formed_at: When they formed, UTC ns.
        """
        if not self._fields:
            if "close" not in fields:
                raise RunError(
                    f"the bars of {self._root} have no close, which a continuous series needs: map the column"
                )
            self._fields, self._bars = fields, np.zeros((64, len(fields)))
        for column, bar in bars.items():
            if column not in self.known:
                self.known.append(column)
                self._closes[column] = ([], [])
            times, closes = self._closes[column]
            times.append(formed_at)
            closes.append(float(bar[fields.index("close")]))
            if "volume" in fields:
                self.volumes[column] = float(np.nan_to_num(bar[fields.index("volume")]))

    def add(self, bar: Floats) -> None:
        """Append a bar of the contract that was picked before it was known."""
        if self._count == len(self._bars):
            self._bars = np.concatenate([self._bars, np.zeros_like(self._bars)])
            self._rolls = np.concatenate([self._rolls, np.zeros_like(self._rolls)])
        self._bars[self._count], self._rolls[self._count] = bar, len(self._changes)
        self._count += 1

    def roll(self, contract: int) -> None:
        """Go over to another contract, by the closes of both on the last bar that both have."""
        if self.contract >= 0:
            before, after = self._last_closes(self.contract, contract)
            if self._ratio and not (before > 0.0 and after > 0.0):
                what = f"the closes {before:g} and {after:g} of {self._root}"
                raise RunError(f'{what} cannot be scaled at a roll: use adjust = "difference"')
            self._changes.append(after / before if self._ratio else after - before)
        self.contract = contract

    def _last_closes(self, before: int, after: int) -> tuple[float, float]:
        """Return the closes of two contracts on the last bar of both; without one, the last of each."""
        (times, closes), (others, other_closes) = self._closes[before], self._closes[after]
        place, other = len(times) - 1, len(others) - 1
        while place >= 0 and other >= 0:
            if times[place] == others[other] and np.isfinite(closes[place] + other_closes[other]):
                return closes[place], other_closes[other]
            newer = times[place] - others[other]
            place -= newer >= 0
            other -= newer <= 0
        return closes[-1], other_closes[-1]

    def window(self, field: str, bars: int, *, adjust: bool) -> Floats:
        """Return the last bars, float64 (bars,), oldest first, NaN where there were none yet."""
        if field not in self._fields:
            near = nearest(field, self._fields) or f"known are {', '.join(self._fields)}"
            raise OrderError(f"bars have no field {field!r}: {near}")
        first = max(0, self._count - bars)
        own = self._bars[first : self._count, self._fields.index(field)].copy()
        if adjust and field in PRICES and self._changes:
            rolls = self._rolls[first : self._count]
            changes = np.array(self._changes)
            if self._ratio:
                later = np.append(np.cumprod(changes[::-1])[::-1], 1.0)
                own *= later[rolls]
            else:
                later = np.append(np.cumsum(changes[::-1])[::-1], 0.0)
                own += later[rolls]
        return np.concatenate([np.full(bars - len(own), np.nan), own])


class Rolling(Ordering):
    """The part of a context that knows continuous series."""

    _series: dict[str, tuple[Series, bool]]
    portfolio: Portfolio

    def contract(self, root: str) -> str | None:
        """Return the contract that the series' rule picks from rows known now; None before the first.

        Raises:
            OrderError: The run has no such series.
        """
        place = self._series_of(root)[0].contract
        return None if place < 0 else self._state.symbols.names[place]

    def continuous(self, root: str, field: str, bars: int) -> Floats:
        """Return a window of a continuous series, float64 (bars,), oldest first, adjusted as of now.

        Args:
            root: The series.
            field: Field of its contracts' bars; only prices are adjusted.
            bars: How many; NaN where there were not as many yet.

        Raises:
            OrderError: The run has no such series, or its bars no such field.
        """
        series, adjust = self._series_of(root)
        if bars < 1:
            raise OrderError(f"{bars} bars of {root} were asked for: ask for at least 1")
        return series.window(field, bars, adjust=adjust)

    def roll(self, root: str, *, tag: str = _TAG) -> tuple[Order, ...] | None:
        """Close what is held of contracts before the present one, and open as much of this, at the market.

        Working orders on those contracts are cancelled. While orders of an earlier roll are open, nothing is sent.

        Args:
            root: The series.
            tag: Text kept with the orders.

        Returns:
            The closing order, of each contract held, and the opening one; None where nothing is to be rolled.

        Raises:
            OrderError: The run has no such series.
        """
        series = self._series_of(root)[0]
        present = series.contract
        quantities = self.portfolio.quantities
        held = [place for place in series.known if place != present and quantities[place] != 0.0]
        if present < 0 or not held:
            return None
        names = self._state.symbols.names
        if any(order.tag == tag for place in (*held, present) for order in self.open_orders(names[place])):
            return None
        for place in held:
            self.cancel_all(names[place])
        closing = [self.order(names[place], -float(quantities[place]), tag=tag) for place in held]
        total = float(sum(quantities[place] for place in held))
        return (*closing, self.order(names[present], total, tag=tag)) if total else tuple(closing)

    def index(self, symbol: str) -> int:
        """Return the column of a symbol; a series has none."""
        if symbol in self._series and symbol not in self._state.symbols:
            use = f'use context.contract("{symbol}")'
            raise OrderError(f"unknown symbol {symbol!r}: it is a continuous series, {use}")
        return super().index(symbol)

    def _series_of(self, root: str) -> tuple[Series, bool]:
        if root not in self._series:
            known = nearest(root, self._series) or f"known are {', '.join(self._series) or 'none'}"
            raise OrderError(f"there is no continuous series {root!r}: {known}; add [[continuous]]")
        return self._series[root]
