"""One run under way: it goes through its instants and, whatever happens, ends with a result."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import polars as pl

from ml4t.backtest.errors import RunError, RunInterrupted
from ml4t.backtest.interfaces import Progress
from ml4t_backtest_engine_standard.assembly.instruments import unmet_entries
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.context.handles import to_datetime
from ml4t_backtest_engine_standard.loop.instant import Instants
from ml4t_backtest_engine_standard.loop.snapshot import restore
from ml4t_backtest_engine_standard.result.result import Result

__all__ = ["Running"]

_PROGRESS_SECONDS = 0.2


class Running:
    """A run between its assembly and its result.

    Args:
        parts: The opened components.
        instants: The loop over them.
        origin: Settings and further facts for the manifest.
        golden: File with the expected output, if a scenario has one.

    Attributes:
        result: Set once the run has ended, also after an error.
        golden: File with the expected output, if a scenario has one.
    """

    def __init__(self, parts: Parts, instants: Instants, origin: dict[str, Any], golden: Path | None) -> None:
        self.parts, self.instants = parts, instants
        self.result: Result | None = None
        self._origin, self.golden = origin, golden
        self._interrupted = False
        self._told: object = None

    def drive(self, resume: Path | str | None) -> None:
        """Run to the end, telling reporters how far it is; the first Ctrl-C ends it after the instant."""
        began = shown = time.perf_counter()
        first = 0
        with self._ctrl_c(), closing(self.steps(fast=True, resume=resume)) as steps:
            for now in steps:
                first = first or now
                if self._interrupted:
                    steps.throw(RunInterrupted("stopped by the user"))
                if time.perf_counter() - shown > _PROGRESS_SECONDS:
                    shown = time.perf_counter()
                    rows, last = self.instants.rows_done, self.parts.end
                    progress = Progress(rows=rows, now=now, first=first, last=last, elapsed=shown - began)
                    for reporter in self.parts.reporters:
                        try:
                            reporter.progress(progress)
                        except Exception as error:
                            self.instants.delivery.doing, self._told = "reporter.progress", reporter
                            steps.throw(error)

    def steps(self, *, fast: bool, resume: Path | str | None = None) -> Generator[int, None, None]:
        """Yield after each instant (``fast``: after each stretch of idle ones); then set ``result``."""
        began, instants = time.perf_counter(), self.instants
        if instants.state.now or self.result:
            raise RunError("this run is under way: finish or close its steps before another begins")
        status, problem = "done", ""
        try:
            if resume is None:
                instants.begin()
                yield from instants.run(fast=fast)
            else:
                yield from restore(Path(resume), instants, fast=fast)
        except (GeneratorExit, RunInterrupted, KeyboardInterrupt) as stop:
            status, problem = "interrupted", str(stop) or "stopped before the end"
            if isinstance(stop, KeyboardInterrupt):
                raise RunInterrupted("stopped by the user") from None
            raise
        except Exception as error:
            status, problem = "failed", self._explain(error)
            raise
        finally:
            self._end(status, problem, began)

    def _end(self, status: str, problem: str, began: float) -> None:
        """Let go of everything: a last equity row, on_end once, notes and digests, files closed."""
        try:
            self.instants.finish()
        except Exception as error:
            problem = f"{problem}\n{self._explain(error)}".strip()
            ended_well, status = status == "done", "failed"
            if ended_well:
                raise
        finally:
            try:
                self.result = self._make_result(status, problem, time.perf_counter() - began)
            finally:
                for source in self.parts.sources:
                    source.close()

    def _make_result(self, status: str, problem: str, elapsed: float) -> Result:
        parts, instants, bus = self.parts, self.instants, self.instants.bus
        flags = [*parts.broker.flags, *parts.portfolio.flags]
        if bus.received_external:
            flags.append(f"not reproducible: {bus.received_external} events came from other threads")
        acted = [name for action in parts.actions for name in (action.symbol, action.new_symbol)]
        unmet = unmet_entries(parts.instruments, [*instants.state.symbols.names, *acted]) if status == "done" else []
        return Result(
            state=instants.state,
            journal=instants.journal,
            portfolio=parts.portfolio,
            name=parts.name,
            status=status,
            error=problem,
            flags=flags,
            notes=[note for source in parts.sources for note in source.notes()] + parts.notes + unmet,
            header=parts.header,
            counts={
                "rows": instants.rows_done,
                "late": sum(instants.clock.late_rows.values()),
                "restamped": bus.restamped,
            },
            elapsed=elapsed,
            currency=parts.currencies[0],
            golden=self.golden,
            book_states=instants.outbox.holders,
            findings=parts.gate.findings({}, pl.DataFrame(), {}).to_dicts(),
            origin={
                **self._origin,
                "seed": parts.seed,
                "distributions": parts.used,
                "inputs": parts.inputs,
                "read": {source.spec.name: amounts for source in parts.sources if (amounts := source.read())},
            },
        )

    def _explain(self, error: Exception) -> str:
        """Note on an error whose it is (PEP 678), and return it with its notes."""
        parts, doing, now = self.parts, self.instants.delivery.doing, self.instants.state.now
        at_work: dict[str, object] = {"broker": parts.broker, "portfolio": parts.portfolio}
        at_work |= {"risk": self.instants.judging.judge, "batches": self.instants.clock.reading, "reporter": self._told}
        at_work["models"] = self.instants.models.asking
        book = self.instants.outbox.book
        strategy = parts.books[book].strategy if parts.books else parts.strategy
        component = at_work.get(doing.split(".")[0], strategy)
        owners = [ref.owner for owned, ref in parts.owners if owned is component]
        when = f"at {to_datetime(now).isoformat()}" if now else "before the first instant"
        owner = (owners or [type(component).__name__])[0]
        error.add_note(f"raised in {doing} of {owner} {when}{_line(error, type(component).__module__)}")
        return "\n".join([f"{type(error).__name__}: {error}", *error.__notes__])

    @contextmanager
    def _ctrl_c(self) -> Iterator[None]:
        """Let the first Ctrl-C finish the instant, and a second one stop at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _line(error: Exception, module: str) -> str:
    """Return the last line of a module that an error came through, in words; nothing where there is none."""
    lines = [
        f", line {line} of {Path(frame.f_code.co_filename).name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") == module
    ]
    return lines[-1] if lines else ""
