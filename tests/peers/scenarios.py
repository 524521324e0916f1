"""What both sides run: bars, settings of both, and actions by bar; an action says: after bar ``bar`` do this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peer_orders import (
    Action,
    Panel,
    as_ticks,
    brackets,
    drop_ambiguous,
    larger,
    one_cancels_other,
    panel,
    singles,
    together,
)

__all__ = ["CASH", "SCENARIOS", "Scenario", "panel"]

CASH = 1e9  # no engine's check of cash or margin binds


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: Unique for its engine.
        peer: The other engine.
        bars: Name of a panel below.
        actions: From the panel to what is done.
        settings: Of the other engine; its runner knows the keys.
        broker: Of ours, as in a run file; the profile is the engine's unless named.
    """

    name: str
    peer: str
    bars: str
    actions: Callable[[Panel], list[Action]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    broker: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, panel: Panel) -> dict[str, Any]:
        """Return what the runner reads."""
        return {"name": self.name, "settings": {"cash": CASH, **self.settings}, "actions": self.actions(panel)}


# --- the list -----------------------------------------------------------------------------------------------

EVERY_KIND = ("market", "close", "limit", "stop", "stop-limit", "trailing-stop")
PERCENT = {"kind": "percent", "rate": 0.001}
PER_SHARE = {"kind": "per-share", "rate": 0.005}
OURS = {
    "percent": {"use": "percent", "rate": 0.001},
    "per-share": {"use": "per-share", "rate": 0.005},
}


def _backtrader(name: str, actions, bars: str = "large", settings=(), **broker: Any) -> Scenario:
    return Scenario(name=name, peer="backtrader", bars=bars, actions=actions, settings=dict(settings), broker=broker)


BACKTRADER = (
    *(_backtrader(kind, singles(kind, seed=seed)) for seed, kind in enumerate(EVERY_KIND, 10)),
    _backtrader("every kind, 19 years", singles(*EVERY_KIND, seed=1, chance=0.04, cancels=0.2), bars="old"),
    _backtrader("every kind, cancels", singles(*EVERY_KIND, seed=2, chance=0.1, cancels=0.3)),
    _backtrader("good until a day", singles("limit", "stop", "stop-limit", "trailing-stop", seed=8, expiring=True)),
    _backtrader("trailing stop-limit", singles("trailing-stop-limit", seed=3)),
    _backtrader("bracket, market entry", brackets(seed=4)),
    _backtrader("bracket, any entry", brackets(seed=5, entries=("market", "limit", "stop")), bars="old"),
    _backtrader("bracket, trailing stop", brackets(seed=6, trailing=True)),
    _backtrader("one cancels other", one_cancels_other(seed=7)),
    _backtrader(
        "percent commission",
        singles("market", "limit", "stop", seed=20),
        settings={"commission": PERCENT},
        commission=OURS["percent"],
    ),
    _backtrader(
        "per-share commission",
        singles("market", "limit", "stop", seed=21),
        settings={"commission": PER_SHARE},
        commission=OURS["per-share"],
    ),
    *(
        _backtrader(
            f"slippage, slip_open={opens}",
            singles(*EVERY_KIND, seed=22, chance=0.1),
            settings={"slip_perc": 0.002, "slip_open": opens, "commission": PERCENT},
            commission=OURS["percent"],
            slippage={"use": "bps", "bps": 20.0},
            fill={"slippage_on": "opens-and-stops" if opens else "stops"},
        )
        for opens in (True, False)
    ),
    _backtrader(
        "volume filler",
        singles("market", "limit", seed=23, most=3_000_000),
        bars="old",
        settings={"bar_percent": 5.0},
        fill={"volume_limit": 0.05},
    ),
    _backtrader(
        "volume filler, stops",
        singles("stop", "stop-limit", "trailing-stop", seed=24, most=3_000_000),
        bars="old",
        settings={"bar_percent": 5.0},
        fill={"volume_limit": 0.05},
    ),
    _backtrader(
        "volume filler, groups",
        larger(together(brackets(seed=25, entries=("market", "limit", "stop")), one_cancels_other(seed=26)), 20_000),
        bars="old",
        settings={"bar_percent": 5.0, "cash": 1e11},
        fill={"volume_limit": 0.05},
    ),
    _backtrader(
        "all together, slip_open",
        together(
            singles(*EVERY_KIND, "trailing-stop-limit", seed=33, chance=0.1, cancels=0.2),
            brackets(seed=34, entries=("market", "limit", "stop")),
            brackets(seed=35, entries=("market", "limit", "stop"), trailing=True),
            one_cancels_other(seed=36),
        ),
        settings={"slip_perc": 0.003, "slip_open": True, "commission": PER_SHARE},
        commission=OURS["per-share"],
        slippage={"use": "bps", "bps": 30.0},
        fill={"slippage_on": "opens-and-stops"},
    ),
    _backtrader(
        "all together",
        together(
            singles(*EVERY_KIND, seed=30, chance=0.1, cancels=0.2),
            brackets(seed=31, entries=("market", "limit", "stop")),
            one_cancels_other(seed=32),
        ),
        settings={"slip_perc": 0.001, "slip_open": False, "commission": PERCENT},
        commission=OURS["percent"],
        slippage={"use": "bps", "bps": 10.0},
    ),
)

