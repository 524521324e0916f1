"""Named bundles of settings with which orders fill as in another engine; see docs/reference/profiles.md.

A profile is the settings that a user could have written: tables of models, keys of the broker, and of accounts
(``account``). What the user names takes the place of the profile's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["PROFILES"]

# These engines sell short without margin and close nothing by themselves: not for want of it, nor where prices stop.
_FREE: Final = {"type": "unlimited", "margin_call": "note", "on_silence": "hold"}
PROFILES: Final[Mapping[str, Mapping[str, Any]]] = {
    "zipline": {
        "fill": {
            "use": "next-close",
            "sees": "close",
            "volume_limit": 0.1,
            "reached": "everything",
            "beyond_limit": "ignore",
        },
        "slippage": {"use": "bps", "bps": 5.0},
        "commission": {"use": "per-share", "rate": 0.001},
        "account": _FREE,
    },
    "backtrader": {
        "fill": {
            "use": "next-open",
            "path": "submission",
            "trail": "close",
            "children": "complete",
            "groups": "cancel",
            "reached": "nothing",
            "volume_shared": False,
            "slippage_on": "stops",
            "slippage_within": "bar",
        },
        "account": _FREE,
    },
    "vectorbt": {"fill": {"use": "same-close"}, "account": _FREE},
    "lean": {"fill": {"use": "next-open", "limit": "cross"}, "account": {"type": "margin", "check": "submit"}},
    "realistic": {
        "fill": {"use": "next-open", "limit": "cross", "volume_limit": 0.1, "volume_basis": "trailing"},
        "slippage": {"use": "bps", "bps": 5.0},
        "commission": {"use": "per-share", "rate": 0.005, "minimum": 1.0},
    },
}
