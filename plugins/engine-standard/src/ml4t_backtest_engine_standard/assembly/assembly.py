"""From settings to the parts of a run: every component is found, configured and opened here, or refused."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from ml4t.backtest.components import ComponentRef
from ml4t.backtest.config import nearest
from ml4t.backtest.core.sessions import DAY_NS, AlwaysOpen, SessionTable, to_ns
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import BacktestError, InputError, RunFileError
from ml4t.backtest.interfaces import (
    ExecutionModels,
    Gate,
    Reporter,
    RunFile,
    Setup,
    Source,
    SourceSpec,
    Window,
)
from ml4t.backtest.plugins import PluginHost, find_standard
from ml4t_backtest_engine_standard.assembly.accounts import (
    Accounts,
    check_currencies,
    dated_settings,
    find_currencies,
    read_accounts,
    takes_accounts,
)
from ml4t_backtest_engine_standard.assembly.actions import basis_notes, read_actions
from ml4t_backtest_engine_standard.assembly.books import build_strategies
from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.continuous import read_continuous
from ml4t_backtest_engine_standard.assembly.entities import Tickers
from ml4t_backtest_engine_standard.assembly.header import header_lines
from ml4t_backtest_engine_standard.assembly.instruments import Rules, read_instruments
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.assembly.tables import Tables
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache

__all__ = ["assemble", "build_reporter"]

# Sessions are looked up in this stretch unless the run's own dates lie outside of it.
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2040, 12, 31)
_LATER = ("table", "universe", "benchmark")
_READERS = ("feed", "signal", "table")
_MODELS = ("fill", "slippage", "commission", "impact")


def assemble(run: RunFile, host: PluginHost) -> Parts:
    """Build and open every component that the settings name.

    Raises:
        InputError: Everything that is wrong with the settings in one report; or what is wrong with the data.
    """
    return _Assembly(run, host).parts()


def build_reporter(use: str, run: RunFile, host: PluginHost) -> Reporter:
    """Build one more reporter, with its default settings."""
    assembly = _Assembly(run, host)
    reporter: Reporter = assembly._build("reporter", use, "reporter")
    assembly.errors.raise_if_any()
    return reporter


class _Assembly:
    def __init__(self, run: RunFile, host: PluginHost) -> None:
        self.run, self.host, self.settings = run, host, run.settings
        self.errors = Errors(run.path)
        self.owners: list[tuple[object, ComponentRef]] = []
        self.used = {name: version(name) for name in ("ml4t-backtest-kernel", "ml4t-backtest-engine-standard")}
        self.names: list[str] = []
        self.account_defaults: Mapping[str, Any] = {}

    def parts(self) -> Parts:
        settings = self.settings
        for key in _LATER:
            if settings.get(key):
                self.errors.add(key, "is reserved: this version has no component for it; remove it")
        kinds = ("broker", "portfolio", "risk", *_MODELS)
        compiled = [ref.path.partition(":")[0] for ref in self.host.components if ref.kind in kinds]
        note = prepare_cache([*compiled, self.run.base_dir])
        calendar = self._calendar()
        sources = [
            self._build(kind, table, f"{kind}.{place}")
            for kind in ("feed", "signal")
            for place, table in enumerate(settings.get(kind) or [])
        ]
        seed = settings.get("seed") or 0
        strategies = build_strategies(settings.get("strategy"), self._build, seed, self.run.base_dir, self.errors)
        broker_table = self._broker_table()
        models = self._models(broker_table)
        broker = self._build("broker", broker_table, "broker")
        tables = Tables(self._build)
        accounts = read_accounts(settings, self.account_defaults, tables, self.errors)
        portfolio = self._portfolio(accounts, None)
        risk = [self._build("risk", table, f"risk.{i}") for i, table in enumerate(settings.get("risk") or [])]
        reporters = [
            self._build("reporter", table, f"reporter.{i}") for i, table in enumerate(settings.get("reporter") or [])
        ]
        instruments, notes = read_instruments(settings.get("instruments") or [], tables, self.errors)
        continuous = read_continuous(settings.get("continuous") or [], instruments, self.errors)
        currencies = find_currencies(accounts, instruments, self.errors)
        listed = [(f"actions.{place}", value) for place, value in enumerate(settings.get("actions") or [])]
        found = {where: tables.find(value, where) for where, value in listed}
        if not settings.get("feed"):
            self.errors.add("feed", "is missing: a run needs at least one [[feed]], or prices= in Python")
        self.errors.raise_if_any()
        sessions, window, start, end = self._window(calendar)
        if portfolio is None:
            portfolio = self._portfolio(accounts, dated_settings(accounts, tables, sessions))
            self.errors.raise_if_any()
        if len(strategies) > 1 and not hasattr(portfolio, "keep_books"):
            raise RunFileError(f"strategy: {type(portfolio).__name__} keeps no books: give one strategy")
        self._open(sources, window, models.fill.rules.market)
        specs = [source.spec for source in sources]
        actions = read_actions(tables, found, sessions, specs)
        check_currencies(actions, currencies)
        parts = Parts(
            name=settings.get("name") or "run",
            seed=settings.get("seed") or 0,
            sources=sources,
            sessions=sessions,
            strategy=strategies[0].strategy,
            strategy_setup=strategies[0].setup,
            continuous=continuous,
            books=strategies if len(strategies) > 1 else [],
            broker=broker,
            models=models,
            portfolio=portfolio,
            risk=risk,
            reporters=reporters,
            capital=accounts.capital,
            accounts=accounts.rows,
            currencies=currencies,
            instruments=instruments,
            rules=Rules(instruments, currencies, [row.venue for row in accounts.rows]),
            start=start,
            end=end,
            actions=actions,
            tickers=Tickers(instruments, actions, sessions),
            tables=tables.digests,
            owners=self.owners,
            used=dict(sorted(self.used.items())),
            notes=([note] if note else [])
            + notes
            + basis_notes(actions, specs)
            + _without_volume(sources, models.fill.rules.volume_limit),
        )
        parts.header = header_lines(parts, settings) + tuple(
            filter(None, self.host.hook.ml4t_report_header(run=self.run))
        )
        return parts

    # --- components -----------------------------------------------------------------------------------

    def _table(self, key: str, use: str) -> Any:
        value = self.settings.get(key)
        if value is None:
            return {"use": use}
        return {"use": use, **value} if isinstance(value, Mapping) else value

    def _build(self, kind: str, value: Any, where: str) -> Any:
        """Return the component that a table, a name, a class or an instance stands for; None after an error."""
        if not isinstance(value, Mapping):
            value = {"use": value}
        table = dict(value)
        use = table.pop("use", None)
        if use is None:
            self.errors.add(where, f'has no key "use": name the {kind} component to use')
            return None
        try:
            ref = self.host.components.resolve(kind, use, self.run.base_dir)
            target = ref.load()
        except InputError as error:
            for problem in error.problems:
                self.errors.add(f"{where}:", problem)
            return None
        component = target
        if isinstance(target, type):
            component = self._construct(kind, target, table, ref, where)
        elif table:
            self.errors.add(where, f"an instance takes no further keys; {', '.join(table)} were given")
        if component is not None:
            self.owners.append((component, ref))
            if ref.distribution:
                self.used[ref.distribution] = ref.version
        return component

    def _construct(self, kind: str, cls: type, table: dict[str, Any], ref: ComponentRef, where: str) -> Any:
        setup = self._setup(kind, table, ref)
        config_class = getattr(cls, "Config", None)
        if config_class is None:
            try:
                return cls(**table)
            except TypeError as error:
                self.errors.add(where, f"cannot be made: {error}", owner=ref.owner)
                return None
        config = self.errors.config(config_class, table, where=where, owner=ref.owner)
        if config is None:
            return None
        try:
            return cls(config, setup)
        except BacktestError as error:
            for problem in getattr(error, "problems", (str(error),)):
                self.errors.add(f"{where}:", problem, owner=ref.owner)
            return None

    def _setup(self, kind: str, table: dict[str, Any], ref: ComponentRef) -> Setup:
        name = ref.name.rpartition(":")[2]
        if kind in _READERS:
            name = str(table.pop("name", name))
        numbered = (f"{name}-{count}" for count in itertools.count(2))
        name = next(each for each in itertools.chain([name], numbered) if each not in self.names)
        self.names.append(name)
        setup = Setup(name=name, seed=self.settings.get("seed") or 0, base_dir=self.run.base_dir)
        return replace(setup, gate=self._gate) if kind in _READERS else setup

    @cached_property
    def _gate(self) -> Gate:
        """Return the gate, also where a choice of plugins leaves it out: no source does without."""
        known = "standard" in self.host.components.names("gate")
        ref = self.host.components.resolve("gate", "standard") if known else find_standard("gate")
        self.used[ref.distribution] = ref.version
        gate: Gate = ref.load()()
        return gate

    def _portfolio(self, accounts: Accounts, settings: list[dict[str, Any]] | None) -> Any:
        """Return the portfolio, told of its accounts.

        Args:
            accounts: The accounts.
            settings: Their tables, dated rates read; None while these cannot be read. Where there are any, settings
                are only checked then, and None is returned.
        """
        value = self._table("portfolio", "standard")
        table = dict(value) if isinstance(value, Mapping) else {"use": value}
        try:
            ref = self.host.components.resolve("portfolio", table["use"], self.run.base_dir)
            target = ref.load()
        except InputError:
            return self._build("portfolio", table, "portfolio")  # which reports it
        if "accounts" in table:
            self.errors.add("portfolio.accounts", "is written as [[account]]", owner=ref.owner)
        elif takes_accounts(target):
            table["accounts"] = settings or [row.settings for row in accounts.rows]
        elif accounts.stated and self.settings.get("account"):
            self.errors.add("account", f"is given, which {ref.owner} knows nothing of: leave it out")
        before = len(self.errors.problems)
        if settings is None and any(row.tables for row in accounts.rows):
            table.pop("use")
            self.errors.config(getattr(target, "Config", Accounts), table, where="portfolio", owner=ref.owner)
            built = None
        else:
            built = self._build("portfolio", table, "portfolio")
        told = self.errors.problems
        told[before:] = [problem.replace("portfolio.accounts.", "account.") for problem in told[before:]]
        return built

    def _broker_table(self) -> dict[str, Any]:
        """Return the broker's table with its own defaults, those of a profile, behind what the run names."""
        value = self._table("broker", "simulation")
        table = dict(value) if isinstance(value, Mapping) else {"use": value}
        try:
            target = self.host.components.resolve("broker", table["use"], self.run.base_dir).load()
        except InputError:
            return table  # reported where the broker is built
        defaults = dict(getattr(target, "defaults", dict)(table))
        self.account_defaults = defaults.pop("account", {})
        for key, default in defaults.items():
            own = table.setdefault(key, default)
            if isinstance(own, Mapping) and "use" not in own:
                table[key] = {**default, **own}
        return table

    def _models(self, broker: dict[str, Any]) -> ExecutionModels:
        built: dict[str, Any] = {}
        for kind in _MODELS:
            value = broker.pop(kind, {} if kind == "fill" else None)
            if kind == "fill" and isinstance(value, Mapping):
                value = {"use": "next-open", **value}
            built[kind] = None if value is None else self._build(kind, value, f"broker.{kind}")
        return ExecutionModels(**built)

    def _calendar(self) -> Any:
        table = self.settings.get("clock") or {}
        unknown = [key for key in table if key != "calendar"]
        for key in unknown:
            self.errors.add(f"clock.{key}", f"is not a known key; {nearest(key, ['calendar']) or 'known is calendar'}")
        value = table.get("calendar", "24/7")
        if value == "24/7":
            return AlwaysOpen()
        if isinstance(value, str):
            known = self.host.components.names("calendar")
            value = {"use": value} if value in known else {"use": "market", "name": value}
        return self._build("calendar", value, "clock.calendar")

    # --- values ---------------------------------------------------------------------------------------

    def _window(self, calendar: Any) -> tuple[SessionTable, Window, int, int]:
        start, end, warmup = (self.settings.get(key) for key in ("start", "end", "warmup"))
        first, last = _day(start, _FIRST_DAY), _day(end, _LAST_DAY)
        where = self.run.path or "settings"
        try:
            rows = calendar.sessions(min(first, _FIRST_DAY), max(last, _LAST_DAY))
        except InputError as error:
            raise RunFileError(f"{where}: clock.calendar: {error}") from error
        sessions = SessionTable(rows, timezone=calendar.timezone, name=calendar.name)
        begin = 0 if start is None else _instant(start, sessions, last=False)
        finish = np.iinfo(np.int64).max if end is None else _instant(end, sessions, last=True)
        if begin >= finish:
            raise RunFileError(f"{where}: start {start} is not before end {end}")
        earliest = begin - (parse_duration(warmup, f"{where}: warmup") if warmup else 0)
        window = Window(first=None if start is None else earliest, last=None if end is None else int(finish))
        return sessions, window, begin, int(finish)

    def _open(self, sources: list[Source], window: Window, market: str) -> None:
        problems: list[str] = []
        givers: dict[str, str] = {}
        for source in sources:
            try:
                source.open(window)
            except InputError as error:
                problems += error.problems
                continue
            spec = source.spec
            problems += _missing_price(spec, market)
            for name in spec.fields if spec.kind == "signal" else ():
                if (giver := givers.setdefault(name, spec.name)) != spec.name:
                    what = f"{spec.origin}: signal {name!r} is given by {giver!r} and by {spec.name!r}"
                    problems.append(f'{what}; rename one of them: columns = {{ {name}_2 = "{name}" }}')
        if problems:
            for source in sources:
                source.close()
            raise InputError(*problems)


