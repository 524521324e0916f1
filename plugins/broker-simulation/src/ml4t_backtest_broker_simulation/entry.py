"""The ways into the compiled core, each with one explicit signature.

Functions travel as addresses, so a model that nobody has seen before needs no compilation of the core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from numba import from_dtype
from numba.core import cgutils, types
from numba.extending import intrinsic

from ml4t.backtest import state
from ml4t_backtest_broker_simulation.callback import Numba
from ml4t_backtest_broker_simulation.checks import finish_orders
from ml4t_backtest_broker_simulation.core import Floats, Integers, compiled
from ml4t_backtest_broker_simulation.expire import end_sessions
from ml4t_backtest_broker_simulation.layout import ADDRESS, AFFORDS_ADDRESS, Run
from ml4t_backtest_broker_simulation.match import match_rows
from ml4t_backtest_broker_simulation.plain import match_plain_rows
from ml4t_backtest_broker_simulation.settle import Functions
from ml4t_backtest_broker_simulation.submit import submit_requests

__all__ = ["AFFORDS", "APPLY_FILL", "MODEL", "SIGNATURES", "end_session", "finish", "match", "match_plain", "submit"]


def _table(dtype: Numba) -> Numba:
    return types.Array(from_dtype(dtype), 1, "C")


def _read_only(dtype: Numba, dimensions: int = 1) -> Numba:
    return types.Array(dtype, dimensions, "C", readonly=True)


_FLOATS = types.Array(types.float64, 1, "C")
_INTEGERS = types.Array(types.int64, 1, "C")
_ORDERS = _table(state.ORDER)
_FILLS = _table(state.FILL)
_LEDGER = _table(state.LEDGER)
_INSTRUMENTS = _table(state.INSTRUMENT)
_POSITIONS = _table(state.POSITION)
_ACCOUNTS = _table(state.ACCOUNT)
_MARKET = _table(state.MARKET)

MODEL = types.float64(_ORDERS, types.int64, _MARKET, _FLOATS, _FLOATS)
APPLY_FILL = types.float64(_FILLS, types.int64, _INSTRUMENTS, _POSITIONS, _ACCOUNTS, _LEDGER, _INTEGERS)
AFFORDS = types.float64(
    *(_ORDERS, types.int64, _MARKET, types.float64, _INSTRUMENTS, _POSITIONS, _ACCOUNTS, _FLOATS),
)

_TIMES = _read_only(types.int64)
_COLUMNS = Run(
    setup=_INTEGERS,
    numbers=_FLOATS,
    market=_MARKET,
    params=_FLOATS,
    states=_FLOATS,
    volumes=types.Array(types.float64, 2, "C"),
    counters=_INTEGERS,
    orders=_ORDERS,
    terms=_table(state.TERMS),
    events=_table(state.ORDER_EVENT),
    fills=_FILLS,
    ledger=_LEDGER,
    instruments=_INSTRUMENTS,
    books=_table(state.BOOK),
    positions=_POSITIONS,
    accounts=_ACCOUNTS,
    closes=_INTEGERS,
    opens=_INTEGERS,
)
RUN: Numba = types.NamedTuple(tuple(_COLUMNS), Run)  # type: ignore[no-untyped-call]  # Numba has no types

_MATCH = types.void(
    *(RUN, _TIMES, _TIMES, _TIMES, _read_only(types.int32), _read_only(types.float64, 2), _TIMES),
    *(types.int64, types.int64),
)
SIGNATURES = {
    "match": _MATCH,
    "match_plain": _MATCH,
    "submit": types.void(RUN, _table(state.REQUEST)),
    "end_session": types.void(RUN),
    "finish": types.void(RUN, _FLOATS, _FLOATS),
}


_struct: Numba = cgutils.create_struct_proxy


def _function_at(signature: Numba) -> Callable[[int, int], Callable[..., float]]:
    """Make the compiled function that turns two addresses into a callable of a signature."""
    function_type = types.FunctionType(signature)

    @intrinsic
    def at(typing_context: Numba, c_address: Numba, jit_address: Numba) -> Numba:
        def generate(context: Numba, builder: Numba, signature: Numba, arguments: Numba) -> Numba:
            pointer = context.get_value_type(types.voidptr)
            function = _struct(function_type)(context, builder)
            function.c_addr = builder.inttoptr(arguments[0], pointer)
            function.jit_addr = builder.inttoptr(arguments[1], pointer)
            function.py_addr = builder.inttoptr(arguments[0].type(0), pointer)
            return function._getvalue()

        return function_type(types.int64, types.int64), generate

    return cast("Callable[[int, int], Callable[..., float]]", at)


_model_at = _function_at(MODEL)
_apply_fill_at = _function_at(APPLY_FILL)
_affords_at = _function_at(AFFORDS)


def _functions(setup: Integers) -> Functions:
    """Return the run's functions: fill, slippage, impact, commission, apply_fill, affords."""
    return (
        _model_at(setup[ADDRESS], setup[ADDRESS + 1]),
        _model_at(setup[ADDRESS + 2], setup[ADDRESS + 3]),
        _model_at(setup[ADDRESS + 4], setup[ADDRESS + 5]),
        _model_at(setup[ADDRESS + 6], setup[ADDRESS + 7]),
        _apply_fill_at(setup[ADDRESS + 8], setup[ADDRESS + 9]),
        _affords_at(setup[AFFORDS_ADDRESS], setup[AFFORDS_ADDRESS + 1]),
    )


_models_of = compiled(_functions)


def match_plain(
    run: Run,
    known_at: Numba,
    event_time: Numba,
    bar_start: Numba,
    symbols: Numba,
    values: Numba,
    fields: Numba,
    start: int,
    stop: int,
) -> None:
    """Let plain market orders meet bars; see ``plain.match_plain_rows``."""
    models = _models_of(run.setup)
    rows = (known_at, event_time, bar_start, symbols, values, fields)
    match_plain_rows(run, models, rows, start, stop)


def match(
    run: Run,
    known_at: Numba,
    event_time: Numba,
    bar_start: Numba,
    symbols: Numba,
    values: Numba,
    fields: Numba,
    start: int,
    stop: int,
) -> None:
    """Let working orders meet rows; see ``match.match_rows``."""
    models = _models_of(run.setup)
    rows = (known_at, event_time, bar_start, symbols, values, fields)
    match_rows(run, models, rows, start, stop)


def submit(run: Run, requests: Numba) -> None:
    """Carry out requests; see ``submit.submit_requests``."""
    submit_requests(run, requests)


def end_session(run: Run) -> None:
    """Give effect to what a session's close ends; see ``expire.end_sessions``."""
    end_sessions(run)


def finish(run: Run, sums: Floats, dust: Floats) -> None:
    """Cancel what still works and check all; see ``checks.finish_orders``."""
    finish_orders(run, sums, dust)
