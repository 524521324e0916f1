"""Run a scenario in backtesting.py; for the Python of its own environment.

    python backtesting_runner.py FOLDER

Reads ``scenario.json`` and ``bars.parquet`` (one symbol) in the folder, writes ``fills.parquet`` and
``equity.parquet``. The engine keeps trades, not fills: what is noted is each opening and closing of a trade.
"""

import json
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting import backtesting as engine

warnings.filterwarnings("ignore")
NOTED = []


def note_trades(symbol, times, commission):
    """Make the engine note what opens and closes."""
    opened, closed = engine._Broker._open_trade, engine._Broker._close_trade

    def open_trade(self, price, size, sl, tp, time_index, tag):
        paid = self._commission(size, price)
        NOTED.append((tag or "", times[time_index], symbol, float(size), float(price), float(paid)))
        return opened(self, price, size, sl, tp, time_index, tag)

    def close_trade(self, trade, price, time_index):
        size = -trade.size
        paid = self._commission(trade.size, price)
        NOTED.append((trade.tag or "", times[time_index], symbol, float(size), float(price), float(paid)))
        return closed(self, trade, price, time_index)

    engine._Broker._open_trade, engine._Broker._close_trade = open_trade, close_trade


def main(folder):
    """Run the scenario of a folder."""
    scenario = json.loads((folder / "scenario.json").read_text())
    settings = scenario["settings"]
    bars = pd.read_parquet(folder / "bars.parquet")
    script = defaultdict(list)
    for action in scenario["actions"]:
        script[action["bar"]].append(action)

    class Scripted(Strategy):
        def init(self):
            self.made = {}

        def next(self):
            for action in script[len(self.data) - 1]:
                if action["do"] == "cancel":
                    self.made[action["ref"]].cancel()
                else:
                    self.place(action)

        def place(self, action):
            quantity = action["quantity"]
            place = self.buy if quantity > 0 else self.sell
            bracket = action["do"] == "bracket"
            self.made[action["ref"]] = place(
                size=abs(quantity),
                limit=action.get("entry_limit" if bracket else "limit_price"),
                stop=action.get("entry_stop" if bracket else "stop_price"),
                sl=action.get("stop_price") if bracket else None,
                tp=action.get("target_price"),
                tag=action["ref"],
            )

    frame = bars.set_index("timestamp").rename(columns=str.capitalize)[["Open", "High", "Low", "Close", "Volume"]]
    commission = settings.get("commission", 0.0)
    note_trades(bars["symbol"].iloc[0], frame.index, commission)
    test = Backtest(
        frame,
        Scripted,
        cash=settings["cash"],
        commission=tuple(commission) if isinstance(commission, list) else commission,
        spread=settings.get("spread", 0.0),
        trade_on_close=settings.get("trade_on_close", False),
        exclusive_orders=False,
        finalize_trades=False,
    )
    equity = test.run()["_equity_curve"]["Equity"]
    columns = ["ref", "time", "symbol", "quantity", "price", "commission"]
    pd.DataFrame(NOTED, columns=columns).to_parquet(folder / "fills.parquet")
    pd.DataFrame({"time": equity.index, "equity": equity.to_numpy()}).to_parquet(folder / "equity.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
