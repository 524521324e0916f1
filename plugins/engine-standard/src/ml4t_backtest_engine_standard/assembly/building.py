"""From a table of settings to the component that it stands for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, time
from functools import cached_property
from importlib.metadata import version
from typing import Any

from ml4t.backtest.components import ComponentRef
from ml4t.backtest.errors import BacktestError, InputError
from ml4t.backtest.interfaces import Gate, RunFile, Setup
from ml4t.backtest.plugins import PluginHost, find_standard
from ml4t_backtest_engine_standard.assembly.calendars import Calendars
from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.outside import limit_to_sessions

__all__ = ["Builder"]

_READERS = ("feed", "signal", "table")
_SOURCES = ("feed", "signal")
# What a file can hold, and what is neither the name of a component nor one itself.
_NO_COMPONENTS = (bool, int, float, list, dict, date, time)


class Builder:
    """Finds, configures and makes components, and notes what was used.

    Args:
        run: The run file.
        host: The plugins of the run.

    Attributes:
        errors: All that is wrong with the settings so far.
        owners: Components made so far, and where they come from.
        used: Versions of distributions used so far.
        names: Names given to sources, tables and other components so far.
        calendars: Sessions of the calendars that the run and its sources name.
        survey: Whether the gate shall keep all findings rather than refuse rows; set before anything is built.
    """

    def __init__(self, run: RunFile, host: PluginHost) -> None:
        self.run, self.host, self.settings = run, host, run.settings
        self.errors = Errors(run.path)
        self.owners: list[tuple[object, ComponentRef]] = []
        self.used = {name: version(name) for name in ("ml4t-backtest-kernel", "ml4t-backtest-engine-standard")}
        self.names: list[str] = []
        self.survey = False
        self.calendars = Calendars(self)

    def build(self, kind: str, value: Any, where: str) -> Any:
        """Return the component that a table, a name, a class or an instance stands for; None after an error."""
        if not isinstance(value, Mapping):
            value = {"use": value}
        table = dict(value)
        use = table.pop("use", None)
        if use is None:
            self.errors.add(where, f'has no key "use": name the {kind} component to use')
            return None
        if isinstance(use, _NO_COMPONENTS):
            self.errors.add(where, f"was {use!r}, expected the name of a {kind} component, or a table with `use`")
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
        policy = table.pop("outside_sessions", None) if kind in _SOURCES else None
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
            return limit_to_sessions(cls(config, setup), policy, where, self.calendars.find)
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
        reads = kind in _READERS
        return replace(setup, gate=self.gate, build=self.build, sessions=self.calendars.find) if reads else setup

    @cached_property
    def gate(self) -> Gate:
        """The gate of all sources, also where a choice of plugins leaves it out: no source does without."""
        known = "standard" in self.host.components.names("gate")
        ref = self.host.components.resolve("gate", "standard") if known else find_standard("gate")
        self.used[ref.distribution] = ref.version
        make, settings = ref.load(), self.settings.get("gate") or {}
        try:
            gate: Gate = make(settings, survey=self.survey)
        except InputError as error:
            for problem in error.problems:
                key, _, what = problem.partition(" ")
                self.errors.add(key, what, owner=ref.owner)
            gate = make(survey=self.survey)
        return gate
