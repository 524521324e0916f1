"""The commands ``plugins list``, ``plugins show`` and ``plugins doctor``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ml4t.backtest.errors import InputError, PluginError

if TYPE_CHECKING:
    from ml4t.backtest.plugins import Plugin, PluginHost

__all__ = ["add_commands"]


def add_commands(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``plugins`` and what is below it."""
    plugins = subcommands.add_parser("plugins", help="list, show or examine the installed plugins")
    actions = plugins.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="name, version, components and state of each; imports none")
    listed.set_defaults(function=list_plugins)
    shown = actions.add_parser("show", help="components of a plugin, their settings and defaults")
    shown.add_argument(
        "name", metavar="NAME", help="a plugin, such as feed-parquet, or what `use` calls a component, such as parquet"
    )
    shown.set_defaults(function=show_plugin)
    doctor = actions.add_parser("doctor", help="import every component and say what is wrong")
    doctor.set_defaults(function=examine_plugins)
    for parser in (listed, shown, doctor):
        parser.add_argument("--traceback", action="store_true", help="show tracebacks of errors")


def list_plugins(arguments: argparse.Namespace) -> int:
    """Print a line per plugin, from the index."""
    plugins = _host().plugins()
    if not plugins:
        print("no plugins are installed; the usual ones: pip install ml4t-backtest")
    width = max((len(plugin.name) for plugin in plugins), default=0)
    for plugin in plugins:
        print(f"{plugin.name:<{width}}  {plugin.version:<8} {plugin.status:<9} {plugin.summary}".rstrip())
        if plugin.status == "failed":
            print(f"{'':<{width}}  {plugin.outcome}")
        for line in _offers(plugin):
            print(f"{'':<{width}}  {line}")
    return 0


def show_plugin(arguments: argparse.Namespace) -> int:
    """Print the components of a plugin, or those of one name, with every setting."""
    host, wanted = _host(), arguments.name
    plugins = [plugin for plugin in host.plugins() if plugin.name == wanted]
    if not plugins:
        plugins = [plugin for plugin in host.plugins() if any(wanted in names for names in plugin.components.values())]
    if not plugins:
        from ml4t.backtest.config import nearest

        names = {plugin.name for plugin in host.plugins()} | {component.name for component in host.components}
        remedy = nearest(wanted, names) or f"pip install ml4t-backtest-{wanted}"
        raise PluginError(f'no plugin or component "{wanted}" is installed: {remedy}')
    for place, plugin in enumerate(plugins):
        print("\n" * (place > 0), end="")
        _show_plugin(host, plugin, wanted)
    return 0


def _show_plugin(host: PluginHost, plugin: Plugin, wanted: str) -> None:
    """Print one plugin, with all of its components or, where one is wanted by its name, with that."""
    print(f"{plugin.name}: {plugin.summary}")
    print(f"distribution {plugin.distribution} {plugin.version}, {plugin.status}")
    if plugin.status == "failed":
        print(plugin.outcome)
    if plugin.hooks:
        print("hooks: " + ", ".join(plugin.hooks))
    for kind, offered in plugin.components.items():
        for name in offered if wanted == plugin.name else {wanted} & offered.keys():
            print(f"\n{kind} {name}")
            _show_settings(host, kind, name)


def examine_plugins(arguments: argparse.Namespace) -> int:
    """Load everything; return 1 when anything is wrong."""
    from ml4t.backtest.plugins import PluginHost

    host = PluginHost(refresh=True)
    problems = [str(failure) for failure in host.failures()] + list(host.components.conflicts())
    checked = 0
    for component in host.components:
        checked += 1
        try:
            component.load()
        except InputError as error:
            problems += error.problems
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(host.plugins())} plugins, {checked} components, {len(problems)} problems")
    return 1 if problems else 0


def _host() -> PluginHost:
    from ml4t.backtest.plugins import PluginHost

    return PluginHost()


def _offers(plugin: Plugin) -> list[str]:
    return [f"{kind}: {', '.join(sorted(offered))}" for kind, offered in plugin.components.items() if offered]


def _show_settings(host: PluginHost, kind: str, name: str) -> None:
    """Print the fields of a component's configuration, which means importing it."""
    from ml4t_backtest_cli.settings import describe_config

    try:
        config = getattr(host.components.resolve(kind, name).load(), "Config", None)
    except InputError as error:
        print(*(f"  {problem}" for problem in error.problems), sep="\n")
        return
    rows = describe_config(config) if config is not None else []
    for row in rows:
        print(f"  {row.key}: {row.type} = {_as_toml(row.default)}")
        if row.doc:
            print(f"      {row.doc.replace('``', '`')}")
    if not rows:
        print("  no settings")


def _as_toml(default: str) -> str:
    """Return a default as a run file has it; what TOML cannot say, such as none, as a word."""
    words = {"None": "none", "True": "true", "False": "false", "()": "[]"}
    return words.get(default) or (f'"{default[1:-1]}"' if default[0] == default[-1] == "'" else default)
