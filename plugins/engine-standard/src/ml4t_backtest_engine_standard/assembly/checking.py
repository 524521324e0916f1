"""Open every source of a run only to say all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import RunFile, Source
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction, read_actions
from ml4t_backtest_engine_standard.assembly.assembly import Assembly
from ml4t_backtest_engine_standard.assembly.facts import find_tables, read_facts
from ml4t_backtest_engine_standard.assembly.tables import Tables
from ml4t_backtest_engine_standard.assembly.timing import find_window

__all__ = ["check"]


def check(run: RunFile, host: PluginHost) -> pl.DataFrame:
    """Return every finding in the data of a run; no strategy, broker or portfolio is made.

    Args:
        run: The run file.
        host: The plugins of the run.

    Raises:
        InputError: Everything that is wrong with the settings.
    """
    assembly = Assembly(run, host)
    assembly.survey = True
    calendar = assembly.calendar()
    named = [
        _build(assembly, kind, table, f"{kind}.{place}")
        for kind in ("feed", "signal")
        for place, table in enumerate(run.settings.get(kind) or [])
    ]
    tables = Tables(assembly.build)
    listed = [(f"actions.{place}", value) for place, value in enumerate(run.settings.get("actions") or [])]
    found = {where: tables.find(value, where) for where, value in listed}
    facts = find_tables(run.settings, tables, assembly.errors)
    if not named:
        assembly.errors.add("feed", "is missing: there is nothing to check")
    assembly.errors.raise_if_any()
    sessions, window, _, _ = find_window(run.settings, str(run.path or "settings"), calendar)
    assembly.calendars.run = sessions
    refused: dict[str, Sequence[str]] = {}
    specs = []
    try:
        for name, source in named:
            with _noted(refused, name):
                source.open(window)
                assembly.calendars.find(source.spec.rule.calendar)
                specs.append(source.spec)
        actions: list[PlannedAction] = []
        for where, table in found.items():
            with _noted(refused, where):
                actions += read_actions(tables, {where: table}, sessions, specs)
        for fact in facts:
            with _noted(refused, fact.name):
                read_facts([fact], tables, assembly.calendars.find, specs)
        return assembly.gate.findings({**assembly.calendars.tables, "": sessions}, _frame(actions), refused)
    finally:
        for _, source in named:
            source.close()


@contextmanager
def _noted(refused: dict[str, Sequence[str]], name: str) -> Iterator[None]:
    """Note what is wrong with one input and go on to the next."""
    try:
        yield
    except InputError as error:
        refused[name] = error.problems


def _build(assembly: Assembly, kind: str, table: Any, where: str) -> tuple[str, Source]:
    """Return a source and the name that the gate knows it by, also where it cannot be opened."""
    before = len(assembly.names)
    source: Source = assembly.build(kind, table, where)
    return assembly.names[-1] if len(assembly.names) > before else where, source


def _frame(actions: Sequence[PlannedAction]) -> pl.DataFrame:
    """Return which symbol has which kind of action on which day."""
    columns = {
        "symbol": [action.symbol for action in actions],
        "kind": [action.kind for action in actions],
        "ex_date": [action.ex_date for action in actions],
    }
    frame = pl.DataFrame(columns, schema={"symbol": pl.String, "kind": pl.String, "ex_date": pl.Int32})
    return frame.with_columns(pl.col("ex_date").cast(pl.Date))
