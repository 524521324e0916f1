"""Small faults for a source: each changes one operator, constant or statement of a compiled function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compiled_functions import Source

__all__ = ["Mutant", "mutants_of"]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_NEGATIONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

Change = Callable[[ast.AST], None]


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        source: The module.
        line: Where.
        last: The last line of the changed piece of code.
        was: The code before.
        now: The code after.
        place: Number of the changed node in the order of ``ast.walk``.
        change: Changes the node in place.
    """

    source: Source
    line: int
    last: int
    was: str
    now: str
    place: int
    change: Change

    def tree(self) -> ast.Module:
        """Return the module with the fault in it."""
        tree = ast.parse(self.source.path.read_text(encoding="utf-8"))
        self.change(_node(tree, self.place))
        return ast.fix_missing_locations(tree)


def mutants_of(source: Source) -> Iterator[Mutant]:
    """Yield every fault for the compiled functions of a module, in the order of their lines."""
    text = source.path.read_text(encoding="utf-8")
    found = []
    silent = _silent(ast.parse(text))
    for place, node in enumerate(ast.walk(ast.parse(text))):
        line = getattr(node, "lineno", 0)
        if place in silent or not source.holds(line):
            continue
        for change in _changes(node):
            tree = ast.parse(text)
            target = _node(tree, place)
            was = ast.unparse(target)
            change(target)
            last = getattr(node, "end_lineno", None) or line
            found.append(Mutant(source, line, last, _first_line(was), _first_line(ast.unparse(target)), place, change))
    yield from sorted(found, key=lambda mutant: mutant.line)


def _node(tree: ast.Module, place: int) -> ast.AST:
    return next(node for number, node in enumerate(ast.walk(tree)) if number == place)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "nothing"


def _silent(tree: ast.Module) -> set[int]:
    """Return the numbers of nodes that only annotate."""
    annotations: set[int] = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if part is not None:
                annotations.update(id(each) for each in ast.walk(part))
    return {place for place, node in enumerate(ast.walk(tree)) if id(node) in annotations}


def _changes(node: ast.AST) -> Iterator[Change]:
    """Yield what may be changed at a node; not the names of fields: another one is found by every test."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table in (_COMPARISONS, _NEGATIONS):
            if type(node.ops[0]) in table:
                yield _comparison(table[type(node.ops[0])])
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        if type(node.op) in _ARITHMETIC:
            yield _operator(_ARITHMETIC[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        yield _connective(ast.Or if isinstance(node.op, ast.And) else ast.And)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield _without_sign
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield _constant(not node.value)
        elif isinstance(node.value, int | float):
            yield _constant(node.value + 1)
    elif isinstance(node, ast.Break):
        yield _to(ast.Continue)
    elif isinstance(node, ast.Continue):
        yield _to(ast.Break)
    if _may_be_left_out(node):
        yield _nothing


def _may_be_left_out(node: ast.AST) -> bool:
    """Say whether a statement writes to a table, counts, or calls something."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript)
    return isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))


def _comparison(kind: type[ast.cmpop]) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Compare)
        node.ops[0] = kind()

    return change


def _operator(kind: type[ast.operator]) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.BinOp | ast.AugAssign)
        node.op = kind()

    return change


def _connective(kind: type[ast.boolop]) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.BoolOp)
        node.op = kind()

    return change


def _constant(value: bool | float) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Constant)
        node.value = value

    return change


def _without_sign(node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    if isinstance(node.op, ast.Not):  # twice not, as the operand alone may be no bool
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    else:
        node.op = ast.UAdd()


def _to(kind: type[ast.stmt]) -> Change:
    def change(node: ast.AST) -> None:
        node.__class__ = kind

    return change


def _nothing(node: ast.AST) -> None:
    for field in node._fields:
        delattr(node, field)
    node.__class__ = ast.Pass
