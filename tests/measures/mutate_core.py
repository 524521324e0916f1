"""Measure how many small faults in compiled code its tests find: ``python tests/measures/mutate_core.py``.

Faults (a comparison, an operator, a constant changed, a statement left out) are put one at a time into the
compiled functions, which run as plain Python here, or into all functions with ``--plain``. Those tests run that
reach the changed line, and a fault that fails none of them has survived. A sample with a fixed seed is taken;
survivors are listed by file and line.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from compiled_functions import Source, compiled_sources
from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"NUMBA_DISABLE_JIT": "1", "POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "0"}
LEAST_SECONDS = 3.0
SLOWER = 10.0  # CPU time, than a test took without a fault: then the fault has made a loop endless
STUCK = 1800.0  # seconds by the clock, after which a trial is given up
OPTIONS = ("-x", "-q", "-s", "-p", "no:cacheprovider", "--no-header", "--no-summary", "--tb=short")
GOAL = 0.85
LEFT = ("survived", "not reached")


@dataclass(frozen=True)
class Reach:
    """Which tests reach which lines.

    Attributes:
        seconds: Of each test that passed, by its id.
        tests: Ids of the tests that reach a line, by file and line.
    """

    seconds: dict[str, float]
    tests: dict[tuple[str, int], list[str]]

    def of(self, path: Path, first: int, last: int) -> list[str]:
        """Return the tests that reach any of the lines that a piece of code is on, the fastest first."""
        tests = {test for line in range(first, last + 1) for test in self.tests.get((str(path), line), ())}
        return sorted(tests, key=lambda test: (self.seconds[test], test))


def main() -> int:
    """Parse the command line, measure, and print the score; return 1 where it is below the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="default: those of the distribution")
    parser.add_argument("--distribution", default="plugins/broker-simulation")
    parser.add_argument("--sample", type=int, default=300, help="faults to try; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="modules, such as match,accept, or module:first-last line")
    parser.add_argument("--plain", action="store_true", help="all functions, not only the compiled ones")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in PLAIN.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **PLAIN})
    os.chdir(ROOT)
    parts = [part for part in options.only.split(",") if part]
    modules = [part.partition(":")[0] for part in parts]
    sources = compiled_sources(ROOT / options.distribution, modules, plain=options.plain)
    tests = options.tests or [f"{options.distribution}/tests"]
    everything = [mutant for source in sources for mutant in mutants_of(source) if chosen(mutant, parts)]
    size = min(options.sample or len(everything), len(everything))
    trials = Trials(sources, random.Random(options.seed).sample(everything, size))
    print(f"{len(everything)} faults in {len(sources)} modules, {size} tried", flush=True)
    status = int(pytest.main([*OPTIONS, *tests], plugins=[trials]))
    if len(trials.outcomes) < size:
        raise SystemExit(f"the tests fail or do not begin without any fault (status {status})")
    return report(trials.outcomes, trials.sample)


def chosen(mutant: Mutant, parts: Sequence[str]) -> bool:
    """Say whether a fault is in a module, and between the lines, that were asked for; all are where none was."""
    for part in parts:
        name, _, lines = part.partition(":")
        first, _, last = lines.partition("-")
        if mutant.source.path.stem == name and (not first or int(first) <= mutant.line <= int(last or first)):
            return True
    return not parts


