"""The entry of the command: arguments in, exit code out.

Exit codes: 0 done, 1 the run failed, 2 bad input, 130 interrupted. Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ml4t.backtest.errors import BacktestError, InputError, RunInterrupted
from ml4t_backtest_cli import checking, listing, running

__all__ = ["DONE", "FAILED", "INPUT", "INTERRUPTED", "main"]

DONE, FAILED, INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    show_traceback = "--traceback" in given
    try:
        parser, subcommands = _parser()
        # A command of ours starts without asking plugins; --help and everything unknown asks them.
        if not given or given[0] not in subcommands.choices:
            _add_plugin_commands(subcommands)
        arguments = parser.parse_args(given)
        with _termination_as_interrupt():
            return int(arguments.function(arguments))
    except SystemExit as stop:  # argparse: usage errors and --help
        return stop.code if isinstance(stop.code, int) else INPUT
    except InputError as error:
        return _report(error, [*error.problems, *getattr(error, "__notes__", ())], INPUT, show_traceback)
    except (KeyboardInterrupt, RunInterrupted):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        text = str(error) if isinstance(error, BacktestError) else f"{type(error).__name__}: {error}"
        return _report(error, [text, *getattr(error, "__notes__", ())], FAILED, show_traceback)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which time limits and containers send, end a command as Ctrl-C does: temporary files go with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _report(error: BaseException, problems: Sequence[str], code: int, show_traceback: bool) -> int:
    sys.stdout.flush()
    if show_traceback:
        traceback.print_exception(error)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return code


def _parser() -> tuple[argparse.ArgumentParser, argparse._SubParsersAction[argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="ml4t-backtest",
        description="Event-driven backtesting in which no component can see what is not yet known.",
        epilog="exit codes: 0 done, 1 the run failed, 2 bad input, 130 interrupted",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the versions and leave")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    running.add_commands(subcommands)
    checking.add_commands(subcommands)
    listing.add_commands(subcommands)
    return parser, subcommands


class _Version(argparse.Action):
    """Print versions; metadata is read only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and leave."""
        from importlib.metadata import version

        print(f"ml4t-backtest-cli {version('ml4t-backtest-cli')}, kernel {version('ml4t-backtest-kernel')}")
        parser.exit()


def _add_plugin_commands(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from ml4t.backtest.plugins import PluginHost

    try:
        PluginHost().hook.ml4t_add_cli(subcommands=subcommands)
    except Exception as error:
        print(f"warning: a plugin could not add its commands: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
