"""From settings to the parts of a run: every component is found, configured and opened here, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import InputError, RunFileError
from ml4t.backtest.interfaces import (
    ExecutionModels,
    Reporter,
    RunFile,
    Source,
    SourceSpec,
    Window,
)
from ml4t.backtest.plugins import PluginHost
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
from ml4t_backtest_engine_standard.assembly.building import Builder
from ml4t_backtest_engine_standard.assembly.calendars import build_calendar
from ml4t_backtest_engine_standard.assembly.continuous import read_continuous
from ml4t_backtest_engine_standard.assembly.entities import Tickers
from ml4t_backtest_engine_standard.assembly.facts import find_tables, read_facts
from ml4t_backtest_engine_standard.assembly.header import header_lines
from ml4t_backtest_engine_standard.assembly.instruments import Rules, read_instruments
from ml4t_backtest_engine_standard.assembly.outside import CountedDays, WithinSessions
from ml4t_backtest_engine_standard.assembly.parts import Parts
from ml4t_backtest_engine_standard.assembly.tables import Tables
from ml4t_backtest_engine_standard.assembly.timing import find_window
from ml4t_backtest_engine_standard.compiled_cache import prepare_cache

__all__ = ["Assembly", "assemble", "build_reporter"]

_LATER = ("benchmark",)
_MODELS = ("fill", "slippage", "commission", "impact")


def assemble(run: RunFile, host: PluginHost) -> Parts:
    """Build and open every component that the settings name.

    Raises:
        InputError: Everything that is wrong with the settings in one report; or what is wrong with the data.
    """
    return Assembly(run, host).parts()


def build_reporter(use: str, run: RunFile, host: PluginHost) -> Reporter:
    """Build one more reporter, with its default settings."""
    assembly = Assembly(run, host)
    reporter: Reporter = assembly.build("reporter", use, "reporter")
    assembly.errors.raise_if_any()
    return reporter


class Assembly(Builder):
    """What the settings name, found, configured and opened."""

    def __init__(self, run: RunFile, host: PluginHost) -> None:
        super().__init__(run, host)
        self.account_defaults: Mapping[str, Any] = {}

    def parts(self) -> Parts:
        """Return the opened parts of a run."""
        settings = self.settings
        for key in _LATER:
            if settings.get(key):
                self.errors.add(key, "is reserved: this version has no component for it; remove it")
        kinds = ("broker", "portfolio", "risk", *_MODELS)
        compiled = [ref.path.partition(":")[0] for ref in self.host.components if ref.kind in kinds]
        note = prepare_cache([*compiled, self.run.base_dir])
        calendar = self.calendar()
        sources = [
            self.build(kind, table, f"{kind}.{place}")
            for kind in ("feed", "signal")
            for place, table in enumerate(settings.get(kind) or [])
        ]
        seed = settings.get("seed") or 0
        strategies = build_strategies(settings.get("strategy"), self.build, seed, self.run.base_dir, self.errors)
        broker_table = self._broker_table()
        models = self._models(broker_table)
        broker = self.build("broker", broker_table, "broker")
        tables = Tables(self.build)
        accounts = read_accounts(settings, self.account_defaults, tables, self.errors)
        portfolio = self._portfolio(accounts, None)
        risk = [self.build("risk", table, f"risk.{i}") for i, table in enumerate(settings.get("risk") or [])]
        reporters = [
            self.build("reporter", table, f"reporter.{i}") for i, table in enumerate(settings.get("reporter") or [])
        ]
        instruments, notes = read_instruments(settings.get("instruments") or [], tables, self.errors)
        continuous = read_continuous(settings.get("continuous") or [], instruments, self.errors)
        currencies = find_currencies(accounts, instruments, self.errors)
        listed = [(f"actions.{place}", value) for place, value in enumerate(settings.get("actions") or [])]
        found = {where: tables.find(value, where) for where, value in listed}
        facts = find_tables(settings, tables, self.errors)
        if not settings.get("feed"):
            self.errors.add("feed", "is missing: a run needs at least one [[feed]], or prices= in Python")
        self.errors.raise_if_any()
        sessions, window, start, end = find_window(settings, str(self.run.path or "settings"), calendar)
        self.calendars.run = sessions
        if portfolio is None:
            portfolio = self._portfolio(accounts, dated_settings(accounts, tables, sessions))
            self.errors.raise_if_any()
        if len(strategies) > 1 and not hasattr(portfolio, "keep_books"):
            raise RunFileError(f"strategy: {type(portfolio).__name__} keeps no books: give one strategy")
        self._open(sources, window, models.fill.rules.market)
        sources = [self._counted(source) for source in sources]
        specs = [source.spec for source in sources]
        actions = read_actions(tables, found, sessions, specs)
        check_currencies(actions, currencies)
        known, remarks = read_facts(facts, tables, self.calendars.find, specs)
        parts = Parts(
            name=settings.get("name") or "run",
            seed=settings.get("seed") or 0,
            sources=sources,
            sessions=sessions,
            calendars=self.calendars.tables,
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
            facts=known,
            members=next((each.name for each in facts if each.members), ""),
            tables=tables.digests,
            gate=self.gate,
            owners=self.owners,
            used=dict(sorted(self.used.items())),
            notes=([note] if note else [])
            + notes
            + remarks
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
            return self.build("portfolio", table, "portfolio")  # which reports it
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
            built = self.build("portfolio", table, "portfolio")
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
            built[kind] = None if value is None else self.build(kind, value, f"broker.{kind}")
        return ExecutionModels(**built)

    def calendar(self) -> Any:
        """Return the calendar of the run."""
        table = self.settings.get("clock") or {}
        unknown = [key for key in table if key != "calendar"]
        for key in unknown:
            self.errors.add(f"clock.{key}", f"is not a known key; {nearest(key, ['calendar']) or 'known is calendar'}")
        value = table.get("calendar", "24/7")
        return build_calendar(self, value, "clock.calendar")

    def _counted(self, source: Source) -> Source:
        """Return the source, or one of daily bars with a count of those of days without a session."""
        if source.spec.kind != "bar" or source.spec.rule.convention != "label" or isinstance(source, WithinSessions):
            return source
        counted = CountedDays(source, self.calendars.find)
        self.owners += [(counted, ref) for component, ref in self.owners if component is source]
        return counted

    def _open(self, sources: list[Source], window: Window, market: str) -> None:
        problems: list[str] = []
        givers: dict[str, str] = {}
        for source in sources:
            try:
                source.open(window)
                self.calendars.check(source.spec.rule.calendar, source.spec.origin)
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
