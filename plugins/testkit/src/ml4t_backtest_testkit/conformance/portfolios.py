"""Rules of portfolios."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Result
from ml4t.backtest.interfaces import Portfolio
from ml4t.backtest.state import LEDGER_KINDS
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.engines import RandomTrader, plain_engine
from ml4t_backtest_testkit.market import random_market
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.reference import PlainCommission, RowsTable

__all__ = ["PortfolioConformance"]

_CAPITAL = 250_000.0
_CENT = 1e-6

MakePortfolio = Callable[[], Portfolio]


class PortfolioConformance(Conformance):
    """Check the accounting of a portfolio by identities; override the fixture ``make_portfolio``."""

    @pytest.fixture
    def make_portfolio(self) -> MakePortfolio:
        """A function without arguments that returns a new portfolio."""
        raise NotImplementedError("override the fixture make_portfolio: () -> a new Portfolio")

    @pytest.fixture
    def prices(self) -> pl.DataFrame:
        """Daily bars with holes."""
        return random_market(seed=31, symbols=4, bars=80, missing=0.1)

    @pytest.fixture
    def make_engine(self, make_portfolio: MakePortfolio, prices: pl.DataFrame) -> Callable[..., Engine]:
        """A function that returns a new engine over the portfolio and a strategy that trades at random."""

        def make(*, compiled: bool = True, **further: Any) -> Engine:
            broker = {"use": PlainBroker(compiled), "commission": PlainCommission()}
            portfolio = make_portfolio()
            instruments = [{"symbol": "BAB", "multiplier": 5.0, "lot": 0.1}]
            settings: dict[str, Any] = {"capital": _CAPITAL, "instruments": instruments, "seed": 9, **further}
            return plain_engine(RandomTrader(), prices, broker=broker, portfolio=portfolio, **settings)

        return make

    @pytest.fixture
    def acted(self, make_portfolio: MakePortfolio, make_engine: Callable[..., Engine], prices: pl.DataFrame) -> Result:
        """The same with a split and a dividend of each symbol; skipped where the portfolio takes no actions."""
        if type(make_portfolio()).apply_action is Portfolio.apply_action:
            pytest.skip("this portfolio takes no corporate actions")
        days = prices["timestamp"].dt.date().unique().sort().to_list()
        kinds = (("split", days[30], {"ratio": 2.0}), ("dividend", days[50], {"amount": 0.5}))
        rows = [
            {"symbol": symbol, "kind": kind, "ex_date": day, "ratio": None, "amount": None, **figure}
            for symbol in prices["symbol"].unique().sort()
            for kind, day, figure in kinds
        ]
        actions = pl.DataFrame(rows, schema_overrides={"ratio": pl.Float64, "amount": pl.Float64})
        return make_engine(actions=[{"use": RowsTable(actions)}]).run()

    @pytest.fixture
    def result(self, make_engine: Callable[..., Engine]) -> Result:
        """A run with fills on both sides, through zero and back."""
        return make_engine().run()

    def test_it_is_a_portfolio(self, make_portfolio: MakePortfolio) -> None:
        """TK-A01: it derives from Portfolio and has the function that the broker's loop calls."""
        assert isinstance(make_portfolio(), Portfolio)
        assert callable(make_portfolio().apply_fill)

    def test_the_ledger_begins_with_the_capital(self, result: Result) -> None:
        """TK-A02: the first cash movement is the deposit of the capital."""
        first = result.state.ledger.rows()[0]
        assert (
            LEDGER_KINDS[first["kind"]],
            first["amount"],
            first["balance"],
        ) == ("deposit", _CAPITAL, _CAPITAL)

    def test_cash_is_the_sum_of_the_ledger(self, result: Result) -> None:
        """TK-A03: each balance is the sum of all amounts so far, and the last one is the cash."""
        ledger = result.state.ledger.rows()
        assert np.allclose(np.cumsum(ledger["amount"]), ledger["balance"], rtol=0.0, atol=_CENT)
        assert ledger["balance"][-1] == pytest.approx(result.state.accounts["cash"].sum(), abs=_CENT)

    def test_every_fill_moves_cash(self, result: Result) -> None:
        """TK-A04: per fill, cash changes by minus quantity x price x multiplier, and by its commission."""
        state = result.state
        fills, ledger = state.fills.rows(), state.ledger.rows()
        assert len(fills) > 0
        multiplier = state.instruments["multiplier"][fills["symbol"]]
        spent = {"fill": -fills["quantity"] * fills["price"] * multiplier, "commission": -fills["commission"]}
        for kind, amounts in spent.items():
            booked = ledger[ledger["kind"] == LEDGER_KINDS.index(kind)]
            expected = amounts[amounts != 0.0]
            assert np.allclose(expected, booked["amount"], rtol=0.0, atol=_CENT)

    def test_fills_sum_to_positions(self, result: Result) -> None:
        """TK-A05: a position is the sum of its symbol's fills, rounded to the quantity step."""
        state = result.state
        held = np.zeros(len(state.symbols))
        fills = state.fills.rows()
        np.add.at(held, fills["symbol"], fills["quantity"])
        assert np.allclose(held, state.positions["quantity"], rtol=0.0, atol=1e-6)

    def test_cash_and_positions_make_equity(self, result: Result) -> None:
        """TK-A06: equity is cash plus marked positions, at every sample and at the end."""
        equity = result.state.equity.rows()
        assert len(equity) > 0
        total = equity["cash"] + equity["net_exposure"]
        assert np.allclose(total, equity["equity"], rtol=0.0, atol=_CENT)
        assert (equity["gross_exposure"] >= np.abs(equity["net_exposure"]) - _CENT).all()
        state = result.state
        value = (state.positions["quantity"] * state.instruments["mark"] * state.instruments["multiplier"]).sum()
        assert result.final_equity == pytest.approx(state.accounts["cash"].sum() + value, abs=_CENT)

    def test_profit_explains_equity(self, result: Result) -> None:
        """TK-A07: realised and unrealised profit less commission is what equity has changed by."""
        equity = result.state.equity.rows()
        profit = equity["realised"] + equity["unrealised"] - equity["commission"]
        assert np.allclose(_CAPITAL + profit, equity["equity"], rtol=0.0, atol=_CENT)

    def test_sums_are_those_of_the_fills(self, result: Result) -> None:
        """TK-A08: commission and slippage of the accounts are the sums over fills."""
        accounts, fills = result.state.accounts, result.state.fills.rows()
        for name in ("commission", "slippage"):
            assert accounts[name].sum() == pytest.approx(fills[name].sum(), abs=_CENT)

    def test_a_flat_position_is_zero(self, result: Result) -> None:
        """TK-A09: quantities are never -0.0 or next to zero, and a flat position has no average price."""
        positions = result.state.positions
        small = np.abs(positions["quantity"]) < 1e-9
        assert (positions["quantity"][small].view(np.int64) == 0).all() if small.any() else True
        assert (positions["average_price"][small] == 0.0).all()

    def test_compiled_and_plain_give_the_same_result(self, make_engine: Callable[..., Engine]) -> None:
        """TK-A10: a compiled ``apply_fill`` and its Python source give the same bits."""
        plain, compiled = make_engine(compiled=False).run(), make_engine(compiled=True).run()
        assert plain.result_hash == compiled.result_hash

    def test_two_portfolios_do_not_share_state(self, make_engine: Callable[..., Engine]) -> None:
        """TK-A11: two runs side by side end as one alone."""
        alone = make_engine().run().result_hash
        first, second = make_engine(), make_engine()
        for _ in zip(first.steps(), second.steps(), strict=True):
            pass
        assert first.result is not None
        assert second.result is not None
        assert (alone, alone) == (first.result.result_hash, second.result.result_hash)

    def test_metrics_are_numbers(self, result: Result) -> None:
        """TK-A12: metrics are floats (NaN where undefined) or counts, under names in full; trades are a frame."""
        assert {float, int} >= {type(value) for value in result.metrics.values()}
        assert all(name == name.lower() and " " not in name for name in result.metrics)
        assert isinstance(result.trades, pl.DataFrame)

    def test_equity_is_a_number(self, result: Result) -> None:
        """TK-A13: no column of a sample is NaN or infinite."""
        equity = result.state.equity.rows()
        assert all(np.isfinite(equity[name]).all() for name in equity.dtype.names or ())

    def test_actions_leave_ledger_rows(self, acted: Result) -> None:
        """TK-A14: fills and ledger quantities sum to positions, and amounts to cash, where actions are taken."""
        state = acted.state
        ledger, fills = state.ledger.rows(), state.fills.rows()
        held = np.zeros(len(state.symbols))
        np.add.at(held, fills["symbol"], fills["quantity"])
        own = ledger["symbol"] >= 0
        np.add.at(held, ledger["symbol"][own], ledger["quantity"][own])
        assert np.allclose(held, state.positions["quantity"], rtol=0.0, atol=1e-6)
        assert ledger["amount"].sum() == pytest.approx(state.accounts["cash"].sum(), abs=_CENT)
        assert {"split", "dividend"} <= {LEDGER_KINDS[kind] for kind in ledger["kind"]}

    def test_profit_explains_equity_through_actions(self, acted: Result) -> None:
        """TK-A15: with dividends, interest, borrow, funding and rates it does so where actions are taken."""
        equity = acted.state.equity.rows()
        earned = ("realised", "unrealised", "dividends", "interest", "borrow", "funding", "fx_pnl")
        profit = sum(equity[name] for name in earned) - equity["commission"]
        assert np.allclose(_CAPITAL + profit, equity["equity"], rtol=0.0, atol=_CENT)