STYLES = ("market", "limit", "stop", "stop-limit")


def _zipline(name: str, actions, bars: str = "thousandths", settings=(), **broker: Any) -> Scenario:
    given = as_ticks(actions)
    return Scenario(name=name, peer="zipline", bars=bars, actions=given, settings=dict(settings), broker=broker)


ZIPLINE = (
    _zipline("defaults", singles(*STYLES, seed=40, cancels=0.2)),
    _zipline("remainders", singles(*STYLES, seed=41, most=8_000_000, cancels=0.1)),
    _zipline("crowded bars", singles(*STYLES, seed=42, chance=0.6, most=2_000_000, cancels=0.2)),
    _zipline("one symbol", singles(*STYLES, seed=43, chance=0.2, most=1_000_000), bars="goog"),
    _zipline(
        "minimum per trade",
        singles("market", "limit", seed=44, most=5_000_000),
        settings={"per_share": 0.001, "min_trade_cost": 900.0},
        commission={"use": "per-share", "rate": 0.001, "minimum": 900.0},
    ),
    _zipline(
        "volume share",
        singles("market", seed=45, most=3_000_000),
        settings={"volume_share": {"volume_limit": 0.025, "price_impact": 0.1}},
        fill={"volume_limit": 0.025},
        slippage={"use": "volume-share", "volume_limit": 0.025, "price_impact": 0.1},
    ),
)


def _backtesting(name: str, actions, bars: str = "goog", settings=(), **broker: Any) -> Scenario:
    rules = {"profile": None, "fill": {"use": "next-open"}}
    return Scenario(
        name=name, peer="backtesting", bars=bars, actions=actions, settings=dict(settings), broker=rules | broker
    )


FIXED_AND_PERCENT = (2.0, 0.001)
BACKTESTING = (
    _backtesting("market", singles("market", seed=50)),
    _backtesting("limit", singles("limit", seed=51)),
    _backtesting("stop", singles("stop", seed=52)),
    _backtesting("bracket, market entry", brackets(seed=53, chance=0.5, gap=40)),
    _backtesting("bracket, stop entry", drop_ambiguous(brackets(seed=54, chance=0.5, gap=40, entries=("stop",)))),
    _backtesting(
        "bracket, limit entry",
        brackets(seed=55, chance=0.5, gap=40, entries=("limit",)),
        fill={"use": "next-open", "children": "next-bar"},
    ),
    _backtesting(
        "trade on close",
        singles("market", "limit", seed=56),
        settings={"trade_on_close": True},
        fill={"use": "same-close"},
    ),
    _backtesting(
        "percent commission",
        singles("market", "limit", "stop", seed=57),
        settings={"commission": 0.001},
        commission=OURS["percent"],
    ),
)

SCENARIOS = (*BACKTRADER, *ZIPLINE, *BACKTESTING)
