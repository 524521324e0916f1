"""The dialect of compiled functions: what gives the same bits compiled and interpreted, and nothing else.

A function is compiled when it is decorated by ``compiled`` or by Numba's ``njit``, or handed to it. The rules:
``error_model="numpy"``, no ``fastmath``, no ``parallel``; sums are loops in the order of ids; no ``round``
to digits, no ``math``; nothing truncated to an integer without a look whether it is finite.
"""

import ast

import pytest

MOST_LINES = 1_850
REDUCTIONS = {"sum", "nansum", "mean", "nanmean", "std", "var", "dot", "matmul", "prod", "cumsum", "cumprod", "average"}
COMPILERS = {"njit", "jit", "cfunc", "vectorize", "guvectorize"}


def name_of(node):
    """Return the last part of a dotted name or of what is called."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def compiled_functions(tree):
    """Yield the functions that are decorated to be compiled."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            name_of(each) in {*COMPILERS, "compiled"} for each in node.decorator_list
        ):
            yield node


def options_violations(tree):
    """Yield what is wrong with the options of a compiler's call."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or name_of(node) not in COMPILERS:
            continue
        options = {each.arg: each.value for each in node.keywords}
        model = options.get("error_model")
        if not (isinstance(model, ast.Constant) and model.value == "numpy"):
            yield node.lineno, f'{name_of(node)} without error_model="numpy"'
        for option in ("fastmath", "parallel"):
            value = options.get(option)
            if value is not None and not (isinstance(value, ast.Constant) and value.value is False):
                yield node.lineno, f"{option} changes results"


def bare_decorators(tree):
    """Yield decorators that compile without any options."""
    for node in ast.walk(tree):
        for each in getattr(node, "decorator_list", ()):
            if not isinstance(each, ast.Call) and name_of(each) in COMPILERS:
                yield each.lineno, f'{name_of(each)} without error_model="numpy"'


def guarded(function, name):
    """Say whether a function asks whether a value is finite."""
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(name_of(call) == "isfinite" and name in ast.unparse(call) for call in calls)


def body_violations(function):
    """Yield what is wrong inside a compiled function."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "math":
            yield node.lineno, f"math.{node.attr}: use np.{node.attr}"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield node.lineno, "@ sums in an order of its own: write the loop"
        elif isinstance(node, ast.Call):
            yield from call_violations(function, node)


def call_violations(function, call):
    """Yield what is wrong with one call of a compiled function."""
    name = name_of(call)
    method = isinstance(call.func, ast.Attribute)
    if (method and name in REDUCTIONS) or (not method and name == "sum"):
        yield call.lineno, f"{name}() sums in an order of its own: write the loop"
    elif not method and name == "round" and len(call.args) > 1:
        yield call.lineno, "round(x, n) differs: round to a step"
    elif not method and name == "int" and call.args:
        inner = call.args[0]
        whole = isinstance(inner, ast.Subscript)  # of an integer column or counter
        if not whole and not guarded(function, ast.unparse(inner)):
            yield call.lineno, "int() of what may not be finite: ask np.isfinite first"


def violations(source, where):
    """Return each breach of the dialect in a module."""
    tree = ast.parse(source)
    found = [*options_violations(tree), *bare_decorators(tree)]
    for function in compiled_functions(tree):
        found += body_violations(function)
    return [f"{where}:{line} {what}" for line, what in sorted(found)]


def compiled_lines(source):
    """Return how many lines of code a module hands to the compiler, docstrings aside."""
    lines = 0
    for function in compiled_functions(ast.parse(source)):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        taken = {line for each in body for line in range(each.lineno, each.end_lineno + 1)}
        text = source.splitlines()
        lines += sum(1 for line in taken if text[line - 1].strip() and not text[line - 1].strip().startswith("#")) + 1
    return lines


def sources(repository, distributions):
    """Yield path and text of every module that mentions Numba."""
    roots = [repository / "kernel" / "src", *(folder / "src" for folder in distributions)]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            text = path.read_text()
            if "numba" in text or "compiled" in text:
                yield path, text


def test_compiled_functions_keep_to_the_dialect(repository, distributions):
    """Compiled and interpreted runs give the same bits."""
    found = [
        each
        for path, text in sources(repository, distributions)
        for each in violations(text, path.relative_to(repository))
    ]

    assert [] == found


def test_the_compiled_source_is_small(repository, distributions):
    """So that the first compilation stays under ten seconds on two cores."""
    assert MOST_LINES >= sum(compiled_lines(text) for _, text in sources(repository, distributions))


def test_the_core_is_among_what_is_checked(repository, distributions):
    """The check looks where the compiled functions are."""
    files = {path.name for path, text in sources(repository, distributions) if compiled_lines(text)}

    assert {"core.py", "match.py", "submit.py", "accounting.py", "lots.py", "models.py"} <= files


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("total = np.sum(x)", "sum() sums in an order of its own"),
        ("total = x.mean()", "mean() sums in an order of its own"),
        ("total = sum(x)", "sum() sums in an order of its own"),
        ("total = np.dot(x, x)", "dot() sums in an order of its own"),
        ("total = x @ x", "@ sums in an order of its own"),
        ("total = round(x[0], 2)", "round(x, n) differs"),
        ("total = math.floor(x[0])", "math.floor: use np.floor"),
        ("total = int(x[0] / 2)", "int() of what may not be finite"),
    ],
)
@pytest.mark.parametrize("decorator", ["compiled", 'njit(error_model="numpy")', 'numba.njit(error_model="numpy")'])
def test_each_rule_of_the_body_can_fail(decorator, line, message):
    """A planted breach is found."""
    source = f"@{decorator}\ndef f(x):\n    {line}\n    return total\n"

    assert [message] == [each.partition(" ")[2][: len(message)] for each in violations(source, "planted")]


@pytest.mark.parametrize(
    ("decorator", "message"),
    [
        ("njit", 'njit without error_model="numpy"'),
        ("njit()", 'njit without error_model="numpy"'),
        ('numba.njit(error_model="python")', 'njit without error_model="numpy"'),
        ('njit(error_model="numpy", fastmath=True)', "fastmath changes results"),
        ('njit(error_model="numpy", fastmath={"nnan"})', "fastmath changes results"),
        ('njit(error_model="numpy", parallel=True)', "parallel changes results"),
    ],
)
def test_each_rule_of_the_options_can_fail(decorator, message):
    """A planted breach is found."""
    assert [f"planted:1 {message}"] == violations(f"@{decorator}\ndef f(x):\n    return x\n", "planted")


def test_what_is_not_compiled_is_free():
    """Reports and metrics may use all of NumPy."""
    assert [] == violations("def f(x):\n    return np.sum(x), round(x[0], 2), int(x[0] / 2)\n", "planted")


def test_lines_are_counted_without_docstrings_and_comments():
    """Two lines: the def and the return."""
    source = '@compiled\ndef f(x):\n    """Say."""\n\n    # why\n    return x\n\n\ndef g(x):\n    return x\n'

    assert 2 == compiled_lines(source)
