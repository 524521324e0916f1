"""Who may import whom."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

KERNEL = "ml4t.backtest"
KERNEL_LIBRARIES = {"numpy", "pluggy", "polars", "structlog"}
CONTRACTS = ("interfaces", "hookspecs", "state")


def imported_modules(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line, dotted name and whether it is for type checkers only, for each import in a source."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or ""), False
                continue
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}", id(node) in typing_only
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            name = node.args[0].value
            if called.split(".")[-1] in {"import_module", "__import__"} and isinstance(name, str):
                yield node.lineno, name, False


def within(name: str, package: str) -> bool:
    """Say whether a dotted name is a package or something in it."""
    return name == package or name.startswith(package + ".")


def is_standard(name: str) -> bool:
    """Say whether a dotted name belongs to the standard library."""
    return name.split(".")[0] in sys.stdlib_module_names


def kernel_violations(source: str, module: str) -> list[str]:
    """Return what a kernel source imports although it may not.

    Args:
        source: Python source.
        module: Its dotted name below ``ml4t.backtest``, such as ``core.clock``.
    """
    found = []
    for line, name, typing_only in imported_modules(source):
        if is_standard(name):
            continue
        if name.startswith("."):
            allowed = False
        elif within(module, "core"):
            own = within(name, f"{KERNEL}.core") or within(name, f"{KERNEL}.errors")
            for_types = typing_only and any(within(name, f"{KERNEL}.{part}") for part in CONTRACTS)
            allowed = own or for_types or name.split(".")[0] in {"numpy", "polars", "structlog"}
        elif any(within(module, contract) for contract in CONTRACTS):
            own = any(within(name, f"{KERNEL}.{part}") for part in ("core", "errors", "interfaces", "state"))
            marker = module == "hookspecs" and within(name, "pluggy")
            logger = module == "interfaces.setup" and within(name, "structlog")
            for_types = typing_only and (within(name, KERNEL) or name.split(".")[0] in KERNEL_LIBRARIES)
            allowed = own or marker or logger or for_types or within(name, "numpy")
        else:
            allowed = within(name, KERNEL) or name.split(".")[0] in KERNEL_LIBRARIES
        if not allowed:
            found.append(f"{KERNEL}.{module}:{line} imports {name}")
    return found


def plugin_violations(source: str, where: str, package: str, declared: set[str]) -> list[str]:
    """Return what a source of a plugin imports although it may not.

    Args:
        source: Python source.
        where: Its path, for the message.
        package: The plugin's own import package.
        declared: Import packages of the distributions that it declares, other than the kernel.
    """
    found = []
    for line, name, _ in imported_modules(source):
        if is_standard(name) or within(name, package):
            continue
        private = any(part.startswith("_") for part in name.removeprefix(KERNEL).split("."))
        public_kernel = within(name, KERNEL) and not private
        if not public_kernel and name.split(".")[0] not in declared:
            found.append(f"{where}:{line} imports {name}")
    return found


def plugin_module_violations(source: str, where: str) -> list[str]:
    """Return what a ``plugin.py`` imports beside the standard library and the hook specifications."""
    return [
        f"{where}:{line} imports {name}"
        for line, name, _ in imported_modules(source)
        if not is_standard(name) and not within(name, f"{KERNEL}.hookspecs")
    ]


def declared_packages(pyproject: Path, *, plugins_too: bool) -> set[str]:
    """Return the import packages that a distribution declares; plugins only where it may use one."""
    project = tomllib.loads(pyproject.read_text())["project"]
    optional = project.get("optional-dependencies", {}).values()
    requirements = [*project.get("dependencies", ()), *(line for extra in optional for line in extra)]
    names = [re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements]
    packages = {re.sub(r"[-.]+", "_", name.group()).lower() for name in names if name}
    return {package for package in packages if plugins_too or not package.startswith("ml4t_backtest_")}


def test_the_kernel_imports_what_its_layer_may(repository):
    """The core knows numpy, polars and structlog; contracts know types; the rest knows the kernel."""
    root = repository / "kernel" / "src" / "ml4t" / "backtest"
    found = []
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found += kernel_violations(path.read_text(), module)
    assert [] == found


def test_plugins_import_the_kernel_themselves_and_what_they_declare(distributions):
    """No plugin imports another one; contrib may, if it declares it."""
    found = []
    for folder in distributions:
        package = "ml4t_backtest_" + folder.name.replace("-", "_")
        declared = declared_packages(folder / "pyproject.toml", plugins_too=folder.parent.name == "contrib")
        for path in sorted((folder / "src").rglob("*.py")):
            where = f"{folder.name}/{path.relative_to(folder)}"
            found += plugin_violations(path.read_text(), where, package, declared)
    assert [] == found


def test_plugin_modules_import_the_hook_specifications_only(distributions):
    """Registering must stay cheap: everything else is imported when a run uses it."""
    found = []
    for folder in distributions:
        for path in sorted((folder / "src").glob("*/plugin.py")):
            found += plugin_module_violations(path.read_text(), f"{folder.name}/{path.name}")
    assert [] == found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.clock", "import pandas"),
        ("core.clock", "from ml4t.backtest.plugins import PluginHost"),
        ("core.clock", "from ml4t.backtest import state"),
        ("core.clock", "from ml4t.backtest.interfaces.feed import Source"),
        ("core.clock", "if TYPE_CHECKING:\n    from ml4t.backtest.plugins import PluginHost"),
        ("core.clock", "from . import bus"),
        ("core.clock", "def late():\n    import numba"),
        ("state", "import polars"),
        ("interfaces.feed", "from ml4t.backtest.plugins import PluginHost"),
        ("interfaces.feed", "import structlog"),
        ("engine", "import pyarrow"),
        ("engine", "from ml4t_backtest_broker_simulation import core"),
        ("engine", "import importlib\nimportlib.import_module('ml4t_backtest_cli.main')"),
    ],
)
def test_a_forbidden_import_in_the_kernel_is_found(module, source):
    """The rule must be able to fail."""
    assert 1 == len(kernel_violations(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.clock", "import heapq\nimport numpy as np\nfrom ml4t.backtest.core.event import Event"),
        ("core.clock", "if TYPE_CHECKING:\n    from ml4t.backtest.interfaces.feed import Source"),
        ("interfaces.feed", "if TYPE_CHECKING:\n    import polars as pl"),
        ("hookspecs", "from pluggy import HookspecMarker"),
        ("engine", "from ml4t.backtest import state\nimport structlog"),
    ],
)
def test_an_allowed_import_in_the_kernel_passes(module, source):
    """The rule must be able to hold."""
    assert [] == kernel_violations(source, module)


@pytest.mark.parametrize(
    "source",
    [
        "import ml4t_backtest_feed_csv",
        "from ml4t_backtest_feed_parquet_two import feed",
        "from ml4t.backtest import _private",
        "from ml4t.backtest._private import thing",
        "import polars",
        "if TYPE_CHECKING:\n    import ml4t_backtest_cli",
    ],
)
def test_a_forbidden_import_in_a_plugin_is_found(source):
    """The rule must be able to fail."""
    assert 1 == len(plugin_violations(source, "feed.py", "ml4t_backtest_feed_parquet", {"numpy"}))


def test_a_plugin_module_that_imports_its_component_is_found():
    """The rule must be able to fail."""
    source = "from ml4t.backtest.hookspecs import Manifest\nfrom ml4t.backtest import Engine\nimport polars"
    assert 2 == len(plugin_module_violations(source, "plugin.py"))


def test_declared_packages_leave_out_other_plugins(tmp_path):
    """A declared plugin opens the door in contrib only."""
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(
        "[project]\n"
        "dependencies = ['ml4t-backtest-kernel>=0.1', 'pandas-market-calendars>=5; x', 'ml4t-backtest-cli']\n"
        "[project.optional-dependencies]\nfast = ['numba[extra]']\n"
    )
    assert {"pandas_market_calendars", "numba"} == declared_packages(pyproject, plugins_too=False)
    assert "ml4t_backtest_cli" in declared_packages(pyproject, plugins_too=True)
