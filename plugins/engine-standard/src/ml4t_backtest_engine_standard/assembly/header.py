"""What every run says of itself before it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ml4t_backtest_engine_standard.assembly.accounts import Account
from ml4t_backtest_engine_standard.assembly.parts import Parts

__all__ = ["header_lines", "rule_lines"]

_COSTS = ("slippage", "commission", "impact")
_STAMPS = {"label": "names of sessions", "open": "starts of bars", "close": "ends of bars"}
_STAMPS |= {"event_time": "when it happened", "known_at": "when it was known"}


def header_lines(parts: Parts, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that every run begins with: what is assumed, in words."""
    lines = [f"run {parts.name}, seed {parts.seed}, calendar {parts.sessions.name}"]
    lines[0] += ": each day in UTC is a session" * (parts.sessions.name == "24/7")
    lines.append(f"from {settings.get('start') or 'the first row'} to {settings.get('end') or 'the last row'}")
    lines[-1] += f", warm-up {settings['warmup']}" if settings.get("warmup") else ""
    lines.append("capital " + ", ".join(f"{amount:,.2f} {currency}" for currency, amount in parts.capital.items()))
    lines += [_account_line(account) for account in parts.accounts]
    lines[-1] += f"; base currency {parts.currencies[0]}" * (len(parts.currencies) > 1)
    for source in parts.sources:
        spec = source.spec
        basis = f", {spec.prices} prices" if spec.prices else ""
        stamps = _STAMPS[spec.rule.convention]
        stamps += f" of {spec.rule.calendar}" * bool(spec.rule.calendar and spec.rule.convention == "label")
        lines.append(f"{spec.kind} source {spec.name}: {spec.origin}, stamps are {stamps}{basis}")
    for table in parts.facts:
        whose = ", the members of the universe" * (table.name == parts.members)
        lines.append(f"table {table.name}: {len(table.known_at):,} rows of {', '.join(table.fields)}{whose}")
    if kinds := Counter(action.kind for action in parts.actions):
        lines.append("actions: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())))
    models = parts.models
    lines.append(f"fills: {models.fill.describe()}")
    costs = [f"{kind} {model.describe()}" for kind in _COSTS if (model := getattr(models, kind)) is not None]
    lines.append("costs: " + (", ".join(costs) or "none"))
    if risk := [_in_words(table) for table in settings.get("risk") or []]:
        lines.append("risk: " + ", ".join(risk))
    return tuple(lines)


def _account_line(account: Account) -> str:
    """Return an account in words: its type, and what its settings name."""
    where = f"account {account.name}" + f" at {account.venue}" * bool(account.venue)
    settings: dict[str, Any] = {**account.settings, **account.tables}
    kind = settings.pop("type", "margin")
    said = [
        f"{key} {_rate_in_words(value)}" for key, value in settings.items() if key not in ("name", "venue", "capital")
    ]
    return f"{where}: {', '.join([kind, *said])}"


def _rate_in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_rate_in_words(each)}" for key, each in value.items())
    return str(value) if isinstance(value, str | int | float) else "by table"


def rule_lines(parts: Parts) -> tuple[str, ...]:
    """Return what an open broker says of its rules, in one line; what is said of fills and costs is left out."""
    said = {name: phrase for name, phrase in parts.broker.describe().items() if name not in ("fill", *_COSTS)}
    return ("broker: " + ", ".join(f"{name} {phrase}" for name, phrase in said.items()),) if said else ()


def _in_words(table: Any) -> str:
    if not isinstance(table, Mapping):
        return getattr(table, "__name__", type(table).__name__)
    settings = " ".join(f"{key} {value}" for key, value in table.items() if key != "use")
    return f"{table.get('use', '')} {settings}".strip()
