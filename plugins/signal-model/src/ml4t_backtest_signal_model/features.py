"""What a model is told: fields of feeds over some bars, and of tables, as they are known now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Feature", "compute"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number per symbol.

    Attributes:
        field: Column of the feed or table.
        name: What the model calls it; by default ``field``, with ``_transform`` where there is one.
        feed: Name of the feed or signal source; the first feed by default.
        table: Name of the table, in place of a feed.
        history: Bars that are looked at, the newest included.
        transform: ``last`` value, ``change`` (last / first - 1), ``mean``, ``deviation`` (standard, of the population),
            ``zscore`` of the last one, or its ``rank`` among the symbols, 0 to 1.
        max_age: Of tables: the oldest event_time that counts, such as ``"100d"``.
        fill: Of feeds: how old a value may be that stands for a missing one: bars, or a duration such as ``"3d"``.
    """

    field: str
    name: str = ""
    feed: str = ""
    table: str = ""
    history: int = 1
    transform: Literal["last", "change", "mean", "deviation", "zscore", "rank"] = "last"
    max_age: str | None = None
    fill: int | str | None = None

    def __post_init__(self) -> None:
        if self.table and (self.feed or self.history != 1):
            raise ValueError(f"{self.called} is of a table: leave out feed and history")
        if self.history < 1 or (self.transform in ("change", "deviation", "zscore") and self.history < 2):
            raise ValueError(f"{self.called} is a {self.transform}: set history to 2 or more")

    @property
    def called(self) -> str:
        """What the model calls it."""
        return self.name or (self.field if self.transform == "last" else f"{self.field}_{self.transform}")


def compute(features: tuple[Feature, ...], view: Any) -> Mapping[str, Floats]:
    """Return each feature over ``view.symbols``, float64 (n,), NaN where it is unknown.

    Args:
        features: What is wanted.
        view: What is known now.
    """
    with np.errstate(all="ignore"):  # a change from zero is unknown, which the caller makes of what is not finite
        made = {each.called: _one(each, view) for each in features}
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in made.items()}


def _one(feature: Feature, view: Any) -> Floats:
    if feature.table:
        age = {} if feature.max_age is None else {"max_age": feature.max_age}
        known = np.asarray(view.asof(feature.table, feature.field, **age), np.float64)
        rows = np.broadcast_to(known, (1, len(view.symbols)))
    else:
        fill = {} if feature.fill is None else {"fill": feature.fill}
        rows = view.history(feature.field, feature.history, feed=feature.feed or None, **fill)
    last, kind = rows[-1], feature.transform
    if kind == "change":
        return np.asarray(np.where(np.isnan(rows).any(axis=0), np.nan, last / rows[0] - 1.0))
    if kind == "mean":
        return np.asarray(rows.mean(axis=0))
    if kind in ("deviation", "zscore"):
        deviation = rows.std(axis=0)
        flat = (rows == rows[0]).all(axis=0)  # rounding may leave a rest where nothing moved
        deviation = np.where(flat, 0.0, deviation)
        return np.asarray(deviation if kind == "deviation" else (last - rows.mean(axis=0)) / deviation)
    return _rank(last) if kind == "rank" else np.array(last)


def _rank(values: Floats) -> Floats:
    """Return the place of each among the known ones, 0 to 1; equal ones share the middle, a single one has 0.5."""
    known = np.isfinite(values)
    ordered = np.sort(values[known])
    places = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - 1) / 2
    return np.where(known, places / (len(ordered) - 1) if len(ordered) > 1 else 0.5, np.nan)
