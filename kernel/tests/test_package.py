import ast
import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ml4t.backtest
from ml4t.backtest import plugins
from ml4t.backtest.errors import UnknownComponent


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def packages_loaded_by(module):
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    return sorted({name.partition(".")[0] for name in run_python(code)} - sys.stdlib_module_names)


def test_importing_the_package_loads_the_standard_library_only():
    """Numerical libraries load at first use."""
    assert ["ml4t"] == packages_loaded_by("ml4t.backtest")


def test_importing_hookspecs_loads_pluggy_only():
    """A plugin module that keeps to the contract costs next to nothing."""
    assert ["ml4t", "pluggy"] == packages_loaded_by("ml4t.backtest.hookspecs")


def test_the_plugin_host_loads_no_numerical_library():
    """``plugins list`` is quick because of it."""
    assert ["ml4t", "pluggy"] == packages_loaded_by("ml4t.backtest.plugins")


def test_the_stub_and_the_package_offer_the_same_names():
    """Type checkers and Python see one public surface, from the same modules."""
    stub = Path(ml4t.backtest.__file__).with_suffix(".pyi")
    seen = {
        alias.asname: (node.module or "").removeprefix("ml4t.backtest.")
        for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert {**ml4t.backtest._HOME, "Engine": "ml4t_backtest_engine_standard.engine"} == seen


@pytest.mark.parametrize("name", sorted(ml4t.backtest.__all__))
def test_every_public_name_can_be_had(name):
    """What __all__ promises is there."""
    assert getattr(ml4t.backtest, name) is not None
    assert name in dir(ml4t.backtest)


def test_an_unknown_name_is_an_attribute_error():
    """So hasattr and from-imports behave as always."""
    assert not hasattr(ml4t.backtest, "Enigne")


def test_the_version_is_that_of_the_distribution():
    """The number is kept in one place."""
    assert version("ml4t-backtest-kernel") == ml4t.backtest.__version__


def test_the_module_called_with_a_seed_is_an_engine():
    """The architecture document's spelling works, also after a reload."""
    from ml4t import backtest

    assert isinstance(ml4t.backtest(seed=42), ml4t.backtest.Engine)
    assert isinstance(importlib.reload(backtest)(seed=42), ml4t.backtest.Engine)


@pytest.mark.parametrize("kind", ["engine", "gate"])
def test_without_an_engine_or_gate_the_error_says_what_to_install(monkeypatch, kind):
    """The kernel runs no backtest by itself."""
    monkeypatch.setattr(plugins, "_installed", list)

    with pytest.raises(UnknownComponent, match=f"pip install ml4t-backtest-{kind}-standard"):
        plugins.find_standard(kind)


@pytest.mark.parametrize("kind", ["engine", "gate"])
def test_the_choice_of_plugins_for_a_run_leaves_engine_and_gate_alone(monkeypatch, kind):
    """No run does without them."""
    monkeypatch.setenv("ML4T_BACKTEST_PLUGINS", "")

    assert f"ml4t-backtest-{kind}-standard" == plugins.find_standard(kind).distribution


def test_the_kernel_alone_says_how_to_get_plugins_and_the_command():
    """``python -m ml4t.backtest`` without plugins points to the distributions."""
    environment = {"ML4T_BACKTEST_PLUGINS": "", "PATH": ""}
    code = "import ml4t.backtest.plugins as p; p._installed = lambda: []\nimport ml4t.backtest.__main__ as m; m.main()"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout

    assert (
        "no plugins are installed; the usual ones: pip install ml4t-backtest\n"
        "the command ml4t-backtest: pip install ml4t-backtest-cli\n"
    ) == shown
