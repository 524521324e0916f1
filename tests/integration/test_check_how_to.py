"""What the how-to on checking data shows is what the command prints."""

import re
from pathlib import Path

from ml4t_backtest_cli.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "check-data.md"


def block(kind: str) -> str:
    """Return the first block of a kind on the page."""
    found = re.search(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_page_shows_what_the_command_prints(tmp_path, monkeypatch, capsys):
    """The run file of the page, its output, and its exit code."""
    (tmp_path / "check.toml").write_text(block("toml"))
    monkeypatch.chdir(tmp_path)
    assert 2 == main(["check", "check.toml"])
    assert block("text") == capsys.readouterr().out
