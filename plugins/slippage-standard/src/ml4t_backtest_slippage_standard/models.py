"""What is added to the reference price: a buy pays more, a sale gets less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.errors import RunFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["BasisPointSlippage", "FixedSlippage", "NoSlippage", "SpreadSlippage"]

Function = TypeVar("Function", bound=Callable[..., float])
Table: TypeAlias = "NDArray[np.void]"
Floats: TypeAlias = "NDArray[np.float64]"


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@compiled
def nothing(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return no slippage."""
    return 0.0


@compiled
def fraction_of_price(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` times the size of the reference price, against the order."""
    amount: float = params[0] * abs(market[0]["price"])
    return amount if market[0]["quantity"] > 0.0 else -amount


@compiled
def fixed_amount(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]``, against the order."""
    amount: float = params[0]
    return amount if market[0]["quantity"] > 0.0 else -amount


def _not_negative(value: float, key: str, setup: Setup) -> float:
    if not 0.0 <= value < float("inf"):
        raise RunFileError(f"{key} of slippage model {setup.name} was {value}; give a finite number >= 0")
    return value


class _Slippage:
    function: Callable[..., float]
    _params: tuple[float, ...] = ()
    _phrase = "none"

    def params(self) -> NDArray[np.float64]:
        """Return the parameters of the function."""
        return np.array(self._params, np.float64)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the setting with its unit."""
        return self._phrase


class NoSlippage(_Slippage):
    """Fill at the reference price."""

    function = staticmethod(nothing)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = ()


class BasisPointSlippage(_Slippage):
    """A fraction of the price on each side (zipline's ``FixedBasisPointsSlippage``, no volume limit)."""

    function = staticmethod(fraction_of_price)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the slippage.

        Attributes:
            bps: Basis points (1/10,000) of the reference price, >= 0. Default 5, as in zipline.
        """

        bps: float = 5.0

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_not_negative(config.bps, "bps", setup) / 10_000.0,)
        self._phrase = f"{config.bps:g} bps"


class FixedSlippage(_Slippage):
    """An amount per unit on each side (backtrader's ``slip_fixed``)."""

    function = staticmethod(fixed_amount)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the slippage.

        Attributes:
            amount: Price units (for shares: currency per share), >= 0. No default.
        """

        amount: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_not_negative(config.amount, "amount", setup),)
        self._phrase = f"{config.amount:g} per unit"


class SpreadSlippage(_Slippage):
    """Half of a proportional bid-ask spread on each side."""

    function = staticmethod(fraction_of_price)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the spread.

        Attributes:
            spread: Whole spread as a fraction of the price (0.001 is 10 bps), >= 0; half is paid. No default.
        """

        spread: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_not_negative(config.spread, "spread", setup) / 2.0,)
        self._phrase = f"half of a spread of {config.spread:g}"
