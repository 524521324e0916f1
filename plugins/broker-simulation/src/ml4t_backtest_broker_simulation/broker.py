"""The simulated broker: tables in Python, every order in the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest import state as tables
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Broker
from ml4t_backtest_broker_simulation.layout import (
    AT_ONCE,
    COMMISSION_NOW,
    FOREVER,
    LEGS,
    NOW,
    PLAIN,
    SHOWN,
    SOURCE,
    Run,
)
from ml4t_backtest_broker_simulation.profiles import PROFILES
from ml4t_backtest_broker_simulation.rules import describe_rules, lay_out_rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.core.clock import Rows
    from ml4t.backtest.interfaces import Action, ExecutionModels, Portfolio, Setup
    from ml4t.backtest.state import RunState
__all__ = ["SimulationBroker"]

# Kind of rows -> fields as the core takes them.
_FIELDS: Final = {
    "bar": ("open", "high", "low", "close", "volume", "vwap"),
    "quote": ("bid", "bid_size", "ask", "ask_size"),
    "trade": ("price", "size"),
}


class SimulationBroker(Broker):
    """Match orders of every kind against released bars, quotes and trades.

    An order fills only at a price that formed after it was submitted. What prices orders meet is said by the
    rules of the fill model, what they cost by the other models.

    Args:
        config: Settings that no model has.
        setup: Surroundings of the component.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings beside the models ``fill``, ``slippage``, ``commission`` and ``impact``.

        Attributes:
            profile: Fill as another engine does: ``zipline``, ``backtrader``, ``vectorbt``, ``lean``, or
                ``realistic``. What the run names itself takes the place of the profile's. None by default.
            latency: From a request to the first price that it can meet, as in ``250ms``. None by default.
            strict_ticks: Refuse prices off the instrument's tick; by default they are rounded to the side
                that is worse for the order.
        """

        profile: str = ""
        latency: str = "0s"
        strict_ticks: bool = False

    def __init__(self, config: Config, setup: Setup) -> None:
        if config.profile and config.profile not in PROFILES:
            known = ", ".join(PROFILES)
            raise RunFileError(f"profile of broker {setup.name} was {config.profile!r}; known are {known}")
        self._config = config
        self._latency = parse_duration(config.latency, f"latency of broker {setup.name}")
        self._same_close = False
        self._phrases: dict[str, str] = {}

    @classmethod
    def defaults(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings of the profile that a run's broker table names."""
        return PROFILES.get(str(settings.get("profile", "")), {})

    def open(self, state: RunState, models: ExecutionModels, portfolio: Portfolio) -> None:
        """Load the core and the models' functions; see ``Broker.open``.

        Raises:
            RunFileError: The rules of the fill model contradict each other or the latency.
            PluginError: A compiled model has another shape.
        """
        from ml4t_backtest_broker_simulation import compile as compiling

        rules = models.fill.rules
        self._state = state
        self._market = np.zeros(2, tables.MARKET)
        self._interpreted = compiling.interpreted()
        self._models = compiling.Models()
        self._numbers = lay_out_rules(rules, self._latency, self._config.strict_ticks, self._models.setup)
        self._phrases = describe_rules(rules, self._config.profile, self._config.latency)
        if models.fill.function is not None:
            self._models.setup[PLAIN] = 0
        self._lay_out(models, portfolio)
        self._same_close = rules.market == "same-close"
        self._limits = rules.volume_limit > 0.0
        self.watches_rows = self._limits and rules.volume_basis == "trailing"
        # Copies: the engine's may be read-only, which is another type to compiled code.
        self._sessions = tuple(np.array(each, np.int64) for each in (state.session_closes, state.session_opens))
        self._fields: dict[str, tuple[int, NDArray[np.int64]]] = {}
        self._volumes: dict[str, NDArray[np.float64]] = {}
        self._restated: dict[int, float] = {}
        self._rows_of_fill = 4 if state.accounts["converts"].any() else 2  # of the ledger

    def submit(self, requests: NDArray[np.void]) -> None:
        """Accept or refuse requests in order; see ``Broker.submit``."""
        state = self._state
        count = len(requests)
        state.orders.reserve(count)
        state.order_events.reserve(3 * count + 2 * state.working)
        state.terms.reserve(2 * count + state.working)
        self._enter("submit", self._run(_NO_VOLUMES), requests)

    def match(self, rows: Rows, start: int, stop: int) -> None:
        """Let working orders meet price rows; see ``Broker.match``."""
        if self._state.working or self.watches_rows:
            self._match(rows, start, stop, False)

    def match_now(self, rows: Rows, start: int, stop: int) -> None:
        """Fill the orders of this very instant at its close, where the rules say so."""
        if self._same_close and self._state.working and rows.spec.kind == "bar":
            self._match(rows, start, stop, True)

    def apply_action(self, action: Action) -> None:
        """Count working orders in new units, or end them; see ``Broker.apply_action``."""
        from ml4t_backtest_broker_simulation import actions

        state, symbol = self._state, action.symbol
        ratio, reason = actions.units_for_one(action), actions.end_reason(action)
        if ratio != 1.0:
            for kept in self._volumes.values():
                actions.scale_volumes(kept, symbol, ratio)
        if state.books["first"][symbol] < 0:
            return
        ended = reason != 0
        if ratio != 1.0:
            ended = actions.restate_orders(state, symbol, ratio, self._restated)
        elif ended:
            actions.end_orders(state, symbol, reason)
        if ended:  # what that means for children and groups is as at a session's close that ends nothing more
            self._models.setup[SHOWN] = -FOREVER
            state.order_events.reserve(4 * state.working)
            self._enter("end_session", self._run(_NO_VOLUMES))

    def end_session(self, shown: int) -> None:
        """End what ends with a session; see ``Broker.end_session``."""
        state = self._state
        if state.working and state.terms.count:
            self._models.setup[SHOWN] = shown
            state.order_events.reserve(4 * state.working)
            self._enter("end_session", self._run(_NO_VOLUMES))

    def finish(self) -> None:
        """Cancel every working order with reason ``end-of-run``, and check the run; see ``Broker.finish``."""
        self._state.order_events.reserve(self._state.working)
        count = self._state.orders.count
        sums = np.zeros(count)  # of fills, and of what splits have made of these
        for i, more in self._restated.items():
            sums[i] = more
        self._enter("finish", self._run(_NO_VOLUMES), sums, np.zeros(count))

    @property
    def flags(self) -> tuple[str, ...]:
        """What every result must show of this broker."""
        return ("fills at the same close",) if self._same_close else ()

    def describe(self) -> dict[str, str]:
        """Return the rules of fills and costs, and what runs as plain Python."""
        return dict(self._phrases)

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep beside the tables: the states of the models, volumes."""
        kept = {"models": self._models.states.copy(), "legs": int(self._models.setup[LEGS])}
        kept["restated"] = dict(self._restated)
        return kept | {f"volumes {name}": values.copy() for name, values in self._volumes.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._models.states[:] = state["models"]
        self._models.setup[LEGS] = state["legs"]
        self._restated = dict(state["restated"])
        prefix = "volumes "
        self._volumes = {
            key.removeprefix(prefix): np.array(values, np.float64)
            for key, values in state.items()
            if key.startswith(prefix)
        }

    # --- the core ---------------------------------------------------------------------------------------

    def _run(self, volumes: NDArray[np.float64]) -> Run:
        state, models = self._state, self._models
        models.setup[NOW] = state.now
        own = (models.setup, self._numbers, self._market, models.params, models.states, volumes)
        grown = (state.orders, state.terms, state.order_events, state.fills, state.ledger)
        fixed = (state.instruments, state.books, state.positions, state.accounts)
        return Run._make((*own, state.counters, *(table.data for table in grown), *fixed, *self._sessions))

    def _enter(self, name: str, run: Run, *arguments: Any) -> None:
        """Call an entry of the core, compiled or interpreted."""
        if self._interpreted:
            from ml4t_backtest_broker_simulation.interpreted import ENTRIES

            with np.errstate(all="ignore"):
                ENTRIES[name](run, tuple(self._models.functions), *arguments)
        else:
            from ml4t_backtest_broker_simulation.compile import load_entry

            load_entry(name)(run, *arguments)
        self._models.raise_error()

    def _match(self, rows: Rows, start: int, stop: int, at_once: bool) -> None:
        models = self._models
        source, fields = self._fields_of(rows)
        models.setup[SOURCE], models.setup[AT_ONCE] = source, at_once
        self._reserve(rows, start, stop)
        volumes = self._volumes_of(rows, start, stop) if self._limits else _NO_VOLUMES
        run = self._run(volumes)
        plain = source == 0 and models.setup[PLAIN] and not self._state.terms.count
        columns = (rows.known_at, rows.event_time, rows.bar_start, rows.symbol, rows.values, fields)
        self._enter("match_plain" if plain else "match", run, *columns, start, stop)

    def _fields_of(self, rows: Rows) -> tuple[int, NDArray[np.int64]]:
        spec = rows.spec
        if spec.name not in self._fields:
            names = list(spec.fields)
            places = [names.index(name) if name in names else -1 for name in _FIELDS[spec.kind]]
            self._fields[spec.name] = (list(_FIELDS).index(spec.kind), np.array(places, np.int64))
        return self._fields[spec.name]

    def _reserve(self, rows: Rows, start: int, stop: int) -> None:
        """Make room for all that these rows can lead to."""
        state, working = self._state, self._state.working
        meetings = working
        if self._limits or state.terms.count:
            meetings *= int(np.bincount(rows.symbol[start:stop]).max(initial=1))
            state.order_events.reserve(meetings * (4 + int(self._models.setup[LEGS])))
        state.order_events.reserve(meetings)
        state.fills.reserve(meetings)
        state.ledger.reserve(self._rows_of_fill * meetings)

    def _volumes_of(self, rows: Rows, start: int, stop: int) -> NDArray[np.float64]:
        from ml4t_backtest_broker_simulation.volume import VOLUMES

        kept = self._volumes.get(rows.spec.name, _NO_VOLUMES)
        need = max(len(self._state.books), int(rows.symbol[start:stop].max(initial=-1)) + 1)
        if kept.shape[1] < need:
            grown = np.zeros((VOLUMES, need))
            grown[:, : kept.shape[1]] = kept[:VOLUMES]
            self._volumes[rows.spec.name] = kept = grown
        return kept

    def _lay_out(self, models: ExecutionModels, portfolio: Portfolio) -> None:
        from ml4t_backtest_broker_simulation import compile as compiling

        run = self._models
        named = {
            "fill": models.fill,
            "slippage": models.slippage,
            "impact": models.impact,
            "commission": models.commission,
        }
        for which, model in enumerate(named.values()):
            nothing = np.zeros(0)
            params, initial = (model.params(), model.initial_state()) if model else (nothing, nothing)
            run.add_values(which, params, initial)
        for which, (name, model) in enumerate(named.items()):
            function = model.function if model is not None else None
            if model is None or function is None:
                run.functions.append(_nothing)
                continue
            self._phrases[name] = model.describe()
            call = self._caller(compiling.plain(function), *run.values(which))
            run.add_model(which, name, function, call)
        apply_fill = portfolio.apply_fill
        run.add_portfolio(apply_fill, self._accountant(compiling.plain(apply_fill)))
        affords = getattr(portfolio, "affords", None)
        if affords is not None:
            self._models.setup[PLAIN] = 0
            params = portfolio.affords_params  # type: ignore[attr-defined]  # it has both or none
            run.add_check(affords, params, self._cashier(compiling.plain(affords), params))
        if run.called_back:
            self._phrases["plain Python"] = ", ".join(run.called_back)

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

    def _cashier(self, function: Callable[..., float], params: NDArray[np.float64]) -> Callable[[int], float]:
        state, market, numbers = self._state, self._market, self._numbers

        def affords(i: int) -> float:
            commission = float(numbers[COMMISSION_NOW])
            tables = (state.instruments, state.positions, state.accounts, params)
            return function(state.orders.data, i, market, commission, *tables)

        return affords


_NO_VOLUMES: Final = np.zeros((1, 0))


def _nothing(*arguments: object) -> float:
    return 0.0
