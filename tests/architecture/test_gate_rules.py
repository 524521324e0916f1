"""The rules of the gate are those of its page."""

import re

from ml4t_backtest_gate_standard.findings.rules import RULES


def test_every_rule_is_listed_with_its_severity_and_meaning(repository):
    """Run files name rules: a rule that is not on the page does not exist, and the page promises no other."""
    page = (repository / "docs" / "reference" / "data.md").read_text(encoding="utf-8")
    section = page.split("\n## The gate\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \| (\w+)(, fixed)? \| (.+) \|$", section, re.MULTILINE)
    expected = [(name, rule.severity, ", fixed" * rule.fixed, rule.meaning) for name, rule in RULES.items()]
    assert expected == listed
