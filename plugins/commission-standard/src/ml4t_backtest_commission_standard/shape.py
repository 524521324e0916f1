"""What the commission models have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import numba
import numpy as np

from ml4t.backtest.errors import RunFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["Commission", "Floats", "Table", "compiled", "not_negative"]

Function = TypeVar("Function", bound=Callable[..., float])
Table: TypeAlias = "NDArray[np.void]"
Floats: TypeAlias = "NDArray[np.float64]"


def compiled(function: Function) -> Function:
    """Compile with the one set of options that gives the same bits as the interpreter."""
    return cast(Function, numba.njit(error_model="numpy")(function))


def not_negative(value: float, key: str, setup: Setup) -> float:
    """Return a setting that is a cost.

    Args:
        value: What was set.
        key: Its name.
        setup: The model's, for the message.

    Raises:
        RunFileError: The value is negative, infinite or no number.
    """
    if not 0.0 <= value < float("inf"):
        raise RunFileError(f"{key} of commission model {setup.name} was {value}; give a finite number >= 0")
    return value


class Commission:
    """A function, its parameters, and a phrase about them."""

    function: Callable[..., float]
    _params: tuple[float, ...] = ()
    _phrase = "none"

    def params(self) -> NDArray[np.float64]:
        """Return the parameters of the function."""
        return np.array(self._params, np.float64)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state: what an order owes follows from what it has filled and paid."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the settings with their units."""
        return self._phrase
