"""The files of docs/how-to/write-a-plugin.md make a plugin that passes its own tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-plugin.md"
FILE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
METADATA = "Metadata-Version: 2.1\nName: ml4t-backtest-reporter-line\nVersion: 0.1.0\n"


def test_the_plugin_of_the_guide_passes_its_tests(tmp_path):
    """What the page shows is whole: the files as written, installed, keep the rules of the testkit."""
    files = dict(FILE.findall(PAGE.read_text(encoding="utf-8")))
    project = files["pyproject.toml"]
    package = tmp_path / "src" / "ml4t_backtest_reporter_line"
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in ("__init__.py", "py.typed"):
        (package / name).touch()
    # What an installer writes, so that the test needs no network for a build.
    metadata = tmp_path / "src" / "ml4t_backtest_reporter_line-0.1.0.dist-info"
    metadata.mkdir()
    requirement = re.search(r'^dependencies = \["(.*)"\]', project, re.MULTILINE)[1]
    (metadata / "METADATA").write_text(f"{METADATA}Requires-Dist: {requirement}\n")
    entry = re.search(r'^(reporter-line) = "(.*)"', project, re.MULTILINE)
    (metadata / "entry_points.txt").write_text(f"[ml4t.backtest]\n{entry[1]} = {entry[2]}\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "ML4T_BACKTEST_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert " passed" in done.stdout
