"""Which price of a bar a market order takes.

The broker makes sure that the price formed after the order was submitted (except at the same close, which
is flagged); the functions here only name the price. NaN means that nothing fills on this bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["NextClose", "NextOpen", "SameClose"]

Function = TypeVar("Function", bound=Callable[..., float])
Table: TypeAlias = "NDArray[np.void]"
Floats: TypeAlias = "NDArray[np.float64]"


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@compiled
def open_price(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return the bar's open."""
    price: float = market[0]["open"]
    return price


@compiled
def close_price(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return the bar's close."""
    price: float = market[0]["close"]
    return price


class _BarPrice:
    mode: ClassVar[str]
    function: Callable[..., float]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._mode = self.mode

    def params(self) -> NDArray[np.float64]:
        """Return no parameters."""
        return np.zeros(0)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the mode in words."""
        return f"at the {self.mode.replace('-', ' ')}"


class NextOpen(_BarPrice):
    """Fill at the open of the first bar that opens at or after submission (backtrader's default)."""

    mode = "next-open"
    function = staticmethod(open_price)


class NextClose(_BarPrice):
    """Fill at the close of the first bar that ends after submission (zipline's default)."""

    mode = "next-close"
    function = staticmethod(close_price)


class SameClose(_BarPrice):
    """Fill at the close on which the order was decided (backtrader's cheat-on-close); results are flagged.

    Nobody can trade at a price that had to be known to decide the trade: this is for comparing with engines
    that do so. An order for a symbol without a bar at that instant waits for its next close.
    """

    mode = "same-close"
    function = staticmethod(close_price)
