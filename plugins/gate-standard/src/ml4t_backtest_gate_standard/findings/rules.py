"""The rules by which data are judged, how severe a breach of each is, and how a run file changes that."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from ml4t.backtest.errors import RunFileError

__all__ = ["RULES", "Rule", "Severity", "read_severities"]

Severity: TypeAlias = Literal["error", "warning", "note", "ignore"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong with data.

    Attributes:
        severity: How severe it is where the run file does not say.
        meaning: What is wrong, as the reference has it.
        fixed: Whether no run can live with it, so that its severity cannot be changed.
    """

    severity: Severity
    meaning: str
    fixed: bool = False


def _fatal(meaning: str) -> Rule:
    return Rule("error", meaning, fixed=True)


RULES: Mapping[str, Rule] = {
    "unreadable": _fatal("the input cannot be opened or has no rows; of tables, whatever is wrong with their rows"),
    "missing-column": _fatal("the input has no column that the source needs"),
    "unclear-stamps": _fatal("the settings leave open when rows are known"),
    "naive-stamps": _fatal("stamps have no zone and name no sessions, and `timezone` is not stated"),
    "mixed-zones": _fatal("stamps of days are midnights in some rows and another hour in others"),
    "missing-key": _fatal("a row has no symbol (an empty text is none) or no stamp"),
    "not-a-number": _fatal("text stands where a number should"),
    "duplicate-rows": _fatal("a symbol and stamp are given twice (bars and signals)"),
    "unsorted-rows": _fatal("the stamps of a symbol go back, without `sort = true`"),
    "infinite-value": _fatal("a value is infinite"),
    "nonpositive-price": Rule("error", "a price is zero or below, without `allow_negative_prices = true`"),
    "negative-size": Rule("error", "a volume or size is below zero"),
    "high-below-low": Rule("error", "high is below low"),
    "negative-latency": Rule("error", "a row of a feed is known before it happened, a bar before its end"),
    "known-too-early": Rule("error", "a signal is known before its event_time, or before trained_through"),
    "crossed-quote": Rule("warning", "bid is above ask"),
    "close-outside-range": Rule("warning", "open or close lies outside low and high"),
    "missing-session": Rule("warning", "a symbol has no row in a session between its first and its last one"),
    "outside-session": Rule("warning", "rows lie outside the sessions of their days"),
    "holiday-rows": Rule("warning", "rows lie on days without a session"),
    "open-stamped": Rule("warning", "bars stated to be stamped at their close are stamped at their open"),
    "unadjusted-split": Rule("warning", "a price jumps by the ratio of a split, and no action explains it"),
    "stale-prices": Rule("warning", "the close of a symbol does not change for unusually long"),
    "unknown-symbols": Rule("warning", "symbols of signals are in no feed, or some of `symbols` have no row"),
    "signal-leak": Rule("warning", "a signal goes with the past rather than with what follows it, or far too well"),
    "missing-value": Rule("note", "a value is null or NaN"),
    "zero-volume": Rule("note", "the volume of a bar is zero"),
    "gaps": Rule("note", "bars are missing within sessions"),
    "symbols-appear": Rule("note", "symbols begin later than their source"),
    "symbols-vanish": Rule("note", "symbols end earlier than their source"),
}


def read_severities(settings: Mapping[str, object]) -> dict[str, Severity]:
    """Return the severity of every rule.

    Args:
        settings: The table ``[gate]`` of a run file: rule -> ``error``, ``warning``, ``note`` or ``ignore``.

    Raises:
        RunFileError: A rule or a severity is unknown, or a rule is lowered that no run can live without.
    """
    severities: dict[str, Severity] = {name: rule.severity for name, rule in RULES.items()}
    problems: list[str] = []
    known = get_args(Severity)
    for name, value in settings.items():
        if name not in RULES:
            near = difflib.get_close_matches(name, RULES, 3, 0.4)
            hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(RULES)}"
            problems.append(f"gate.{name} is no rule; {hint}")
        elif value not in known:
            problems.append(f"gate.{name} was {value!r}, expected one of {', '.join(known)}")
        elif RULES[name].fixed and value != "error":
            problems.append(f"gate.{name} cannot be {value!r}: no run can use such rows; correct the data instead")
        else:
            severities[name] = cast("Severity", value)
    if problems:
        raise RunFileError(*problems)
    return severities
