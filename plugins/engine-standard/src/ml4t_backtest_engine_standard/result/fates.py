"""What became of each row of a signal source."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.state import REFUSED, RunState

__all__ = ["FATES", "find_fates"]

Integers = NDArray[np.int64]

# ``traded``: an order on the symbol was accepted while the row counted; ``refused``: only refused ones were made;
# ``late``: it came when it was worth nothing any more; ``stale``: the next order was made after it had ceased to count;
# ``unknown-symbol``: no price of its symbol ever formed; ``unused``: nobody ordered. A decision to hold what is held
# sends no order.
FATES: Final = ("unused", "stale", "late", "refused", "traded", "unknown-symbol")
_MOST: Final = int(np.iinfo(np.int64).max) - 1
_STALE, _LATE, _REFUSED, _TRADED, _UNKNOWN = range(1, 6)


def find_fates(
    state: RunState, symbol: Integers, times: tuple[Integers, Integers], valid_for: int | None, horizon: int | None
) -> tuple[NDArray[np.int8], Integers]:
    """Meet each order with the row of its symbol that counted when it was made.

    Args:
        state: The run's columns: orders, and which symbols were ever priced.
        symbol: Of each row, int64 (n,).
        times: event_time and known_at of each row, int64 (n,) UTC ns.
        valid_for: How long a value counts, ns; None means until the source's next release.
        horizon: How long after event_time a value says anything, ns; None where that is not stated.

    Returns:
        Place in ``FATES`` of each row, and when the first accepted order was made while it counted, -1 for none.
    """
    event_time, known_at = times
    overtaken = _overtaken(symbol, times, within_release=valid_for is None)
    over = valid_for if horizon is None else horizon
    late = overtaken if over is None else overtaken | (known_at - event_time > over)
    releases = np.append(np.unique(known_at), np.iinfo(np.int64).max)
    ends = releases[np.searchsorted(releases, known_at, "right")]
    if valid_for is not None:
        ends = np.minimum(known_at, _MOST - valid_for) + valid_for + 1
    orders = state.orders.rows()
    met = pl.DataFrame(
        {
            "symbol": orders["symbol"].astype(np.int64),
            "at": orders["submitted_at"],
            "refused": orders["status"] == REFUSED,
        }
    ).sort("at", maintain_order=True)
    counting = np.flatnonzero(~overtaken)
    known = pl.DataFrame({"symbol": symbol[counting], "at": known_at[counting], "row": counting})
    met = met.join_asof(known.sort("at", maintain_order=True), on="at", by="symbol", check_sortedness=False)
    row, at, refused = (met.drop_nulls("row")[name].to_numpy() for name in ("row", "at", "refused"))
    valid, fate, used_at = at < ends[row], np.zeros(len(symbol), np.int8), np.full(len(symbol), -1)
    traded = np.flatnonzero(valid & ~refused)[::-1]  # of several written to one place the earliest stays
    fate[row[~valid]] = _STALE
    fate[np.isnan(state.instruments["mark"])[symbol]] = _UNKNOWN
    fate[late] = _LATE
    fate[row[valid & refused]] = _REFUSED
    fate[row[traded]], used_at[row[traded]] = _TRADED, at[traded]
    return fate, used_at


def _overtaken(symbol: Integers, times: tuple[Integers, Integers], *, within_release: bool) -> NDArray[np.bool_]:
    """Say of each row whether a newer event_time of its symbol was known when it came, so that it never counted.

    Args:
        symbol: Of each row, int64 (n,).
        times: event_time and known_at of each row, int64 (n,) UTC ns.
        within_release: Whether only rows of the same release are compared: the newest release counts as it is.
    """
    event_time, known_at = times
    if within_release and len(symbol):  # most sources say one thing of a symbol at a time
        order = np.lexsort((symbol, known_at))
        if ((np.diff(symbol[order]) != 0) | (np.diff(known_at[order]) != 0)).all():
            return np.zeros(len(symbol), np.bool_)
    rows = pl.DataFrame({"symbol": symbol, "known_at": known_at, "event_time": event_time}).with_row_index("row")
    group = ["symbol", "known_at"] if within_release else ["symbol"]
    rows = rows.sort("known_at", maintain_order=True)
    rows = rows.with_columns(reached=pl.col("event_time").cum_max().over(group))
    rows = rows.with_columns(pl.col("reached").max().over("symbol", "known_at"))
    overtaken = rows.sort("row").select(pl.col("reached") > pl.col("event_time")).to_series()
    return np.asarray(overtaken.to_numpy())
