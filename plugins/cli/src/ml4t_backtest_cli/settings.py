"""What the settings of a component are, for people."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from typing import Any, NamedTuple

from ml4t.backtest.config import type_name

__all__ = ["ConfigRow", "describe_config"]


class ConfigRow(NamedTuple):
    """One field of a ``Config``, for people: ``default`` is ``"required"`` where there is none."""

    key: str
    type: str
    default: str
    doc: str


def describe_config(cls: type) -> list[ConfigRow]:
    """List the fields of a configuration with type, default and documentation.

    Args:
        cls: A dataclass whose docstring has an ``Attributes:`` section.
    """
    hints = typing.get_type_hints(cls)
    documented: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        documented |= _documented(inspect.cleandoc(ancestor.__doc__ or ""))
    return [
        ConfigRow(field.name, type_name(hints[field.name]), _default(field), documented.get(field.name, ""))
        for field in dataclasses.fields(cls)
    ]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else repr(field.default)


def _documented(doc: str) -> dict[str, str]:
    """Return field name -> text of the ``Attributes:`` section of a cleaned docstring."""
    section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*\n?(?: {5}.*\n?|\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
