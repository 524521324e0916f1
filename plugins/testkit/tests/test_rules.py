"""Rules about rules: they are numbered, they fail for what they are there to catch, and stay in force."""

import re

import numpy as np
import polars as pl
import pytest

import ml4t_backtest_testkit
from ml4t.backtest import Strategy
from ml4t.backtest.interfaces import Reporter, RiskManager
from ml4t_backtest_testkit import (
    Conformance,
    CostConformance,
    FeedConformance,
    PortfolioConformance,
    ReporterConformance,
    RiskConformance,
    StrategyConformance,
    random_market,
)
from ml4t_backtest_testkit.conformance.models import _answers
from ml4t_backtest_testkit.engines import plain_engine
from ml4t_backtest_testkit.plain_broker import PlainBroker
from ml4t_backtest_testkit.reference import PlainCommission, PlainPortfolio, RowsFeed

CLASSES = [
    value
    for value in (getattr(ml4t_backtest_testkit, name) for name in ml4t_backtest_testkit.__all__)
    if isinstance(value, type) and issubclass(value, Conformance)
]


def test_rules_are_numbered():
    """Each rule has a number of its own at the beginning of its docstring."""
    rules = {
        test: str(test.__doc__)
        for cls in CLASSES
        for base in cls.__mro__
        for name, test in vars(base).items()
        if name.startswith("test_")
    }
    found = [re.match(r"TK-(\w\d\d|00): \S", doc) for doc in rules.values()]
    assert [] == [doc for doc, match in zip(rules.values(), found, strict=True) if match is None]
    numbers = [match[1] for match in found if match]
    assert len(numbers) == len(set(numbers))


class Removed(ReporterConformance):
    test_it_changes_nothing = None


class Overridden(ReporterConformance):
    def test_it_changes_nothing(self):
        """Say nothing."""


class Excused(ReporterConformance):
    @pytest.mark.xfail(reason="it writes to the terminal only")
    def test_it_changes_nothing(self):
        """Say nothing."""


@pytest.mark.parametrize(("cls", "word"), [(Removed, "removed"), (Overridden, "overridden")])
def test_a_rule_cannot_be_taken_away_in_silence(cls, word):
    """A rule that is gone is a failure that names it."""
    with pytest.raises(AssertionError, match=f"test_it_changes_nothing was {word}"):
        cls().test_no_rule_was_taken_away()


def test_a_rule_can_be_excused_with_a_reason():
    """What is marked as expected to fail, with a reason, is fair."""
    Excused().test_no_rule_was_taken_away()


def test_the_guard_itself_cannot_be_overridden():
    """The rule that watches over the others is refused when the class is made."""
    with pytest.raises(TypeError, match="watches over the other rules"):
        type("Cheat", (ReporterConformance,), {"test_no_rule_was_taken_away": None, "__module__": "tests"})


class Peeks(Strategy):
    """Buys before the close rises, which it knows from a column that was shifted the wrong way."""

    def __init__(self, prices):
        rows = prices.sort("timestamp").with_columns(next=pl.col("close").shift(-1).over("symbol"))
        self.rises = {
            (row["symbol"], row["timestamp"]): row["next"] > row["close"]
            for row in rows.drop_nulls("next").iter_rows(named=True)
        }

    def on_slice(self, market, context):
        for symbol in context.symbols:
            rises = self.rises.get((symbol, context.session.date), False)
            context.order_target(symbol, 10 if rises else 0)


def test_a_look_into_the_future_is_found():
    """A strategy that computes tomorrow's close in advance fails the rule about scrambling."""
    prices = random_market(seed=41, symbols=4, bars=60, missing=0.05)
    rules = StrategyConformance()

    def make_engine(rows):
        return plain_engine(Peeks(rows), rows)

    with pytest.raises(AssertionError):
        rules.test_scrambling_the_future_changes_no_decision(make_engine, prices)


