"""How names and types of settings are spelt in messages."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["nearest", "type_name"]


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return ``did you mean "x"`` for the known name most like ``name`` (0 to 1), or an empty string."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)
    return f'did you mean "{close[0]}"' if close else ""


def type_name(hint: object) -> str:
    """Return an annotation as a person would write it in a run file's documentation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(option) for option in arguments if option is not types.NoneType)
    if origin in (dict, Mapping):
        return f"table of {type_name(arguments[-1])}"
    if origin in (list, tuple, Sequence):
        kinds = dict.fromkeys(type_name(item) for item in arguments if item is not Ellipsis)
        return "list of " + " and ".join(kinds)
    if dataclasses.is_dataclass(hint) or hint is dict:
        return "table"
    return "anything" if hint in (Any, object) else str(getattr(hint, "__name__", hint))
