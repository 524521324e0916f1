"""Measure which lines and branches of compiled code its tests reach: ``python tests/measures/cover_core.py``.

The compiled functions run as plain Python here; what only compiled code comes to (calls back to models, and what
follows where one has raised) does not count. Lines and branches of them that no test takes are listed; the
Python around them counts with ``--plain`` only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compiled_functions import Source, compiled_sources

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"NUMBA_DISABLE_JIT": "1"}


def main() -> int:
    """Parse the command line, run the tests under coverage, print what is missing; return 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="default: those of the distribution")
    parser.add_argument("--distribution", default="plugins/broker-simulation")
    parser.add_argument("--only", default="", help="modules, such as match,accept; default: all")
    parser.add_argument("--plain", action="store_true", help="all functions, not only the compiled ones")
    options = parser.parse_args()
    folder = ROOT / options.distribution
    with tempfile.TemporaryDirectory() as place:
        data, found = Path(place) / "coverage", Path(place) / "found.json"
        options_of_both = ["--rcfile=", f"--data-file={data}"]
        command = ["run", "--branch", *options_of_both, f"--include={folder}/src/*", "-m", "pytest", "-q"]
        tests = options.tests or [f"{options.distribution}/tests"]
        for arguments in (
            [*command, "-p", "no:cacheprovider", *tests],
            ["json", *options_of_both, "-q", "-o", str(found)],
        ):
            subprocess.run(
                [sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env={**os.environ, **PLAIN}, check=True
            )
        sources = compiled_sources(folder, [name for name in options.only.split(",") if name], plain=options.plain)
        return report(sources, json.loads(found.read_text(encoding="utf-8"))["files"])


def report(sources: Sequence[Source], files: dict[str, dict[str, Any]]) -> int:
    """Print one line for each module, and what of its functions no test reaches."""
    met = total = 0
    for source in sources:
        name = source.path.relative_to(ROOT)
        measured = files[str(name)]
        lines = {
            kind: [line for line in measured[f"{kind}_lines"] if source.holds(line)] for kind in ("executed", "missing")
        }
        arcs = {
            kind: [arc for arc in measured[f"{kind}_branches"] if source.holds(arc[0]) and not source.skips(arc[1])]
            for kind in lines
        }
        reached, missed = (len(lines[kind]) + len(arcs[kind]) for kind in ("executed", "missing"))
        met, total = met + reached, total + reached + missed
        print(f"{name}: {reached} of {reached + missed} lines and branches")
        for first, last in stretches(lines["missing"], lines["executed"]):
            print(f"    {name}:{first}{f'-{last}' if last > first else ''} is not reached")
        for line, end in arcs["missing"]:
            if line not in lines["missing"] and end not in lines["missing"]:
                print(f"    {name}:{line} never goes on to {end if end > 0 else 'the end'}")
    print(f"functions: {met} of {total} lines and branches, {met / max(1, total):.1%}")
    return int(met < total)


def stretches(missing: list[int], executed: list[int]) -> list[tuple[int, int]]:
    """Return the first and last lines of what is missing, one pair where nothing executed lies between."""
    found: list[tuple[int, int]] = []
    for line in sorted(missing):
        if found and not any(found[-1][1] < each < line for each in executed):
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
