"""Rules of fill models and of models of costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

from ml4t.backtest.interfaces import ExecutionModel, FillModel, FillRules
from ml4t.backtest.state import ACCEPTED, MARKET, ORDER
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.reference import plain

__all__ = ["CostConformance", "FillModelConformance"]

_CASES = 200

Table = NDArray[np.void]


class _ModelConformance(Conformance):
    @pytest.fixture
    def model(self) -> ExecutionModel:
        """The model, as a run builds it."""
        raise NotImplementedError("override the fixture model: return the model")

    def test_it_has_the_shape_of_a_model(self, model: ExecutionModel) -> None:
        """TK-M01: a function, finite params and initial state as float64 columns, and one phrase."""
        assert isinstance(model, ExecutionModel)
        assert callable(_function(model))
        for values in (model.params(), model.initial_state()):
            assert (np.dtype(np.float64), 1) == (values.dtype, values.ndim)
        assert np.isfinite(model.params()).all()
        assert model.describe() == " ".join(model.describe().split()) != ""

    def test_compiled_and_plain_give_the_same_value(self, model: ExecutionModel) -> None:
        """TK-M02: a compiled function and its Python source give the same bits."""
        compiled, interpreted = _answers(model, _function(model)), _answers(model, plain(_function(model)))
        assert interpreted.tobytes() == compiled.tobytes()

    def test_it_only_answers(self, model: ExecutionModel) -> None:
        """TK-M03: the function changes neither orders nor market nor params; its state is its own."""
        orders, markets = _cases()
        params, state = model.params(), model.initial_state()
        before = (orders.tobytes(), markets.tobytes(), params.tobytes())
        for i in range(_CASES):
            _function(model)(orders, i, markets[i : i + 1], params, state)
        assert before == (orders.tobytes(), markets.tobytes(), params.tobytes())

    def test_the_same_run_gives_the_same_values(self, model: ExecutionModel) -> None:
        """TK-M04: from the initial state on, the same questions get the same answers."""
        assert _answers(model, plain(_function(model))).tobytes() == _answers(model, plain(_function(model))).tobytes()

    def test_values_are_finite(self, model: ExecutionModel) -> None:
        """TK-M05: on finite prices the value is finite; a fill model may say NaN, for "not now"."""
        values = _answers(model, plain(_function(model)))
        assert not np.isinf(values).any()
        assert isinstance(model, FillModel) or np.isfinite(values).all()


class CostConformance(_ModelConformance):
    """Check a model of slippage, impact or commission; set ``kind`` and override the fixture ``model``.

    Attributes:
        kind: What the model is.
        pays_rebates: Whether a commission may be negative.
    """

    kind: ClassVar[Literal["slippage", "impact", "commission"]]
    pays_rebates: ClassVar[bool] = False

    def test_a_cost_is_no_gain(self, model: ExecutionModel) -> None:
        """TK-M06: slippage and impact move the price against the order; a commission is paid, not received."""
        values, quantities = _answers(model, plain(_function(model))), _cases()[1]["quantity"]
        costs = values if self.kind == "commission" else values * np.sign(quantities)
        assert self.pays_rebates or (costs >= 0.0).all()


class FillModelConformance(_ModelConformance):
    """Check a fill model; override the fixture ``model``."""

    def test_the_rules_are_known(self, model: FillModel) -> None:
        """TK-M07: the model is a FillModel, and each of its rules has a value that is documented."""
        assert isinstance(model, FillModel)
        hints = get_type_hints(FillRules)
        wrong = [
            name
            for name, hint in hints.items()
            if get_origin(hint) is Literal and getattr(model.rules, name) not in get_args(hint)
        ]
        assert wrong == []

    def test_the_price_lies_in_the_bar(self, model: FillModel) -> None:
        """TK-M08: the reference price lies within the bar's range, or is NaN."""
        values, markets = _answers(model, plain(_function(model))), _cases()[1]
        told = ~np.isnan(values)
        assert told.any()
        assert (values[told] >= markets["low"][told]).all()
        assert (values[told] <= markets["high"][told]).all()

    def test_an_unknown_price_fills_nothing(self, model: FillModel) -> None:
        """TK-M09: a bar whose prices are all unknown gives NaN."""
        _, markets = _cases()
        for name in ("open", "high", "low", "close", "price"):
            markets[name] = np.nan
        values = _answers(model, plain(_function(model)), markets)
        assert np.isnan(values).all()


def _found(orders: Table, i: int, market: Table, params: Any, state: Any) -> float:
    return float(market[0]["price"])


def _function(model: ExecutionModel | FillModel) -> Callable[..., float]:
    """Return a model's function; a fill model without one takes the price that the broker found."""
    return model.function or _found


def _answers(
    model: ExecutionModel | FillModel, function: Callable[..., float], markets: Table | None = None
) -> NDArray[np.float64]:
    orders, usual = _cases()
    markets = usual if markets is None else markets
    params, state = model.params(), model.initial_state().copy()
    with np.errstate(all="ignore"):
        answers: list[Any] = [function(orders, i, markets[i : i + 1], params, state) for i in range(len(markets))]
    return np.array(answers, np.float64)


def _cases() -> tuple[Table, Table]:
    """Return an ORDER and a MARKET row per case: buys and sells, some orders half filled."""
    rng = np.random.default_rng(11)
    orders, markets = np.zeros(_CASES, ORDER), np.zeros(_CASES, MARKET)
    quantity = rng.integers(1, 1_000, _CASES) * rng.choice([-1.0, 1.0], _CASES)
    filled = np.where(rng.uniform(size=_CASES) < 0.3, np.trunc(quantity / 2), 0.0)
    orders["id"], orders["status"] = np.arange(_CASES), ACCEPTED
    orders["quantity"], orders["filled"], orders["next"] = quantity, filled, -1
    opening, close = rng.uniform(1.0, 500.0, _CASES), rng.uniform(1.0, 500.0, _CASES)
    markets["open"], markets["close"] = opening, close
    markets["high"], markets["low"] = np.maximum(opening, close) * 1.01, np.minimum(opening, close) * 0.99
    markets["volume"], markets["multiplier"] = 1e6, 1.0
    markets["price"], markets["quantity"] = opening, quantity - filled
    markets["bar_start"], markets["event_time"], markets["known_at"] = 1_000, 2_000, 2_000
    return orders, markets
