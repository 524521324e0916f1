"""What an order's own size adds to the reference price: a buy pays more, a sale gets less."""

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

__all__ = ["AlmgrenChrissImpact", "LinearImpact", "SquareRootImpact"]

Function = TypeVar("Function", bound=Callable[..., float])
Table: TypeAlias = "NDArray[np.void]"
Floats: TypeAlias = "NDArray[np.float64]"


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@compiled
def share_of_volume(market: Table) -> float:
    """Return the size of the fill over the volume; 1 where there is no volume to divide by."""
    bar = market[0]
    volume = bar["volume"]
    size = abs(bar["quantity"])
    if not volume > 1e-15 * size:  # NaN too; a share beyond that has no meaning, and its product may be no number
        return 1.0
    share: float = size / volume
    return share


@compiled
def linear(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` times the share of the volume, of the price, against the order."""
    amount: float = params[0] * share_of_volume(market) * abs(market[0]["price"])
    return amount if market[0]["quantity"] > 0.0 else -amount


@compiled
def square_root(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` times the root of the share of the volume, of the price, against the order."""
    amount: float = params[0] * np.sqrt(share_of_volume(market)) * abs(market[0]["price"])
    return amount if market[0]["quantity"] > 0.0 else -amount


@compiled
def almgren_chriss(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return the temporary impact of this fill and the permanent one of the order's earlier fills.

    Almgren and Chriss (2000), equations 1 and 2: fill ``k`` of ``n_k`` units gets ``S_{k-1} - h(n_k / tau)``, and
    ``S_k`` has moved by ``gamma n_k`` against the order, so a fill pays what the earlier ones have moved and not
    what it moves itself. The sum over the fills, ``gamma sum_k n_k sum_{j<k} n_j``, is ``gamma / 2 (X^2 - sum
    n_k^2)``: half of ``gamma X^2`` less the ``gamma tau / 2`` by which the paper's ``eta`` falls (equation 8).
    """
    size = abs(market[0]["quantity"])
    amount: float = params[0] + params[1] * size + params[2] * abs(orders[i]["filled"])
    return amount if market[0]["quantity"] > 0.0 else -amount


def _not_negative(value: float, key: str, setup: Setup) -> float:
    if not 0.0 <= value < float("inf"):
        raise RunFileError(f"{key} of impact model {setup.name} was {value}; give a finite number >= 0")
    return value


class _Impact:
    function: Callable[..., float]
    _params: tuple[float, ...] = ()
    _phrase = ""

    def params(self) -> NDArray[np.float64]:
        """Return the parameters of the function."""
        return np.array(self._params, np.float64)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state: what an order has moved follows from what it has filled."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the settings with their units."""
        return self._phrase


class LinearImpact(_Impact):
    """In proportion to the share of the volume: ``coefficient * |quantity| / volume * price``.

    Volume is that of the bar (of a quote the size at the order's side, of a trade its size). Where it is zero or
    unknown the fill counts as all of it, a share of 1.
    """

    function = staticmethod(linear)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Strength.

        Attributes:
            coefficient: Fraction of the price at a fill of all of the volume, >= 0. No default.
        """

        coefficient: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (_not_negative(config.coefficient, "coefficient", setup),)
        self._phrase = f"{config.coefficient:g} of the price x share of volume"


class SquareRootImpact(_Impact):
    """The square-root law: ``coefficient * volatility * sqrt(|quantity| / volume) * price``.

    Volatility and volume have to be of one time: for daily bars that of a day. Where the volume is zero or
    unknown the fill counts as all of it. Each fill pays for its own size alone, so an order that fills in parts
    pays less than one that fills at once.
    """

    function = staticmethod(square_root)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Strength and volatility.

        Attributes:
            volatility_bps: Standard deviation of the returns of one bar, in daily bars of one day, basis points
                (1/10,000) of the price, >= 0. No default; 100 to 200 a day is usual for shares.
            coefficient: The law's factor Y, a number near 1, >= 0. Default 1.
        """

        volatility_bps: float
        coefficient: float = 1.0

    def __init__(self, config: Config, setup: Setup) -> None:
        volatility = _not_negative(config.volatility_bps, "volatility_bps", setup) / 10_000.0
        self._params = (_not_negative(config.coefficient, "coefficient", setup) * volatility,)
        self._phrase = f"{config.coefficient:g} x {config.volatility_bps:g} bps x root of share of volume"


class AlmgrenChrissImpact(_Impact):
    """Temporary and permanent impact, linear in size (Almgren and Chriss, 2000).

    A fill of ``n`` units pays ``epsilon + eta * n / interval`` for itself and ``gamma`` for each unit that its
    order has filled before. What one order has moved is not paid by another. Volume plays no part.
    """

    function = staticmethod(almgren_chriss)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The paper's parameters, in price units; they are the same for all symbols.

        Attributes:
            eta: Temporary impact: price units per (unit per day), >= 0. No default; in the paper 2.5e-6.
            gamma: Permanent impact: price units per unit, >= 0. No default; in the paper 2.5e-7.
            epsilon: Fixed cost of each fill, half the spread and fees, price units, >= 0. Default 0; in the paper
                0.0625.
            interval: Days over which a fill is spread, the paper's tau, > 0. Default 1, for daily bars.
        """

        eta: float
        gamma: float
        epsilon: float = 0.0
        interval: float = 1.0

    def __init__(self, config: Config, setup: Setup) -> None:
        values = {key: _not_negative(getattr(config, key), key, setup) for key in ("epsilon", "eta", "gamma")}
        if not 0.0 < config.interval < float("inf") or not np.isfinite(config.eta / config.interval):
            raise RunFileError(
                f"interval of impact model {setup.name} was {config.interval}; give a finite number of days > 0"
            )
        self._params = (values["epsilon"], values["eta"] / config.interval, values["gamma"])
        self._phrase = (
            f"epsilon {config.epsilon:g}, eta {config.eta:g} over {config.interval:g} days, gamma {config.gamma:g}"
        )
