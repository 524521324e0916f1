"""Measure a workload beside bare loops, in one process: ``python tests/performance/run.py w1s --data DIR``.

Each figure is the median of the repeats, with the least in brackets. ``run`` is the call of ``Engine.run``;
what comes before (checking and copying the frame, opening the sources) is ``prepare``, what comes after
(both hashes) ``hash``. CPU time counts all threads and is the steadier figure where other programs run. Peak
memory is that of the first run, above input and libraries.

``accounting`` is w1s with the standard portfolio and with one that only moves quantities and cash, by turns; of the
former also the share of CPU time that its checks of identities take.

``s1`` is 10 and 100 million bars streamed from Parquet, by turns with polars decoding them (1.5 GB in the folder).
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numba
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent))
import streaming
import workloads
from bare_portfolio import BarePortfolio

from ml4t_backtest_portfolio_standard import portfolio, sampling

NAMES = ("w1s", "w1s-events", "w1w", "w3a", "w3b", "accounting", "s1")
# Fills and final equity of the whole workloads; several other engines agree on those of w1s.
EXPECTED = {"w1s": (428_132, 10_088_712.0), "w1w": (298_875, 8_755_769.81)}
GOALS = {"w1s": 0.30, "w1s-events": 1.5, "w1w": 0.30, "w3a": 0.5, "w3b": 0.05}
Times = dict[str, list[float]]


def main() -> None:
    """Parse the command line, write the data where it is missing, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=[*NAMES, "all"])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, made when missing")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.workload != "s1" and not given.data.joinpath("slices.parquet").exists():
        subprocess.run([sys.executable, "-c", _WRITE, given.data], check=True, cwd=Path(__file__).parent)
    if given.workload == "all":  # a process each, so that none inherits another's memory
        for name in NAMES:
            line = [sys.executable, __file__, name, "--data", given.data, "--repeats", str(given.repeats)]
            subprocess.run(line, check=True)
        return
    if given.workload == "s1":
        streaming.report(given.data, given.repeats)
        return
    if given.workload == "accounting":
        report_accounting(measure_accounting(given.data, given.repeats))
        return
    report(given.workload, *measure(given.workload, given.data, given.repeats))


_WRITE = "import sys, pathlib, workloads; workloads.write(pathlib.Path(sys.argv[1]))"


def measure(name: str, folder: Path, repeats: int) -> tuple[Times, float, int, str]:
    """Return times by label, peak memory in MB above the input, rows, and what the run came to."""
    if name.startswith("w1"):
        frame = pl.read_parquet(folder / "daily.parquet")
        wanted = workloads.targets(frame, name[:3])
        bars = frame.select("timestamp", "symbol", *workloads.FIELDS)
        bare = _daily_loops(name[:3], frame, wanted)
        if name == "w1s-events":
            bare = {"Python callback": lambda: workloads.bare_events(bars)}
        del frame
        make: Callable[[], Any] = {
            "w1s": lambda: workloads.BySlice(wanted),
            "w1s-events": lambda: workloads.ByEvent(wanted),
            "w1w": lambda: workloads.BySlice(wanted, weights=True),
        }[name]
        build = workloads.daily_engine
    else:
        bars = pl.read_parquet(folder / {"w3a": "minutes.parquet", "w3b": "slices.parquet"}[name])
        make = workloads.CountEvents if name == "w3a" else workloads.CountSlices
        loop = workloads.bare_events if name == "w3a" else workloads.bare_slices
        bare = {"Python callback": lambda: loop(bars) if name == "w3a" else loop(bars, 100)}
        build = workloads.minute_engine
    times: Times = {label: [] for label in ("prepare", "run", "run, CPU", "hash", *bare)}
    for call in bare.values():
        call()  # compiles
    build(bars.head(1000), make()).run()  # loads what every run needs
    outcome, memory = "", []
    for _ in range(repeats):
        gc.collect()
        before, strategy = _resident(reset=True), make()
        began = time.perf_counter()
        engine = build(bars, strategy)
        ready, busy = time.perf_counter(), time.process_time()
        result = engine.run()
        done = time.perf_counter()
        times["run, CPU"].append(time.process_time() - busy)
        memory.append(_resident(peak=True) - before)
        outcome = f"{result.state.fills.count:,} fills, equity {result.final_equity:,.2f}, {strategy.calls:,} calls"
        if name[:3] in EXPECTED:
            assert EXPECTED[name[:3]] == (result.state.fills.count, round(result.final_equity, 2)), outcome
        hashing = time.perf_counter()
        outcome += f", hashes {result.decision_hash[:12]} {result.result_hash[:12]}"
        times["hash"].append(time.perf_counter() - hashing)
        times["prepare"].append(ready - began)
        times["run"].append(done - ready)
        del engine, result, strategy
        for label, call in bare.items():
            began = time.perf_counter()
            call()
            times[label].append(time.perf_counter() - began)
    return times, memory[0], len(bars), outcome  # later runs get memory that the first one left


