"""The part of the context that looks back: bars of one feed, and released rows as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.sessions import to_ns
from ml4t.backtest.errors import LookAheadError, RunError
from ml4t_backtest_engine_standard.context.adjusting import Adjustments, Basis, formed_at
from ml4t_backtest_engine_standard.context.tables import AsOf, nanoseconds

__all__ = ["Fill", "LookingBack"]

Floats = NDArray[np.float64]
# How old a value may be that stands for a missing one: bars, or a duration.
Fill: TypeAlias = int | str | timedelta
_EARLIEST: Final = -(2**63)
_LATEST: Final = 2**63 - 1


class LookingBack(AsOf):
    """History and windows of what has been released."""

    _released: Mapping[str, Released]
    _prices: Sequence[Released]
    _adjustments: Adjustments
    _bases: dict[str, Basis]
    _declared: dict[str, list[str]]

    def subscribe(
        self,
        feed: str,
        fields: tuple[str, ...] | str | None = None,
        *,
        history: int = 1,
        adjust: Basis | None = None,
    ) -> None:
        """Declare how many bars of a feed ``history`` and ``window`` may reach back; use it in ``on_start``.

        Args:
            feed: Name of a feed or signal source.
            fields: The only fields that both may read, together with those of other calls; None for all.
            history: Bars (instants of that feed) to keep, the newest included.
            adjust: What both are adjusted for, as of now: ``split`` (the default for raw prices), ``total`` (dividends
                and spin-offs too) or ``raw`` (nothing).
        """
        released = self._feed(feed)
        if adjust is not None:
            self._bases[released.spec.name] = _checked(adjust, feed)
        wanted = (fields,) if isinstance(fields, str) else released.spec.fields if fields is None else tuple(fields)
        for field in wanted:
            released.row(field)
        declared = self._declared.setdefault(released.spec.name, [])
        declared += [field for field in wanted if field not in declared]
        released.keep(history)

    def history(
        self,
        field: str,
        bars: int,
        *,
        feed: str | None = None,
        symbol: str | None = None,
        adjust: Basis | None = None,
        fill: Fill | None = None,
    ) -> Floats:
        """Return the last bars of one feed, float64 (bars, n_symbols), oldest first, NaN where no bar.

        Read-only; it never changes later. Bars before an action are adjusted as ``subscribe`` says; the newest bar is
        as it was.

        Args:
            field: Name of the field.
            bars: Bars of that feed, the newest included.
            feed: Name of a feed or signal source; None for the first feed.
            symbol: The only symbol wanted: float64 (bars,); None for all.
            adjust: As for ``subscribe``; None for what was said there.
            fill: How old a symbol's last value may be to stand for a missing one: bars, a duration such as ``"3d"`` or
                a timedelta; None fills nothing. It is looked for as far back as was declared.
        """
        released = self._feed(feed)
        self._check(released, field)
        basis = self._basis(released) if adjust is None else _checked(adjust, released.spec.name)
        out = self._adjustments.history(released, field, bars, basis)
        if fill is not None:
            out = self._filled(released, field, bars, basis, fill)
        return out if symbol is None else out[:, self.index(symbol)]

    def history_frame(
        self,
        field: str,
        bars: int,
        *,
        feed: str | None = None,
        adjust: Basis | None = None,
        fill: Fill | None = None,
    ) -> pl.DataFrame:
        """Return ``history`` as a frame: ``timestamp``, the end of each bar, and a column per symbol.

        It has as many rows as there are bars, at most ``bars``.
        """
        values = self.history(field, bars, feed=feed, adjust=adjust, fill=fill)
        ends = formed_at(self._feed(feed), bars, values.shape[1]).max(axis=1, initial=0)
        have = ends > 0
        columns = dict(zip(self._state.symbols.names, values[have].T.copy(), strict=True))
        return pl.DataFrame({"timestamp": pl.Series(ends[have]).cast(pl.Datetime("ns", "UTC")), **columns})

    def window(
        self,
        feed: str,
        fields: tuple[str, ...] | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        versions: Literal["newest", "all"] = "newest",
    ) -> pl.DataFrame:
        """Return released rows of a feed or table as a frame: symbol, event_time, known_at, fields.

        Args:
            feed: Name of a feed or signal source, of which ``subscribe(history=)`` says how many instants are kept;
                or of a table, of which all rows known now are.
            fields: Fields; None for all that were declared.
            since, until: Bounds on event_time, inclusive, zone-aware; None for open.
            versions: Of a table, whether rows that were restated are wanted too.
        """
        first = _EARLIEST if since is None else _to_ns(since)
        last = _LATEST if until is None else _to_ns(until)
        wanted = (fields,) if isinstance(fields, str) else fields
        if versions not in ("newest", "all"):
            raise RunError(f'versions was {versions!r}: it is "newest" or "all"')
        names = self._state.symbols.names
        if feed in self._facts:
            return self._facts[feed].frame(names, wanted, (first, last), versions == "all")
        released = self._feed(feed)
        wanted = wanted or tuple(self._declared.get(released.spec.name, released.spec.fields))
        for field in wanted:
            self._check(released, field)
        return self._adjustments.window(released, _window(released, names, wanted, first, last), self._basis(released))

    def _filled(self, released: Released, field: str, bars: int, basis: Basis, fill: Fill) -> Floats:
        """Return history in which the last value of a symbol stands for missing ones as long as it is young enough."""
        by_bars = isinstance(fill, int) and not isinstance(fill, bool)
        oldest = int(fill) if isinstance(fill, int) and by_bars else nanoseconds(fill, "fill")
        if oldest < 0:
            raise LookAheadError(f'fill was {fill!r}: give a number of bars, or a duration such as "3d"')
        reach = max(bars, min(released.depth, bars + oldest) if by_bars else released.depth)
        values = self._adjustments.history(released, field, reach, basis)
        places = np.arange(reach)[:, None]
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, places), axis=0)
        if by_bars:
            young = places - last <= oldest
        else:
            formed = formed_at(released, reach, values.shape[1])
            young = formed.max(axis=1, initial=0)[:, None] - np.take_along_axis(formed, last, axis=0) <= oldest
        out = np.where((last >= 0) & young, np.take_along_axis(values, last, axis=0), np.nan)[reach - bars :]
        out.flags.writeable = False
        return out.view()

    def _check(self, released: Released, field: str) -> None:
        """Refuse a field that was left out of what was declared."""
        name = released.spec.name
        declared = self._declared.get(name)
        if declared is not None and field not in declared:
            released.row(field)
            more = ", ".join(repr(each) for each in (*declared, field))
            remedy = f"call context.subscribe({name!r}, ({more})) in on_start"
            raise LookAheadError(f"field {field!r} of {name!r} was not declared: {remedy}")

    def _basis(self, released: Released) -> Basis:
        """Return what a feed's history is adjusted for."""
        priced = released.spec.kind in ("bar", "quote", "trade")
        usual: Basis = "split" if priced and released.spec.prices in (None, "raw") else "raw"
        return self._bases.get(released.spec.name, usual)

    def _feed(self, name: str | None) -> Released:
        if name is None:
            return self._prices[0]
        if name not in self._released:
            known = ", ".join([*self._released, *self._facts])
            raise LookAheadError(f"there is no feed, signal source or table {name!r}; known are {known}")
        return self._released[name]


