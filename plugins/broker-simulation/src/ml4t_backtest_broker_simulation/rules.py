"""The rules of fills as the core takes them, and in words."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces.models import FillRules
from ml4t_backtest_broker_simulation import layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe_rules", "lay_out_rules"]

_MARKET: Final = {
    "open": "next open that forms after submission",
    "close": "next close that forms after submission",
    "vwap": "next volume-weighted price of a bar that forms after submission",
    "same-close": "close of the bar on which the order was decided",
}


def lay_out_rules(rules: FillRules, latency: int, strict_ticks: bool, setup: NDArray[np.int64]) -> NDArray[np.float64]:
    """Write rules into ``setup``, see ``core``; return those that are no whole numbers.

    Args:
        rules: Of the fill model.
        latency: ns.
        strict_ticks: Whether prices off the tick are refused.
        setup: int64, written.

    Raises:
        RunFileError: A rule has a value that nobody knows, or rules contradict each other.
    """
    places: dict[str, int] = {
        "market": layout.MARKET_RULE,
        "sees": layout.SEES_CLOSE,
        "limit": layout.CROSS,
        "path": layout.PATH,
        "trail": layout.TRAIL_CLOSE,
        "children": layout.NEXT_BAR,
        "groups": layout.GROUPS_CANCEL,
        "reached": layout.REACHED,
        "beyond_limit": layout.BEYOND,
        "slippage_on": layout.SLIPS_ON,
        "slippage_within": layout.SLIPS_WITHIN,
    }
    hints: dict[str, Any] = get_type_hints(FillRules)
    for name, place in places.items():
        setup[place] = _place(name, getattr(rules, name), get_args(hints[name]))
    basis = _place("volume_basis", rules.volume_basis, get_args(hints["volume_basis"]))
    if not 0.0 <= rules.volume_limit < np.inf:
        raise RunFileError(f"volume_limit of the fill model was {rules.volume_limit}; give a part of the volume >= 0")
    if latency and rules.market == "same-close":
        raise RunFileError("fills at the same close leave no time for a latency; set latency to 0s")
    setup[layout.VOLUME_RULE] = 1 + basis if rules.volume_limit else 0
    setup[layout.STRICT_TICKS] = strict_ticks
    setup[layout.LATENCY] = latency
    setup[layout.OWN_VOLUME] = not rules.volume_shared
    slips = rules.slippage_on == "all" and rules.slippage_within == "anywhere"
    setup[layout.PLAIN] = rules.market != "vwap" and not rules.volume_limit and slips
    numbers = np.zeros(layout.NUMBERS_SIZE)
    numbers[layout.VOLUME_LIMIT] = rules.volume_limit
    return numbers


def _place(name: str, value: str, known: tuple[str, ...]) -> int:
    if value not in known:
        raise RunFileError(f"{name} of the fill model was {value!r}; known are {', '.join(known)}")
    return known.index(value)


def describe_rules(rules: FillRules, profile: str, latency: str) -> dict[str, str]:
    """Return the rules that are not the default, and the price of market orders, in words."""
    phrases = {"fill": _MARKET[rules.market]}
    plain = FillRules(market=rules.market)
    for each in fields(rules):
        if (value := getattr(rules, each.name)) != getattr(plain, each.name):
            said = value if isinstance(value, str) else "no" if value is False else f"{value:g}"
            phrases[each.name.replace("_", " ")] = said
    if profile:
        phrases["profile"] = profile
    if latency.strip().lstrip("0") not in ("", "s"):
        phrases["latency"] = latency
    return phrases