def measure_accounting(folder: Path, repeats: int) -> Times:
    """Return CPU and wall times of w1s with each portfolio, run by turns."""
    frame = pl.read_parquet(folder / "daily.parquet")
    wanted = workloads.targets(frame, "w1s")
    bars = frame.select("timestamp", "symbol", *workloads.FIELDS)
    times: Times = {}
    for repeat in range(repeats + 1):  # the first one loads what every run needs
        for name in ("standard", "unchecked", "bare"):
            settings = {"portfolio": BarePortfolio()} if name == "bare" else {}
            engine = workloads.daily_engine(bars, workloads.BySlice(wanted), **settings)
            gc.collect()
            with unchecked() if name == "unchecked" else nullcontext():
                began, busy = time.perf_counter(), time.process_time()
                result = engine.run()
                done = [("", time.perf_counter() - began), (", CPU", time.process_time() - busy)]
            equity = float(result.state.equity.rows()["equity"][-1])
            assert EXPECTED["w1s"] == (result.state.fills.count, round(equity, 2)), (name, equity)
            for kind, seconds in done if repeat else ():
                times.setdefault(name + kind, []).append(seconds)
            del engine, result, settings  # whose memory the next run takes over
    return times


def report_accounting(times: Times) -> None:
    """Print both portfolios' times and what accounting adds."""
    print(f"accounting: w1s, {EXPECTED['w1s'][0]:,} fills")
    for label, values in times.items():
        print(f"  {label:22} {median(values):8.4f} s ({min(values):.4f})")
    for kind in ("", ", CPU"):
        more = median(times["standard" + kind]) / median(times["bare" + kind]) - 1.0
        least = min(times["standard" + kind]) / min(times["bare" + kind]) - 1.0
        print(f"  {'accounting' + kind:22} {more:+8.1%} ({least:+.1%} of the least); aim +20 %", flush=True)
    share = 1.0 - median(times["unchecked, CPU"]) / median(times["standard, CPU"])
    least = 1.0 - min(times["unchecked, CPU"]) / min(times["standard, CPU"])
    print(f"  {'identities, CPU':22} {share:+8.1%} ({least:+.1%} of the least); aim 5 %", flush=True)


@contextmanager
def unchecked() -> Iterator[None]:
    """Leave identities unchecked: samples only write sums."""
    with (
        patch.object(sampling, "look", _look_nowhere),
        patch.object(portfolio, "compile_sample", _compile_unchecked),
        patch.object(sampling, "is_off", _never_off),
    ):
        yield


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]  # Numba has no types
def _look_nowhere(*tables: Any) -> int:
    return 0


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]  # Numba has no types
def _never_off(*figures: Any) -> bool:
    return False


@cache
def _compile_unchecked() -> Callable[..., int]:
    """Compile what a sample takes once more, anew, so that it finds ``_look_nowhere`` where it looks."""
    plain = numba.njit(error_model="numpy")(sampling.take_sample.py_func)
    return plain  # type: ignore[no-any-return]  # Numba has no types


def _daily_loops(name: str, frame: pl.DataFrame, wanted: workloads.Floats) -> dict[str, Callable[[], Any]]:
    open_, close = workloads.wide(frame, "open"), workloads.wide(frame, "close")
    compiled = numba.njit(workloads.bare_shares if name == "w1s" else workloads.bare_weights)
    fills, equity = compiled(open_, close, wanted, workloads.CAPITAL)
    assert EXPECTED[name] == (fills, round(equity, 2)), (fills, equity)
    loops: dict[str, Callable[[], Any]] = {"compiled loop": lambda: compiled(open_, close, wanted, workloads.CAPITAL)}
    if name == "w1s":
        fill = numba.njit(workloads.bare_fill)
        loops["Python call a day"] = lambda: workloads.bare_days(fill, open_, close, wanted, workloads.CAPITAL)
    return loops


def _resident(*, reset: bool = False, peak: bool = False) -> float:
    """Return resident or peak memory in MB (Linux; elsewhere NaN); ``reset`` starts the peak anew."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM" if peak else "VmRSS"].split()[0]) / 1024


def report(name: str, times: Times, memory: float, rows: int, outcome: str) -> None:
    """Print what was measured."""
    run = median(times["run"])
    print(f"{name}: {outcome}")
    print(f"  {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}", end="")
    print(f", NumPy {np.__version__}, Numba {numba.__version__}, polars {pl.__version__}")
    for label, values in times.items():
        middle = median(values)
        ratio = "" if label in ("prepare", "run", "run, CPU", "hash") else f"  run is {run / middle:,.1f} times this"
        print(f"  {label:18} {middle:8.4f} s ({min(values):.4f}){ratio}")
    print(f"  rows per second    {rows / run:,.0f}")
    print(f"  aim                {GOALS[name]:8.4f} s; run is {run / GOALS[name]:,.2f} times this")
    print(f"  peak memory        {memory:,.0f} MB above the loaded input", flush=True)


if __name__ == "__main__":
    main()