class LastPrice(RowsFeed):
    """Adjusts all prices by the last one, as back-adjustment does."""

    def __init__(self, rows):
        super().__init__(rows.with_columns(pl.col("close") / pl.col("close").last()))


def test_a_feed_that_adjusts_by_the_last_row_is_found():
    """Rows that change when later ones are cut off fail the rule about cutting."""
    rows = random_market(seed=7, symbols=2, bars=20)
    with pytest.raises(AssertionError):
        FeedConformance().test_cutting_the_future_changes_nothing(LastPrice, rows)


class ForgetsCommission(PlainPortfolio):
    """Loses a cent in each sample."""

    def equity(self):
        return super().equity() + 0.01


def test_a_portfolio_that_does_not_add_up_is_found():
    """Equity that is not cash plus positions fails."""
    result = plain_engine(RandomBuyer(), random_market(seed=3), portfolio=ForgetsCommission()).run()
    with pytest.raises(AssertionError):
        PortfolioConformance().test_cash_and_positions_make_equity(result)


class RandomBuyer(Strategy):
    """Buys one of the first symbol a day."""

    def on_slice(self, market, context):
        context.order(context.symbols[0], 1)


class Litters(Reporter):
    """Writes where it stands."""

    def finished(self, result, out):
        with open("here.txt", "w") as file:
            file.write("here")


def test_a_reporter_that_writes_elsewhere_is_found(tmp_path, monkeypatch):
    """A file outside the run's folder fails."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(AssertionError):
        ReporterConformance().test_it_writes_under_its_folder_only(
            Litters, random_market(seed=1, bars=10), tmp_path, tmp_path / "elsewhere"
        )


class Torn(Reporter):
    """Writes straight to the file."""

    def finished(self, result, out):
        if out is not None:
            out.mkdir()
            (out / "report.txt").write_text("report")


def test_a_reporter_that_does_not_rename_is_found(tmp_path, monkeypatch):
    """A file that was written under its own name fails."""
    with pytest.raises(AssertionError):
        ReporterConformance().test_files_are_renamed_into_place(
            Torn, random_market(seed=1, bars=10), tmp_path, tmp_path, monkeypatch
        )


class Doubles(RiskManager):
    """Makes orders larger."""

    def check(self, requests, state):
        requests["quantity"] *= 2.0


def test_a_risk_manager_that_enlarges_orders_is_found():
    """Twice the size fails."""
    rules = RiskConformance()
    state = plain_engine(RandomBuyer(), random_market(seed=1, bars=10)).run().state
    requests = np.zeros(1, RiskConformance.requests.__wrapped__(rules, state).dtype)
    requests["quantity"] = 1.0
    with pytest.raises(AssertionError):
        rules.test_it_makes_orders_no_larger(Doubles, state, requests)


class Rebate(PlainCommission):
    """Pays for trading."""

    def __init__(self):
        super().__init__(-0.001)


def test_a_cost_that_pays_is_found():
    """A negative commission fails, unless the class says that rebates are meant."""
    cases = type("Cases", (CostConformance,), {"kind": "commission"})
    assert (_answers(Rebate(), Rebate().function) < 0.0).all()
    with pytest.raises(AssertionError):
        cases().test_a_cost_is_no_gain(Rebate())
    type("Paid", (cases,), {"pays_rebates": True})().test_a_cost_is_no_gain(Rebate())


class FillsAtOnce(PlainBroker):
    """Forgets when an order was submitted."""

    def _fill(self, i, rows, r):
        self._state.orders.data[i]["submitted_at"] = 0
        super()._fill(i, rows, r)
        self._state.fills.data[: self._state.fills.count]["submitted_at"] = self._state.now


def test_a_broker_that_fills_too_early_is_found():
    """A price that formed before submission fails."""
    from ml4t_backtest_testkit import BrokerConformance

    result = plain_engine(RandomBuyer(), random_market(seed=1, bars=10), broker={"use": FillsAtOnce()}).run()
    with pytest.raises(AssertionError):
        BrokerConformance().test_no_fill_comes_before_its_order_was_accepted(result)
