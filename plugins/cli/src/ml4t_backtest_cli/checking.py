"""The command ``check``: all that is wrong with the data of a run file."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml4t.backtest.errors import InputError

__all__ = ["add_commands"]


def add_commands(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``check``."""
    check = subcommands.add_parser("check", help="say all that is wrong with the data of a run file")
    check.add_argument("run_file", metavar="RUN.toml", type=Path, help="the run file")
    check.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")
    check.add_argument("--out", metavar="FILE", type=Path, help="write there instead of to the screen")
    check.add_argument("--strict", action="store_true", help="leave with 2 where there are warnings, too")
    check.add_argument("--disable", metavar="NAME", action="append", default=[], help="plugin to leave alone")
    check.add_argument("--only", metavar="NAME", action="append", help="use no plugins but these")
    check.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="change a setting, as in gate.zero-volume=ignore",
    )
    check.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    check.set_defaults(function=check_data)


def check_data(arguments: argparse.Namespace) -> int:
    """Print the findings; return 2 where there are errors, with ``--strict`` warnings too, else 0."""
    from ml4t.backtest import Engine

    path, choice = arguments.run_file, {"disable": arguments.disable, "only": arguments.only}
    engine = Engine.from_file(path, arguments.overrides, **choice, open=False)
    findings = engine.check().to_dicts()
    counts = Counter(finding["severity"] for finding in findings)
    if arguments.format == "json":
        text = _document(path, findings, counts)
    else:
        text = "\n".join([*_lines(findings), _summary(counts, path)]) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"--out {arguments.out}: cannot be written: {error.strerror}; name another file") from None
    return 2 if counts["error"] or (arguments.strict and counts["warning"]) else 0


def _document(path: Path, findings: Iterable[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    import json

    numbers = {f"{severity}s": counts[severity] for severity in ("error", "warning", "note")}
    document = {"schema": 1, "run_file": str(path), "counts": numbers, "findings": list(findings)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _lines(findings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield findings as blocks, those of one source together."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        grouped.setdefault(finding["source"], []).append(finding)
    for source, found in grouped.items():
        files = [finding["file"] for finding in found if finding["file"] not in (source, f"<{source}>")]
        yield _plain(f"{source}: {files[0]}" if files else source)
        yield from (_plain(line) for finding in found for line in _block(finding))


def _block(finding: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one finding."""
    times = f" ({finding['count']:,})" if finding["count"] > 1 else ""
    yield f"  {finding['severity']:<7}  {finding['rule']}{times}: {finding['what']}"
    if finding["rows"]:
        more = "; and more" if finding["count"] > len(finding["rows"]) else ""
        yield f"           in {'; '.join(finding['rows'])}{more}"
    if finding["remedy"]:
        yield f"           {finding['remedy']}"


def _plain(text: str) -> str:
    """Return a text that commands no terminal, its further lines indented."""
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in text.split("\n"))
    return "\n           ".join(lines)


def _summary(counts: Mapping[str, int], path: Path) -> str:
    if not counts:
        return f"{path}: nothing was found"
    numbered = [f"{counts[each]} {each}{'s' * (counts[each] != 1)}" for each in ("error", "warning", "note")]
    return f"{path}: {', '.join(numbered)}"