def _day(value: date | datetime | None, default: date) -> date:
    return default if value is None else value.date() if isinstance(value, datetime) else value


def _instant(value: date | datetime, sessions: SessionTable, *, last: bool) -> int:
    """Return the open of the first session on or after a day, or the close of the last on or before it."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise RunFileError(f"{value.isoformat()} has no time zone: write a date, or add an offset")
        return to_ns(value)
    days = value.toordinal() - date(1970, 1, 1).toordinal()
    if last:
        row = int(np.searchsorted(sessions.label, days, side="right")) - 1
        return int(sessions.close[row]) if row >= 0 else 0
    row = int(np.searchsorted(sessions.label, days))
    return int(sessions.open[row]) if row < len(sessions) else days * DAY_NS


def _without_volume(sources: list[Source], limit: float) -> list[str]:
    """Return a note for each source on whose rows nothing can fill, since a part of no volume is nothing."""
    needed = {"bar": {"volume"}, "quote": {"bid_size", "ask_size"}, "trade": {"size"}}
    specs = [source.spec for source in sources] if limit else []
    missing = [(spec, sorted(needed.get(spec.kind, set()) - set(spec.fields))) for spec in specs]
    return [
        f"{spec.origin}: no column {' or '.join(columns)}, so that nothing fills on these rows: "
        f"fill.volume_limit is {limit:g}, set it to 0 or map the column"
        for spec, columns in missing
        if columns
    ]


def _missing_price(spec: SourceSpec, market: str) -> list[str]:
    """Return what is wrong where orders would wait for a price that a feed does not have."""
    column, other = market.removeprefix("same-"), "next-close" if market == "open" else "next-open"
    if spec.kind != "bar" or not spec.drives or column in spec.fields:
        return []
    mode = market if market == "same-close" else f"next-{market}"
    what = f"{spec.origin}: feed {spec.name!r} has no column {column!r}, which orders fill at with fill {mode!r}"
    return [f'{what}: name it in [feed.columns], or use broker.fill = {{ use = "{other}" }}']
