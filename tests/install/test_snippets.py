"""What the documents show works as written, in the environment that runs this file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets(text: str) -> list[str]:
    """Return the Python blocks of a Markdown text, in order."""
    return FENCE.findall(text)


def documents() -> list[Path]:
    """Return the Markdown files that hold Python blocks."""
    patterns = ("README.md", "docs/**/*.md", "kernel/README.md", "plugins/*/README.md", "contrib/*/README.md")
    paths = sorted(path for pattern in patterns for path in REPOSITORY.glob(pattern))
    return [path for path in paths if snippets(path.read_text())]


def run(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a source in a process of its own, in a folder that is not the repository."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = folder / "snippet.py"
    script.write_text(source)
    return subprocess.run(
        [sys.executable, "-I", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_python_blocks_of_a_document_run(document, tmp_path):
    """The blocks of one document run as one script, from the first to the last."""
    done = run("\n".join(snippets(document.read_text())), tmp_path)
    assert 0 == done.returncode, done.stderr


def test_a_custom_event_is_a_plain_dataclass(tmp_path):
    """A subclass of Event needs a field and its type, nothing else."""
    done = run(
        "from dataclasses import dataclass\n"
        "from typing import Any\n"
        "from ml4t.backtest import Event, EventType\n"
        "@dataclass\n"
        "class CustomEvent(Event):\n"
        "    custom_field: Any\n"
        "\n"
        "    def __post_init__(self):\n"
        "        self.event_type = EventType.CUSTOM\n"
        "event = CustomEvent(1, 'x')\n"
        "assert (1, 'x', EventType.CUSTOM) == (event.timestamp, event.custom_field, event.event_type)\n",
        tmp_path,
    )
    assert 0 == done.returncode, done.stderr


def test_calling_the_module_makes_an_engine(tmp_path):
    """``ml4t.backtest`` is a module and a function."""
    source = "import ml4t.backtest\nassert type(ml4t.backtest(seed=42)) is ml4t.backtest.Engine\n"
    done = run(source, tmp_path)
    assert 0 == done.returncode, done.stderr


def test_blocks_are_found_in_order():
    """Only Python blocks count; shell and output do not."""
    text = "```python\na = 1\n```\ntext\n```bash\nls\n```\n```python\nb = a\n```\n"
    assert ["a = 1\n", "b = a\n"] == snippets(text)


def test_a_block_that_fails_is_noticed(tmp_path):
    """The check must be able to fail."""
    assert 0 != run("raise SystemExit(3)", tmp_path).returncode
