"""A call out of compiled code to a Python function, by address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

__all__ = ["Numba", "call_back"]

# What Numba hands to code generators; it ships no types.
Numba: TypeAlias = Any


@intrinsic
def _call_back(typing_context: Numba, address: Numba, i: Numba) -> Numba:
    """Call ``double f(int64 i)`` at ``address``; only compiled code can."""

    def generate(context: Numba, builder: Numba, signature: Numba, arguments: Numba) -> Numba:
        integer = ir.IntType(64)
        pointer = builder.inttoptr(arguments[0], ir.FunctionType(ir.DoubleType(), [integer]).as_pointer())
        return builder.call(pointer, [arguments[1]])

    return types.float64(types.int64, types.int64), generate


call_back = cast("Callable[[int, int], float]", _call_back)