class Trials:
    """A pytest plugin that, in place of the tests, puts one fault after the other in and runs those that reach it.

    Each trial is a fork of the process that has collected the tests, and so does not collect them again.

    Attributes:
        outcomes: What became of each fault of the sample.
    """

    def __init__(self, sources: Sequence[Source], sample: Sequence[Mutant]) -> None:
        self.sources = sources
        self.sample = sample
        self.outcomes: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every fault."""
        reach = measure_reach(session, [source.path for source in self.sources])
        items = {item.nodeid: item for item in session.items}
        print(f"{len(reach.seconds)} tests, {sum(reach.seconds.values()):.0f} s", flush=True)
        for number, mutant in enumerate(self.sample, 1):
            tests = reach.of(mutant.source.path, mutant.line, mutant.last)
            trial = [items[test] for test in tests]
            outcome = try_one(session, mutant, trial, reach.seconds) if tests else "not reached"
            self.outcomes.append(outcome)
            if outcome in LEFT:
                print(told(mutant, outcome), flush=True)
            if number % 50 == 0:
                print(f"{number} of {len(self.sample)}: {dict(Counter(self.outcomes))}", flush=True)
        return True


def run_items(session: pytest.Session, items: Sequence[pytest.Item], seconds: Mapping[str, float]) -> int:
    """Run tests until one fails; return 1 then, else 0. One that takes far too long kills the process."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        signal.setitimer(signal.ITIMER_VIRTUAL, max(LEAST_SECONDS, SLOWER * seconds[item.nodeid]))
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def measure_reach(session: pytest.Session, paths: Sequence[Path]) -> Reach:
    """Run all tests once, without a fault, and note which lines each of them reaches.

    Raises:
        SystemExit: Where one fails: then nothing can be said.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, said = Path(folder) / "reach.json", Path(folder) / "said.txt"
        if in_fork(lambda: _trace(session, paths, out), said) != 0:
            raise SystemExit(f"{said.read_text(encoding='utf-8')}\nthe tests fail without any fault")
        found = json.loads(out.read_text(encoding="utf-8"))
    lines = {(path, int(line)): ids for path, by_line in found["lines"].items() for line, ids in by_line.items()}
    return Reach(found["seconds"], lines)


def _trace(session: pytest.Session, paths: Sequence[Path], out: Path) -> int:
    """Run the tests under coverage with one context each; write ids, seconds and lines as JSON."""
    cover = coverage.Coverage(data_file=None, config_file=False, include=[str(path) for path in paths])
    seconds: dict[str, float] = {}
    cover.start()
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        cover.switch_context(item.nodeid)
        begun = time.process_time()
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        seconds[item.nodeid] = time.process_time() - begun
        if session.testsfailed:
            return 1
    cover.stop()
    data = cover.get_data()
    lines = {path: data.contexts_by_lineno(path) for path in data.measured_files()}
    lines = {path: {line: [n for n in names if n] for line, names in each.items()} for path, each in lines.items()}
    out.write_text(json.dumps({"seconds": seconds, "lines": lines}), encoding="utf-8")
    return 0


def in_fork(action: Callable[[], int], said: Path | str = os.devnull) -> int | None:
    """Run an action in a copy of this process; return its status, None where it was too slow.

    Args:
        action: Returns the status.
        said: The file that gets its output.
    """
    end = time.monotonic() + STUCK
    child = os.fork()
    if child == 0:
        status = 3
        try:
            output = os.open(said, os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code == -signal.SIGVTALRM else code
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def put_in(mutant: Mutant) -> None:
    """Give the functions of a module, wherever they are held already, the code that they have with the fault.

    Raises:
        ValueError: A function does not know its class any more; the fault has left out what needed it.
    """
    importlib.import_module(mutant.source.module)
    path = str(mutant.source.path)
    changed = dict(_codes(compile(mutant.tree(), path, "exec")))
    for function in [each for each in gc.get_objects() if type(each) is FunctionType]:
        code = function.__code__
        if code.co_filename == path:
            function.__code__ = changed.get((code.co_qualname, code.co_firstlineno), code)


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    """Yield the code of each function in a piece of code, by its name and first line."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield (inner.co_qualname, inner.co_firstlineno), inner
            yield from _codes(inner)


def try_one(session: pytest.Session, mutant: Mutant, items: Sequence[pytest.Item], seconds: Mapping[str, float]) -> str:
    """Put one fault in and run the tests that reach it."""

    def trial() -> int:
        put_in(mutant)
        return run_items(session, items, seconds)

    status = in_fork(trial)
    if status is None:
        return "endless"
    return "survived" if status == 0 else "found"


def told(mutant: Mutant, outcome: str) -> str:
    """Return where a fault is, what became of it, and what it is."""
    return f"{mutant.source.path.relative_to(ROOT)}:{mutant.line}: {outcome}: {mutant.was}  ->  {mutant.now}"


def report(outcomes: Sequence[str], sample: Sequence[Mutant]) -> int:
    """Print all survivors by file and line, then the score."""
    left = [(mutant, outcome) for mutant, outcome in zip(sample, outcomes, strict=True) if outcome in LEFT]
    print("\nsurvivors:")
    for mutant, outcome in sorted(left, key=lambda pair: (str(pair[0].source.path), pair[0].line)):
        print(told(mutant, outcome))
    score = 1.0 - len(left) / max(1, len(sample))
    print(f"{len(sample) - len(left)} of {len(sample)} faults found: {score:.1%} ({dict(Counter(outcomes))})")
    return int(score < GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
