"""Every hook a plugin may implement, and the markers to do it with.

A plugin is a module that an installed distribution names by an entry point in group
``ml4t.backtest``. It imports the standard library and this module only, holds a ``MANIFEST`` and
marks functions with ``hookimpl``. Hooks are for assembly: none is called per event.

Registration hooks take nothing and return component name -> ``"module:Class"``; the class is
imported when a run uses it and not before. They are called once per changed distribution, in a
process of its own, and the answer is remembered. An empty mapping, or None, means no components.

Life-cycle hooks are called in the process of the run, in the order of the plugins' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    import argparse

    from ml4t.backtest.interfaces.engine import Engine, RunFile
    from ml4t.backtest.interfaces.result import Result

__all__ = ["GROUP", "KIND_OF_HOOK", "PLUGIN_API", "PROJECT", "Manifest", "hookimpl", "hookspec"]

PLUGIN_API = 1
PROJECT = "ml4t_backtest"
GROUP = "ml4t.backtest"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)

_KINDS = (
    "feeds:feed signal_sources:signal strategies:strategy brokers:broker fill_models:fill"
    " slippage_models:slippage commission_models:commission impact_models:impact risk_managers:risk"
    " portfolios:portfolio reporters:reporter calendars:calendar scenarios:scenario engines:engine gates:gate"
    " tables:table"
)
KIND_OF_HOOK: Mapping[str, str] = {
    f"ml4t_register_{plural}": kind for plural, kind in (pair.split(":") for pair in _KINDS.split())
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a plugin says of itself; version, licence and author come from its distribution.

    Attributes:
        api: The plugin API it was written for, to be compared with ``PLUGIN_API``.
        name: ``<kind>-<name>``, equal to the name of its entry point.
        summary: One line for ``ml4t-backtest plugins list``.
    """

    api: int
    name: str
    summary: str


@hookspec
def ml4t_register_feeds() -> Mapping[str, str] | None:
    """Offer sources of bars, quotes or trades: subclasses of ``DataFeed``."""


@hookspec
def ml4t_register_signal_sources() -> Mapping[str, str] | None:
    """Offer sources of predictions: subclasses of ``SignalSource``."""


@hookspec
def ml4t_register_strategies() -> Mapping[str, str] | None:
    """Offer strategies that a run file can name: subclasses of ``Strategy``."""


@hookspec
def ml4t_register_brokers() -> Mapping[str, str] | None:
    """Offer execution venues: subclasses of ``Broker``."""


@hookspec
def ml4t_register_fill_models() -> Mapping[str, str] | None:
    """Offer models of when and at what price an order fills (``FillModel``)."""


@hookspec
def ml4t_register_slippage_models() -> Mapping[str, str] | None:
    """Offer models of the price given up by trading (``SlippageModel``)."""


@hookspec
def ml4t_register_commission_models() -> Mapping[str, str] | None:
    """Offer models of what a venue charges for a fill (``CommissionModel``)."""


@hookspec
def ml4t_register_impact_models() -> Mapping[str, str] | None:
    """Offer models of how trading moves the market (``MarketImpactModel``)."""


@hookspec
def ml4t_register_risk_managers() -> Mapping[str, str] | None:
    """Offer rules that check orders and force exits (``RiskManager``)."""


@hookspec
def ml4t_register_portfolios() -> Mapping[str, str] | None:
    """Offer accounting of cash and positions: subclasses of ``Portfolio``."""


@hookspec
def ml4t_register_reporters() -> Mapping[str, str] | None:
    """Offer ways to write a finished run out: subclasses of ``Reporter``."""


@hookspec
def ml4t_register_calendars() -> Mapping[str, str] | None:
    """Offer tables of trading sessions: subclasses of ``Calendar``."""


@hookspec
def ml4t_register_scenarios() -> Mapping[str, str] | None:
    """Offer small markets with known answers, for ``engine.run(scenario=name)``."""


@hookspec
def ml4t_register_engines() -> Mapping[str, str] | None:
    """Offer what runs a backtest; ``standard`` is what ``ml4t.backtest.Engine`` means (``Engine``)."""


@hookspec
def ml4t_register_gates() -> Mapping[str, str] | None:
    """Offer row checks; ``standard`` is what every source of a run is given (``Gate``)."""


@hookspec
def ml4t_register_tables() -> Mapping[str, str] | None:
    """Offer tables beside the market data, such as corporate actions: subclasses of ``TableSource``."""


@hookspec
def ml4t_add_cli(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add subcommands to ``ml4t-backtest``.

    Called once when the command starts, before its arguments are parsed; whatever is returned is
    ignored. A subcommand sets the default ``function`` to a callable that takes the parsed
    ``argparse.Namespace`` and returns an exit code.

    Args:
        subcommands: What ``ArgumentParser.add_subparsers`` returned.
    """


@hookspec
def ml4t_report_header(run: RunFile) -> str | None:
    """Return one line for the header of the console output, or None for none.

    Called once, after the run file was validated and before anything is assembled.

    Args:
        run: The validated run file, overrides included. Not to be changed.
    """


@hookspec
def ml4t_assembled(engine: Engine) -> None:
    """Take the last chance to subscribe to the bus.

    Called once, when all components are built and before the first instant.

    Args:
        engine: The assembled engine.
    """


@hookspec
def ml4t_run_started(engine: Engine) -> None:
    """Learn that the run begins; called once, after ``ml4t_assembled``.

    Args:
        engine: The engine, before its first instant.
    """


@hookspec
def ml4t_run_finished(engine: Engine, result: Result) -> None:
    """Learn that the run ended well; called once, after its reporters have written.

    Args:
        engine: The engine, after its last instant.
        result: What the run produced.
    """


@hookspec
def ml4t_run_failed(engine: Engine, error: BaseException) -> None:
    """Learn that the run ended with an error; called once, instead of ``ml4t_run_finished``.

    Args:
        engine: The engine, where it stopped.
        error: What stopped it; a ``RunInterrupted`` when the user did.
    """
