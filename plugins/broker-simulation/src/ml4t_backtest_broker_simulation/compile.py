"""Ready the core and the models of a run: compiled and cached, or the same source interpreted."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, cast

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError, NumbaExperimentalFeatureWarning
from numpy.typing import NDArray

from ml4t.backtest.errors import PluginError, RunError
from ml4t_backtest_broker_simulation.callback import Numba
from ml4t_backtest_broker_simulation.checks import FAULTS
from ml4t_backtest_broker_simulation.layout import (
    ADDRESS,
    AFFORDS,
    AFFORDS_ADDRESS,
    AFFORDS_CALLBACK,
    AFFORDS_PARAMS,
    CALLBACK,
    FAULT,
    FAULT_ORDER,
    PARAMS,
    PRESENT,
    SETUP_SIZE,
    STATES,
    STOP,
)
from ml4t_backtest_broker_simulation.submit import submit_requests

__all__ = ["Models", "interpreted", "load_entry", "plain"]

_CALLBACK: Final = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)


def interpreted() -> bool:
    """Say whether compilation is off (``NUMBA_DISABLE_JIT=1``)."""
    return not isinstance(submit_requests, Dispatcher)


def plain(function: Callable[..., Any]) -> Callable[..., float]:
    """Return a model's function as Python sees it."""
    return function.py_func if isinstance(function, Dispatcher) else function


@cache
def load_entry(name: str) -> Callable[..., None]:
    """Compile an entry, or load it from the cache folder; once per process, since code has no state."""
    from ml4t_backtest_broker_simulation import entry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaExperimentalFeatureWarning)  # functions as values
        uncounted: dict[str, Any] = {"_nrt": False}  # the caller holds all references
        compiler = numba.njit(entry.SIGNATURES[name], error_model="numpy", cache=True, **uncounted)
        return cast("Callable[..., None]", compiler(getattr(entry, name)))


