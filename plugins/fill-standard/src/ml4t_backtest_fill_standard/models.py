"""Which prices orders meet, as rules that the broker follows.

The broker makes sure that a price formed after the order was submitted (except at the same close, which is
flagged) and finds it by these rules, so no model here has a function of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import FillRules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["NextClose", "NextOpen", "NextVwap", "SameClose"]


class _Rules:
    rules: FillRules
    phrase: ClassVar[str]
    function: Callable[..., float] | None = None

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What stop and limit orders meet, and how much fills; see docs/reference/matching.md.

        Attributes:
            sees: What stop and limit orders meet: the whole ``bar`` (default), or its ``close`` alone.
            limit: Whether a price that does ``touch`` a limit fills it (default), or must ``cross`` it.
            path: What is assumed where one bar touches stop and target: ``pessimistic`` (the stop was first;
                default), ``optimistic`` (the target), ``open-high-low-close``, or nothing: the order of
                ``submission`` decides.
            trail: What moves a trailing stop: the ``extreme`` of each bar (default), or its ``close``.
            children: From when children of an order may fill: in the ``same-bar``, on prices provably later
                (default), from the ``next-bar`` on, or from the bar on after which their entry is ``complete``.
            groups: Whether a fill takes its quantity off the others of its group (``reduce``, default), or
                ``cancel``s them.
            reached: What stays reached while volume delays it: ``stops`` (default), ``nothing``, or
                ``everything``, limits too.
            volume_limit: Largest part of a bar's volume (of a quote's or trade's size) that all orders of a
                symbol may fill together; 0 (default) for no limit.
            volume_shared: Whether a symbol's orders share that (default), or each has it to itself.
            volume_basis: Whose volume: the ``bar``'s own (default), or the ``trailing`` one, of the bar before.
            beyond_limit: Where slippage would make a price worse than the order's limit: ``clip`` it (default),
                ``wait``, or ``ignore`` the limit.
            slippage_on: Which fills slip: ``all`` (default), ``stops``, or ``opens-and-stops``.
            slippage_within: How far: ``anywhere`` (default), or within the ``bar``.
        """

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

    def __init__(self, config: Config, setup: Setup) -> None:
        if not 0.0 <= config.volume_limit <= 1.0:
            raise RunFileError(
                f"volume_limit of fill model {setup.name} was {config.volume_limit}; "
                "give a part of the volume from 0 to 1, as 0.1 for a tenth"
            )
        self.rules = replace(self.rules, **asdict(config))

    def params(self) -> NDArray[np.float64]:
        """Return no parameters."""
        return np.zeros(0)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the price of market orders in words."""
        return self.phrase


class NextOpen(_Rules):
    """Fill market orders at the open of the first bar that opens at or after submission (backtrader's default)."""

    rules = FillRules(market="open")
    phrase = "at the next open"


class NextClose(_Rules):
    """Fill market orders at the close of the first bar that ends after submission (zipline's default)."""

    rules = FillRules(market="close")
    phrase = "at the next close"


class NextVwap(_Rules):
    """Fill market orders at the field ``vwap`` of the first bar that opens at or after submission.

    Where the field is missing or lies outside the bar's range, the order waits.
    """

    rules = FillRules(market="vwap")
    phrase = "at the next volume-weighted price"


class SameClose(_Rules):
    """Fill market orders at the close on which they were decided (backtrader's cheat-on-close); results are flagged.

    Nobody can trade at a price that had to be known to decide the trade: this is for comparing with engines
    that do so. An order for a symbol without a bar at that instant waits for its next close.
    """

    rules = FillRules(market="same-close")
    phrase = "at the same close"
