"""One run, written in many ways; printed as the hashes that each way gives.

A program for the subprocesses of ``test_determinism.py``: ``python variants.py FOLDER all|few``.
"""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from ml4t.backtest import Engine, Strategy
from ml4t_backtest_data_sample import prices_path
from ml4t_backtest_engine_standard.result.result import Result

SEED = 7
BROKER = {
    "slippage": {"use": "bps", "bps": 3.0},
    "commission": {"use": "per-share", "rate": 0.01, "minimum": 1.0},
}
RUN_FILE = """
schema = 1
name = "variants"
seed = 7
capital = {{ USD = 250_000 }}
clock = {{ calendar = "XNYS" }}
reporter = []

[[feed]]
name = "prices"
use = "{use}"
path = "{path}"
bar = "1d"
prices = "raw"

[[signal]]
name = "scores"
use = "parquet"
path = "scores.parquet"

[strategy]
use = "variants:Trader"

[broker]
slippage = {{ use = "bps", bps = 3.0 }}
commission = {{ use = "per-share", rate = 0.01, minimum = 1.0 }}
"""


class Trader(Strategy):
    """Trade on a signal, on history and on chance; answer fills; ask for targets and for quantities."""

    def on_start(self, context):
        context.subscribe("prices", "close", history=6)
        context.schedule(self.trim, "weekly", at="open")

    def trim(self, context):
        for symbol in context.portfolio.positions:
            context.order(symbol, float(context.rng.integers(-3, 4)) or 1.0, tag="trim")

    def before_trading_start(self, context):
        for order in context.open_orders():
            if context.rng.random() < 0.2:
                context.cancel(order)

    def on_slice(self, market, context):
        close = context.history("close", 6)
        score = context.signal("score") + np.log(close[-1] / close[0])
        spread = np.nansum(np.abs(score))
        if spread > 0:
            context.order_target_weights(score / spread)

    def on_fill(self, fill, context):
        if fill.quantity > 20 and context.rng.random() < 0.1:
            context.order(fill.symbol, -1.0)


class Sampled(Strategy):
    """Hold the two best of the sample's shares, weekly."""

    def on_start(self, context):
        context.subscribe("prices", "close", history=21)
        context.schedule(self.rebalance, "weekly", at="close")

    def rebalance(self, context):
        close = context.history("close", 21)
        rise = np.where(np.isfinite(close[0]), close[-1] / close[0], -np.inf)
        weights = np.zeros(len(rise))
        weights[np.argsort(rise, kind="stable")[-2:]] = 0.45
        context.order_target_weights(weights)


def engine(folder: Path, **changes: object) -> Engine:
    """Return the run over OHLCV bars and predictions; ``changes`` replace keywords of the engine."""
    prices = pl.read_parquet(folder / "by_stamp.parquet")
    given = {"feed": [{"use": "frame", "name": "prices", "frame": prices, "bar": "1d", "prices": "raw"}]}
    scores = {"use": "parquet", "name": "scores", "path": str(folder / "scores.parquet")}
    given |= {"signal": [scores], "strategy": Trader(), "calendar": "XNYS", "capital": 250_000}
    return Engine(**(given | {"broker": BROKER, "reporter": [], "seed": SEED} | changes))


def feed(folder: Path, file: str, use: str = "", **settings: object) -> dict[str, object]:
    """Return a feed table for a file of the folder."""
    path = folder / file
    table = {"use": use or path.suffix[1:], "name": "prices", "bar": "1d", "prices": "raw"}
    return table | {"path": str(path)} | settings


def from_file(folder: Path, use: str) -> Engine:
    """Return the same run from a run file."""
    (folder / f"{use}.toml").write_text(RUN_FILE.format(use=use, path=f"by_stamp.{use}"), encoding="utf-8")
    return Engine.from_file(folder / f"{use}.toml")


def step_by_step(made: Engine) -> Result:
    """Run with ``steps``, where no stretch of instants is taken at once."""
    for _ in made.steps():
        pass
    assert made.result is not None
    return made.result


