"""Models of execution: each is one function of a fixed shape plus its parameters as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CommissionModel",
    "ExecutionModel",
    "ExecutionModels",
    "FillModel",
    "MarketImpactModel",
    "SlippageModel",
]


@runtime_checkable
class ExecutionModel(Protocol):
    """A fill, slippage, commission or impact model, built as ``cls(config, setup)``.

    Attributes:
        function: ``(orders, i, market, params, state) -> float64``; compiled with ``numba.njit`` or plain
            Python (then called back, about 1 µs a fill, the same bits).
    """

    function: Callable[..., float]

    def params(self) -> NDArray[np.float64]:
        """Parameters of the function, float64 (n,), fixed for the run."""
        ...

    def initial_state(self) -> NDArray[np.float64]:
        """Values the function may read and write, float64 (n,); zeros(0) when it keeps none."""
        ...

    def describe(self) -> str:
        """One phrase for the run's header, for example ``5 bps``."""
        ...


@runtime_checkable
class FillModel(ExecutionModel, Protocol):
    """Decides at which reference price an order fills, or NaN.

    Attributes:
        mode: ``next-open``, ``next-close`` or ``same-close``: which prices the orders wait for. The broker
            enforces that the price formed after submission; ``same-close`` is flagged in every result.
    """

    mode: str


class SlippageModel(ExecutionModel, Protocol):
    """Signed amount added to the reference price (buys: > 0 is worse)."""


class CommissionModel(ExecutionModel, Protocol):
    """Cash cost of a fill."""


class MarketImpactModel(ExecutionModel, Protocol):
    """Signed amount added to the reference price for the order's own size."""


@dataclass(frozen=True, kw_only=True)
class ExecutionModels:
    """The models of one run, handed to the broker; None means "none of this cost"."""

    fill: FillModel
    slippage: ExecutionModel | None = None
    commission: ExecutionModel | None = None
    impact: ExecutionModel | None = None
    extra: dict[str, Any] | None = None
