import sys
from fractions import Fraction
from pathlib import Path

import pytest

from ml4t.backtest.components import ComponentRef, ComponentRegistry
from ml4t.backtest.errors import PluginError, UnknownComponent


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a folder with Python files, as beside a run file."""
    before = dict(sys.modules)

    def make(name, **sources):
        (tmp_path / name).mkdir()
        for module, source in sources.items():
            (tmp_path / name / f"{module}.py").write_text(source, encoding="utf-8")
        return tmp_path / name

    yield make
    for name in set(sys.modules) - set(before):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def load(use, base_dir):
    return ComponentRegistry().resolve("strategy", use, base_dir).load()


def test_a_local_class_is_found_beside_the_run_file(folder):
    """No packaging is needed to try something; the import path is left as it was."""
    place = folder(
        "a",
        my_strategy="import my_features\nclass Mine:\n    value = my_features.VALUE\n",
        my_features="VALUE = 7\n",
    )
    before = list(sys.path)

    assert 7 == load("my_strategy:Mine", place).value
    assert before == sys.path


def test_local_modules_of_two_folders_do_not_mix(folder):
    """Each run file gets its own neighbours, helpers included, whatever ran before."""
    source = "import my_features\nclass Mine:\n    value = my_features.VALUE\n"
    first = folder("a", my_strategy=source, my_features="VALUE = 1\n")
    second = folder("b", my_strategy=source, my_features="VALUE = 2\n")

    assert [1, 2, 1] == [load("my_strategy:Mine", place).value for place in (first, second, first)]


def test_a_local_module_may_be_called_like_one_of_the_standard_library(folder):
    """It wins for this import only."""
    import signal

    place = folder("a", signal="class Mine:\n    pass\n")

    assert not hasattr(load("signal:Mine", place), "SIGINT")
    assert signal is sys.modules["signal"]
    assert hasattr(sys.modules["signal"], "SIGINT")


def test_a_path_may_name_an_installed_module(tmp_path):
    """module:Class works for anything that can be imported."""
    assert Fraction is load("fractions:Fraction", tmp_path)


@pytest.mark.parametrize(
    ("source", "use", "message"),
    [
        ("class Mine: pass", "nonesuch:Mine", "ModuleNotFoundError: No module named 'nonesuch'"),
        (
            "class Mine: pass",
            "my_strategy:Yours",
            "AttributeError: module 'my_strategy' has no attribute 'Yours'",
        ),
        ("import sys; sys.exit(1)", "my_strategy:Mine", "SystemExit: 1"),
        ("class Mine(:", "my_strategy:Mine", r"SyntaxError: .*my_strategy.py, line 1"),
    ],
)
def test_what_cannot_be_loaded_is_a_plugin_error_that_names_it(folder, source, use, message):
    """Also sys.exit in a module does not end the run without a word."""
    place = folder("a", my_strategy=source)

    with pytest.raises(
        PluginError, match=f'^strategy "{use}" cannot be loaded from {use} .looked in {place}.: {message}'
    ):
        load(use, place)


def test_a_class_or_an_instance_is_its_own_component():
    """In Python nothing needs a name."""
    one = Fraction(1, 2)
    registry = ComponentRegistry()

    assert Fraction is registry.resolve("strategy", Fraction).load()
    assert one is registry.resolve("strategy", one).load()
    assert "fractions:Fraction" == registry.resolve("strategy", one).path


@pytest.mark.parametrize(
    ("kind", "name", "distribution"),
    [
        ("fill", "next-open", "ml4t-backtest-fill-standard"),
        ("commission", "per-share", "ml4t-backtest-commission-standard"),
        ("slippage", "bps", "ml4t-backtest-slippage-standard"),
        ("impact", "square-root", "ml4t-backtest-impact-standard"),
        ("risk", "max-position", "ml4t-backtest-risk-standard"),
        ("broker", "paper", "ml4t-backtest-broker-simulation"),
        ("feed", "parquet", "ml4t-backtest-feed-parquet"),
    ],
)
def test_an_unknown_component_names_the_distribution_to_install(kind, name, distribution):
    """First by the table of first-party names, then by the naming convention."""
    with pytest.raises(UnknownComponent, match=f"pip install {distribution}$"):
        ComponentRegistry().resolve(kind, name)


def test_iteration_is_sorted_by_kind_and_name():
    """Listings do not depend on the order of installation."""
    registry = ComponentRegistry()
    for kind, name in (("feed", "b"), ("broker", "c"), ("feed", "a")):
        registry.add(ComponentRef(kind, name, "m:C", base_dir=Path()))

    assert [("broker", "c"), ("feed", "a"), ("feed", "b")] == [(each.kind, each.name) for each in registry]
