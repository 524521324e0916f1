"""Rules of risk managers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import REASONS, REQUEST, RunState
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.engines import RandomTrader, plain_engine
from ml4t_backtest_testkit.market import random_market

__all__ = ["RiskConformance"]

_TABLES = ("orders", "order_events", "fills", "ledger", "equity")
_ARRAYS = ("instruments", "books", "positions", "accounts", "counters")

MakeRisk = Callable[[], RiskManager]


class RiskConformance(Conformance):
    """Check a risk manager; override the fixture ``make_risk``.

    Attributes:
        may_enlarge: Whether it may raise the size of an order or turn its side.
    """

    may_enlarge: ClassVar[bool] = False

    @pytest.fixture
    def make_risk(self) -> MakeRisk:
        """A function without arguments that returns a new risk manager."""
        raise NotImplementedError("override the fixture make_risk: () -> a new RiskManager")

    @pytest.fixture
    def state(self) -> RunState:
        """The columns of a run in which something is held."""
        result = plain_engine(RandomTrader(), random_market(seed=61, symbols=4, bars=30), seed=3).run()
        return result.state

    @pytest.fixture
    def requests(self, state: RunState) -> NDArray[np.void]:
        """Buys and sells of every symbol, and two requests to cancel."""
        rng = np.random.default_rng(19)
        requests = np.zeros(40, REQUEST)
        requests["symbol"] = np.arange(40) % len(state.symbols)
        requests["quantity"] = rng.integers(1, 5_000, 40) * rng.choice([-1.0, 1.0], 40)
        requests["limit_price"] = requests["stop_price"] = requests["asked"] = np.nan
        requests["parent"] = requests["group"] = requests["basket"] = -1
        requests["counts"] = 1
        requests["order_id"] = state.orders.count + np.arange(40)
        requests["known_at"] = state.now
        requests["action"][[20, 30]] = 1, 2
        return requests

    def test_it_is_a_risk_manager(self, make_risk: MakeRisk) -> None:
        """TK-K01: it derives from RiskManager."""
        assert isinstance(make_risk(), RiskManager)

    def test_it_changes_quantity_and_reason_only(
        self, make_risk: MakeRisk, state: RunState, requests: NDArray[np.void]
    ) -> None:
        """TK-K02: of a request it may change the quantity, or set a reason that REASONS knows."""
        judged = requests.copy()
        make_risk().check(judged, state)
        fixed = [name for name in REQUEST.names or () if name not in ("quantity", "reason")]
        assert all(requests[name].tobytes() == judged[name].tobytes() for name in fixed)
        assert ((judged["reason"] >= 0) & (judged["reason"] < len(REASONS))).all()
        assert np.isfinite(judged["quantity"]).all()

    def test_it_makes_orders_no_larger(self, make_risk: MakeRisk, state: RunState, requests: NDArray[np.void]) -> None:
        """TK-K03: an order keeps its side and grows no larger."""
        judged = requests.copy()
        make_risk().check(judged, state)
        smaller = np.abs(judged["quantity"]) <= np.abs(requests["quantity"])
        same_side = judged["quantity"] * requests["quantity"] >= 0.0
        assert self.may_enlarge or (smaller & same_side).all()

    def test_it_lets_cancels_pass(self, make_risk: MakeRisk, state: RunState, requests: NDArray[np.void]) -> None:
        """TK-K04: a request to cancel is not refused: it takes risk away."""
        make_risk().check(requests, state)
        assert (requests["reason"][requests["action"] != 0] == 0).all()

    def test_it_only_reads_the_state(self, make_risk: MakeRisk, state: RunState, requests: NDArray[np.void]) -> None:
        """TK-K05: no column of the run is changed."""
        before = _bytes(state)
        make_risk().check(requests, state)
        assert before == _bytes(state)

    def test_the_same_question_gets_the_same_answer(
        self, make_risk: MakeRisk, state: RunState, requests: NDArray[np.void]
    ) -> None:
        """TK-K06: two new managers judge alike, and an empty round is no error."""
        first, second = requests.copy(), requests.copy()
        make_risk().check(first, state)
        make_risk().check(second, state)
        assert first.tobytes() == second.tobytes()
        make_risk().check(requests[:0], state)

    def test_exits_are_requests_that_make_sense(self, make_risk: MakeRisk, state: RunState) -> None:
        """TK-K07: it asks for no exits, or for REQUEST rows of known symbols with a quantity; it changes nothing."""
        before = _bytes(state)
        rows = make_risk().exits(state)
        assert before == _bytes(state)
        if rows is not None:
            assert rows.dtype == REQUEST
            orders = rows[rows["action"] == 0]
            assert (np.isfinite(orders["quantity"]) & (orders["quantity"] != 0.0)).all()
            assert ((orders["symbol"] >= 0) & (orders["symbol"] < len(state.symbols))).all()


def _bytes(state: RunState) -> list[bytes]:
    tables = [getattr(state, name).rows().tobytes() for name in _TABLES]
    return tables + [getattr(state, name).tobytes() for name in _ARRAYS]
