"""What a model may look at: the reading half of a context."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.interfaces.context import Session
from ml4t_backtest_engine_standard.context.context import Context

__all__ = ["View"]

Floats = NDArray[np.float64]


class View:
    """Released columns as they are known now, and nothing to order with.

    Args:
        context: A context of its own, whose outbox is closed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def now(self) -> datetime:
        """The present, zone-aware UTC, cut to microseconds; ``now_ns`` is exact."""
        return self._context.now

    @property
    def now_ns(self) -> int:
        """The present, UTC ns."""
        return self._context.now_ns

    @property
    def session(self) -> Session | None:
        """The session that is open, or that closed last; None before the first of the calendar."""
        return self._context.session

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that released rows have named, in the order of their columns; append-only."""
        return self._context.symbols

    @property
    def universe(self) -> NDArray[np.bool_]:
        """Which symbols are listed, members of the universe and priced now, bool (n,)."""
        return self._context.universe

    def index(self, symbol: str) -> int:
        """Return the column of a symbol."""
        return self._context.index(symbol)

    def price(self, symbol: str | None = None) -> Any:
        """Return the last known price of a symbol, or of all, float64 (n,); NaN before the first."""
        return self._context.price(symbol)

    def price_age(self, symbol: str | None = None) -> Any:
        """Return ns since the last price formed, for a symbol or for all, int64 (n,)."""
        return self._context.price_age(symbol)

    def history(self, field: str, bars: int, **options: Any) -> Floats:
        """Return the last bars of one feed, float64 (bars, n_symbols); see ``Context.history`` for the options."""
        return self._context.history(field, bars, **options)

    def window(self, feed: str, fields: Sequence[str] | str | None = None, **options: Any) -> pl.DataFrame:
        """Return released rows of a feed or table as a frame; see ``Context.window`` for the options."""
        wanted = fields if fields is None or isinstance(fields, str) else tuple(fields)
        return self._context.window(feed, wanted, **options)

    def asof(self, table: str, field: str, **options: Any) -> Any:
        """Return what counts now of a field of a table; see ``Context.asof`` for the options."""
        return self._context.asof(table, field, **options)

    def signal(self, name: str) -> Floats:
        """Return a signal's values known and valid now, float64 (n,), NaN where there is none."""
        return self._context.signal(name)

    def signal_age(self, name: str, symbol: Any = None) -> Any:
        """Return ns since the newest release, or since the values of symbols were known; see ``Context.signal_age``."""
        return self._context.signal_age(name) if symbol is None else self._context.signal_age(name, symbol)
