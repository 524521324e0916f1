"""Sixteen scenarios of the ml4t-backtest project's validation, as backtrader gave them.

Its driver sends fixed stops and targets together with the entry, from the close of the decision, and trailing
stops when the entry has filled, all as one-cancels-other; so does this strategy. Scenario 02, "Long/Short",
never shorts: it is the first one again, and no evidence about shorts.
"""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

SCENARIOS = [f"{number:02}" for number in range(1, 17)]
SHORT = ("11", "12")
SYMBOL = "ASSET"


class Driver(Strategy):
    """Enter and leave where the signals say so; stops and targets as the scenario names them."""

    def __init__(self, signals, rules, shares, side):
        self.signals = signals
        self.rules = {rule["type"]: rule["pct"] for rule in rules}
        self.quantity = shares * side
        self.side = side
        self.bar = -1
        self.entry = None
        self.exits = []

    def on_slice(self, market, context):
        self.bar += 1
        enter, leave = self.signals[self.bar]
        held = context.position(SYMBOL).quantity
        if leave and held * self.side > 0:
            context.order(SYMBOL, -held)
        elif enter and held == 0:
            self.entry = context.order(SYMBOL, self.quantity)
            close = context.price(SYMBOL)
            self.exits = self.fixed(close)
            self.group = self.send(context)

    def fixed(self, close):
        """Return the stop and the target, from the close of the decision."""
        exits = []
        if "StopLoss" in self.rules:
            exits.append({"stop_price": close * (1 - self.side * self.rules["StopLoss"])})
        if "TakeProfit" in self.rules:
            exits.append({"limit_price": close * (1 + self.side * self.rules["TakeProfit"])})
        return exits

    def send(self, context):
        if len(self.exits) == 1:
            return [context.order(SYMBOL, -self.quantity, **self.exits[0])]
        legs = [{"symbol": SYMBOL, "quantity": -self.quantity, **each} for each in self.exits]
        return list(context.oco(*legs)) if legs else []

    def on_fill(self, fill, context):
        if self.entry is not None and fill.order_id == self.entry.id and "TrailingStop" in self.rules:
            for order in self.group:
                context.cancel(order)
            self.exits.append({"trail_percent": self.rules["TrailingStop"]})
            self.group = self.send(context)


def costs_of(constants):
    """Return the cost models that a scenario's constants stand for."""
    names = {
        "commission_rate": ("commission", {"use": "percent", "rate": 0.0}, "rate"),
        "per_share_rate": ("commission", {"use": "per-share", "rate": 0.0}, "rate"),
        "slippage_fixed": ("slippage", {"use": "fixed", "amount": 0.0}, "amount"),
        "slippage_rate": ("slippage", {"use": "bps", "bps": 0.0}, "bps"),
    }
    costs = {}
    for name, value in constants.items():
        if name in names:
            kind, table, key = names[name]
            costs[kind] = {**table, key: value * 1e4 if key == "bps" else value}
            if kind == "slippage":  # set_slippage_perc and set_slippage_fixed let opens slip too
                costs["fill"] = {"slippage_on": "opens-and-stops"}
    return costs


def run(shared, number, theirs):
    def only(name):
        return shared.golden(f"ml4t_scenarios/{name}.parquet").filter(pl.col("scenario") == number).drop("scenario")

    signals = only("signals").sort("bar").select("entry", "exit").rows()
    return Engine(
        feed={"use": "frame", "name": "prices", "frame": only("prices"), "symbol": SYMBOL},
        strategy=Driver(signals, theirs["risk_rules"], theirs["shares"], -1 if number in SHORT else 1),
        broker={"profile": "backtrader", **costs_of(theirs["constants"])},
        capital=theirs["initial_cash"],
    ).run()


@pytest.mark.parametrize("number", SCENARIOS)
def test_trades_and_value_are_those_of_backtrader(shared, number):
    """Entries, exits and profits trade by trade, then the final value."""
    theirs = shared.golden("ml4t_scenarios/backtrader.json")[number]
    expected = shared.case("ml4t.scenarios.backtrader")["expected"][number]
    result = run(shared, number, theirs)
    entries, exits = result.fills.gather_every(2), result.fills.gather_every(2, 1)

    assert expected["trades"] == len(theirs["trades"]) == entries.height == exits.height == result.trades.height
    for fills, when, price in ((entries, "entry_time", "entry_price"), (exits, "exit_time", "exit_price")):
        days = fills["known_at"].dt.offset_by("-1ns").dt.date()  # the bar's end is the next midnight
        assert [datetime.fromisoformat(trade[when]).date() for trade in theirs["trades"]] == days.to_list()
        np.testing.assert_allclose(fills["price"], [trade[price] for trade in theirs["trades"]], rtol=0, atol=1e-9)
    assert expected["final_value"] == pytest.approx(result.equity["equity"][-1], abs=0.01)
