"""What each installed plugin offers, remembered so that a run need not import plugins to know.

An answer is kept by the distribution's name and version, the SHA-256 of the plugin module, and the
kernel's hooks. Only a distribution that is new or changed is asked, in a process of its own with a
time limit. One that failed is asked again each time, save where it ran out of time: that is
remembered until something is installed beside it or removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ml4t.backtest.core.cache import cache_folder

__all__ = ["Installed", "PluginIndex"]


class Installed(NamedTuple):
    """An entry point of group ``ml4t.backtest`` and the distribution that declares it."""

    entry: EntryPoint
    distribution: str
    version: str


class PluginIndex:
    """The answers of installed plugins, kept in a file.

    Args:
        file: The index; default: ``plugins/index.json`` in the user's cache folder.
        time_limit: Seconds that a plugin may take to be imported and to answer.
    """

    def __init__(self, file: Path | None = None, *, time_limit: float = 3.0) -> None:
        self._file = file or cache_folder("plugins") / "index.json"
        self._time_limit = time_limit
        self._answers: dict[str, dict[str, Any]] = {}
        # An index that is missing, torn or unreadable is made anew.
        with contextlib.suppress(OSError, TypeError, ValueError):
            self._answers = dict(json.loads(self._file.read_bytes()))

    def answers(self, plugins: Sequence[Installed], *, refresh: bool = False) -> list[dict[str, Any]]:
        """Return what each plugin offers, asking those that are new, changed or to be refreshed.

        Args:
            plugins: Installed plugins.
            refresh: Ask every one again.

        Returns:
            Per plugin what ``probe.examine`` returns, or ``failure``: why it cannot be used.
        """
        kernel = _kernel_digest()
        keys = [f"{own} {number} {entry.name} {_digest(entry)} {kernel}" for entry, own, number in plugins]
        known = {key: self._answers[key] for key in keys if not refresh and key in self._answers}
        asked = {
            key: entry
            for key, (entry, *_) in zip(keys, plugins, strict=True)
            if key not in known or ("until" in known[key] and known[key]["until"] != _stamp(entry))
        }
        for key, answer in zip(asked, _ask([*asked.values()], self._time_limit), strict=True):
            known[key] = answer | ({"until": _stamp(asked[key])} if "slow" in answer else {})
            if "slow" in answer or "failure" not in answer:
                self._answers[key] = known[key]
        if asked:
            self._save()
        return [known[key] for key in keys]

    def offered_before(self, kind: str, name: str) -> list[str]:
        """Return distributions that have offered a component, whether or not still installed."""
        offering = (key for key, answer in self._answers.items() if name in answer.get("components", {}).get(kind, ()))
        return sorted({key.partition(" ")[0] for key in offering})

    def _save(self) -> None:
        # Without a writable folder plugins are asked again next time; nothing else is lost.
        with contextlib.suppress(OSError):
            torn_at_worst = self._file.with_suffix(f".{os.getpid()}")
            torn_at_worst.write_text(json.dumps(self._answers), encoding="utf-8")
            torn_at_worst.replace(self._file)


def _digest(entry: EntryPoint) -> str:
    """Return the SHA-256 of a plugin's module, found without importing it, or an empty string."""
    top, *below = entry.module.split(".")
    try:
        spec: Any = find_spec(top)
        file = Path(spec.submodule_search_locations[0], *below).with_suffix(".py") if below else Path(spec.origin)
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (AttributeError, ImportError, LookupError, OSError, TypeError, ValueError):
        return ""


def _kernel_digest() -> str:
    sources = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("hookspecs.py", "probe.py"))
    return f"{hashlib.sha256(sources).hexdigest()[:16]} {sys.version_info.major}.{sys.version_info.minor}"


def _stamp(entry: EntryPoint) -> int:
    """Return what changes when a distribution is installed beside this one, upgraded or removed."""
    return os.stat(str(entry.dist.locate_file(""))).st_mtime_ns if entry.dist else 0


def _ask(entries: Sequence[EntryPoint], limit: float) -> list[dict[str, Any]]:
    """Ask plugins in one process, and in a further one after each that brings its process down."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    answers: list[dict[str, Any]] = []
    while len(answers) < len(entries):
        waiting = [(entry.name, entry.module, entry.attr) for entry in entries[len(answers) :]]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ml4t.backtest.probe", str(limit)],
            input=json.dumps(waiting),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        answers += [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) < len(entries) and not (done.stdout and "slow" in answers[-1]):
            answers.append({"failure": f"ended its process, code {done.returncode}"})
    return answers
