"""Time a function that runs engines."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

__all__ = ["Measurement", "benchmark"]

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Measurement:
    """What one call took.

    Attributes:
        name: The function.
        seconds: Wall-clock time of the call.
        events: Rows that the engines it ran have released; 0 when it ran none that could be found.
    """

    name: str
    seconds: float
    events: int

    def __str__(self) -> str:
        text = f"{self.name}: {self.seconds:.3f} s"
        rate = self.events / self.seconds if self.seconds > 0 else float("nan")
        return text + (f", {self.events:,} events, {rate:,.0f} events/s" if self.events else "")


def benchmark(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Time each call of a function and print events per second.

    The decorated function is called as before, by hand or by pytest, which shows the figures of all
    benchmarks at the end. It asserts nothing about time: what a machine does in a second is no property of
    the code. Events are counted on engines that the function finds in its arguments or in the variables
    around it, and on a result that it returns. The last ``Measurement`` is its attribute ``measurement``.

    Args:
        function: What to time.
    """

    @functools.wraps(function)
    def timed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        engines = _engines(function, (*args, *kwargs.values()))
        before = [engine.result for engine in engines]
        began = time.perf_counter()
        returned = function(*args, **kwargs)
        seconds = time.perf_counter() - began
        new = [engine.result for engine, old in zip(engines, before, strict=True) if engine.result is not old]
        if hasattr(returned, "counts") and not any(returned is result for result in new):
            new.append(returned)
        events = sum(int(result.counts["rows"]) for result in new)
        measurement = Measurement(function.__name__, seconds, events)
        timed.measurement = measurement  # type: ignore[attr-defined]  # an attribute of a function
        print(measurement)
        return returned

    return timed


def _engines(function: Callable[..., object], arguments: Iterable[object]) -> list[Any]:
    from ml4t.backtest import Engine

    around = inspect.getclosurevars(function)
    values = [*arguments, *around.nonlocals.values(), *around.globals.values()]
    return list({id(value): value for value in values if isinstance(value, Engine)}.values())
