"""Find installed plugins, fence them off from runs that do not use them, and say what they offer.

Nothing here runs when a module is imported: a host is made by the engine or the command. It knows
from the index what each plugin offers; plugin modules are imported for life-cycle hooks only, and
component modules when a run uses them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from pluggy import HookCaller, PluginManager

from ml4t.backtest import hookspecs
from ml4t.backtest.components import ComponentRef, ComponentRegistry
from ml4t.backtest.config import nearest
from ml4t.backtest.errors import PluginError
from ml4t.backtest.plugin_index import Installed, PluginIndex
from ml4t.backtest.probe import examine, explain

__all__ = ["Failure", "Plugin", "PluginHost", "find_standard"]

ENVIRONMENT = "ML4T_BACKTEST_PLUGINS"


@dataclass(frozen=True)
class Failure:
    """Why an installed plugin cannot be used."""

    plugin: str
    distribution: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin} of {self.distribution} {self.version}: {self.reason}"


@dataclass(frozen=True)
class Plugin:
    """An installed plugin and how it ended.

    Attributes:
        name: Name of its entry point.
        distribution: Distribution that declares it.
        version: Version of that distribution.
        outcome: ``"loaded"`` (its components can be used), ``"disabled"``, or why it failed.
        summary: One line from its manifest.
        components: kind -> component name -> ``"module:Class"``.
        hooks: Names of the hooks it implements.
    """

    name: str
    distribution: str
    version: str
    outcome: Literal["loaded", "disabled"] | Failure
    summary: str = ""
    components: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["loaded", "disabled", "failed"]:
        """The outcome in one word."""
        return "failed" if isinstance(self.outcome, Failure) else self.outcome


class PluginHost:
    """The plugins of one engine or one command; two hosts share nothing but the index file.

    Args:
        only: Names of the only plugins to use; None for all that are installed.
        disable: Names of plugins to leave alone; they are not imported, not even to be asked.
        environment: ``ML4T_BACKTEST_PLUGINS`` in it narrows the choice: a comma-separated list of
            names, empty for none.
        refresh: Ask every plugin again what it offers, whatever the index says.
        index: The index of what plugins offer; default: the user's.
        installed: The installed plugins; default: what the metadata of distributions declare.

    Raises:
        PluginError: ``only``, or the environment, names a plugin that is not installed, or ``disable`` one
            that is spelt almost like an installed one.
    """

    def __init__(
        self,
        *,
        only: Collection[str] | None = None,
        disable: Collection[str] = (),
        environment: Mapping[str, str] = os.environ,
        refresh: bool = False,
        index: PluginIndex | None = None,
        installed: Sequence[Installed] | None = None,
    ) -> None:
        self._index = index
        self._plugins: dict[str, Plugin] = {}
        self._modules: dict[str, object] = {}
        self.components = ComponentRegistry(self._explain)
        self.manager = PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.hook = _Hooks(self)
        installed = _installed() if installed is None else installed
        names = {plugin.entry.name for plugin in installed}
        wanted = names - {*disable}
        # Plugins of one kind begin alike, and one that is not here may be disabled: only a slip is refused.
        _check_installed([name for name in disable if nearest(name, names, 0.8)], names)
        for choice in (only, _listed(environment)):
            if choice is not None:
                _check_installed(choice, names)
                wanted &= {*choice}
        chosen = [plugin for plugin in installed if plugin.entry.name in wanted]
        if chosen:
            self._index = index or PluginIndex()
            for plugin, answer in zip(chosen, self._index.answers(chosen, refresh=refresh), strict=True):
                self._modules.setdefault(plugin.entry.name, plugin.entry)
                self._add(_from_answer(plugin, answer))
        for entry, distribution, number in installed:
            if entry.name not in wanted:
                self._add(Plugin(entry.name, distribution, number, "disabled"))

    @classmethod
    def only(cls, *plugins: object) -> PluginHost:
        """Return a host with the given plugin modules or objects and no discovery, for tests."""
        host = cls(installed=(), environment={})
        for plugin in plugins:
            host.register_local(plugin)
        return host

    def _add(self, plugin: Plugin) -> None:
        owner = (plugin.name, plugin.distribution, plugin.version)
        if plugin.name in self._plugins:
            first = self._plugins[plugin.name]
            reason = f"the name {plugin.name} is already taken by {first.distribution} {first.version}"
            self._plugins[f"{plugin.name} of {plugin.distribution}"] = Plugin(*owner, Failure(*owner, reason))
            return
        self._plugins[plugin.name] = plugin
        for kind, offered in plugin.components.items():
            for name, path in offered.items():
                self.components.add(ComponentRef(kind, name, path, *owner))

    def plugins(self) -> list[Plugin]:
        """Return every plugin that was found, by name; nothing is imported."""
        return sorted(self._plugins.values(), key=lambda plugin: (plugin.name, plugin.distribution))

    def failures(self) -> list[Failure]:
        """Return why plugins failed, by name."""
        return [plugin.outcome for plugin in self.plugins() if isinstance(plugin.outcome, Failure)]

    def register_local(self, plugin: object) -> None:
        """Use a plugin module or object that no distribution declares.

        Raises:
            PluginError: It breaks the contract, or its name is taken.
        """
        name = str(getattr(getattr(plugin, "MANIFEST", None), "name", type(plugin).__name__))
        try:
            if name in self._plugins:
                raise ValueError("its name is already taken")
            answer = examine(name, plugin)
        except Exception as error:
            raise PluginError(f"plugin {name} cannot be registered: {explain(error)}") from error
        self._modules[name] = plugin
        self._add(_from_answer(Installed(EntryPoint(name, name, hookspecs.GROUP), "", ""), answer))

    def load_for(self, hook: str) -> None:
        """Import the plugins that implement a hook, and mark as failed those that cannot be."""
        for name, plugin in list(self._plugins.items()):
            if hook not in plugin.hooks or plugin.status != "loaded" or self.manager.has_plugin(name):
                continue
            module = self._modules[name]
            try:
                self._modules[name] = module.load() if isinstance(module, EntryPoint) else module
                self.manager.register(self._modules[name], name)
                self.manager.check_pending()
            except (Exception, SystemExit) as error:
                failure = Failure(name, plugin.distribution, plugin.version, explain(error))
                self._plugins[name] = replace(plugin, outcome=failure)
        # pluggy calls the last registered first; the order shall be that of the names.
        for name, module in sorted(self.manager.list_name_plugin(), reverse=True):
            self.manager.unregister(name=name)
            self.manager.register(module, name)

    def _explain(self, kind: str, name: str) -> str:
        plugin = self._plugins.get(f"{kind}-{name}")
        if plugin is not None and plugin.status == "disabled":
            return f"plugin {plugin.name} is installed but disabled"
        if plugin is not None and isinstance(plugin.outcome, Failure):
            return str(plugin.outcome)
        before = self._index.offered_before(kind, name) if self._index else []
        for disabled in [each for each in self._plugins.values() if each.status == "disabled"]:
            if disabled.distribution in before:
                return f"plugin {disabled.name}, which offered it, is installed but disabled"
        return " or ".join(f"{former} offered it: pip install {former}" for former in before)


def find_standard(kind: str) -> ComponentRef:
    """Find the component ``standard`` of a kind that every run needs, whatever the choice of plugins for it.

    Raises:
        UnknownComponent: No installed distribution offers it; says which one does.
    """
    own = [plugin for plugin in _installed() if plugin.entry.name == f"{kind}-standard"]
    return PluginHost(installed=own, environment={}).components.resolve(kind, "standard")


class _Hooks:
    """Hook callers by name; asking for one imports the plugins that implement it."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    def __getattr__(self, name: str) -> HookCaller:
        self._host.load_for(name)
        caller: HookCaller = getattr(self._host.manager.hook, name)
        return caller


