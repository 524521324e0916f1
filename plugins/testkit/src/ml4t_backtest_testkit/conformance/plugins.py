"""Rules of a plugin: of its distribution, its module and the components that it registers."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from ml4t.backtest import Engine, interfaces
from ml4t.backtest.components import ComponentRef
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.hookspecs import GROUP, PLUGIN_API, Manifest
from ml4t.backtest.probe import examine
from ml4t_backtest_testkit.conformance.rules import Conformance

__all__ = ["PluginConformance"]

_HEAVY = ("numba", "numpy", "pandas", "polars", "pyarrow")
_ABSTRACT: dict[str, type] = {
    "feed": interfaces.DataFeed,
    "signal": interfaces.SignalSource,
    "strategy": interfaces.Strategy,
    "broker": interfaces.Broker,
    "risk": interfaces.RiskManager,
    "portfolio": interfaces.Portfolio,
    "reporter": interfaces.Reporter,
    "calendar": interfaces.Calendar,
    "table": interfaces.TableSource,
}
_PROTOCOLS: dict[str, type] = {"engine": interfaces.Engine, "gate": interfaces.Gate}
_MODELS = ("fill", "slippage", "commission", "impact")
_LOADED = """\
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


class PluginConformance(Conformance):
    """Check an installed plugin; override the fixture ``plugin`` with the name of its entry point."""

    @pytest.fixture
    def plugin(self) -> str:
        """Name of the entry point, for example ``feed-csv``."""
        raise NotImplementedError("override the fixture plugin: return the name of the entry point")

    @pytest.fixture
    def entry(self, plugin: str) -> EntryPoint:
        """The plugin's entry point."""
        found = [*entry_points(group=GROUP, name=plugin)]
        assert len(found) == 1, f"{len(found)} entry points in group {GROUP} are called {plugin!r}"
        entry: EntryPoint = found[0]
        return entry

    @pytest.fixture
    def answer(self, plugin: str, entry: EntryPoint) -> dict[str, Any]:
        """What the plugin offers."""
        return examine(plugin, entry.load())

    @pytest.fixture
    def components(self, answer: dict[str, Any]) -> list[tuple[str, str, Any]]:
        """Kind, name and what its path leads to, per component."""
        return [
            (kind, name, ComponentRef(kind, name, path).load())
            for kind, offered in answer["components"].items()
            for name, path in offered.items()
        ]

    def test_names_agree(self, plugin: str, entry: EntryPoint) -> None:
        """TK-P01: entry point and manifest bear one name; first-party distributions and packages do too."""
        assert plugin == entry.load().MANIFEST.name
        assert entry.dist is not None
        distribution = re.sub(r"[-_.]+", "-", entry.dist.name).lower()
        if distribution.startswith("ml4t-backtest-"):
            assert f"ml4t-backtest-{plugin}" == distribution
            assert f"ml4t_backtest_{plugin.replace('-', '_')}.plugin" == entry.value

    def test_the_manifest_is_valid(self, entry: EntryPoint) -> None:
        """TK-P02: the manifest is for this plugin API, and its summary is one line of at most 100 letters."""
        manifest = entry.load().MANIFEST
        assert isinstance(manifest, Manifest)
        assert manifest.api == PLUGIN_API
        assert manifest.summary == " ".join(manifest.summary.split())
        assert 0 < len(manifest.summary) <= 100

    def test_the_hooks_are_valid(self, answer: dict[str, Any]) -> None:
        """TK-P03: every hook is one of this kernel's, and registered paths have the form module:Class."""
        paths = [path for offered in answer["components"].values() for path in offered.values()]
        assert [path for path in paths if not re.fullmatch(r"[\w.]+:[\w.]+", path)] == []

    def test_the_plugin_module_is_light(self, entry: EntryPoint) -> None:
        """TK-P04: importing the plugin module prints nothing and loads no heavy library."""
        command = [sys.executable, "-c", _LOADED, entry.module]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        printed, _, modules = done.stdout.strip().rpartition("\n")
        assert printed == ""
        assert [name for name in json.loads(modules) if name in _HEAVY] == []

    def test_components_satisfy_their_interface(self, components: list[tuple[str, str, Any]]) -> None:
        """TK-P05: each path can be imported and leads to what its kind asks for."""
        for kind, name, target in components:
            assert callable(target), f"{kind} {name} is no class"
            if kind in _ABSTRACT:
                assert isinstance(target, type), f"{kind} {name} is no class"
                assert issubclass(target, _ABSTRACT[kind]), f"{kind} {name} is no {_ABSTRACT[kind].__name__}"
                missing: frozenset[str] = getattr(target, "__abstractmethods__", frozenset())
                assert frozenset() == missing, f"{kind} {name} lacks methods"
            elif kind in _PROTOCOLS:
                members = vars(_PROTOCOLS[kind]).items()
                methods = [each for each, member in members if each[0] != "_" and not isinstance(member, property)]
                without = [method for method in methods if not hasattr(target, method)]
                assert without == [], f"{kind} {name} lacks methods"
            elif kind in _MODELS:
                needed = ["function", "params", "initial_state", "describe", *(["rules"] * (kind == "fill"))]
                without = [attribute for attribute in needed if not hasattr(target, attribute)]
                assert without == [], f"{kind} {name} lacks attributes"

    def test_configs_are_frozen_and_documented(self, components: list[tuple[str, str, Any]]) -> None:
        """TK-P06: a Config is a frozen, keyword-only dataclass that documents each field under Attributes."""
        for kind, name, target in components:
            config: Any = getattr(target, "Config", None)
            if config is None:
                continue
            assert hasattr(config, "__dataclass_params__"), f"{kind} {name}"
            assert vars(config)["__dataclass_params__"].frozen, f"the Config of {kind} {name} is not frozen"
            assert all(field.kw_only for field in dataclasses.fields(config)), f"{kind} {name}"
            docs = "\n".join(inspect.cleandoc(cls.__doc__ or "") for cls in config.__mro__)
            keys = [field.name for field in dataclasses.fields(config)]
            bare = [key for key in keys if not re.search(rf"^ {{4}}{key}: \S", docs, re.MULTILINE)]
            assert bare == [], f"undocumented in {kind} {name}"

    def test_unknown_config_keys_are_refused(self, components: list[tuple[str, str, Any]]) -> None:
        """TK-P07: a key that the Config does not have is an error that names the key and the owner."""
        for kind, name, target in components:
            if hasattr(target, "Config"):
                with pytest.raises(RunFileError, match="no_such_key") as caught:
                    Engine.configure(target.Config, {"no_such_key": 1}, where=kind, owner=f'{kind} "{name}"')
                assert f'{kind} "{name}"' in str(caught.value)

    def test_the_package_is_typed(self, entry: EntryPoint) -> None:
        """TK-P08: the package ships py.typed."""
        package = importlib.import_module(entry.module.partition(".")[0])
        assert (Path(package.__path__[0]) / "py.typed").is_file()

    def test_the_kernel_is_required_within_bounds(self, entry: EntryPoint) -> None:
        """TK-P09: the distribution requires the kernel from some version on and below another."""
        assert entry.dist is not None
        lines = [line for line in entry.dist.requires or () if line.startswith("ml4t-backtest-kernel")]
        assert len(lines) == 1, f"requirements are {entry.dist.requires}"
        assert {">=", "<"} <= set(re.findall(r"[<>=]+", lines[0]))
