"""What a broker charges for a fill, in the currency of the instrument."""

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

__all__ = ["NoCommission", "PerShareCommission", "PerTradeCommission", "PercentCommission"]

Function = TypeVar("Function", bound=Callable[..., float])
Table: TypeAlias = "NDArray[np.void]"
Floats: TypeAlias = "NDArray[np.float64]"


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@compiled
def nothing(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return no commission."""
    return 0.0


@compiled
def per_share(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return what this fill adds to ``max(params[1], params[0] * quantity filled)`` of its order.

    So the minimum is charged once an order, with its first fill, and covers the later ones as far as it goes.
    """
    rate = params[0]
    minimum = params[1]
    before: float = abs(orders[i]["filled"])
    after = before + abs(market[0]["quantity"])
    due: float = max(minimum, rate * after)
    if before > 0.0:
        due -= max(minimum, rate * before)
    return due


@compiled
def percent_of_value(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` times the value of the fill."""
    bar = market[0]
    cost: float = params[0] * abs(bar["quantity"] * bar["price"] * bar["multiplier"])
    return cost


@compiled
def per_trade(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` with the first fill of an order."""
    if orders[i]["filled"] != 0.0:
        return 0.0
    amount: float = params[0]
    return amount


def _finite(value: float, key: str, setup: Setup) -> float:
    if not 0.0 <= value < float("inf"):
        raise RunFileError(f"{key} of commission model {setup.name} was {value}; give a finite number >= 0")
    return value


class _Commission:
    function: Callable[..., float]
    _params: tuple[float, ...] = ()
    _phrase = "none"

    def params(self) -> NDArray[np.float64]:
        """Return the parameters of the function."""
        return np.array(self._params, np.float64)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state: what an order was charged follows from what it has filled."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the settings with their units."""
        return self._phrase


class NoCommission(_Commission):
    """Charge nothing."""

    function = staticmethod(nothing)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = ()


class PerShareCommission(_Commission):
    """An amount per share with a minimum an order (IBKR Pro fixed; zipline's ``PerShare``)."""

    function = staticmethod(per_share)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Rate and minimum.

        Attributes:
            rate: Currency per share or unit, >= 0. Default 0.005, as IBKR Pro fixed for US shares.
            minimum: Currency per order, >= 0, charged once however many fills it has. Default 0; IBKR: 1.0.
        """

        rate: float = 0.005
        minimum: float = 0.0

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_finite(config.rate, "rate", setup), _finite(config.minimum, "minimum", setup))
        self._phrase = f"{config.rate:g} per share, at least {config.minimum:g} per order"


class PercentCommission(_Commission):
    """A fraction of the value traded (backtrader's ``commission``; zipline's ``PerDollar``)."""

    function = staticmethod(percent_of_value)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Rate.

        Attributes:
            rate: Fraction of ``|quantity * price * multiplier|``, >= 0; 0.001 is 10 bps. No default.
        """

        rate: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_finite(config.rate, "rate", setup),)
        self._phrase = f"{config.rate * 10_000:g} bps of value"


class PerTradeCommission(_Commission):
    """An amount per order (zipline's ``PerTrade``)."""

    function = staticmethod(per_trade)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Amount.

        Attributes:
            amount: Currency per order, >= 0, charged with its first fill. No default.
        """

        amount: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_finite(config.amount, "amount", setup),)
        self._phrase = f"{config.amount:g} per order"
