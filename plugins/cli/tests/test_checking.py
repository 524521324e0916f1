"""``ml4t-backtest check``: all that is wrong with data, and exit codes that scripts can use."""

import json
from datetime import date

import polars as pl
import pytest

from ml4t_backtest_cli.main import main

RUN = """schema = 1
[[feed]]
use = "parquet"
path = "prices.parquet"
prices = "raw"
"""


@pytest.fixture
def run_file(tmp_path):
    """Write a run file over rows of two days with what is given, and return its path."""

    def write(text="", **columns):
        bars = {"symbol": ["A", "A"], "timestamp": [date(2024, 1, 2), date(2024, 1, 3)], "close": [10.0, 11.0]}
        pl.DataFrame({**bars, **columns}).write_parquet(tmp_path / "prices.parquet")
        path = tmp_path / "run.toml"
        path.write_text(RUN + text)
        return path

    return write


def test_clean_data_leave_with_zero(run_file, capsys):
    """Nothing found is said, too."""
    assert 0 == main(["check", str(run_file())])
    assert capsys.readouterr().out.endswith("run.toml: nothing was found\n")


def test_all_faults_are_listed_and_the_code_is_two(run_file, capsys):
    """A run would stop at the first report; check goes on."""
    path = run_file(close=[-1.0, float("inf")], open=[1.0, None])
    assert 2 == main(["check", str(path)])
    out = capsys.readouterr().out
    assert all(rule in out for rule in ("nonpositive-price", "infinite-value", "missing-value"))
    assert out.endswith("run.toml: 2 errors, 0 warnings, 1 note\n")
    assert "prices.parquet row 0 (A, 2024-01-02)" in out


def test_warnings_matter_to_strict_only(run_file):
    """In a pipeline one decides how clean data must be."""
    path = run_file(high=[11.0, 12.0], low=[10.5, 10.0])
    assert (0, 2) == (main(["check", str(path)]), main(["check", "--strict", str(path)]))


def test_the_run_file_says_how_severe_a_rule_is(run_file, capsys):
    """The same finding is an error for one and nothing for another."""
    path = run_file('[gate]\nmissing-value = "error"\n', close=[1.0, None])
    assert 2 == main(["check", str(path)])
    assert 0 == main(["check", str(path), "--set", "gate.missing-value=ignore"])
    assert capsys.readouterr().out.endswith("nothing was found\n")


def test_an_unknown_rule_is_refused_with_what_is_near(run_file, capsys):
    """A typing error must not switch anything off."""
    assert 2 == main(["check", str(run_file('[gate]\nmissing-values = "ignore"\n'))])
    assert "gate.missing-values is no rule; did you mean missing-value" in capsys.readouterr().err


def test_a_rule_that_no_run_can_break_stays_an_error(run_file, capsys):
    """Infinite prices cannot be used whatever a setting says."""
    assert 2 == main(["check", str(run_file('[gate]\ninfinite-value = "note"\n'))])
    assert "gate.infinite-value cannot be 'note'" in capsys.readouterr().err


def test_json_is_one_document_with_counts(run_file, tmp_path):
    """What programs read has a schema number."""
    out = tmp_path / "findings.json"
    assert 2 == main(["check", str(run_file(close=[0.0, 1.0])), "--format", "json", "--out", str(out)])
    document = json.loads(out.read_text())
    assert ["schema", "run_file", "counts", "findings"] == list(document)
    assert {"errors": 1, "warnings": 0, "notes": 0} == document["counts"]
    found = document["findings"][0]
    assert ("nonpositive-price", "A", 1) == (found["rule"], found["symbol"], found["count"])


def test_an_input_that_cannot_be_opened_is_a_finding(run_file, tmp_path, capsys):
    """A missing file of one source does not hide what is wrong with another."""
    path = run_file('[[signal]]\nuse = "parquet"\npath = "signals.parquet"\n', close=[0.0, 1.0])
    assert 2 == main(["check", str(path)])
    out = capsys.readouterr().out
    assert "nonpositive-price" in out
    assert "unreadable" in out


def test_names_in_data_command_no_terminal(run_file, capsys):
    """A symbol is text from a file: what is no letter is shown by its number."""
    assert 2 == main(["check", str(run_file(symbol=["A\x1b[31m", "A\x1b[31m"], close=[0.0, 1.0]))])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "A\\x1b[31m" in out


def test_findings_of_one_source_stand_together(run_file, tmp_path, capsys):
    """The worst first in each."""
    text = '[[signal]]\nuse = "parquet"\npath = "prices.parquet"\nvalues = ["close"]\nlatency = "0s"\n'
    main(["check", str(run_file(text, close=[None, float("inf")], low=[1.0, None]))])
    out = capsys.readouterr().out
    headings = [line for line in out.splitlines() if not line.startswith(" ")][:-1]
    assert 2 == len(headings) == len({*headings})


def test_a_file_that_cannot_be_written_is_bad_input(run_file, tmp_path, capsys):
    """One line, and no traceback."""
    out = tmp_path / "nowhere" / "findings.json"
    assert 2 == main(["check", str(run_file()), "--out", str(out)])
    assert f"error: --out {out}: cannot be written: No such file or directory" in capsys.readouterr().err
