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

__all__ = ["BasisPointSlippage", "FixedSlippage", "NoSlippage", "SpreadSlippage", "VolumeShareSlippage"]

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


@compiled
def filled_of_this_bar(orders: Table, i: int, market: Table, state: Floats) -> float:
    """Return the size that other orders have filled in this bar, and remember that order ``i`` is next.

    The state holds the bar (symbol; start and end in whole seconds and ns, since a float64 cannot hold UTC ns),
    the size filled in it, and the order asked about last with what it had filled by then: whether that fill
    took place shows only afterwards, in the table of orders.
    """
    bar = market[0]
    start = bar["bar_start"]
    end = bar["event_time"]
    if (
        state[0] == bar["symbol"]
        and state[1] == start // 1_000_000_000
        and state[2] == start % 1_000_000_000
        and state[3] == end // 1_000_000_000
        and state[4] == end % 1_000_000_000
    ):
        state[5] += abs(orders[int(state[6])]["filled"] - state[7])
    else:
        state[0] = bar["symbol"]
        state[1] = start // 1_000_000_000
        state[2] = start % 1_000_000_000
        state[3] = end // 1_000_000_000
        state[4] = end % 1_000_000_000
        state[5] = 0.0
    state[6] = i
    state[7] = orders[i]["filled"]
    filled: float = state[5]
    return filled


@compiled
def volume_share(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[1]`` times the squared share of the bar's volume, at most ``params[0]``, of the price."""
    bar = market[0]
    size = filled_of_this_bar(orders, i, market, state) + abs(bar["quantity"])
    volume = bar["volume"]
    share = params[0]
    if volume > 0.0:  # not for NaN
        share = min(size / volume, share)
    amount: float = share * share * params[1] * abs(bar["price"])
    return amount if bar["quantity"] > 0.0 else -amount


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
        """Return no state, unless the model says otherwise."""
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
    """Half of a bid-ask spread on each side, in proportion to the price or as an amount."""

    function = staticmethod(fraction_of_price)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the spread; give one of the three.

        Attributes:
            spread: Whole spread as a fraction of the price (0.001 is 10 bps), >= 0; half is paid. Default none.
            bps: Whole spread in basis points (1/10,000) of the price, >= 0; half is paid. Default none.
            amount: Whole spread in price units, >= 0; half is paid (zipline's ``FixedSlippage``). Default none.
        """

        spread: float | None = None
        bps: float | None = None
        amount: float | None = None

    def __init__(self, config: Config, setup: Setup) -> None:
        sizes = {"spread": config.spread, "bps": config.bps, "amount": config.amount}
        given = [(key, value) for key, value in sizes.items() if value is not None]
        if len(given) != 1:
            named = " and ".join(key for key, _ in given) or "none"
            raise RunFileError(
                f"slippage model {setup.name} needs the size of the spread once: as spread (a fraction of the "
                f"price), bps or amount; there was {named}"
            )
        key, value = given[0]
        half = _not_negative(value, key, setup) / 2.0
        self._params = (half / 10_000.0 if key == "bps" else half,)
        self.function = fixed_amount if key == "amount" else fraction_of_price
        self._phrase = f"half of a spread of {value:g}" + {"spread": "", "bps": " bps", "amount": " per unit"}[key]


class VolumeShareSlippage(_Slippage):
    """The squared share of the bar's volume (zipline's ``VolumeShareSlippage``).

    A fill moves the price by ``price_impact * share ** 2`` of it. The share is what all orders of the symbol
    have filled in this bar, this fill included, over the bar's volume, and at most ``volume_limit``, which is
    also what is assumed where the volume is zero or unknown. How much may fill is not for a price model to say:
    set ``volume_limit`` of the fill model to the same value for the rest of zipline's model.
    """

    function = staticmethod(volume_share)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Limit and strength.

        Attributes:
            volume_limit: Largest share of the volume that counts, a fraction > 0. Default 0.025, as in zipline.
            price_impact: Fraction of the price at a share of 1, >= 0. Default 0.1, as in zipline.
        """

        volume_limit: float = 0.025
        price_impact: float = 0.1

    def __init__(self, config: Config, setup: Setup) -> None:
        if not 0.0 < config.volume_limit < float("inf"):
            raise RunFileError(
                f"volume_limit of slippage model {setup.name} was {config.volume_limit}; give a finite number > 0"
            )
        self._params = (config.volume_limit, _not_negative(config.price_impact, "price_impact", setup))
        self._phrase = f"{config.price_impact:g} of the price x (share of volume, at most {config.volume_limit:g})^2"

    def initial_state(self) -> NDArray[np.float64]:
        """Return the memory of one bar, float64 (8,), of no symbol yet."""
        return np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
