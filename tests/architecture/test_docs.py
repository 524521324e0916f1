"""The reference says what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest

from ml4t.backtest import errors
from ml4t.backtest.state import REASONS
from ml4t_backtest_engine_standard.assembly import runfile

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture
def tables(repository: Path):
    """The module that writes the reference."""
    spec = importlib.util.spec_from_file_location("tables", repository / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_cells(text: str, heading: str) -> list[str]:
    """Return what the first column of the table under a heading has in backticks."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_tables_are_those_of_the_code(tables):
    """``docs/tables.py`` has been run since a configuration or a rule of the testkit changed."""
    stale = [path.name for path, text in tables.pages().items() if path.read_text(encoding="utf-8") != text]
    assert [] == stale, "run: uv run python docs/tables.py"


def test_a_change_of_the_tables_is_noticed(tables):
    """Only what is between the markers is replaced."""
    page = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    assert f"before\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nafter\n" == tables.with_tables(page, "new\n")


def test_every_key_of_a_run_file_is_listed(repository):
    """The table of keys and the sentence about reserved ones name all keys, and no others."""
    page = (repository / "docs" / "reference" / "run-file.md").read_text(encoding="utf-8")
    reserved = re.search(r"^(`benchmark`.*) are reserved", page, re.MULTILINE)
    listed = first_cells(page, "Top level") + re.findall(r"`(\w+)`", reserved[1])
    assert sorted(runfile._TYPE_OF) == sorted(listed)


def test_the_tree_of_errors_is_that_of_the_code(repository):
    """The page draws the tree that the module draws."""
    page = (repository / "docs" / "reference" / "errors-and-exit-codes.md").read_text(encoding="utf-8")
    drawn = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1]
    tree = [line.strip() for line in errors.__doc__.splitlines() if re.search(r"[├└]|^ +BacktestError$", line)]
    assert tree == [line.strip() for line in drawn.splitlines()]
    assert sorted(errors.__all__) == sorted(re.findall(r"\w+(?:Error|Interrupted|Component)\b", drawn))


def test_every_reason_of_an_order_is_listed(repository):
    """Reasons are listed in the order in which the tables number them."""
    page = (repository / "docs" / "reference" / "errors-and-exit-codes.md").read_text(encoding="utf-8")
    assert list(REASONS[1:]) == first_cells(page, "Reasons of orders")


def test_links_between_pages_lead_somewhere(repository):
    """A relative link in a page names a file or folder that is there."""
    pages = [*repository.glob("docs/**/*.md"), *repository.glob("*/*/README.md"), repository / "README.md"]
    broken = [
        f"{page.relative_to(repository)}: {link}"
        for page in pages
        if not {".venv", "node_modules"} & set(page.parts)
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert [] == broken


def test_every_page_is_linked_from_the_first_one(repository):
    """Nobody has to guess what there is."""
    docs = repository / "docs"
    linked = {(docs / link).resolve() for link in LINK.findall((docs / "README.md").read_text(encoding="utf-8"))}
    assert [] == sorted(page.name for page in {*docs.rglob("*.md")} - {docs / "README.md", *linked})
