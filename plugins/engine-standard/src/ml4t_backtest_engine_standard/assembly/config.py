"""From a mapping of settings to a component's frozen ``Config``, with every mistake in one report.

A component's configuration is a frozen, keyword-only dataclass whose docstring documents each
field in an ``Attributes:`` section. Nothing is coerced silently, save an integer where a float is
declared, text where a path is, and ISO 8601 text where a date is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from ml4t.backtest.config import nearest, type_name
from ml4t.backtest.errors import RunFileError

__all__ = ["Errors", "build_config"]

T = TypeVar("T")


_MISFIT = object()
_MAPPINGS = (dict, Mapping)
_SEQUENCES = (list, tuple, Sequence)


class Errors:
    """All mistakes found in one run file or one call, raised together.

    Args:
        file: The run file, named at the start of each message; None for keyword arguments.
    """

    def __init__(self, file: Path | str | None = None) -> None:
        self.file = file
        self.problems: list[str] = []

    def add(self, key: str, problem: str, *, owner: str = "") -> None:
        """Note one mistake.

        Args:
            key: Dotted key of the setting, as in ``broker.slippage.bps``.
            problem: What is wrong with it and what to do.
            owner: The component or plugin that the setting belongs to.
        """
        place = f"{self.file}: {key}" if self.file is not None else key
        self.problems.append(f"{place} {problem}" + (f" (setting of {owner})" if owner else ""))

    def raise_if_any(self) -> None:
        """Raise one ``RunFileError`` that holds every mistake noted so far, if there is any."""
        if self.problems:
            raise RunFileError(*self.problems)

    def config(self, cls: type[T], mapping: Mapping[str, Any], *, where: str, owner: str) -> T | None:
        """Build ``cls`` from a mapping, or note what is wrong and return None.

        Args:
            cls: A dataclass.
            mapping: Settings by field name.
            where: Dotted key of the mapping itself; empty for the top level.
            owner: The component that the settings belong to.
        """
        if not isinstance(mapping, Mapping):
            self.add(where, f"was {mapping!r}, expected a table", owner=owner)
            return None
        before = len(self.problems)
        prefix = f"{where}." if where else ""
        fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]  # any dataclass
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for key, value in mapping.items():
            if key in fields:
                values[key] = self.fit(value, hints[key], prefix + key, owner)
            else:
                known = nearest(key, fields) or f"known are {', '.join(sorted(fields)) or 'none'}"
                self.add(prefix + key, f"is not a known key; {known}", owner=owner)
        for name in (name for name in fields if name not in mapping):
            if _default(fields[name]) is _MISFIT:
                self.add(prefix + name, f"is missing, expected {type_name(hints[name])}", owner=owner)
        try:
            return cls(**values) if len(self.problems) == before else None
        except (TypeError, ValueError) as error:
            self.add(where or "settings", f"cannot be used: {error}", owner=owner)
            return None

    def fit(self, value: object, hint: object, key: str, owner: str = "") -> object:
        """Return ``value`` as the annotation ``hint`` wants it, or note the mistake."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            for option in sorted(arguments, key=lambda option: type(value) is not option):
                trial = Errors()
                fitted = trial.fit(value, option, key)
                if not trial.problems:
                    return fitted
            options = [option for option in arguments if option is not types.NoneType]
            if len(options) == 1:
                return self.fit(value, options[0], key, owner)
        elif dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            return self.config(hint, value, where=key, owner=owner)
        elif origin in _MAPPINGS and isinstance(value, Mapping):
            return {name: self.fit(item, arguments[-1], f"{key}.{name}", owner) for name, item in value.items()}
        elif origin in _SEQUENCES and isinstance(value, list | tuple):
            fixed = origin is tuple and arguments[-1] is not Ellipsis
            wanted = arguments if fixed else arguments[:1] * len(value)
            if len(wanted) == len(value):
                pairs = enumerate(zip(value, wanted, strict=True))
                fits = [self.fit(item, want, f"{key}.{row}", owner) for row, (item, want) in pairs]
                return fits if origin is list else tuple(fits)
        elif (plain := _plain(value, hint)) is not _MISFIT:
            return plain
        self.add(key, f"was {value!r}, expected {type_name(hint)}", owner=owner)
        return None


def build_config(cls: type[T], mapping: Mapping[str, Any], *, where: str, owner: str) -> T:
    """Build a component's configuration from settings.

    Args:
        cls: The component's ``Config``.
        mapping: Settings by field name.
        where: Dotted key of the mapping in the run file, as in ``broker.slippage``.
        owner: The component and its distribution, as errors shall name them.

    Returns:
        An instance of ``cls`` with every value checked against its annotation.

    Raises:
        RunFileError: Unknown, missing or unfitting settings, all in one error.
    """
    errors = Errors()
    config = errors.config(cls, mapping, where=where, owner=owner)
    errors.raise_if_any()
    assert config is not None
    return config


def _default(field: dataclasses.Field[Any]) -> object:
    """Return a field's default, or ``_MISFIT`` where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _MISFIT if field.default is dataclasses.MISSING else field.default


def _plain(value: object, hint: object) -> object:
    """Return a value that holds no others as ``hint`` wants it, or ``_MISFIT``."""
    if hint is Any:
        return value
    if typing.get_origin(hint) is typing.Literal:
        same = any(type(option) is type(value) and option == value for option in typing.get_args(hint))
        return value if same else _MISFIT
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint in (date, datetime) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return hint.fromisoformat(value)
    kind = hint if isinstance(hint, type) else typing.get_origin(hint) or object
    odd = (
        (hint in (int, float) and isinstance(value, bool))
        or (isinstance(value, float) and value != value)
        or (hint is date and isinstance(value, datetime))
    )
    return value if isinstance(value, kind) and not odd else _MISFIT
