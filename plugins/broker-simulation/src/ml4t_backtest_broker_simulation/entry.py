"""The three ways into the compiled core, each with one explicit signature.

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
from ml4t_backtest_broker_simulation.core import ADDRESS, Floats, Integers, Table
from ml4t_backtest_broker_simulation.match import match_rows
from ml4t_backtest_broker_simulation.submit import finish_orders, submit_requests

__all__ = ["APPLY_FILL", "MODEL", "SIGNATURES", "finish", "match", "submit"]


def _table(dtype: Numba) -> Numba:
    return types.Array(from_dtype(dtype), 1, "C")


def _read_only(dtype: Numba, dimensions: int = 1) -> Numba:
    return types.Array(dtype, dimensions, "C", readonly=True)


_FLOATS = types.Array(types.float64, 1, "C")
_INTEGERS = types.Array(types.int64, 1, "C")
_ORDERS = _table(state.ORDER)
_EVENTS = _table(state.ORDER_EVENT)
_FILLS = _table(state.FILL)
_LEDGER = _table(state.LEDGER)
_INSTRUMENTS = _table(state.INSTRUMENT)
_BOOKS = _table(state.BOOK)
_POSITIONS = _table(state.POSITION)
_ACCOUNTS = _table(state.ACCOUNT)
_MARKET = _table(state.MARKET)

MODEL = types.float64(_ORDERS, types.int64, _MARKET, _FLOATS, _FLOATS)
APPLY_FILL = types.float64(_FILLS, types.int64, _INSTRUMENTS, _POSITIONS, _ACCOUNTS, _LEDGER, _INTEGERS)

SIGNATURES = {
    "match": types.void(
        *(_INTEGERS, _FLOATS, _FLOATS, _MARKET),
        *(_INTEGERS, _ORDERS, _EVENTS, _FILLS, _LEDGER, _INSTRUMENTS, _BOOKS, _POSITIONS, _ACCOUNTS),
        *(_read_only(types.int64), _read_only(types.int64), _read_only(types.int64)),
        *(_read_only(types.int32), _read_only(types.float64, 2), _read_only(types.int64)),
        *(types.int64, types.int64, types.int64, types.boolean),
    ),
    "submit": types.void(*(_table(state.REQUEST), types.int64, _INTEGERS, _ORDERS, _EVENTS, _BOOKS, types.int64)),
    "finish": types.void(types.int64, _INTEGERS, _ORDERS, _EVENTS, _BOOKS),
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


@intrinsic
def _borrowed(typing_context: Numba, array: Numba) -> Numba:
    """Return an array without its reference count: the caller holds it, and counting is half of a fill."""

    def generate(context: Numba, builder: Numba, signature: Numba, arguments: Numba) -> Numba:
        borrowed = context.make_array(signature.args[0])(context, builder, arguments[0])
        borrowed.meminfo = borrowed.meminfo.type(None)
        borrowed.parent = borrowed.parent.type(None)
        return borrowed._getvalue()

    return array(array), generate


_borrow = cast("Callable[[Numba], Numba]", _borrowed)
_model_at = _function_at(MODEL)
_apply_fill_at = _function_at(APPLY_FILL)


def match(
    setup: Integers,
    params: Floats,
    states: Floats,
    market: Table,
    counters: Integers,
    orders: Table,
    events: Table,
    fills: Table,
    ledger: Table,
    instruments: Table,
    books: Table,
    positions: Table,
    accounts: Table,
    known_at: Integers,
    event_time: Integers,
    bar_start: Integers,
    symbols: Integers,
    values: Floats,
    ohlcv: Integers,
    start: int,
    stop: int,
    now: int,
    at_once: bool,
) -> None:
    """Let working orders meet rows; see ``match.match_rows``."""
    models = (
        _model_at(setup[ADDRESS], setup[ADDRESS + 1]),
        _model_at(setup[ADDRESS + 2], setup[ADDRESS + 3]),
        _model_at(setup[ADDRESS + 4], setup[ADDRESS + 5]),
        _model_at(setup[ADDRESS + 6], setup[ADDRESS + 7]),
        _apply_fill_at(setup[ADDRESS + 8], setup[ADDRESS + 9]),
    )
    tables = (
        _borrow(counters),
        _borrow(orders),
        _borrow(events),
        _borrow(fills),
        _borrow(ledger),
        _borrow(instruments),
        _borrow(books),
        _borrow(positions),
        _borrow(accounts),
    )
    rows = (
        _borrow(known_at),
        _borrow(event_time),
        _borrow(bar_start),
        _borrow(symbols),
        _borrow(values),
        _borrow(ohlcv),
    )
    own = (_borrow(setup), _borrow(params), _borrow(states), _borrow(market))
    match_rows(own[0], own[1], own[2], own[3], models, tables, rows, start, stop, now, at_once)


def submit(
    requests: Table, now: int, counters: Integers, orders: Table, events: Table, books: Table, accounts: int
) -> None:
    """Carry out requests; see ``submit.submit_requests``."""
    submit_requests(requests, now, counters, orders, events, books, accounts)


def finish(now: int, counters: Integers, orders: Table, events: Table, books: Table) -> None:
    """Cancel what still works; see ``submit.finish_orders``."""
    finish_orders(now, counters, orders, events, books)
