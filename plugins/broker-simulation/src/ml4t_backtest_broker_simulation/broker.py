"""The simulated broker: tables in Python, every order in the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest import state as tables
from ml4t.backtest.errors import PluginError
from ml4t.backtest.interfaces import Broker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.core.clock import Rows
    from ml4t.backtest.interfaces import ExecutionModel, ExecutionModels, Portfolio, Setup
    from ml4t.backtest.state import RunState
    from ml4t_backtest_broker_simulation.compile import Models

__all__ = ["SimulationBroker"]

_MODES: Final = ("next-open", "next-close", "same-close")
_RULES: Final = {
    "next-open": "next open that forms after submission",
    "next-close": "next close that forms after submission",
    "same-close": "close of the bar on which the order was decided",
}


class SimulationBroker(Broker):
    """Match market orders against released bars.

    An order fills whole, at the first price of the fill model's mode that formed after it was submitted; a
    bar whose price is NaN fills nothing. What it costs is the business of the models. Orders of other kinds
    than ``market`` and other times in force than ``GTC`` are refused with the reason.

    Args:
        config: No settings: what could be set belongs to the models.
        setup: Surroundings of the component.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set; ``fill``, ``slippage``, ``commission`` and ``impact`` name the models."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._setup = setup
        self._mode = 0
        self._priceless = False
        self._phrases: dict[str, str] = {}

    def open(self, state: RunState, models: ExecutionModels, portfolio: Portfolio) -> None:
        """Load the core and the models' functions; see ``Broker.open``.

        Raises:
            PluginError: The fill model's mode is not known, or a compiled model has another shape.
        """
        if models.fill.mode not in _MODES:
            raise PluginError(
                f"fill model {type(models.fill).__name__} has mode {models.fill.mode!r}; "
                f"the simulation broker knows {', '.join(_MODES)}"
            )
        from ml4t_backtest_broker_simulation import compile as compiling

        self._state = state
        self._mode = _MODES.index(models.fill.mode)
        self._market = np.zeros(1, tables.MARKET)
        self._core = compiling.load_core()
        self._models = self._lay_out(models, portfolio)
        self._models.setup[0] = self._mode

    def submit(self, requests: NDArray[np.void]) -> None:
        """Accept or refuse requests in order; see ``Broker.submit``."""
        state = self._state
        count = len(requests)
        orders = state.orders.reserve(count)
        events = state.order_events.reserve(3 * count + state.working)
        arguments = (requests, state.now, state.counters, orders, events, state.books, len(state.accounts))
        self._core.submit(*arguments)

    def match(self, rows: Rows, start: int, stop: int) -> None:
        """Let working orders meet price rows; see ``Broker.match``."""
        self._match(rows, start, stop, False)

    def match_now(self, rows: Rows, start: int, stop: int) -> None:
        """Fill the orders of this very instant at its close, in the mode that does so."""
        if self._mode == 2:
            self._match(rows, start, stop, True)

    def finish(self) -> None:
        """Cancel every working order with reason ``end-of-run``."""
        state = self._state
        events = state.order_events.reserve(state.working)
        self._core.finish(state.now, state.counters, state.orders.data, events, state.books)

    @property
    def flags(self) -> tuple[str, ...]:
        """What every result must show of this broker."""
        same_close = ("fills at the same close",) if self._mode == 2 else ()
        price = "close" if self._mode else "open"
        return same_close + ((f"orders met rows without {price}, which fill nothing",) if self._priceless else ())

    def describe(self) -> dict[str, str]:
        """Return the rules of fills and costs, and what runs as plain Python."""
        return dict(self._phrases)

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep beside the tables: the states of the models."""
        return {"models": self._models.states.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._models.states[:] = state["models"]

    def _match(self, rows: Rows, start: int, stop: int, at_once: bool) -> None:
        state = self._state
        working = state.working
        if not working:
            return
        if rows.ohlcv[3 if self._mode else 0] < 0:  # quotes and trades
            self._priceless = True
            return
        models = self._models
        columns = (rows.known_at, rows.event_time, rows.bar_start, rows.symbol, rows.values, rows.ohlcv)
        run = (
            state.counters,
            state.orders.data,
            state.order_events.reserve(working),
            state.fills.reserve(working),
            state.ledger.reserve(2 * working),
            state.instruments,
            state.books,
            state.positions,
            state.accounts,
        )
        own = (models.setup, models.params, models.states, self._market)
        if self._core.match is not None:
            self._core.match(*own, *run, *columns, start, stop, state.now, at_once)
            models.raise_error()
            return
        from ml4t_backtest_broker_simulation.match import match_rows

        with np.errstate(all="ignore"):
            match_rows(*own, tuple(models.functions), run, columns, start, stop, state.now, at_once)

    def _lay_out(self, models: ExecutionModels, portfolio: Portfolio) -> Models:
        from ml4t_backtest_broker_simulation import compile as compiling
        from ml4t_backtest_broker_simulation import entry

        run = compiling.Models()
        named: tuple[tuple[str, ExecutionModel | None], ...] = (
            ("fill", models.fill),
            ("slippage", models.slippage),
            ("impact", models.impact),
            ("commission", models.commission),
        )
        self._phrases = {"fill": _RULES[models.fill.mode]}
        for which, (_, model) in enumerate(named):
            nothing = np.zeros(0)
            params, initial = (model.params(), model.initial_state()) if model else (nothing, nothing)
            run.add_values(which, params, initial)
        for which, (name, model) in enumerate(named):
            if model is None:
                run.functions.append(_nothing)
                continue
            if which:
                self._phrases[name] = model.describe()
            function = model.function
            call = self._caller(compiling.plain(function), *run.values(which))
            run.add_function(which, name, function, entry.MODEL, call)
        apply_fill = portfolio.apply_fill
        call = self._accountant(compiling.plain(apply_fill))
        run.add_function(len(named), "apply_fill", apply_fill, entry.APPLY_FILL, call)
        if run.called_back:
            self._phrases["plain Python"] = ", ".join(run.called_back)
        return run

    def _caller(
        self, function: Callable[..., float], params: NDArray[np.float64], initial: NDArray[np.float64]
    ) -> Callable[[int], float]:
        orders = self._state.orders
        market = self._market
        return lambda i: function(orders.data, i, market, params, initial)

    def _accountant(self, function: Callable[..., float]) -> Callable[[int], float]:
        state = self._state

        def apply_fill(row: int) -> float:
            return function(
                *(state.fills.data, row, state.instruments, state.positions),
                *(state.accounts, state.ledger.data, state.counters),
            )

        return apply_fill


def _nothing(*arguments: object) -> float:
    return 0.0
