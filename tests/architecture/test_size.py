"""How large the kernel and each file may be."""

import ast
import io
import tokenize
from pathlib import Path

KERNEL_CODE_LINES = 2500
FILE_LINES = 400

SILENT_TOKENS = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def code_lines(source: str) -> int:
    """Count the lines of a Python source that are neither blank nor comment nor docstring."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT_TOKENS:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def oversized(paths: list[Path], limit: int = FILE_LINES) -> list[str]:
    """Return the files that have more lines than the limit, with their length."""
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > limit]


def kernel_lines(repository: Path) -> dict[str, int]:
    """Count the code lines of each file of the kernel."""
    sources = sorted((repository / "kernel" / "src").rglob("*.py"))
    return {str(path.relative_to(repository)): code_lines(path.read_text()) for path in sources}


def test_the_kernel_is_small(repository):
    """A kernel that can be read in one sitting; one that grows takes work from plugins."""
    counts = kernel_lines(repository)
    assert KERNEL_CODE_LINES >= sum(counts.values()), counts


def test_no_source_file_is_too_long(repository):
    """One idea per module; at 400 lines a module is split."""
    roots = (repository / name for name in ("kernel", "plugins", "contrib"))
    sources = sorted(path for root in roots for path in root.glob("**/src/**/*.py"))
    assert [] == oversized(sources)


def test_blank_lines_comments_and_docstrings_do_not_count():
    """What explains code costs nothing."""
    head = '"""Doc\nstring."""\n\n# why\nx = 1  # and why\n\n\n'
    source = head + 'def f():\n    """Doc."""\n    return """two\nlines"""\n'
    assert 4 == code_lines(source)


def test_a_continued_statement_counts_each_line():
    """Breaking a long line is not free, and neither is hiding code behind brackets."""
    assert 3 == code_lines("x = (\n    1\n)\n")


def test_a_file_over_the_limit_is_found(tmp_path):
    """The rule must be able to fail."""
    (tmp_path / "long.py").write_text("x = 1\n" * 401)
    (tmp_path / "short.py").write_text("x = 1\n" * 400)
    assert 1 == len(oversized(sorted(tmp_path.glob("*.py"))))
