"""Read a run file: TOML, overrides, and nothing at the top level that nobody knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import RunFile
from ml4t_backtest_engine_standard.assembly.config import Errors

__all__ = ["LIST_KEYS", "check_keys", "fit_values", "read_run_file"]

SCHEMA = 1
LIST_KEYS = ("feed", "signal", "table", "actions", "risk", "reporter", "instruments", "account", "continuous")

Table: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _Plugins:
    require: list[str] = field(default_factory=list)
    disable: list[str] = field(default_factory=list)
    only: list[str] | None = None


_TABLES = ("clock", "gate", "broker", "portfolio", "universe", "weights")
_TYPE_OF: Mapping[str, object] = {
    **dict.fromkeys(("schema", "seed"), int),
    **dict.fromkeys(("name", "warmup", "base_currency", "benchmark"), str),
    **dict.fromkeys(("start", "end"), date | datetime),
    "capital": float | Mapping[str, float],
    "plugins": _Plugins,
    "strategy": Table | list[Table],
    **dict.fromkeys(_TABLES, Table),
    **dict.fromkeys(LIST_KEYS, Table | list[Table]),
}
# Keywords of Python -> what says the same in a run file.
_IN_RUN_FILES: Mapping[str, str] = {
    "calendar": 'write calendar = "..." under [clock]',
    "prices": "write path and prices under [[feed]]",
    "price_basis": 'write prices = "raw" (or "split", "total") under [[feed]]',
    "bar": 'write bar = "1d" under [[feed]]',
    "signals": "write path under [[signal]]",
}


def check_keys(settings: Mapping[str, object], errors: Errors, also: Sequence[str] = ()) -> None:
    """Note each key that no run file has, with the nearest that one has (or that is among ``also``)."""
    for key in settings:
        if key not in _TYPE_OF:
            near = nearest(key, [*_TYPE_OF, *also]) or "see the reference of run files"
            errors.add(key, f"is not a known key; {_IN_RUN_FILES.get(key, near)}")


def fit_values(settings: dict[str, Any], errors: Errors, keys: Collection[str]) -> None:
    """Put the values of these keys into the types that a run file has for them, or note what is wrong."""
    for key in [key for key in settings if key in keys]:
        fitted = errors.fit(settings[key], _TYPE_OF[key], key)
        fitted = asdict(fitted) if isinstance(fitted, _Plugins) else fitted
        if key == "seed" and isinstance(fitted, int) and fitted < 0:
            errors.add("seed", f"was {fitted}, expected 0 or above")
        settings[key] = [fitted] if key in LIST_KEYS and isinstance(fitted, dict) else fitted


def read_run_file(path: Path | str, overrides: Sequence[str] = ()) -> RunFile:
    """Read a run file and apply overrides.

    Args:
        path: A TOML file.
        overrides: ``dotted.key=value`` each, the value as TOML would have it, or a bare word;
            tables of a list are counted from 0, as in ``feed.0.path=other.parquet``.

    Returns:
        The run file; tables that belong to components are not validated yet.

    Raises:
        RunFileError: The file is missing or no TOML, or has keys or types that are not known.
    """
    path = Path(path)
    errors = Errors(path)
    settings = _parse(path)
    for override in overrides:
        try:
            _override(settings, override)
        except (IndexError, TypeError, ValueError):
            problem = "cannot be applied: expected dotted.key=value, tables of a list counted from 0"
            errors.add(f"--set {override}", problem)
    check_keys(settings, errors)
    fit_values(settings, errors, _TYPE_OF)
    if settings.get("schema") != SCHEMA:
        errors.add("schema", f"was {settings.get('schema')}, expected {SCHEMA}; the first line is: schema = {SCHEMA}")
    if not re.fullmatch(r"\w[\w .+-]*", str(settings.get("name") or "run")):
        errors.add("name", f"was {settings['name']!r}, expected letters, digits, spaces, and any of _.+-")
    errors.raise_if_any()
    return RunFile(path, path.resolve().parent, settings)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RunFileError(f"{path}: the run file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: the run file is not UTF-8: {error.reason}, byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        # "Expected '=' after a key (at line 3, column 5)" is all that tomllib tells up to Python 3.13.
        message = str(error)
        place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
        where = f"line {place[1]}, column {place[2]}: {message[: place.start()]}" if place else message
        raise RunFileError(f"{path}: {where[0].lower()}{where[1:]}") from None


def _override(settings: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise ValueError(override)
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    *tables, last = keys
    inside: Any = settings
    if keys[0] in LIST_KEYS and keys[1:2] == ["0"] and not isinstance(settings.get(keys[0]), list):
        settings[keys[0]] = [settings.get(keys[0], {})]  # one table, or none yet, is a list of one
    for key in tables:
        inside = inside.setdefault(key, {}) if isinstance(inside, dict) else inside[int(key)]
    value = parsed["value"] if parsed.keys() == {"value"} else text
    inside[last if isinstance(inside, dict) else int(last)] = value
