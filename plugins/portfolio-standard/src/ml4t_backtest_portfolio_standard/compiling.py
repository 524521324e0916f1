"""Compiled functions for one signature, kept on disk; the interpreter where compilation is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

__all__ = ["columns", "keep"]

Numba: TypeAlias = Any


def keep(function: Callable[..., Any], result: Numba, *arguments: Numba) -> Callable[..., Any]:
    """Compile a function for one signature and keep it, or leave it interpreted where compilation is off."""
    if isinstance(function, Dispatcher):
        kept = numba.njit(result(*arguments), error_model="numpy", cache=True)
        compiled: Callable[..., Any] = kept(function.py_func)
        return compiled
    quiet: Callable[..., Any] = np.errstate(all="ignore")(function)
    return quiet


def columns(dtype: np.dtype[np.void]) -> Numba:
    """Return Numba's type of a table with these rows."""
    return numba.types.Array(numba.from_dtype(dtype), 1, "C")
