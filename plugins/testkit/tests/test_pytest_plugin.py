"""The testkit as pytest sees it."""

import subprocess
import sys

import pytest

SUBCLASS = """
import pytest
from ml4t.backtest.interfaces import Reporter
from ml4t_backtest_testkit import ReporterConformance, benchmark


class Litters(Reporter):
    def finished(self, result, out):
        open("here.txt", "w").close()


class TestLitters(ReporterConformance):
    test_it_changes_nothing = None

    @pytest.fixture
    def make_reporter(self):
        return Litters


class TestForgetful(ReporterConformance):
    pass


@benchmark
def test_nothing():
    pass
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What pytest prints for a plugin that breaks rules."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "test_author.py").write_text(SUBCLASS)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_author.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert 1 == done.returncode
    return done.stdout


def test_inherited_rules_are_collected(output):
    """Rules are tests of the subclass, under its name."""
    assert "PASSED test_author.py::TestLitters::test_it_is_a_reporter" in output
    assert "FAILED test_author.py::TestLitters::test_it_writes_under_its_folder_only" in output


def test_failed_rules_are_explained(output):
    """Asserts in the testkit are rewritten, so that the values are shown."""
    assert "here.txt" in output
    assert "Left contains one more item" in output or "Right contains one more item" in output


def test_a_removed_rule_fails(output):
    """The rule that is gone is named."""
    assert "test_it_changes_nothing was removed without xfail(reason=" in output


def test_a_missing_fixture_is_explained(output):
    """The error says what to override."""
    assert "override the fixture make_reporter" in output


def test_benchmarks_are_listed(output):
    """The figures of benchmarks are shown at the end."""
    assert "test_nothing: 0.000 s" in output.partition("benchmarks")[2]
