"""The engine: assembles a run, drives its instants, and hands back a result."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from ml4t.backtest.assembly import Parts, assemble
from ml4t.backtest.context import Context
from ml4t.backtest.core.bus import EventBus
from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.schedule import Schedule
from ml4t.backtest.errors import RunError, RunInterrupted
from ml4t.backtest.handles import to_datetime
from ml4t.backtest.instant import Instants
from ml4t.backtest.interfaces import Progress
from ml4t.backtest.journal import Journal
from ml4t.backtest.outbox import Outbox
from ml4t.backtest.plugins import PluginHost
from ml4t.backtest.result import Result
from ml4t.backtest.runfile import LIST_KEYS, RunFile, read_run_file
from ml4t.backtest.snapshot import restore, save
from ml4t.backtest.state import RunState

__all__ = ["Engine"]

_PROGRESS_SECONDS = 0.2


class Engine:
    """One run, from keyword arguments or from a run file.

    Every table of the run file has a keyword of the same name, one table or a list of them; where a table
    says ``use``, an instance or a class will do as well.

    Args:
        prices: Bars: a polars, pandas or Arrow frame, long or a mapping of field to wide frame.
        signals: Predictions: a frame as above.
        weights: Target weights: a frame as above; no strategy is needed then.
        bar: Length of a bar of ``prices``, for example ``1d`` or ``5m``.
        stamp: Which end of an intraday bar its stamp names: ``open`` or ``close``.
        timezone: IANA zone of naive intraday stamps.
        calendar: Exchange code such as ``XNYS``; ``24/7`` (each UTC day a session) when not given.
        capital: Starting cash, a number (USD) or ``{"EUR": 1e6}``; 100,000 USD when not given.
        strategy, broker, portfolio: A component: instance, class, name or table.
        seed: Seed of every random stream of the run.
        host: Plugins to use instead of the installed ones, for tests.
        **settings: Further keys of a run file: ``name, start, end, warmup, feed, signal, risk, reporter,
            instruments, plugins``.

    Attributes:
        bus: The run's event bus; subscribe before ``run``.
        result: What the last run produced, also after an error.
    """

    def __init__(
        self,
        *,
        prices: Any = None,
        signals: Any = None,
        weights: Any = None,
        bar: str | None = None,
        stamp: str | None = None,
        timezone: str | None = None,
        calendar: str | Any | None = None,
        capital: float | Mapping[str, float] | None = None,
        strategy: Any = None,
        broker: Any = None,
        portfolio: Any = None,
        seed: int = 0,
        start: date | datetime | None = None,
        end: date | datetime | None = None,
        host: PluginHost | None = None,
        **settings: Any,
    ) -> None:
        given = {
            **settings,
            "capital": capital,
            "strategy": strategy,
            "broker": broker,
            "portfolio": portfolio,
        }
        given |= {"seed": seed, "start": start, "end": end}
        stamps = {"stamp": stamp, "timezone": timezone}
        stamps = {key: value for key, value in stamps.items() if value is not None}
        if prices is not None:
            frame = {"use": "frame", "name": "prices", "frame": prices, **stamps} | (
                {"bar": bar} if bar else {}
            )
            given["feed"] = [frame, *_as_list(given.get("feed"))]
        for name, frame in (("signals", signals), ("weights", weights)):
            if frame is not None:
                table = {"use": "frame", "name": name, "frame": frame}
                given["signal"] = [*_as_list(given.get("signal")), table]
        if weights is not None and strategy is None:
            given["strategy"] = "weights"
        if calendar is not None:
            given["clock"] = {**(given.get("clock") or {}), "calendar": calendar}
        given = {key: _as_list(value) if key in LIST_KEYS else value for key, value in given.items()}
        run = RunFile(None, Path.cwd(), {key: value for key, value in given.items() if value is not None})
        self._begin(run, host)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        overrides: Sequence[str] = (),
        disable: Sequence[str] = (),
        only: Sequence[str] | None = None,
        host: PluginHost | None = None,
    ) -> Engine:
        """Make an engine from a run file; ``overrides`` are ``dotted.key=value`` texts.

        Raises:
            InputError: Everything that is wrong with the run file or the data.
        """
        run = read_run_file(path, overrides)
        plugins = dict(run.settings.get("plugins") or {})
        plugins["disable"] = [*plugins.get("disable", ()), *disable]
        if only is not None:
            plugins["only"] = list(only)
        run.settings["plugins"] = plugins
        engine = cls.__new__(cls)
        engine._begin(run, host)
        return engine

    def _begin(self, run: RunFile, host: PluginHost | None) -> None:
        self.run_file = run
        self.bus = EventBus()
        self.result: Result | None = None
        self._host = host
        self._parts: Parts | None = None
        self._instants: Instants | None = None
        self._interrupted = False
        self._golden: Path | None = None
        if run.settings.get("feed"):
            self.prepare()

    @property
    def host(self) -> PluginHost:
        """The plugins of this engine."""
        if self._host is None:
            plugins = self.run_file.settings.get("plugins") or {}
            self._host = PluginHost(only=plugins.get("only"), disable=plugins.get("disable", ()))
            self._host.require(plugins.get("require", ()))
        return self._host

    @property
    def header(self) -> tuple[str, ...]:
        """What this run assumes, in lines."""
        return self.prepare().header

    def prepare(self) -> Parts:
        """Assemble the run if that has not happened: find, configure and open every component.

        Raises:
            InputError: Everything that is wrong, in one report.
        """
        if self._parts is None:
            self._parts = assemble(self.run_file, self.host)
            self._instants = self._wire(self._parts)
            self.host.hook.ml4t_assembled(engine=self)
        return self._parts

    def _wire(self, parts: Parts) -> Instants:
        state = RunState()
        state.rules = {
            name: (row.quantity_step, row.lot, row.multiplier) for name, row in parts.instruments.items()
        }
        clock = Clock(parts.sources, parts.sessions, last=parts.end)
        released = [Released(source.spec, state) for source in parts.sources]
        outbox, journal = Outbox(state), Journal(state)
        parts.portfolio.open(state, parts.capital)
        parts.broker.open(state, parts.models, parts.portfolio)
        setup = parts.strategy_setup
        context = Context(
            state,
            outbox,
            {each.spec.name: each for each in released},
            parts.portfolio,
            journal,
            Schedule(parts.sessions),
            setup.rng,
            setup.log,
        )
        return Instants(
            clock=clock,
            bus=self.bus,
            state=state,
            released=released,
            broker=parts.broker,
            portfolio=parts.portfolio,
            risk=parts.risk,
            strategy=parts.strategy,
            context=context,
            outbox=outbox,
            journal=journal,
            start=parts.start,
        )

    # --- running --------------------------------------------------------------------------------------

    def steps(self) -> Iterator[datetime]:
        """Yield after each instant; ``result`` is set when the iterator is done or closed."""
        for now in self._steps(fast=False):
            yield to_datetime(now)

    def run(
        self,
        out: Path | str | None = None,
        *,
        resume: Path | str | None = None,
        scenario: str | None = None,
        events: int | None = None,
    ) -> Result:
        """Run to the end and return the result.

        Args:
            out: Folder for reporters that write files; None writes nothing.
            resume: Snapshot to go on from, made with ``snapshot`` by a run of the same settings and data.
            scenario: Name of a registered scenario to run instead of this engine's own data.
            events: Shorthand for the scenario ``events``: that many synthetic bars through ``on_event``.

        Returns:
            The result; after Ctrl-C one whose status is ``interrupted``.

        Raises:
            Exception: What a component raised, with a note saying whose it is; ``engine.result`` holds
                what was recorded until then.
        """
        if scenario is not None or events is not None:
            self._load_scenario(scenario or "events", {} if events is None else {"events": events})
        parts = self.prepare()
        folder = None if out is None else Path(out)
        for reporter in parts.reporters:
            reporter.started(parts.header, folder)
        self.host.hook.ml4t_run_started(engine=self)
        error: BaseException | None = None
        try:
            self._drive(parts, resume)
        except RunInterrupted:
            pass
        except BaseException as raised:
            error = raised
        result = self.result
        if result is None:
            raise error or RunError("the run ended before it began")
        for reporter in parts.reporters:
            reporter.finished(result, folder)
        self._instants = self._parts = None
        if error is not None:
            self.host.hook.ml4t_run_failed(engine=self, error=error)
            raise error
        self.host.hook.ml4t_run_finished(engine=self, result=result)
        return result

    def _drive(self, parts: Parts, resume: Path | str | None) -> None:
        began = shown = time.perf_counter()
        rows, first, turn = self._instants, 0, 0
        assert rows is not None
        with self._ctrl_c():
            steps = self._steps(fast=True, resume=resume)
            try:
                for now in steps:
                    first = first or now
                    turn += 1
                    if self._interrupted:
                        steps.throw(RunInterrupted("stopped by the user"))
                    if turn % 64 == 0 and time.perf_counter() - shown > _PROGRESS_SECONDS:
                        shown = time.perf_counter()
                        progress = Progress(
                            rows=rows.rows_done, now=now, first=first, last=parts.end, elapsed=shown - began
                        )
                        for reporter in parts.reporters:
                            reporter.progress(progress)
            finally:
                steps.close()

    def _steps(self, *, fast: bool, resume: Path | str | None = None) -> Iterator[int]:
        parts = self.prepare()
        instants = self._instants
        assert instants is not None
        began = time.perf_counter()
        status, problem = "done", ""
        try:
            if resume is None:
                instants.doing = "on_start"
                parts.strategy.on_start(instants.context)
                yield from instants.run(fast=fast)
            else:
                yield from restore(Path(resume), instants, fast=fast)
        except GeneratorExit:
            status, problem = "interrupted", "closed before the end"
            raise
        except (RunInterrupted, KeyboardInterrupt) as stop:
            status, problem = "interrupted", str(stop)
            raise RunInterrupted("stopped by the user") from None
        except Exception as error:
            status = "failed"
            self._note(error, parts, instants)
            problem = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            raise
        finally:
            self._end(parts, instants, status, problem, time.perf_counter() - began)

    def _end(self, parts: Parts, instants: Instants, status: str, problem: str, elapsed: float) -> None:
        """Close the run whatever happened: on_end once, working orders ended, a last equity row, files let go."""
        try:
            instants.finish()
        except Exception as error:
            self._note(error, parts, instants)
            text = "\n".join([f"{type(error).__name__}: {error}", *error.__notes__])
            status, problem, before = "failed", f"{problem}\n{text}".strip(), status
            if before == "done":
                raise
        finally:
            try:  # sources are asked for notes and digests while they are open
                self.result = self._make_result(parts, instants, status, problem, elapsed)
            finally:
                for source in parts.sources:
                    source.close()

    def _make_result(
        self, parts: Parts, instants: Instants, status: str, problem: str, elapsed: float
    ) -> Result:
        flags = list(parts.broker.flags)
        if self.bus.received_external:
            flags.append(f"not reproducible: {self.bus.received_external} events came from other threads")
        counts = {"rows": instants.rows_done, "restamped": self.bus.restamped}
        counts["late"] = sum(instants.clock.late_rows.values())
        origin = {
            "run": self.run_file.settings,
            "seed": parts.seed,
            "distributions": parts.used,
            "inputs": {source.spec.name: source.digest() for source in parts.sources},
        }
        return Result(
            state=instants.state,
            journal=instants.journal,
            portfolio=parts.portfolio,
            name=parts.name,
            status=status,
            error=problem,
            flags=flags,
            notes=[note for source in parts.sources for note in source.notes()],
            header=parts.header,
            counts=counts,
            elapsed=elapsed,
            currency=next(iter(parts.capital)),
            golden=self._golden,
            origin=origin,
        )

    def _note(self, error: Exception, parts: Parts, instants: Instants) -> None:
        """Say on an error whose it is (PEP 678)."""
        component = {"broker": parts.broker, "portfolio": parts.portfolio}.get(instants.doing.split(".")[0])
        ref = parts.owners.get(id(component or parts.strategy))
        owner = ref.owner if ref else type(component or parts.strategy).__name__
        when = (
            to_datetime(instants.state.now).isoformat() if instants.state.now else "before the first instant"
        )
        error.add_note(f"raised in {instants.doing} of {owner} at {when}")

    def snapshot(self, path: Path | str) -> None:
        """Write all that is needed to go on from here; call it between two ``steps``."""
        if self._instants is None:
            raise RunError("there is nothing to snapshot: the run has not begun, or it is over")
        save(Path(path), self._instants)

    def _load_scenario(self, name: str, parameters: Mapping[str, object]) -> None:
        """Take settings from a scenario: a callable ``(seed, **parameters) -> settings``, with a ``golden`` file."""
        make = self.host.components.resolve("scenario", name).load()
        settings = dict(make(seed=self.run_file.settings.get("seed", 0), **parameters))
        self._golden = settings.pop("golden", None)
        engine = Engine(**settings, host=self.host)
        self.run_file, self._parts, self._instants = engine.run_file, engine._parts, engine._instants

    @contextmanager
    def _ctrl_c(self) -> Iterator[None]:
        """Let the first Ctrl-C finish the instant, and a second one stop at once."""
        self._interrupted = False
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


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
