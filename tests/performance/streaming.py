"""s1: minute bars streamed from one Parquet file through a do-little ``on_slice``, beside polars decoding it.

Every measurement is a process of its own: ``python tests/performance/streaming.py decode|run FILE`` prints one JSON
object. ``write`` makes the file: zstd, sorted by time then symbol, row groups of 250 minutes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

SYMBOLS = 1000
_GROUP = 250  # minutes
_FIELDS = ("open", "high", "low", "close", "volume")
_FIRST = np.datetime64("2024-01-02T00:01", "us").astype(np.int64)
_MINUTE = 60_000_000
_DICTIONARY: dict[str, Any] = {"use_dictionary": ["symbol"]}  # the types say bool only


def write(path: Path, minutes: int, *, every: int = 1, group: int = _GROUP, seed: int = 7) -> None:
    """Write so many bars of each of ``SYMBOLS`` symbols, one in ``every`` minutes, ``group`` of them a row group."""
    random = np.random.default_rng(seed)
    names = pa.array([f"S{number:04d}" for number in range(SYMBOLS)])
    columns = [("symbol", pa.dictionary(pa.int32(), pa.string())), ("timestamp", pa.timestamp("us", "UTC"))]
    schema = pa.schema([*columns, *((name, pa.float64()) for name in _FIELDS)])
    last = np.full(SYMBOLS, 100.0)
    with pq.ParquetWriter(path, schema, compression="zstd", **_DICTIONARY) as writer:
        for begin in range(0, minutes, group):
            shape = min(group, minutes - begin), SYMBOLS
            close = np.round(last * np.exp(random.normal(0, 0.0005, shape).cumsum(0)), 2)
            open_ = np.vstack([last[None], close[:-1]])
            high = np.maximum(open_, close) + np.round(np.abs(random.normal(0, 0.02, shape)), 2)
            low = np.minimum(open_, close) - np.round(np.abs(random.normal(0, 0.02, shape)), 2)
            volume = np.floor(random.exponential(1000, shape))
            last = np.clip(close[-1], 20, 500)
            stamps = np.repeat(_FIRST + (begin + np.arange(shape[0])) * every * _MINUTE, SYMBOLS)
            symbol = pa.DictionaryArray.from_arrays(np.tile(np.arange(SYMBOLS, dtype=np.int32), shape[0]), names)
            arrays = [pa.array(each.ravel()) for each in (open_, high, low, close, volume)]
            table = pa.table([symbol, pa.array(stamps, pa.timestamp("us", "UTC")), *arrays], schema=schema)
            writer.write_table(table, row_group_size=group * SYMBOLS)


def decode(path: Path) -> dict[str, float]:
    """Take the same columns through polars' streaming engine, and do nothing with them."""
    began, busy, rows = time.perf_counter(), time.process_time(), 0
    wanted = pl.scan_parquet(path).select("symbol", "timestamp", *_FIELDS)
    for batch in wanted.collect_batches(chunk_size=_GROUP * SYMBOLS, maintain_order=True):
        rows += batch.height
    return {"rows": rows, "seconds": time.perf_counter() - began, "cpu": time.process_time() - busy, "memory": _peak()}


def run(path: Path, **settings: Any) -> dict[str, Any]:
    """Run a strategy that counts slices; ``first`` is from ``Engine.run`` to its first call."""
    from ml4t.backtest import Engine, Strategy

    class Count(Strategy):
        """Counts slices, and looks at one in a thousand."""

        calls, first, total = 0, 0.0, 0.0

        def on_slice(self, market: Any, context: Any) -> None:
            """Count."""
            self.first = self.first or time.perf_counter()
            self.calls += 1
            if self.calls % 1000 == 0:
                self.total += float(market.close.sum())

    strategy = Count()
    feed = {"use": "parquet", "path": str(path), "bar": "1m", "stamp": "close", "prices": "raw", **settings}
    opening = time.perf_counter()
    engine = Engine(feed=feed, strategy=strategy, capital=1e6)
    began, busy = time.perf_counter(), time.process_time()
    result = engine.run()
    out = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - busy, "memory": _peak()}
    out |= {"prepare": began - opening, "first": strategy.first - began, "calls": strategy.calls}
    read = result.manifest["read"]["parquet"]
    return out | {"digest": result.manifest["inputs"]["parquet"], "decision": result.decision_hash, **read}


def measure(what: str, path: Path, **settings: Any) -> dict[str, Any]:
    """Run ``decode`` or ``run`` in a process of its own and return what it prints."""
    line = [sys.executable, __file__, what, str(path), json.dumps(settings)]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


def report(folder: Path, repeats: int) -> None:
    """Print decode and run of 10 and 100 million bars by turns, and what a filter reads."""
    for minutes in (10_000, 100_000):
        path = folder / f"s1-{minutes}.parquet"
        if not path.exists():
            write(path, minutes)
        pairs = [(measure("decode", path), measure("run", path)) for _ in range(repeats)]
        print(f"s1: {minutes * SYMBOLS:,} bars, {path.stat().st_size / 1e6:,.0f} MB")
        for key in ("seconds", "cpu", "memory"):
            bare, ours = ([pair[place][key] for pair in pairs] for place in (0, 1))
            ratio = median(one / other for other, one in zip(bare, ours, strict=True))
            least = f"least {min(bare):.2f} and {min(ours):.2f}"
            print(f"  {key:8} decode {median(bare):8.2f}  run {median(ours):8.2f}  ratio {ratio:5.2f}  ({least})")
        for key in ("prepare", "first"):
            print(f"  {key:8} {median(pair[1][key] for pair in pairs):.3f} s", flush=True)
    fewer = {"symbols": [f"S{number:04d}" for number in range(10)]}
    found = measure("part", folder / "s1-100000.parquet", **fewer)
    print(f"  1 % of symbols, 5 % of days: {found['bytes_read'] / found['bytes_total']:.1%} of the bytes")


def part(path: Path, **settings: Any) -> dict[str, Any]:
    """Open a feed over some symbols and 5 % of the days; return what it reads."""
    from ml4t.backtest.interfaces import Window
    from ml4t_backtest_feed_parquet.feed import ParquetDataFeed, ParquetFeedConfig
    from ml4t_backtest_testkit import make_setup

    stamps = pl.scan_parquet(path).select(pl.col("timestamp").min().alias("first"), pl.col("timestamp").max()).collect()
    first, last = (int(stamps[name].dt.epoch("ns")[0]) for name in stamps.columns)
    begin = first + (last - first) // 2
    config = ParquetFeedConfig(path=str(path), bar="1m", stamp="close", symbols=tuple(settings["symbols"]))
    feed = ParquetDataFeed(config, make_setup("bars", path.parent))
    feed.open(Window(first=begin, last=begin + (last - first) * 3 // 100))  # whole days: some 5 %
    before = _bytes_asked_for()
    rows = sum(batch.height for batch in feed.batches())
    out = {**feed.read(), "delivered": rows, "asked_for": _bytes_asked_for() - before}
    feed.close()
    return out


def _bytes_asked_for() -> int:
    """Return the bytes that this process has read by system calls (Linux; elsewhere 0)."""
    told = Path("/proc/self/io")
    return int(told.read_text().split()[1]) if told.exists() else 0


def _peak() -> float:
    """Return the peak of resident memory in MB."""
    told = Path("/proc/self/status")
    if told.exists():  # ``ru_maxrss`` counts what the parent had when it made this process
        return int(next(line for line in told.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    settings = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    job = {"decode": decode, "run": run, "part": part}[sys.argv[1]]
    print(json.dumps(job(Path(sys.argv[2]), **settings)))
