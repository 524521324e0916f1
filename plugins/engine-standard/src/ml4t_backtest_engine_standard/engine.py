"""The engine: assembles a run, drives its instants, and hands back a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml4t.backtest import interfaces
from ml4t.backtest.core.bus import EventBus
from ml4t.backtest.errors import RunError, RunInterrupted
from ml4t.backtest.interfaces import RunFile
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_engine_standard.assembly.assembly import assemble, build_reporter
from ml4t_backtest_engine_standard.assembly.config import Errors, build_config
from ml4t_backtest_engine_standard.assembly.header import rule_lines
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.assembly.runfile import LIST_KEYS, check_keys, fit_values, read_run_file
from ml4t_backtest_engine_standard.context.handles import to_datetime
from ml4t_backtest_engine_standard.loop.instant import Instants
from ml4t_backtest_engine_standard.loop.running import Running
from ml4t_backtest_engine_standard.loop.snapshot import save
from ml4t_backtest_engine_standard.result.result import Result

__all__ = ["Engine"]


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
        price_basis: ``raw``, ``split`` or ``total``: what ``prices`` are adjusted for.
        calendar: Exchange code such as ``XNYS``; ``24/7`` (each UTC day a session) when not given.
        capital: Starting cash, a number (of ``base_currency``, or USD) or ``{"EUR": 1e6}``; 100,000 when not given.
        base_currency: What equity, sizes and results are in; needed where capital names several currencies.
        account: Settings of the account, ``{"type": "cash"}``, or a list of accounts; a margin account by default.
        instruments: What symbols are and by which rules they trade: tables of keys, or a frame.
        actions: Corporate actions: a frame, or a table.
        tables: Facts beside the market data by name: frames, or tables of keys.
        universe: Who is a member of it: a frame, the name of a table, or a table of keys.
        strategy, broker, portfolio: A component: instance, class, name or table.
        seed: Seed of every random stream of the run.
        host: Plugins to use instead of the installed ones, for tests.
        open: Whether to open every component now; without, data that a run refuses can be looked at by ``check``.
        **settings: Further keys of a run file: ``name, warmup, feed, signal, table, risk, reporter, plugins``.

    Attributes:
        bus: The run's event bus; subscribe before ``run``.
        result: What the last run produced, also after an error.
        configure: Build one component's ``Config`` from settings, with all that is wrong in one error.
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
        price_basis: str | None = None,
        calendar: str | Any | None = None,
        capital: float | Mapping[str, float] | None = None,
        base_currency: str | None = None,
        account: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        instruments: Any = None,
        actions: Any = None,
        tables: Mapping[str, Any] | None = None,
        universe: Any = None,
        strategy: Any = None,
        broker: Any = None,
        portfolio: Any = None,
        seed: int = 0,
        start: date | datetime | str | None = None,
        end: date | datetime | str | None = None,
        host: PluginHost | None = None,
        open: bool = True,
        **settings: Any,
    ) -> None:
        errors = Errors()
        check_keys(settings, errors, also=[*signature(Engine).parameters])
        given = {**settings, "capital": capital, "strategy": strategy, "broker": broker}
        given |= {"portfolio": portfolio, "seed": seed, "start": start, "end": end, "base_currency": base_currency}
        given |= {"account": account, "instruments": instruments, "actions": actions}
        given = {key: value for key, value in given.items() if value is not None}
        fit_values(given, errors, ("name", "warmup", "start", "end", "base_currency", "seed"))
        errors.raise_if_any()
        stamps = {"stamp": stamp, "timezone": timezone, "prices": price_basis}
        stamps = {key: value for key, value in stamps.items() if value is not None}
        if prices is not None:
            frame = {"use": "frame", "name": "prices", "frame": prices, **stamps} | ({"bar": bar} if bar else {})
            given["feed"] = [frame, *_as_list(given.get("feed"))]
        for name, frame in (("signals", signals), ("weights", weights)):
            if frame is not None:
                table = {"use": "frame", "name": name, "frame": frame}
                given["signal"] = [*_as_list(given.get("signal")), table]
        for name, rows in (tables or {}).items():
            table = {"name": name, **(rows if isinstance(rows, Mapping) else {"frame": rows})}
            given["table"] = [*_as_list(given.get("table")), table]
        if universe is not None:
            named = {"table": universe} if isinstance(universe, str) else {"frame": universe}
            given["universe"] = universe if isinstance(universe, Mapping) else named
        if weights is not None and strategy is None:
            given["strategy"] = "weights"
        if calendar is not None:
            given["clock"] = {**(given.get("clock") or {}), "calendar": calendar}
        given = {key: _as_list(value) if key in LIST_KEYS else value for key, value in given.items()}
        run = RunFile(None, Path.cwd(), given)
        self._begin(run, host, EventBus(), open)

    configure = staticmethod(build_config)

    @staticmethod
    def read(path: Path | str, overrides: Sequence[str] = ()) -> RunFile:
        """Read a run file without making an engine; see ``from_file``."""
        return read_run_file(path, overrides)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        overrides: Sequence[str] = (),
        disable: Sequence[str] = (),
        only: Sequence[str] | None = None,
        host: PluginHost | None = None,
        open: bool = True,
    ) -> Engine:
        """Make an engine from a run file; ``overrides`` are ``dotted.key=value`` texts, ``open`` is as above.

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
        engine._begin(run, host, EventBus(), open)
        return engine

    def _begin(self, run: RunFile, host: PluginHost | None, bus: EventBus, open: bool = True) -> None:
        self.run_file = run
        self.bus = bus
        self.result: Result | None = None
        self._host = host
        self._parts: Parts | None = None
        self._running: Running | None = None
        if open and run.settings.get("feed"):
            self.prepare()

    @property
    def host(self) -> PluginHost:
        """The plugins of this engine."""
        if self._host is None:
            plugins = self.run_file.settings.get("plugins") or {}
            self._host = PluginHost(only=plugins.get("only"), disable=plugins.get("disable", ()))
            if required := plugins.get("require", ()):
                from ml4t_backtest_engine_standard.assembly.requirements import check_requirements

                check_requirements(required)
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
            origin = {"run": self.run_file.settings}
            self._running = Running(self._parts, Instants(self._parts, self.bus), origin, None)
            self._parts.header += rule_lines(self._parts)  # a broker knows them once it is open
            self.host.hook.ml4t_assembled(engine=self)
        return self._parts

    def check(self) -> pl.DataFrame:
        """Return all that is wrong with the data of this run, one row per finding, without running it.

        Every source is opened anew, and more is looked for than before a run; see the reference of the gate.

        Returns:
            rule, severity (``error``, ``warning`` or ``note``), source, file, symbol, count, rows (the first few, as
            text), what, remedy; the worst first.

        Raises:
            InputError: Everything that is wrong with the settings.
        """
        from ml4t_backtest_engine_standard.assembly.checking import check

        return check(self.run_file, self.host)

    def steps(self) -> Iterator[datetime]:
        """Yield after each instant; ``result`` is set when the iterator is done or closed."""
        self.prepare()
        running = self._running
        assert running is not None
        try:
            for now in running.steps(fast=False):
                yield to_datetime(now)
        finally:
            self.result, self._running, self._parts = running.result, None, None

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
        parts, running = self.prepare(), self._running
        assert running is not None
        folder = None if out is None else Path(out)
        if folder is not None and self.run_file.settings.get("reporter") is None:
            parts.reporters.append(build_reporter("parquet", self.run_file, self.host))
        for reporter in parts.reporters:
            reporter.started(parts.header, folder)
        self.host.hook.ml4t_run_started(engine=self)
        error: BaseException | None = None
        try:
            running.drive(resume)
        except RunInterrupted:
            pass
        except BaseException as raised:
            error = raised
        result = self.result = running.result
        self._running = self._parts = None
        if result is None:
            raise error or RunError("the run ended before it began")
        for reporter in parts.reporters:
            try:
                reporter.finished(result, folder)
            except Exception as raised:
                (error or raised).add_note(f"{raised!r} was raised in finished of {type(reporter).__name__}")
                error = error or raised
        if error is not None:
            try:
                self.host.hook.ml4t_run_failed(engine=self, error=error)
            finally:
                raise error  # whatever a hook makes of it
        self.host.hook.ml4t_run_finished(engine=self, result=result)
        return result

    def snapshot(self, path: Path | str) -> None:
        """Write all that is needed to go on from here; call it between two ``steps``."""
        if self._running is None or not self._running.instants.state.now:
            raise RunError("there is nothing to snapshot: the run has not begun, or it is over")
        save(Path(path), self._running.instants)

    def _load_scenario(self, name: str, parameters: Mapping[str, object]) -> None:
        """Take settings from a scenario: a callable ``(seed, **parameters) -> settings``, with a ``golden`` file."""
        make = self.host.components.resolve("scenario", name).load()
        settings = dict(make(seed=self.run_file.settings.get("seed", 0), **parameters))
        golden = settings.pop("golden", None)
        self._begin(Engine(**settings, host=self.host).run_file, self.host, self.bus)
        if self._running is not None:
            self._running.golden = golden


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


if TYPE_CHECKING:
    import polars as pl

    _keeps_the_contract: interfaces.Engine = Engine()
