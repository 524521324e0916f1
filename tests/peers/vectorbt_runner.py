"""Run a table of targets in vectorbt; for the Python of vectorbt's own environment.

    python vectorbt_runner.py FOLDER

Reads ``scenario.json``, ``bars.parquet`` and ``targets.npy`` in the folder, writes ``fills.parquet`` and
``equity.parquet``. A row of targets belongs to the bar at whose close it was decided, so it is given to the next.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import vectorbt as vbt


def main(folder):
    """Run the scenario of a folder."""
    settings = json.loads((folder / "scenario.json").read_text())["settings"]
    bars = pd.read_parquet(folder / "bars.parquet")
    wide = {field: bars.pivot(index="timestamp", columns="symbol", values=field) for field in ("open", "close")}
    targets = np.load(folder / "targets.npy")
    shifted = np.vstack([np.full((1, targets.shape[1]), np.nan), targets[:-1]])
    portfolio = vbt.Portfolio.from_orders(
        wide["close"],
        size=pd.DataFrame(shifted, wide["close"].index, wide["close"].columns),
        price=wide["open"],
        size_type="targetamount" if settings["targets"] == "shares" else "targetpercent",
        init_cash=settings["cash"],
        fees=settings.get("fees", 0.0),
        fixed_fees=settings.get("fixed_fees", 0.0),
        slippage=settings.get("slippage", 0.0),
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq="1D",
    )
    records = portfolio.orders.records
    names, days = wide["close"].columns.to_numpy(), wide["close"].index
    fills = pd.DataFrame(
        {
            "ref": names[records["col"]],
            "time": days[records["idx"]],
            "symbol": names[records["col"]],
            "quantity": np.where(records["side"] == 0, records["size"], -records["size"]),
            "price": records["price"],
            "commission": records["fees"],
        }
    )
    fills.to_parquet(folder / "fills.parquet")
    pd.DataFrame({"time": days, "equity": portfolio.value().to_numpy()}).to_parquet(folder / "equity.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
