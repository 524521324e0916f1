"""The commands ``run`` and ``demo``."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ml4t.backtest.errors import InputError

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.result import Result

__all__ = ["add_commands", "free_folder"]

_EXIT_CODES = {"done": 0, "failed": 1, "interrupted": 130}
_DEMO_FILES = ("demo.toml", "demo_strategy.py")
_DEFAULT_REPORTERS = ("console", "parquet")


def add_commands(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``run`` and ``demo``."""
    run = subcommands.add_parser("run", help="run a run file")
    run.add_argument("run_file", metavar="RUN.toml", type=Path, help="the run file")
    run.add_argument("--disable", metavar="NAME", action="append", default=[], help="plugin to leave alone")
    run.add_argument("--only", metavar="NAME", action="append", help="use no plugins but these")
    run.set_defaults(function=run_file)
    demo = subcommands.add_parser("demo", help="run a momentum strategy on real prices of twenty shares")
    demo.add_argument("--copy", metavar="DIR", type=Path, help="write the demo's files there instead of running")
    demo.set_defaults(function=run_demo)
    for parser in (run, demo):
        parser.add_argument("--out", metavar="DIR", type=Path, help="run folder (default: a new one under runs/)")
        parser.add_argument(
            "--set",
            metavar="KEY=VALUE",
            dest="overrides",
            action="append",
            default=[],
            help="change a setting, as in broker.slippage.bps=7",
        )
        parser.add_argument("--quiet", action="store_true", help="print the run folder and nothing else")
        parser.add_argument("--profile", action="store_true", help="print where the time went")
        parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")


def run_file(arguments: argparse.Namespace) -> int:
    """Run what ``RUN.toml`` says and return the exit code."""
    return _run(arguments.run_file, arguments, disable=arguments.disable, only=arguments.only)


def run_demo(arguments: argparse.Namespace) -> int:
    """Run the demo, or write its files out."""
    folder = resources.files("ml4t_backtest_cli") / "demo"
    if arguments.copy is not None:
        return _copy_demo(arguments.copy)
    if not arguments.quiet:
        print("demo: cross-sectional momentum on adjusted closes of twenty US shares; fills at the next close")
        print("      the shares were chosen with hindsight: the figures show the engine, not a strategy\n")
    with resources.as_file(folder) as path:
        return _run(path / "demo.toml", arguments, disable=(), only=None)


def free_folder(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or with a number after it, whichever does not exist or is empty.

    Args:
        parent: Folder of run folders.
        name: Name of the run; what cannot be part of a file name becomes a dash.
    """
    stem = re.sub(r"[^\w-]+", "-", name).strip("-") or "run"
    number, folder = 1, parent / stem
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = parent / f"{stem}-{number}"
    return folder


def _run(path: Path, arguments: argparse.Namespace, *, disable: Sequence[str], only: Sequence[str] | None) -> int:
    _configure_logging(quiet=arguments.quiet)
    from ml4t.backtest import Engine

    settings = Engine.read(path, arguments.overrides).settings
    reporters = _reporters(settings.get("reporter"), disable=disable, only=only, quiet=arguments.quiet)
    engine = Engine.from_file(path, [*arguments.overrides, *reporters], disable=disable, only=only)
    out = arguments.out or free_folder(Path("runs"), str(settings.get("name") or path.stem))
    try:
        result = _profiled(engine.run, out) if arguments.profile else engine.run(out)
    except Exception as error:
        _note_further_errors(error, engine.result)
        raise
    return _finish(result, out, quiet=arguments.quiet)


def _note_further_errors(error: Exception, result: Result | None) -> None:
    """Note on what ended a run what the result tells beside it, such as an error of ``on_end``."""
    told = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]).splitlines()
    for line in result.error.splitlines() if result else ():
        if line not in told:
            error.add_note(line)


def _finish(result: Result, out: Path, *, quiet: bool) -> int:
    if quiet:
        print(out)
    if result.status == "interrupted":
        print(f"interrupted; what was recorded is in {out}", file=sys.stderr)
    elif result.status == "failed":  # on_end raised after an interruption
        print(*(f"error: {line}" for line in result.error.splitlines()), sep="\n", file=sys.stderr)
    return _EXIT_CODES[result.status]


def _reporters(
    configured: list[dict[str, object]] | None,
    *,
    disable: Sequence[str],
    only: Sequence[str] | None,
    quiet: bool,
) -> list[str]:
    """Return overrides: reporters for a run file that names none, and silence for ``--quiet``."""
    if not configured:
        wanted = [name for name in _DEFAULT_REPORTERS if f"reporter-{name}" not in disable]
        wanted = [name for name in wanted if only is None or f"reporter-{name}" in only]
        wanted = [name for name in wanted if not (quiet and name == "console")]
        return ["reporter=[" + ", ".join(f'{{use="{name}"}}' for name in wanted) + "]"]
    consoles = [row for row, reporter in enumerate(configured) if quiet and reporter.get("use") == "console"]
    silence = ("progress=none", "header=false", "summary=false")
    return [f"reporter.{row}.{setting}" for row in consoles for setting in silence]


def _profiled(run: object, out: Path) -> Result:
    import cProfile
    import pstats

    profile = cProfile.Profile()
    try:
        result: Result = profile.runcall(run, out)  # type: ignore[arg-type]
    finally:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    return result


def _copy_demo(folder: Path) -> int:
    taken = [str(folder / name) for name in _DEMO_FILES if (folder / name).exists()]
    if taken:
        raise InputError(f"{', '.join(taken)} would be overwritten: choose another folder for --copy")
    folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("ml4t_backtest_cli") / "demo") as source:
        for name in _DEMO_FILES:
            shutil.copyfile(source / name, folder / name)
    print(f"wrote {folder / 'demo.toml'} and {folder / 'demo_strategy.py'}")
    print(f"run it with: ml4t-backtest run {folder / 'demo.toml'}")
    return 0


def _configure_logging(*, quiet: bool) -> None:
    """Send log lines to standard error; the only place that configures structlog."""
    import logging

    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
