"""What the measures of compiled code count, and what faults they try."""

import ast

import pytest
from compiled_functions import compiled_sources
from cover_core import stretches
from mutants import mutants_of

CODE = '''
import numba


def fast(function):
    return numba.njit(error_model="numpy")(function)


@fast
def clipped(value: float, most: float) -> float:
    """Return at most ``most``."""
    if value > most and not most < 0.0:
        return most
    value += 1.0
    return value


def around(value: float) -> float:
    return value + 1.0
'''


@pytest.fixture
def source(tmp_path):
    """A distribution with one module, which has one compiled function."""
    path = tmp_path / "src" / "package" / "clip.py"
    path.parent.mkdir(parents=True)
    path.write_text(CODE, encoding="utf-8")
    (source,) = compiled_sources(tmp_path)
    return source


def test_only_compiled_functions_are_measured(source):
    """Neither the decorator itself nor the Python around them."""
    text = CODE.splitlines()
    inside = [line for number, line in enumerate(text, 1) if source.holds(number)]

    assert "package.clip" == source.module
    assert ['    """Return at most ``most``."""', "    return value"] == [inside[0], inside[-1]]


def test_faults_change_comparisons_operators_constants_and_statements(source):
    """One thing at a time, never a text or an annotation."""
    expected = {
        ("value > most and (not most < 0.0)", "value > most or not most < 0.0"),
        ("value > most", "value >= most"),
        ("value > most", "value <= most"),
        ("not most < 0.0", "not not most < 0.0"),
        ("most < 0.0", "most <= 0.0"),
        ("most < 0.0", "most >= 0.0"),
        ("0.0", "1.0"),
        ("value += 1.0", "value -= 1.0"),
        ("value += 1.0", "pass"),
        ("1.0", "2.0"),
    }
    assert expected == {(mutant.was, mutant.now) for mutant in mutants_of(source)}


def test_each_fault_gives_a_module_that_runs_and_differs(source):
    """All else stays as it was, line numbers too."""
    original = ast.dump(ast.parse(CODE))
    for mutant in mutants_of(source):
        tree = mutant.tree()
        compile(tree, str(source.path), "exec")
        assert original != ast.dump(tree)
        assert [node.lineno for node in ast.parse(CODE).body] == [node.lineno for node in tree.body]


def test_missing_lines_are_told_as_stretches():
    """Blank lines do not end one, lines that ran do."""
    assert [(2, 5), (8, 8)] == stretches([8, 2, 3, 5], [1, 7, 9])


def test_what_only_compiled_code_comes_to_is_left_out(tmp_path):
    """Calls back to models, and what follows where one has raised."""
    path = tmp_path / "src" / "package" / "ask.py"
    path.parent.mkdir(parents=True)
    head, _, _ = CODE.partition("@fast")
    body = ["@fast", "def ask(setup):", "    if setup[STOP] != 0:", "        return 0.0", "    return 1.0"]
    path.write_text("\n".join([head, *body]), encoding="utf-8")
    (source,) = compiled_sources(tmp_path)

    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for number, line in enumerate(lines, 1) if source.holds(number)]
    assert ["    if setup[STOP] != 0:", "    return 1.0"] == kept
