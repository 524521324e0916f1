"""What ``on_slice`` is given: the rows of one instant, as arrays over symbols or as compact columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.errors import LookAheadError

__all__ = ["Market", "Slice"]

Floats = NDArray[np.float64]


class Slice:
    """Compact columns of one feed at one instant."""

    __slots__ = ("_columns", "symbol_ids")

    def __init__(self, released: Released) -> None:
        self.symbol_ids = released.symbol_ids()
        self._columns = {name: released.column(name) for name in released.spec.fields}

    def __getattr__(self, name: str) -> Floats:
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self._columns)}") from None


class Market:
    """The rows of driving feeds that became known at one instant; what ``on_slice`` is given.

    Fields of the first feed that has rows are attributes: ``market.close`` is float64 (n,), one per released
    symbol, NaN where the instant has no row; read-only.

    Attributes:
        timestamp: The instant, UTC ns.
    """

    __slots__ = ("_feeds", "timestamp")

    def __init__(self, timestamp: int, feeds: tuple[Released, ...]) -> None:
        self.timestamp = timestamp
        self._feeds = feeds

    @property
    def updated(self) -> NDArray[np.bool_]:
        """Which symbols have a row in this instant, bool (n,)."""
        self._check()
        return self._feeds[0].updated()

    def feed(self, name: str) -> Slice:
        """Return the compact columns of a feed that has rows in this instant; KeyError when it has none."""
        self._check()
        for released in self._feeds:
            if released.spec.name == name:
                return Slice(released)
        raise KeyError(f"feed {name!r} has no rows at this instant")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._check()
        if name not in self._feeds[0].spec.fields:
            have = ", ".join(self._feeds[0].spec.fields)
            raise AttributeError(f"feed {self._feeds[0].spec.name!r} has no field {name!r}; it has {have}")
        return self._feeds[0].dense(name)

    def _check(self) -> None:
        if self._feeds[0]._state.now != self.timestamp:
            raise LookAheadError(
                "this slice is over: take the arrays you need while its callback runs; arrays stay valid"
            )
