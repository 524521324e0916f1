"""Write what the code says into the reference: ``uv run python docs/tables.py``."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

import ml4t_backtest_testkit as kit
from ml4t.backtest.hookspecs import KIND_OF_HOOK
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_cli.settings import describe_config
from ml4t_backtest_engine_standard.assembly.continuous import Continuous
from ml4t_backtest_engine_standard.assembly.instruments import Instrument
from ml4t_backtest_portfolio_standard.account import Account

REFERENCE = Path(__file__).with_name("reference")
_NOT_IN_RUN_FILES = ("scenario", "engine", "gate")
_ELSEWHERE = "accounts"  # of a portfolio; run files have tables of their own for it
_HEADING = 3  # lines of a table without rows
BEGIN, END = "<!-- made by docs/tables.py: begin -->", "<!-- end -->"


def component_tables(host: PluginHost | None = None) -> str:
    """Return a section per kind, and in it a table per first-party component, as its Config describes itself."""
    components = [ref for ref in (host or PluginHost()).components if ref.distribution.startswith("ml4t-backtest-")]
    lines = ["### instruments", "", *_table(Instrument), "### account", "", "Of the standard portfolio.", ""]
    lines += [*_table(Account), "### continuous", "", *_table(Continuous)]
    for kind in KIND_OF_HOOK.values():
        offered = [ref for ref in components if ref.kind == kind and kind not in _NOT_IN_RUN_FILES]
        if offered:
            lines += [f"### {kind}", ""]
        for ref in offered:
            config = getattr(ref.load(), "Config", None)
            rows = _table(config) if config is not None else []
            rows = rows if len(rows) > _HEADING else ["No keys.", ""]
            lines += [f'**`use = "{ref.name}"`** of {ref.distribution}', "", *rows]
    return "\n".join(lines).rstrip() + "\n"


def rule_tables() -> str:
    """Return a section per conformance class: its fixture, and number and text of each rule."""
    lines = []
    for name in kit.__all__:
        cls = getattr(kit, name)
        if not (isinstance(cls, type) and issubclass(cls, kit.Conformance)):
            continue
        rules = {
            test: inspect.getdoc(rule) or ""
            for base in reversed(cls.__mro__)
            for test, rule in vars(base).items()
            if test.startswith("test_") and (base is kit.Conformance) == (cls is kit.Conformance)
        }
        heading = (inspect.getdoc(cls) or "").splitlines()[0]
        lines += [f"### {name}", "", heading, ""]
        lines += [f"- {' '.join(text.split())}" for text in sorted(rules.values())]
        lines.append("")
    return _code("\n".join(lines).rstrip() + "\n")


def pages() -> dict[Path, str]:
    """Return the pages as they should be, by path."""
    made = {"run-file.md": component_tables, "testkit.md": rule_tables}
    return {
        REFERENCE / name: with_tables((REFERENCE / name).read_text(encoding="utf-8"), make())
        for name, make in made.items()
    }


def with_tables(page: str, tables: str) -> str:
    """Return the page with what is between its markers replaced."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables}\n{END}{rest.partition(END)[2]}"


def _table(config: type) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for row in describe_config(config):
        if row.key == _ELSEWHERE:
            continue
        default = "required" if row.default == "required" else _toml(ast.literal_eval(row.default))
        meaning = _code(row.doc).replace("|", "\\|")
        lines.append(f"| `{row.key}` | {row.type} | {default} | {meaning} |")
    return [*lines, ""]


def _toml(value: object) -> str:
    if value is None:
        return "none"
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{json.dumps(plain)}`"


def _code(text: str) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", text)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
