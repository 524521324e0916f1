"""From scores to target weights: pure functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["rank_weights"]


def rank_weights(
    scores: ArrayLike,
    *,
    long: int,
    short: int = 0,
    gross: float = 1.0,
    threshold: float | None = None,
    weighting: Literal["equal", "proportional"] = "equal",
) -> NDArray[np.float64]:
    """Return the weights that hold the highest scores long and the lowest short.

    Equal scores are taken in the order of the columns; no symbol is on both sides.

    Args:
        scores: float (n,), NaN where nothing is known.
        long: Largest number of symbols held long.
        short: Largest number of symbols held short.
        gross: Sum of the absolute weights when all places are taken; a fraction of equity.
        threshold: Symbols are long only from this score up, and short only from minus this score down.
        weighting: ``equal`` gives each symbol ``gross / (long + short)``, so that places not taken stay cash;
            ``proportional`` divides ``gross`` by absolute score, positive ones long and negative ones short.

    Returns:
        float64 (n,), fractions of equity; 0 for symbols that are not chosen.
    """
    values = np.asarray(scores, np.float64)
    weights = np.zeros(len(values))
    known = np.isfinite(values)
    floor = 0.0 if threshold is None and weighting == "proportional" else threshold
    highest = np.argsort(np.where(known, -values, np.inf), kind="stable")
    lowest = np.argsort(np.where(known, values, np.inf), kind="stable")
    buys, sells = known[highest], known[lowest]
    if floor is not None:
        buys, sells = buys & (values[highest] >= floor), sells & (values[lowest] <= -floor)
    bought = highest[buys][:long]
    sold = lowest[sells & ~np.isin(lowest, bought)][:short]
    if weighting == "equal":
        weights[bought], weights[sold] = gross / max(1, long + short), -gross / max(1, long + short)
        return weights
    weights[bought], weights[sold] = np.maximum(values[bought], 0.0), np.minimum(values[sold], 0.0)
    total = np.abs(weights).sum()
    return weights * (gross / total) if total > 0.0 else weights