@dataclass(slots=True)
class Models:
    """The functions of a run with their params and states, laid out as the core takes them.

    Attributes:
        setup: int64, see ``core``.
        params, states: float64, those of all models end to end.
        functions: The functions themselves, for the interpreted core; a missing one is never called.
        called_back: Names of the functions that are plain Python in a compiled run.
    """

    setup: NDArray[np.int64] = field(default_factory=lambda: np.zeros(SETUP_SIZE, np.int64))
    params: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    states: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    functions: list[Callable[..., float]] = field(default_factory=list)
    called_back: list[str] = field(default_factory=list)
    _errors: list[BaseException] = field(default_factory=list)
    _kept: list[Any] = field(default_factory=list)

    def add_values(self, which: int, params: NDArray[np.float64], state: NDArray[np.float64]) -> None:
        """Append a model's params and initial state."""
        self.params = np.concatenate([self.params, np.asarray(params, np.float64)])
        self.states = np.concatenate([self.states, np.asarray(state, np.float64)])
        self.setup[PARAMS + which + 1] = len(self.params)
        self.setup[STATES + which + 1] = len(self.states)

    def values(self, which: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a model's params and state as views."""
        first, last = self.setup[PARAMS + which : PARAMS + which + 2]
        begin, end = self.setup[STATES + which : STATES + which + 2]
        return self.params[first:last], self.states[begin:end]

    def add_model(self, which: int, name: str, function: Callable[..., float], call: Callable[[int], float]) -> None:
        """Take a model's function in the form in which the core can call it.

        Args:
            which: Place among the models.
            name: What it is, for messages.
            function: Compiled by ``numba.njit``, or plain Python.
            call: Calls the plain function with the run's arrays, given the row.
        """
        from ml4t_backtest_broker_simulation import entry

        self._add(which, name, function, entry.MODEL, call)

    def add_portfolio(self, function: Callable[..., float], call: Callable[[int], float]) -> None:
        """Take the portfolio's ``apply_fill``; see ``add_model``."""
        from ml4t_backtest_broker_simulation import entry

        self._add(4, "apply_fill", function, entry.APPLY_FILL, call)

    def add_check(
        self, function: Callable[..., float], params: NDArray[np.float64], call: Callable[[int], float]
    ) -> None:
        """Take the portfolio's ``affords`` with its params, behind those of all models; see ``add_model``."""
        from ml4t_backtest_broker_simulation import entry

        self.setup[AFFORDS_PARAMS] = len(self.params)
        self.params = np.concatenate([self.params, np.asarray(params, np.float64)])
        self.setup[AFFORDS_PARAMS + 1] = len(self.params)
        self._place(AFFORDS, AFFORDS_CALLBACK, AFFORDS_ADDRESS, "affords", function, entry.AFFORDS, call)

    def _add(
        self, which: int, name: str, function: Callable[..., float], signature: Numba, call: Callable[[int], float]
    ) -> None:
        self._place(PRESENT + which, CALLBACK + which, ADDRESS + 2 * which, name, function, signature, call)

    def _place(
        self,
        present: int,
        callback: int,
        address: int,
        name: str,
        function: Callable[..., float],
        signature: Numba,
        call: Callable[[int], float],
    ) -> None:
        """Write into ``setup`` that a function is there, and how the core calls it."""
        self.setup[present] = 1
        if interpreted():
            self.functions.append(self._guarded(plain(function)))
        elif isinstance(function, Dispatcher):
            self.setup[address : address + 2] = _addresses(function, signature, name)
        else:
            self.called_back.append(name)
            self.setup[callback] = self._callback(call)

    def raise_error(self) -> None:
        """Raise what a callback raised, if one did, or what the core found that must never happen."""
        if not self.setup[STOP]:
            return
        self.setup[STOP] = 0
        if self._errors:
            raise self._errors.pop()
        what, self.setup[FAULT] = FAULTS[self.setup[FAULT]], 0
        order = int(self.setup[FAULT_ORDER])
        raise RunError(f"order {order} {what}; this is a fault of the broker or of its fill model: report it")

    def _guarded(self, function: Callable[..., float]) -> Callable[..., float]:
        """Let a function's exception stop the core between two orders, as it does in compiled code."""

        def answer(*arguments: Any) -> float:
            try:
                return function(*arguments)
            except Exception as error:
                self._errors.append(error)
                self.setup[STOP] = 1
                return float("nan")

        return answer

    def _callback(self, call: Callable[[int], float]) -> int:
        def answer(i: int) -> float:
            try:
                return float(call(i))
            except BaseException as error:  # it cannot pass through compiled code: raised when that returns
                self._errors.append(error)
                self.setup[STOP] = 1
                return float("nan")

        pointer = _CALLBACK(answer)
        self._kept.append(pointer)
        return ctypes.cast(pointer, ctypes.c_void_p).value or 0


@cache
def _addresses(function: Dispatcher, signature: Numba, name: str) -> tuple[int, int]:
    """Compile a function for its fixed shape, checking bounds; return its two addresses.

    Once per process: Numba never gives back the memory of code, and a process may have only so many pieces of it.
    """
    own = numba.njit(error_model="numpy", boundscheck=True)(function.py_func)
    with suppress(RuntimeError):  # its source is in no file
        own.enable_caching()
    try:
        result: Numba = own.get_compile_result(signature)
    except (NumbaError, TypeError) as error:
        problem = (
            f"the {name} function {function.py_func.__module__}.{function.py_func.__qualname__} does not "
            f"compile for its fixed shape: {str(error).strip().splitlines()[-1]}; mend it, or drop @njit"
        )
        raise PluginError(problem) from error
    library, description = result.library, result.fndesc
    return (
        library.get_pointer_to_function(description.llvm_cfunc_wrapper_name),
        library.get_pointer_to_function(description.llvm_func_name),
    )
