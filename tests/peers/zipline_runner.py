"""Run a scenario in zipline-reloaded; for the Python of zipline's own environment.

    python zipline_runner.py FOLDER

Reads ``scenario.json`` and ``bars.parquet`` in the folder, writes ``fills.parquet``, ``equity.parquet`` and
``ends.json``. The bundle that zipline reads is made inside the folder.
"""

import json
import os
import sys
import warnings
from collections import defaultdict
from pathlib import Path

warnings.filterwarnings("ignore")
FOLDER = Path(sys.argv[1])
os.environ["ZIPLINE_ROOT"] = str(FOLDER / "zipline")  # read when zipline is imported

import pandas as pd  # noqa: E402
from zipline import run_algorithm  # noqa: E402
from zipline.api import cancel_order, order, set_commission, set_slippage, symbol  # noqa: E402
from zipline.data.bundles import ingest, register  # noqa: E402
from zipline.finance import commission, slippage  # noqa: E402
from zipline.finance.blotter import SimulationBlotter  # noqa: E402
from zipline.finance.execution import LimitOrder, MarketOrder, StopLimitOrder, StopOrder  # noqa: E402

STATES = {0: "open", 1: "completed", 2: "canceled", 3: "rejected", 4: "held"}


class Noting(SimulationBlotter):
    """Note each transaction with the commission that belongs to it."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def get_transactions(self, bar_data):
        transactions, commissions, closed = super().get_transactions(bar_data)
        paid = {item["order"].id: item["cost"] for item in commissions}
        for done in transactions:
            row = (done.order_id, done.dt, done.asset.symbol, float(done.amount), done.price)
            self.noted.append((*row, float(paid.get(done.order_id, 0.0))))
        return transactions, commissions, closed


def register_bundle(bars, corporate=()):
    """Make a bundle of the bars, which have a row per symbol and session from its first to its last."""
    days = pd.DatetimeIndex(sorted(bars["timestamp"].unique())).tz_localize(None)
    names = sorted(bars["symbol"].unique())
    by_name = bars.set_index(bars["timestamp"].dt.tz_localize(None)).drop(columns="timestamp").groupby("symbol")
    own = [by_name.get_group(name).drop(columns="symbol") for name in names]

    def write(environ, assets, minutes, daily, adjustments, *others):
        about = pd.DataFrame({"symbol": names, "asset_name": names, "exchange": "NYSE"})
        about["start_date"], about["end_date"] = [one.index[0] for one in own], [one.index[-1] for one in own]
        about["auto_close_date"] = about["end_date"] + pd.Timedelta(days=1)
        assets.write(equities=about)
        daily.write(enumerate(own), show_progress=False)
        adjustments.write(splits=splits_of(corporate, names), dividends=dividends_of(corporate, names))

    register("scenario", write, calendar_name="XNYS", start_session=days[0], end_session=days[-1])
    ingest("scenario", show_progress=False)
    return days


def splits_of(corporate, names):
    """Return the splits as zipline takes them, old shares for one new; None without any."""
    rows = [row for row in corporate if row["kind"] == "split"]
    if not rows:
        return None
    frame = pd.DataFrame({"sid": [names.index(row["symbol"]) for row in rows]})
    frame["effective_date"] = pd.DatetimeIndex([row["ex_date"] for row in rows])
    return frame.assign(ratio=[1.0 / row["ratio"] for row in rows])


def dividends_of(corporate, names):
    """Return the dividends as zipline takes them; None without any."""
    rows = [row for row in corporate if row["kind"] == "dividend"]
    if not rows:
        return None
    frame = pd.DataFrame({"sid": [names.index(row["symbol"]) for row in rows]})
    frame["ex_date"] = pd.DatetimeIndex([row["ex_date"] for row in rows])
    frame["declared_date"] = frame["record_date"] = frame["ex_date"]
    frame["pay_date"] = pd.DatetimeIndex([row["pay_date"] for row in rows])
    return frame.assign(amount=[float(row["amount"]) for row in rows])


def missing(action, context, data):
    """Return (symbol, quantity) of what brings each symbol to its weight of cash and positions, in whole lots."""
    held = {asset.symbol: position.amount for asset, position in context.portfolio.positions.items()}
    names = sorted(set(held) | set(action["weights"]))
    prices = {name: float(data.current(symbol(name), "price")) for name in names}
    worth = context.portfolio.cash + sum(held.get(name, 0) * prices[name] for name in names)
    for name in sorted(action["weights"]):
        lots = int(worth * action["weights"][name] / prices[name] / action["lot"])
        if quantity := lots * action["lot"] - held.get(name, 0):
            yield name, quantity


def style(action):
    """Return how the order of an action is to be executed."""
    kind = action["kind"]
    if kind == "limit":
        return LimitOrder(action["limit_price"])
    if kind == "stop":
        return StopOrder(action["stop_price"])
    if kind == "stop-limit":
        return StopLimitOrder(action["limit_price"], action["stop_price"])
    return MarketOrder()


def main():
    """Run the scenario of the folder."""
    scenario = json.loads((FOLDER / "scenario.json").read_text())
    settings = scenario["settings"]
    days = register_bundle(pd.read_parquet(FOLDER / "bars.parquet"), scenario.get("corporate", ()))
    script = defaultdict(list)
    for action in scenario["actions"]:
        script[action["bar"]].append(action)
    refs, ids, blotter = {}, {}, Noting()

    def initialize(context):
        context.bar = -1
        if "slippage_bps" in settings:
            set_slippage(slippage.FixedBasisPointsSlippage(settings["slippage_bps"], settings["volume_limit"]))
        if "volume_share" in settings:
            set_slippage(slippage.VolumeShareSlippage(**settings["volume_share"]))
        if "per_share" in settings:
            set_commission(commission.PerShare(settings["per_share"], settings.get("min_trade_cost", 0.0)))

    def handle_data(context, data):
        context.bar += 1
        for action in script[context.bar]:
            if action["do"] == "cancel":
                cancel_order(ids[action["ref"]])
                continue
            if action["do"] == "weights":
                for name, quantity in missing(action, context, data):
                    refs[order(symbol(name), quantity)] = f"{action['ref']}.{name}"
                continue
            made = order(symbol(action["symbol"]), action["quantity"], style=style(action))
            refs[made], ids[action["ref"]] = action["ref"], made

    result = run_algorithm(
        start=days[0],
        end=days[-1],
        initialize=initialize,
        handle_data=handle_data,
        capital_base=settings["cash"],
        bundle="scenario",
        data_frequency="daily",
        blotter=blotter,
        benchmark_returns=pd.Series(0.0, days.tz_localize("UTC")),
    )
    fills = pd.DataFrame(blotter.noted, columns=["ref", "time", "symbol", "quantity", "price", "commission"])
    fills["ref"] = fills["ref"].map(refs)
    fills["time"] = pd.DatetimeIndex(fills["time"]).tz_convert("America/New_York").tz_localize(None).normalize()
    fills.to_parquet(FOLDER / "fills.parquet")
    equity = pd.DataFrame({"time": days, "equity": result["portfolio_value"].to_numpy()})
    equity["cash"] = result["ending_cash"].to_numpy()
    equity.to_parquet(FOLDER / "equity.parquet")
    ends = {refs[made.id]: STATES[int(made.status)] for made in blotter.orders.values()}
    (FOLDER / "ends.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main()