def sampled(**changes: object) -> Result:
    """Run over closes of the sample, filling at the next close."""
    given = {"feed": [{"use": "sample", "name": "prices", "symbols": ["AAPL", "KO", "WMT", "XOM"]}]}
    given |= {"strategy": Sampled(), "start": date(2018, 9, 4), "end": date(2019, 11, 29), "calendar": "XNYS"}
    broker = BROKER | {"fill": {"use": "next-close"}}
    return Engine(**(given | {"broker": broker, "reporter": [], "seed": SEED} | changes)).run()


def few(folder: Path) -> Mapping[str, Callable[[], Result]]:
    """Return the ways that every process tries."""
    return {
        "bars: a frame": lambda: engine(folder).run(),
        "bars: a run file": lambda: from_file(folder, "parquet").run(),
        "sample: the feed": lambda: sampled(),
    }


def every(folder: Path) -> Mapping[str, Callable[[], Result]]:
    """Return all ways; the part of a name before the colon says what they are ways of."""
    frame = pl.read_parquet(folder / "by_stamp.parquet")
    fields = ("open", "high", "low", "close", "volume")
    wide = {name: frame.pivot("symbol", index="timestamp", values=name).sort("timestamp") for name in fields}
    forms = {"a pandas frame": frame.to_pandas(), "an Arrow table": frame.to_arrow(), "a dict of wide frames": wide}
    batches = [("by_stamp.parquet", rows) for rows in (1, 1_000, 0)] + [("by_stamp.csv", rows) for rows in (50, 0)]
    tables = {f"{file}, batches of {rows}": feed(folder, file, batch_rows=rows) for file, rows in batches}
    tables["rows shuffled inside each stamp"] = feed(folder, "inside.parquet")
    tables["rows shuffled inside each stamp, batches of 7"] = feed(folder, "inside.parquet", batch_rows=7)
    tables["all rows shuffled"] = feed(folder, "shuffled.parquet", sort=True)
    tables["symbol after symbol"] = feed(folder, "by_symbol.parquet")
    for name, form in forms.items():
        tables[name] = {"use": "frame", "name": "prices", "frame": form, "bar": "1d", "prices": "raw"}
    ways = {f"bars: {name}": partial(run_with, folder, feed=[table]) for name, table in tables.items()}
    for file in ("scores_shuffled", "scores_by_symbol"):
        table = {"use": "parquet", "name": "scores", "path": str(folder / f"{file}.parquet"), "sort": True}
        ways[f"bars: {file}"] = partial(run_with, folder, signal=[table])
    shares = pl.scan_parquet(prices_path()).filter(pl.col("symbol").is_in(["XOM", "WMT", "KO", "AAPL"])).collect()
    table = {"use": "frame", "name": "prices", "frame": shares.sort("symbol", "timestamp"), "prices": "total"}
    return (
        few(folder)
        | ways
        | {
            "bars: a second time": lambda: engine(folder).run(),
            "bars: a run file over CSV": lambda: from_file(folder, "csv").run(),
            "bars: step by step": lambda: step_by_step(engine(folder)),
            "sample: a frame": lambda: sampled(feed=[table]),
            "pair: read at once": lambda: pair(folder, 0, 0, 0),
            "pair: batches of 1, 1,000 and all": lambda: pair(folder, 1, 1_000, 0),
            "pair: batches of 7, 1 and 13": lambda: pair(folder, 7, 1, 13),
        }
    )


def pair(folder: Path, first: int, second: int, third: int) -> Result:
    """Run over two feeds, each with some of the symbols, and predictions, in batches of so many rows."""
    one = feed(folder, "by_stamp.parquet", symbols=["Zeta", "alpha"], batch_rows=first)
    other = feed(folder, "by_stamp.csv", symbols=["Äther", "Beta", "ætna"], batch_rows=second)
    scores = {"use": "parquet", "name": "scores", "path": str(folder / "scores.parquet"), "batch_rows": third}
    return run_with(folder, feed=[one, other | {"name": "others"}], signal=[scores])


def run_with(folder: Path, **changes: object) -> Result:
    """Run with other keywords."""
    return engine(folder, **changes).run()


def main(folder: Path, which: str) -> None:
    """Run each way and print name -> hashes and number of fills, as JSON."""
    found = {}
    for name, way in (every if which == "all" else few)(folder).items():
        result = way()
        found[name] = [result.decision_hash, result.result_hash, result.fills.height]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
