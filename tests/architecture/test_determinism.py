"""What the kernel, the engine and the gate must not do, because it differs from run to run."""

import ast

import pytest

FORBIDDEN_CALLS = {
    "hash": "differs from process to process",
    "id": "differs from process to process",
    "time": "reads the wall clock",
    "time.time": "reads the wall clock",
    "time.time_ns": "reads the wall clock",
    "time_ns": "reads the wall clock",
    "datetime.now": "reads the wall clock",
    "datetime.datetime.now": "reads the wall clock",
    "datetime.utcnow": "reads the wall clock",
    "datetime.datetime.utcnow": "reads the wall clock",
    "datetime.today": "reads the wall clock",
    "date.today": "reads the wall clock",
    "datetime.date.today": "reads the wall clock",
}
RANDOM_MODULES = ("random.", "np.random.", "numpy.random.")
SEEDED = {"np.random.default_rng", "numpy.random.default_rng"}
# The one file whose purpose is the wall clock.
LIVE_CLOCK = "ml4t/backtest/core/live.py"


def is_set(node: ast.expr) -> bool:
    """Say whether an expression is plainly a set: a literal, a comprehension, set() or frozenset()."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"set", "frozenset"}


def call_violation(call: ast.Call) -> str | None:
    """Return why a call is not deterministic, or None."""
    name = ast.unparse(call.func)
    if name in FORBIDDEN_CALLS:
        return f"{name}() {FORBIDDEN_CALLS[name]}"
    if name.startswith(RANDOM_MODULES) and (name not in SEEDED or not call.args):
        return f"{name}() draws from an unseeded stream"
    if name in {"list", "tuple", "enumerate", "iter"} and any(map(is_set, call.args)):
        return f"{name}() takes over the order of a set"
    return None


def violations(source: str, where: str) -> list[str]:
    """Return each place of a source whose outcome may differ between two runs."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.For | ast.comprehension) and is_set(node.iter):
            found.append(f"{where}:{node.iter.lineno} iterates over a set")
        elif isinstance(node, ast.Call) and (reason := call_violation(node)):
            found.append(f"{where}:{node.lineno} {reason}")
    return found


@pytest.mark.parametrize("room", ["kernel", "plugins/engine-standard", "plugins/gate-standard"])
def test_what_runs_a_backtest_has_no_source_of_chance(repository, room):
    """The same run has the same hashes in every process, at every time."""
    root = repository / room / "src"
    found = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where != LIVE_CLOCK:
            found += violations(path.read_text(), where)
    assert [] == found


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: pass",
        "for x in set(y): pass",
        "[x for x in frozenset(y)]",
        "x = list({a for a in y})",
        "hash(x)",
        "{}[id(x)]",
        "import time\ntime.time()",
        "import time\ntime.time_ns()",
        "datetime.now(tz=UTC)",
        "datetime.date.today()",
        "random.random()",
        "np.random.normal()",
        "np.random.default_rng()",
    ],
)
def test_a_source_of_chance_is_found(source):
    """The rule must be able to fail."""
    assert 1 == len(violations(source, "planted.py"))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted(set(y)): pass",
        "x in {1, 2}",
        "np.random.default_rng([seed, 1])",
        "time.perf_counter()",
        "clock.now()",
        "hashlib.sha256(x)",
    ],
)
def test_what_is_the_same_in_every_run_passes(source):
    """The rule must be able to hold."""
    assert [] == violations(source, "planted.py")
