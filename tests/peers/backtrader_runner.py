"""Run a scenario in backtrader; for the Python of backtrader's own environment.

    python backtrader_runner.py FOLDER

Reads ``scenario.json`` and ``bars.parquet`` (for targets also ``targets.npy``) in the folder, writes
``fills.parquet``, ``equity.parquet`` and ``ends.json``.
"""

import json
import sys
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd

KINDS = {
    "market": bt.Order.Market,
    "close": bt.Order.Close,
    "limit": bt.Order.Limit,
    "stop": bt.Order.Stop,
    "stop-limit": bt.Order.StopLimit,
    "trailing-stop": bt.Order.StopTrail,
    "trailing-stop-limit": bt.Order.StopTrailLimit,
}


class Recorded(bt.Strategy):
    """Note fills, final states and equity."""

    params = (("script", None),)

    def __init__(self):
        self.bar = -1
        self.by_name = {data._name: data for data in self.datas}
        self.refs, self.orders = {}, {}
        self.fills, self.equity, self.ends = [], [], {}

    def next(self):
        self.bar += 1
        self.equity.append((self.datetime.datetime(0), self.broker.getvalue()))
        self.act()

    def notify_order(self, order):
        ref = self.refs.get(order.ref, "")
        self.ends[ref] = order.getstatusname().lower()
        for bit in order.executed.iterpending():
            self.fills.append((ref, bt.num2date(bit.dt), order.data._name, float(bit.size), float(bit.price), bit.comm))


class Scripted(Recorded):
    """Do at each bar what the scenario says."""

    def act(self):
        for action in self.p.script.get(self.bar, ()):
            getattr(self, "do_" + action["do"])(action)

    def do_order(self, action, **more):
        quantity = action["quantity"]
        kind = action["kind"]
        settings = {"exectype": KINDS[kind], **more}
        settings["price"] = action.get("limit_price") if kind == "limit" else action.get("stop_price")
        if kind == "stop-limit":
            settings["plimit"] = action["limit_price"]
        if kind.startswith("trailing"):
            settings["trailamount"], settings["trailpercent"] = action.get("trail_amount"), action.get("trail_percent")
        if kind == "trailing-stop-limit":
            settings["price"] = self.by_name[action["symbol"]].close[0]
            settings["plimit"] = settings["price"] + action["limit_offset"]
        if "valid" in action:
            settings["valid"] = pd.Timestamp(action["valid"]).to_pydatetime()
        place = self.buy if quantity > 0 else self.sell
        return self.keep(action["ref"], place(data=self.by_name[action["symbol"]], size=abs(quantity), **settings))

    def do_bracket(self, action):
        quantity = action["quantity"]
        place = self.buy_bracket if quantity > 0 else self.sell_bracket
        entry, kind = action.get("entry_limit"), bt.Order.Limit
        if entry is None:
            entry, kind = action.get("entry_stop"), bt.Order.Stop
        if entry is None:
            kind = bt.Order.Market
        stop = {"stopprice": action.get("stop_price")}
        if "trail_amount" in action or "trail_percent" in action:
            trail = {"trailamount": action.get("trail_amount"), "trailpercent": action.get("trail_percent")}
            stop = {"stopexec": bt.Order.StopTrail, "stopargs": trail}
        legs = place(
            data=self.by_name[action["symbol"]],
            size=abs(quantity),
            price=entry,
            exectype=kind,
            limitprice=action["target_price"],
            **stop,
        )
        for name, order in zip(("entry", "stop", "target"), legs, strict=True):
            self.keep(f"{action['ref']}.{name}", order)

    def do_oco(self, action):
        first = None
        for leg in action["legs"]:
            order = self.do_order({**leg, "symbol": action["symbol"]}, oco=first)
            first = first or order

    def do_cancel(self, action):
        self.cancel(self.orders[action["ref"]])

    def keep(self, ref, order):
        self.refs[order.ref], self.orders[ref] = ref, order
        return order


class Shares(Recorded):
    """Hold the wanted number of shares."""

    def act(self):
        for wanted, data in zip(self.p.script[self.bar], self.datas, strict=True):
            held = self.getposition(data).size
            if wanted != held:
                order = self.order_target_size(data, wanted)
                self.refs[order.ref] = data._name


class Weights(Recorded):
    """Hold the wanted fractions of equity; sells first."""

    def act(self):
        wanted = self.p.script[self.bar]
        for column in np.argsort(wanted, kind="stable"):
            data = self.datas[column]
            if wanted[column] or self.getposition(data).size:
                order = self.order_target_percent(data, wanted[column])
                if order is not None:
                    self.refs[order.ref] = data._name


def set_up_broker(broker, settings):
    """Apply the scenario's settings to the default broker."""
    broker.setcash(settings["cash"])
    broker.set_checksubmit(settings.get("checksubmit", True))
    if "slip_perc" in settings:
        broker.set_slippage_perc(settings["slip_perc"], slip_open=settings["slip_open"])
    commission = settings.get("commission")
    if commission:
        fixed = commission["kind"] == "per-share"
        broker.setcommission(
            commission=commission["rate"],
            commtype=bt.CommInfoBase.COMM_FIXED if fixed else bt.CommInfoBase.COMM_PERC,
            percabs=True,
            stocklike=True,
        )
    if "bar_percent" in settings:
        broker.set_filler(bt.broker.fillers.FixedBarPerc(perc=settings["bar_percent"]))
    if "fixed_size" in settings:
        broker.set_filler(bt.broker.fillers.FixedSize(size=settings["fixed_size"]))


def main(folder):
    """Run the scenario of a folder."""
    scenario = json.loads((folder / "scenario.json").read_text())
    bars = pd.read_parquet(folder / "bars.parquet")
    cerebro = bt.Cerebro(stdstats=False)
    if "targets" in scenario["settings"]:
        kind = Shares if scenario["settings"]["targets"] == "shares" else Weights
        cerebro.addstrategy(kind, script=np.load(folder / "targets.npy"))
    else:
        script = {}
        for action in scenario["actions"]:
            script.setdefault(action["bar"], []).append(action)
        cerebro.addstrategy(Scripted, script=script)
    for name, rows in bars.groupby("symbol"):
        frame = rows.set_index("timestamp")[["open", "high", "low", "close", "volume"]]
        cerebro.adddata(bt.feeds.PandasData(dataname=frame), name=name)
    set_up_broker(cerebro.broker, scenario["settings"])
    done = cerebro.run()[0]
    columns = ["ref", "time", "symbol", "quantity", "price", "commission"]
    pd.DataFrame(done.fills, columns=columns).to_parquet(folder / "fills.parquet")
    pd.DataFrame(done.equity, columns=["time", "equity"]).to_parquet(folder / "equity.parquet")
    (folder / "ends.json").write_text(json.dumps(done.ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