def _installed() -> list[Installed]:
    """Return installed plugins by name; where two share one, the owner by convention comes first."""
    found = []
    for entry in entry_points(group=hookspecs.GROUP):
        metadata = entry.dist.metadata if entry.dist else {"Name": "unknown", "Version": "0"}
        found.append(Installed(entry, str(metadata["Name"]), str(metadata["Version"])))
    own = "ml4t-backtest-"
    return sorted(found, key=lambda p: (p.entry.name, p.distribution != own + p.entry.name, p.distribution))


def _from_answer(plugin: Installed, answer: Mapping[str, Any]) -> Plugin:
    owner = (plugin.entry.name, plugin.distribution, plugin.version)
    if "failure" in answer:
        return Plugin(*owner, Failure(*owner, answer["failure"]))
    return Plugin(*owner, "loaded", answer["summary"], answer["components"], tuple(answer["hooks"]))


def _listed(environment: Mapping[str, str]) -> list[str] | None:
    listed = environment.get(ENVIRONMENT)
    return None if listed is None else [name.strip() for name in listed.split(",") if name.strip()]


def _check_installed(named: Collection[str], installed: Collection[str]) -> None:
    problems = [
        f'no plugin "{name}" is installed: {nearest(name, installed) or f"pip install ml4t-backtest-{name}"}'
        for name in sorted({*named} - {*installed})
    ]
    if problems:
        raise PluginError(*problems)
