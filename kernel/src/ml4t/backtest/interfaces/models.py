"""Models of execution: each is one function of a fixed shape plus its parameters as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CommissionModel",
    "ExecutionModel",
    "ExecutionModels",
    "FillModel",
    "FillRules",
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


@dataclass(frozen=True, kw_only=True)
class FillRules:
    """Which prices orders meet.

    The broker keeps the one rule that none of these changes: a price that fills an order formed after it was
    submitted (``same-close`` is the named exception, flagged in every result).

    Attributes:
        market: Where market orders fill: the next ``open``, ``close`` or ``vwap``, or the ``same-close``.
        sees: What limit and stop orders meet: the whole ``bar``, or its ``close`` alone.
        limit: Whether a price that ``touch``es a limit fills it, or must ``cross`` it.
        path: What is assumed where one bar touches stop and target: ``pessimistic`` (the stop was first),
            ``optimistic`` (the target), ``open-high-low-close``, or nothing: the order ``submission`` decides.
        trail: What moves a trailing stop: the ``extreme`` of each bar, or its ``close``.
        children: Whether children of an order may fill in the bar that filled it (``same-bar``, on prices
            provably later), from the ``next-bar`` on, or from the one on after which their entry is ``complete``.
        groups: Whether a fill takes its quantity off the others of its group (``reduce``), or ``cancel``s them.
        reached: What stays reached while volume delays it: ``stops``, ``nothing``, or ``everything``.
        volume_limit: Largest part of a bar's volume (of a quote's or trade's size) that all orders of a
            symbol may fill together; 0 for no limit.
        volume_shared: Whether a symbol's orders share it, or each has it to itself.
        volume_basis: Whose volume: the ``bar``'s own, or the ``trailing`` one, of the bar before.
        beyond_limit: Where slippage would make a price worse than the order's limit: ``clip`` it, ``wait``, or
            ``ignore`` the limit.
        slippage_on: Which fills slip: ``all``, ``stops``, or ``opens-and-stops``.
        slippage_within: How far: ``anywhere``, or within the ``bar``.
    """

    market: Literal["open", "close", "vwap", "same-close"] = "open"
    sees: Literal["bar", "close"] = "bar"
    limit: Literal["touch", "cross"] = "touch"
    path: Literal["pessimistic", "optimistic", "open-high-low-close", "submission"] = "pessimistic"
    trail: Literal["extreme", "close"] = "extreme"
    children: Literal["same-bar", "next-bar", "complete"] = "same-bar"
    groups: Literal["reduce", "cancel"] = "reduce"
    reached: Literal["stops", "nothing", "everything"] = "stops"
    volume_limit: float = 0.0
    volume_basis: Literal["bar", "trailing"] = "bar"
    volume_shared: bool = True
    beyond_limit: Literal["clip", "wait", "ignore"] = "clip"
    slippage_on: Literal["all", "stops", "opens-and-stops"] = "all"
    slippage_within: Literal["anywhere", "bar"] = "anywhere"


@runtime_checkable
class FillModel(Protocol):
    """Says which prices orders meet, built as ``cls(config, setup)``; ``params`` … as in ``ExecutionModel``.

    Attributes:
        rules: What the broker decides by.
        function: None, or what is then asked with the price that the broker found in ``market[0]["price"]``:
            it returns that, another one within the bar, or NaN for not now.
    """

    rules: FillRules
    function: Callable[..., float] | None

    def params(self) -> NDArray[np.float64]:
        """Parameters of the function, float64 (n,), fixed for the run."""
        ...

    def initial_state(self) -> NDArray[np.float64]:
        """Values the function may read and write, float64 (n,); zeros(0) when it keeps none."""
        ...

    def describe(self) -> str:
        """One phrase for the run's header."""
        ...


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
