"""Environments of other engines, made on demand, and runs of their runner scripts in them.

Each engine lives in a virtual environment of its own in the user's cache folder and is only ever run as a separate
program. What a run wrote is kept there too and reused as long as scenario, bars, runner and requirements are the same.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

REQUIREMENTS = {
    "backtrader": ("backtrader==1.9.78.123", "numpy", "pandas", "pyarrow"),
    "backtesting": ("backtesting==0.6.6", "pyarrow"),
    "vectorbt": ("vectorbt==1.2.0", "pyarrow"),
    "zipline": ("zipline-reloaded==3.2.1", "pyarrow"),
}
PYTHON = "3.11"
NEWEST = "2026-11-20T00:00:00Z"  # what the engines depend on is resolved as of then
OUTPUTS = ("fills.parquet", "equity.parquet", "ends.json")


class PeerAbsent(Exception):
    """An environment cannot be made here."""


@dataclass(frozen=True)
class PeerRun:
    """What an engine made of a scenario.

    Attributes:
        fills: ref, time, symbol, quantity (signed), price, commission; in the order in which they happened.
        equity: time, equity; one row a bar.
        ends: Final state of each order by ref, empty where the engine has no such thing.
    """

    fills: pl.DataFrame
    equity: pl.DataFrame
    ends: dict[str, str]


def cache_folder() -> Path:
    """Return the folder of all environments and results."""
    places = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA", "~")}
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(places.get(sys.platform, "~/.cache"))
    return Path(user, "ml4t-backtest-peers")


def environment(peer: str) -> Path:
    """Make the environment of an engine where it is not there yet, and return its Python.

    Raises:
        PeerAbsent: uv, Python 3.11 or the network are missing.
    """
    requirements = REQUIREMENTS[peer]
    folder = cache_folder() / requirements[0].replace("==", "-")
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "requirements.json"
    if not complete.exists() or json.loads(complete.read_text()) != [*requirements, NEWEST]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _uv("venv", "--quiet", "--python", PYTHON, str(folder))
        _uv("pip", "install", "--quiet", "--exclude-newer", NEWEST, "--python", str(python), *requirements)
        complete.write_text(json.dumps([*requirements, NEWEST]))
    return python


def run(peer: str, scenario: dict, bars: pl.DataFrame, targets: Any = None, timeout: float = 1800) -> PeerRun:
    """Run a scenario in an engine, or take what an equal run wrote before.

    Args:
        peer: A key of ``REQUIREMENTS``.
        scenario: JSON-able; ``settings`` and ``actions``.
        bars: timestamp, symbol, open, high, low, close, volume.
        targets: float64 (bars, symbols), for workloads.
        timeout: Seconds.
    """
    runner = Path(__file__).with_name(f"{peer}_runner.py")
    text = json.dumps(scenario, sort_keys=True)
    parts = [text, runner.read_text(encoding="utf-8"), repr(REQUIREMENTS[peer]), NEWEST]
    key = hashlib.sha256("\0".join(parts).encode())
    key.update(bars.write_ipc(None, compression="uncompressed").getvalue())
    if targets is not None:
        key.update(targets.tobytes())
    folder = cache_folder() / "runs" / f"{peer}-{key.hexdigest()[:24]}"
    if not (folder / "done").exists():
        _run_in(environment(peer), runner, folder, text, bars, targets, timeout)
    ends = folder / OUTPUTS[2]
    return PeerRun(
        fills=pl.read_parquet(folder / OUTPUTS[0]),
        equity=pl.read_parquet(folder / OUTPUTS[1]),
        ends=json.loads(ends.read_text()) if ends.exists() else {},
    )


def _run_in(
    python: Path, runner: Path, folder: Path, text: str, bars: pl.DataFrame, targets: Any, timeout: float
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "scenario.json").write_text(text)
    bars.write_parquet(folder / "bars.parquet")
    if targets is not None:
        np.save(folder / "targets.npy", targets)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_"))}
    done = subprocess.run([python, runner, folder], env=clean, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{runner.name} ended with {done.returncode} in {folder}:\n{done.stderr[-3000:]}")
    for left in set(folder.iterdir()) - {folder / name for name in OUTPUTS}:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    (folder / "done").touch()


def _uv(*arguments: str) -> None:
    found = os.environ.get("UV") or shutil.which("uv")
    command = [found] if found else [sys.executable, "-m", "uv"]
    if not found and importlib.util.find_spec("uv") is None:
        raise PeerAbsent("uv was not found: pip install uv")
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PeerAbsent(f"uv {arguments[0]} failed with {done.returncode}: {said.strip()}")
