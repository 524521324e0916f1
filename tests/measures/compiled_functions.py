"""Find the compiled functions of a distribution, those under a decorator of its own that calls numba, or all."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "compiled_sources"]

_FLAGS = {"STOP", "CALLBACK"}


@dataclass(frozen=True)
class Source:
    """A module with functions to measure.

    Attributes:
        module: Its dotted name.
        path: Its file.
        lines: First and last line of the body of each measured function, both inclusive.
        compiled_only: First and last line of what plain Python never comes to.
    """

    module: str
    path: Path
    lines: tuple[tuple[int, int], ...]
    compiled_only: tuple[tuple[int, int], ...] = ()

    def holds(self, line: int) -> bool:
        """Say whether a line belongs to a measured function, and plain Python may come to it."""
        return any(first <= line <= last for first, last in self.lines) and not self.skips(line)

    def skips(self, line: int) -> bool:
        """Say whether a line is for compiled code alone."""
        return any(first <= line <= last for first, last in self.compiled_only)


def compiled_sources(distribution: Path, modules: Sequence[str] = (), *, plain: bool = False) -> list[Source]:
    """Return the modules of a distribution that have compiled functions, in the order of their names.

    Args:
        distribution: Its folder, with ``src`` in it.
        modules: Names of the files, without ``.py``; all where there are none.
        plain: Take every function and method, compiled or not.

    Raises:
        SystemExit: A module is not in the distribution, or has no such function.
    """
    paths = sorted((distribution / "src").glob("*/**/*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    decorators = {name for tree in trees.values() for name in _decorators(tree)}
    sources = []
    for path, tree in trees.items():
        lines = tuple(_all_bodies(tree) if plain else _bodies(tree, decorators))
        if lines and (not modules or path.stem in modules):
            module = ".".join(path.relative_to(distribution / "src").with_suffix("").parts)
            sources.append(Source(module, path, lines, tuple(_compiled_only(tree))))
    if unknown := set(modules) - {source.path.stem for source in sources}:
        raise SystemExit(f"{', '.join(sorted(unknown))}: no module of {distribution} with functions to measure")
    return sources


def _compiled_only(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield what is done where a model is found by its address, called back, or has stopped the core by raising.

    Also the types that functions are compiled for.

    In plain Python models are called as they are, and what they raise ends the run there.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and {"ADDRESS", "keep"} & _names(node):
            yield node.body[0].lineno, node.end_lineno or node.lineno
        if isinstance(node, ast.If) and _asks_a_flag(node.test):
            yield node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno


def _asks_a_flag(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotEq) and bool(_names(test) & _FLAGS)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _decorators(tree: ast.Module) -> list[str]:
    """Return the module's functions that return what ``numba.njit`` makes of their argument."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [each.name for each in functions if any(_is_njit(node) for node in ast.walk(each))]


def _is_njit(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "njit"


def _bodies(tree: ast.Module, decorators: set[str]) -> list[tuple[int, int]]:
    bodies = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names = {each.id for each in node.decorator_list if isinstance(each, ast.Name)}
            if names & decorators:
                bodies.append((node.body[0].lineno, node.end_lineno or node.lineno))
    return bodies


def _all_bodies(tree: ast.Module) -> list[tuple[int, int]]:
    """Return the bodies of all functions and methods."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [(each.body[0].lineno, each.end_lineno or each.lineno) for each in functions]