def _checked(adjust: Basis, feed: str) -> Basis:
    if adjust not in ("raw", "split", "total"):
        raise RunError(f'adjust of {feed!r} was {adjust!r}: it is "raw", "split" or "total"')
    return adjust


def _window(released: Released, symbols: Sequence[str], fields: Sequence[str], since: int, until: int) -> pl.DataFrame:
    """Return the kept rows with ``since <= event_time <= until`` as a frame of its own memory."""
    ids, times, values = released.kept()
    place = np.flatnonzero((times[0] >= since) & (times[0] <= until))
    names = np.array(symbols, dtype=object)
    return pl.DataFrame(
        {
            "symbol": pl.Series(names[ids[place]].tolist(), dtype=pl.String),
            "event_time": pl.Series(times[0, place]).cast(pl.Datetime("ns", "UTC")),
            "known_at": pl.Series(times[1, place]).cast(pl.Datetime("ns", "UTC")),
            **{name: values[released.row(name), place] for name in fields},
        }
    )


def _to_ns(moment: datetime) -> int:
    if not isinstance(moment, datetime):
        remedy = "give a zone-aware datetime, such as datetime(2024, 3, 1, tzinfo=UTC)"
        raise LookAheadError(f"since or until was {moment!r}: {remedy}")
    if moment.tzinfo is None:
        raise LookAheadError(f"{moment.isoformat()} has no time zone: give a zone-aware datetime")
    return to_ns(moment)
