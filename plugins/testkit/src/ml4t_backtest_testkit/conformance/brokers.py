"""Rules of brokers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml4t.backtest import Engine, Result
from ml4t.backtest.interfaces import Broker, ExecutionModels
from ml4t.backtest.state import REASONS, REFUSED, REQUEST, STATUSES, SUBMITTED, RunState
from ml4t_backtest_testkit.conformance.order_states import BookWatch, histories, strange_transitions
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.engines import RandomTrader, plain_engine
from ml4t_backtest_testkit.market import random_market
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.random_orders import RandomOrders
from ml4t_backtest_testkit.reference import PlainCommission, PlainFill, PlainPortfolio

__all__ = ["BrokerConformance"]

_ENDS = ("filled", "cancelled", "expired", "refused")

MakeBroker = Callable[[], Broker]


class BrokerConformance(Conformance):
    """Check a broker by what it makes of orders; override the fixture ``make_broker``.

    Kinds that it does not offer are refused, which the table of states allows.
    """

    @pytest.fixture
    def make_broker(self) -> MakeBroker:
        """A function without arguments that returns a new broker."""
        raise NotImplementedError("override the fixture make_broker: () -> a new Broker")

    @pytest.fixture
    def models(self) -> Mapping[str, object]:
        """Models of the run by the keys of the broker's table; override for what the broker needs."""
        return {"fill": PlainFill(), "commission": PlainCommission()}

    @pytest.fixture
    def prices(self) -> pl.DataFrame:
        """Daily bars with holes, some without an open."""
        return random_market(seed=21, symbols=4, bars=80, missing=0.15, null=0.05)

    @pytest.fixture
    def make_engine(
        self, make_broker: MakeBroker, models: Mapping[str, object], prices: pl.DataFrame
    ) -> Callable[[], Engine]:
        """A function that returns a new engine over the broker and a strategy that trades at random."""
        return lambda: plain_engine(RandomTrader(), prices, seed=5, broker={**models, "use": make_broker()})

    @pytest.fixture
    def result(self, make_engine: Callable[[], Engine]) -> Result:
        """What became of the random orders."""
        return make_engine().run()

    def test_it_is_a_broker(self, make_broker: MakeBroker) -> None:
        """TK-B01: it derives from Broker."""
        assert isinstance(make_broker(), Broker)

    def test_every_request_is_recorded(self, make_broker: MakeBroker, prices: pl.DataFrame) -> None:
        """TK-B02: the k-th order that is asked for is order k, submitted and then accepted or refused."""
        trader = RandomTrader()
        result = plain_engine(trader, prices, seed=5, broker={"use": make_broker(), "fill": PlainFill()}).run()
        found = histories(result)
        assert trader.asked == sorted(found)
        assert trader.asked == list(range(len(trader.asked)))
        begun = {tuple(status for status, _ in history[:2]) for history in found.values()}
        assert {("submitted", "accepted")} == begun

    def test_orders_keep_to_the_state_machine(self, result: Result) -> None:
        """TK-B03: market orders are submitted, then accepted or refused, then filled in parts or at once, or ended."""
        assert list(strange_transitions(result)) == []

    def test_transitions_have_one_order(self, result: Result) -> None:
        """TK-B04: sequence numbers of transitions increase, and time never goes back."""
        events = result.state.order_events.rows()
        assert (np.diff(events["sequence"]) > 0).all()
        assert (np.diff(events["timestamp"]) >= 0).all()

    def test_no_fill_comes_before_its_order_was_accepted(self, result: Result) -> None:
        """TK-B05: a price formed at or after submission, and its fill comes after the acceptance."""
        fills, events = result.state.fills.rows(), result.state.order_events.rows()
        accepted = {
            int(event["order_id"]): int(event["sequence"])
            for event in events
            if STATUSES[event["status"]] == "accepted"
        }
        assert len(fills) > 0
        assert (fills["formed_at"] >= fills["submitted_at"]).all()
        assert (fills["known_at"] >= fills["formed_at"]).all()
        assert all(int(fill["sequence"]) > accepted[int(fill["order_id"])] for fill in fills)

    def test_fills_sum_to_what_is_filled(self, result: Result) -> None:
        """TK-B06: what an order has filled is the sum of its fills, towards its quantity and not beyond."""
        orders, fills = result.state.orders.rows(), result.state.fills.rows()
        filled = np.zeros(len(orders))
        np.add.at(filled, fills["order_id"], fills["quantity"])
        assert np.allclose(filled, orders["filled"], rtol=0.0, atol=1e-9)
        assert (np.abs(filled) <= np.abs(orders["quantity"]) + 1e-9).all()
        assert (filled * orders["quantity"] >= 0.0).all()
        done = orders["status"] == STATUSES.index("filled")
        assert np.allclose(filled[done], orders["quantity"][done], rtol=0.0, atol=1e-9)

    def test_the_same_run_gives_the_same_result(self, make_engine: Callable[[], Engine]) -> None:
        """TK-B07: the same seed and data give the same hashes, and two runs side by side do not meet."""
        whole = make_engine().run()
        first, second = make_engine(), make_engine()
        for _ in zip(first.steps(), second.steps(), strict=True):
            pass
        assert first.result is not None
        assert second.result is not None
        hashes = {each.result_hash for each in (whole, first.result, second.result)}
        assert {whole.result_hash} == hashes

    def test_senseless_requests_are_refused_with_a_reason(self, make_broker: MakeBroker) -> None:
        """TK-B08: no finite quantity, none at all, a foreign symbol, an unknown order: refused, recorded."""
        broker, state = _opened(make_broker())
        requests = np.zeros(4, REQUEST)
        requests["quantity"] = (np.nan, 0.0, 1.0, 0.0)
        requests["symbol"] = (0, 0, 9, 0)
        requests["action"], requests["order_id"] = (0, 0, 0, 1), (0, 1, 2, 99)
        broker.submit(requests)
        events = state.order_events.rows()
        refused = events[events["status"] == REFUSED]
        assert refused["order_id"].tolist() == [0, 1, 2, 99]
        assert (refused["reason"] > 0).all()
        assert (state.orders.count, state.working, state.fills.count) == (3, 0, 0)

    def test_what_risk_refused_is_recorded(self, make_broker: MakeBroker) -> None:
        """TK-B09: a request that arrives with a reason is recorded as refused for that reason."""
        broker, state = _opened(make_broker())
        requests = np.zeros(1, REQUEST)
        requests["quantity"], requests["reason"] = 1.0, REASONS.index("refused-by-risk")
        broker.submit(requests)
        events = state.order_events.rows()
        assert events["status"].tolist() == [SUBMITTED, REFUSED]
        assert REASONS[events["reason"][-1]] == "refused-by-risk"

    def test_an_unknown_price_fills_nothing(
        self, result: Result, models: Mapping[str, object], prices: pl.DataFrame
    ) -> None:
        """TK-B10: no fill forms at a bar whose price is null, nor where there is no bar."""
        at_open = models["fill"].rules.market == "open"  # type: ignore[attr-defined]  # a FillModel
        bars = set(prices.drop_nulls("open" if at_open else "close").select("symbol", "timestamp").rows())
        within = pl.col("timestamp") - pl.duration(nanoseconds=0 if at_open else 1)
        fills = result.fills.select("symbol", within.dt.date()).rows()
        assert set(fills) <= bars

    def test_working_orders_end_with_the_run(self, result: Result) -> None:
        """TK-B11: at the end nothing works; what did is cancelled with the reason end-of-run."""
        assert result.state.working == 0
        assert _unfinished(result) == []
        assert (result.state.books["open_quantity"] == 0.0).all()

    def test_the_book_counts_what_works(
        self, make_broker: MakeBroker, models: Mapping[str, object], prices: pl.DataFrame
    ) -> None:
        """TK-B12: when requests arrive, BOOK holds the remainder of the working orders of each symbol."""
        watch = BookWatch()
        broker = {**models, "use": make_broker()}
        plain_engine(RandomTrader(), prices, seed=5, broker=broker, risk=[watch]).run()
        assert watch.rounds > 0
        assert watch.wrong == []

    def test_it_can_be_resumed(self, make_engine: Callable[[], Engine], tmp_path: Path) -> None:
        """TK-B13: a run that goes on from a snapshot ends as the run that was never stopped."""
        whole = make_engine().run()
        engine = make_engine()
        steps = engine.steps()
        for _ in range(40):
            next(steps)
        engine.snapshot(tmp_path / "snapshot")
        resumed = make_engine().run(resume=tmp_path / "snapshot")
        assert whole.result_hash == resumed.result_hash

    def test_it_agrees_with_the_plain_broker(
        self, make_engine: Callable[[], Engine], models: Mapping[str, object], prices: pl.DataFrame
    ) -> None:
        """TK-B14: market orders fill as in the plain broker of this testkit, to the last bit."""
        plain = plain_engine(RandomTrader(), prices, seed=5, broker={**models, "use": PlainBroker()}).run()
        columns = ["timestamp", "order_id", "symbol", "quantity", "price", "commission"]
        assert_frame_equal(plain.fills.select(columns), make_engine().run().fills.select(columns))

    @pytest.fixture
    def make_random_engine(
        self, make_broker: MakeBroker, models: Mapping[str, object], prices: pl.DataFrame
    ) -> Callable[..., Engine]:
        """A function (seed, **settings) that returns an engine whose strategy asks for orders of every kind."""

        def make(seed: int = 7, **settings: Any) -> Engine:
            broker = {**models, "use": make_broker()}
            return plain_engine(RandomOrders(), prices, seed=seed, broker=broker, **settings)

        return make

    @pytest.mark.parametrize("seed", range(4))
    def test_any_sequence_of_requests_keeps_to_the_state_machine(
        self, make_random_engine: Callable[..., Engine], seed: int
    ) -> None:
        """TK-B15: whatever is asked for, each transition and its reason is in the table of states, and all ends."""
        result = make_random_engine(seed).run()
        assert result.state.orders.count > 50
        assert list(strange_transitions(result)) == []
        assert _unfinished(result) == []

    def test_fills_of_every_kind_sum_to_what_is_filled(self, make_random_engine: Callable[..., Engine]) -> None:
        """TK-B16: with orders of every kind, TK-B06 holds, and no price formed before the order was made."""
        result = make_random_engine().run()
        self.test_fills_sum_to_what_is_filled(result)
        self.test_no_fill_comes_before_its_order_was_accepted(result)

    def test_the_book_counts_nothing_that_protects(self, make_random_engine: Callable[..., Engine]) -> None:
        """TK-B17: BOOK holds the orders with ``counts`` alone; stops, children and held orders work all the same."""
        watch = BookWatch()
        make_random_engine(risk=[watch]).run()
        assert watch.rounds > 0
        assert watch.wrong == []

    def test_orders_of_every_kind_can_be_resumed(
        self, make_random_engine: Callable[..., Engine], tmp_path: Path
    ) -> None:
        """TK-B18: TK-B13 holds with orders of every kind under way."""
        engine = make_random_engine()
        steps = engine.steps()
        for _ in range(40):
            next(steps)
        engine.snapshot(tmp_path / "snapshot")
        resumed = make_random_engine().run(resume=tmp_path / "snapshot")
        assert make_random_engine().run().result_hash == resumed.result_hash


def _unfinished(result: Result) -> list[int]:
    return [order for order, history in histories(result).items() if history[-1][0] not in _ENDS]


def _opened(broker: Broker) -> tuple[Broker, Any]:
    state, portfolio = RunState(), PlainPortfolio()
    portfolio.open(state, {"USD": 1_000.0})
    broker.open(state, ExecutionModels(fill=PlainFill()), portfolio)
    state.now = 1_000
    state.add_symbols(["AAA"])
    return broker, state
