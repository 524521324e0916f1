"""From the keywords of an order to the columns of its request.

What nobody can mean is an error that says what to write instead: an unknown time in force, two kinds of trail, a
date without a zone. Numbers are taken as they are, NaN included: None means "no limit", NaN is a limit that the
broker refuses (``price-not-finite``).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np

from ml4t.backtest.core.sessions import SessionTable, to_ns
from ml4t.backtest.errors import OrderError
from ml4t.backtest.state import ORDER_KINDS, TIMES_IN_FORCE

__all__ = ["number", "price_columns", "text", "time_columns"]

_EPOCH = date(1970, 1, 1)
_NEVER = np.iinfo(np.int64).max
_PLAIN, _TRAILING, _TRAILING_LIMIT = (
    ORDER_KINDS.index(kind) for kind in ("market", "trailing-stop", "trailing-stop-limit")
)


def number(name: str, value: Any) -> float:
    """Return a value as float64; OrderError for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise OrderError(f"{name} was {value!r}, expected a number") from None


def text(name: str, value: Any) -> str:
    """Return a tag or a client id; OrderError for what no file can hold."""
    if not isinstance(value, str):
        raise OrderError(f"{name} was {value!r}, expected a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OrderError(f"{name} was {value!r}, which is no valid Unicode: leave its surrogates out") from None
    return value


def price_columns(
    limit_price: float | None = None,
    stop_price: float | None = None,
    trail_amount: float | None = None,
    trail_percent: float | None = None,
    limit_offset: float | None = None,
) -> dict[str, float]:
    """Return kind, prices and trail as columns of REQUEST; none of them for a market order."""
    trails = trail_amount is not None or trail_percent is not None
    if trail_amount is not None and trail_percent is not None:
        raise OrderError("trail_amount and trail_percent were both given: a stop trails by one of them")
    if limit_offset is not None and not trails:
        raise OrderError(
            "limit_offset was given without a trail: add trail_amount= or trail_percent=, or use limit_price="
        )
    if trails and limit_price is not None:
        raise OrderError("limit_price was given with a trail: use limit_offset=, the limit's distance from the stop")
    if trails:
        kind = _TRAILING if limit_offset is None else _TRAILING_LIMIT
    else:
        kind = _PLAIN + (limit_price is not None) + 2 * (stop_price is not None)
    given = {
        "limit_price": limit_price,
        "stop_price": stop_price,
        "trail_amount": trail_amount,
        "trail_percent": trail_percent,
        "limit_offset": limit_offset,
    }
    columns = {name: number(name, value) for name, value in given.items() if value is not None}
    return columns | ({"kind": kind} if kind else {})


def time_columns(time_in_force: str, expires_at: date | None, sessions: SessionTable) -> dict[str, int]:
    """Return time in force and end as columns of REQUEST.

    Args:
        time_in_force: One of TIMES_IN_FORCE.
        expires_at: Zone-aware instant, or a date: the close of that session, or of the last one before it.
        sessions: The run's sessions.
    """
    if time_in_force not in TIMES_IN_FORCE:
        raise OrderError(f"time_in_force {time_in_force!r} is not one of {', '.join(TIMES_IN_FORCE)}")
    code = TIMES_IN_FORCE.index(time_in_force)
    columns = {"time_in_force": code} if code else {}
    if expires_at is None:
        return columns
    if time_in_force != "GTD":
        raise OrderError(f"expires_at was given to a {time_in_force} order: add time_in_force='GTD'")
    return columns | {"expires_at": _instant(expires_at, sessions)}


def _instant(moment: date, sessions: SessionTable) -> int:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise OrderError(f"expires_at {moment.isoformat()} has no time zone: give a zone-aware datetime, or a date")
        return max(0, min(to_ns(moment), _NEVER))
    if not isinstance(moment, date):
        raise OrderError(f"expires_at was {moment!r}, expected a zone-aware datetime or a date")
    row = int(np.searchsorted(sessions.label, (moment - _EPOCH).days, side="right")) - 1
    return int(sessions.close[row]) if row >= 0 else 0
