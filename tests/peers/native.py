"""Our side: the same scenarios through the engine, and what differs."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from ml4t.backtest import Engine, Strategy

KEYS = {"limit": ("limit_price",), "stop": ("stop_price",), "stop-limit": ("limit_price", "stop_price")}
TRAILS = ("trail_amount", "trail_percent")
KEYS |= {"trailing-stop": TRAILS, "trailing-stop-limit": (*TRAILS, "limit_offset")}
PRICES, AMOUNTS = 1e-9, 1e-9  # relative


class Scripted(Strategy):
    """Do after each bar what the scenario says."""

    def __init__(self, actions: list[dict[str, Any]]) -> None:
        self.bar = -1
        self.handles: dict[str, Any] = {}
        self.script: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for action in actions:
            self.script[action["bar"]].append(action)

    def on_slice(self, market: Any, context: Any) -> None:
        self.bar += 1
        for action in self.script.pop(self.bar, ()):
            getattr(self, "do_" + action["do"])(action, context)

    def do_order(self, action: dict[str, Any], context: Any) -> None:
        self.handles[action["ref"]] = context.order(action["symbol"], action["quantity"], **terms(action))

    def do_bracket(self, action: dict[str, Any], context: Any) -> None:
        names = ("entry_limit", "entry_stop", "stop_price", "target_price", *TRAILS)
        given = {name: action[name] for name in names if action.get(name) is not None}
        made = context.bracket(action["symbol"], action["quantity"], **given)
        for name in ("entry", "stop", "target"):
            self.handles[f"{action['ref']}.{name}"] = getattr(made, name)

    def do_oco(self, action: dict[str, Any], context: Any) -> None:
        legs = [{"symbol": action["symbol"], "quantity": leg["quantity"], **terms(leg)} for leg in action["legs"]]
        for leg, handle in zip(action["legs"], context.oco(*legs), strict=True):
            self.handles[leg["ref"]] = handle

    def do_weights(self, action: dict[str, Any], context: Any) -> None:
        """Bring each symbol to its weight of cash and positions, in whole lots; dividends not yet paid do not count."""
        held = {name: context.position(name).quantity for name in context.symbols}
        prices = {name: float(context.price(name)) for name in context.symbols}
        worth = context.portfolio.cash + sum(held[name] * prices[name] for name in sorted(held) if held[name])
        for name in sorted(action["weights"]):
            lots = int(worth * action["weights"][name] / prices[name] / action["lot"])
            if quantity := lots * action["lot"] - held[name]:
                self.handles[f"{action['ref']}.{name}"] = context.order(name, quantity)

    def do_cancel(self, action: dict[str, Any], context: Any) -> None:
        handle = self.handles[action["ref"]]
        if handle.is_open:
            context.cancel(handle)


def terms(action: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of an order."""
    given = {name: action[name] for name in KEYS.get(action["kind"], ()) if action.get(name) is not None}
    if action["kind"] == "close":
        given["time_in_force"] = "CLS"
    if "valid" in action:
        given |= {"time_in_force": "GTD", "expires_at": date.fromisoformat(action["valid"])}
    return given


def run_with(told: dict[str, Any], bars: pl.DataFrame, actions: pl.DataFrame) -> Any:
    """Run what zipline's runner was told, with corporate actions; return the result and the ref of each order id."""
    strategy = Scripted(told["actions"])
    engine = Engine(
        feed={"use": "frame", "name": "prices", "frame": bars, "prices": "raw"},
        strategy=strategy,
        calendar="XNYS",
        capital=told["settings"]["cash"],
        broker={"profile": "zipline"},
        actions=actions,
    )
    return engine.run(), {handle.id: ref for ref, handle in strategy.handles.items()}


def run(scenario: Any, panel: Any) -> Any:
    """Run a scenario in our engine; return its result and the ref of each order id."""
    told = scenario.as_json(panel)
    strategy = Scripted(told["actions"])
    broker = {"profile": scenario.peer, **scenario.broker}
    engine = Engine(
        prices=panel.frame,
        strategy=strategy,
        calendar="XNYS",
        capital=told["settings"]["cash"],
        broker={key: value for key, value in broker.items() if value is not None},
    )
    return engine.run(), {handle.id: ref for ref, handle in strategy.handles.items()}


def fills(result: Any, refs: dict[int, str]) -> pl.DataFrame:
    """Return our fills in the shape of a peer's: ref, time (session), symbol, quantity, price, commission."""
    return result.fills.select(
        pl.col("order_id").replace_strict(refs, return_dtype=pl.String).alias("ref"),
        pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.date().alias("time"),
        pl.col("symbol").cast(pl.String),
        "quantity",
        "price",
        "commission",
    )


def differing_fills(
    theirs: pl.DataFrame, ours: pl.DataFrame, by: tuple[str, ...] = ("time", "ref"), amounts: float = AMOUNTS
) -> pl.DataFrame:
    """Return the fills that are not on both sides, or not equal, oldest first; ``right`` columns are ours."""
    keys = list(by)
    theirs = theirs.with_columns(pl.col("time").cast(pl.Date))
    both = theirs.join(ours, on=keys, how="full", coalesce=True, suffix="_ours").sort(keys)
    return both.filter(
        ~(
            (pl.col("symbol") == pl.col("symbol_ours") if "symbol" not in keys else pl.lit(True))
            & _close("quantity", amounts)
            & (_close("price", PRICES) if "price" not in keys else pl.lit(True))
            & _close("commission", AMOUNTS)
        ).fill_null(False)
    )


def by_price(frame: pl.DataFrame) -> pl.DataFrame:
    """Return fills added up by time, symbol, side and price: for an engine that keeps trades."""
    side = (pl.col("quantity") > 0).alias("side")
    keys = [pl.col("time").cast(pl.Date), pl.col("symbol"), side, pl.col("price").round(9)]
    return frame.group_by(keys).agg(pl.col("quantity").sum(), pl.col("commission").sum())


def largest_gap(theirs: pl.DataFrame, result: Any) -> float:
    """Return the largest difference of daily equity, in currency; NaN where the days are not the same."""
    ours = result.equity.select(pl.col("session").alias("time"), pl.col("equity").alias("ours"))
    both = theirs.with_columns(pl.col("time").cast(pl.Date)).join(ours, on="time", how="full", coalesce=True)
    return float(np.max(np.abs((both["equity"] - both["ours"]).fill_null(np.nan).to_numpy())))


def daily_gaps(theirs: pl.DataFrame, result: Any) -> dict[str, float]:
    """Return the largest daily differences of cash, and of equity without dividends that are due and not paid."""
    ours = result.equity.select(
        pl.col("session").alias("time"),
        (pl.col("equity") - pl.col("receivable")).alias("our_equity"),
        pl.col("cash").alias("our_cash"),
    )
    both = theirs.with_columns(pl.col("time").cast(pl.Date)).join(ours, on="time", how="full", coalesce=True)
    gaps = {name: both[name] - both[f"our_{name}"] for name in ("cash", "equity")}
    return {name: float(np.max(np.abs(gap.fill_null(np.nan).to_numpy()))) for name, gap in gaps.items()}


def _close(name: str, relative: float) -> pl.Expr:
    mine, other = pl.col(f"{name}_ours"), pl.col(name)
    return (mine - other).abs() <= relative * pl.max_horizontal(mine.abs(), other.abs(), pl.lit(1e-3))
