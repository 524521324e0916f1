"""Classes of errors that other backtesters had in their accounts, each with the run that would show it.

Splits over positions and orders, dividends, ends of companies and changes of tickers on real data are in
`test_real_actions.py` and `test_real_companies.py`.
"""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError

MONDAY = date(2020, 4, 13)


def bars(symbol, closes, volume=1e9):
    """Return weekday bars whose open is the close before."""
    days = (MONDAY + timedelta(days=number) for number in range(2 * len(closes) + 7))
    days = [day for day in days if day.weekday() < 5][: len(closes)]
    opens = [closes[0], *closes[:-1]]
    rows = zip(days, opens, closes, strict=True)
    return pl.DataFrame(
        [
            {"symbol": symbol, "timestamp": day, "open": a, "high": max(a, b), "low": min(a, b), "close": b}
            for day, a, b in rows
        ]
    ).with_columns(volume=pl.lit(volume))


class Script(Strategy):
    """Send market orders for the one symbol after these bars."""

    def __init__(self, orders):
        self.orders, self.bar, self.handles, self.equity = orders, -1, {}, []

    def on_slice(self, market, context):
        self.bar += 1
        self.equity.append(context.portfolio.equity)
        if self.bar in self.orders:
            self.handles[self.bar] = context.order(context.symbols[0], self.orders[self.bar])


# --- 1: drift of cash, a share too many ---------------------------------------------------------------------

FEE = {"commission": {"use": "percent", "rate": 0.001}}


def test_thousands_of_round_trips_leave_exactly_nothing():
    """0.1 bought and sold at 0.1 for 0.1 %: the position is 0.0 after each pair, cash is the decimal result."""
    pairs = 2_000
    orders = {bar: 0.1 if bar % 2 == 0 else -0.1 for bar in range(2 * pairs)}
    stamps = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + timedelta(minutes=2 * pairs), "1m", eager=True
    )
    prices = pl.DataFrame({"timestamp": stamps, "symbol": "X"}).with_columns(
        pl.lit(0.1).alias(name) for name in ("open", "high", "low", "close")
    )
    instrument = {"symbol": "X", "asset_class": "crypto", "lot": 0.1}
    result = Engine(
        prices=prices,
        bar="1m",
        stamp="open",
        timezone="UTC",
        strategy=Script(orders),
        capital=1_000,
        instruments=instrument,
        broker=FEE,
    ).run()

    assert 2 * pairs == result.fills.height
    exact = Decimal(1000) - 2 * pairs * Decimal("0.1") * Decimal("0.1") * Decimal("0.001")
    assert abs(Decimal(float(result.equity["cash"][-1])) - exact) < Decimal("1e-6")
    (held,) = result.state.positions["quantity"]
    assert (0.0, 1.0) == (held, np.copysign(1.0, held))
    assert result.trades["is_open"].sum() == 0
    assert pairs == result.trades.height


def test_random_trades_back_to_flat_leave_exactly_nothing():
    """Any lots of 0.001 bought and sold in any order: what is left is 0.0, and not 1e-17."""
    rng = np.random.default_rng(5)
    quantities = rng.integers(-5_000, 5_001, 3_000) / 1000
    quantities = np.append(quantities, -np.round(np.sum(quantities), 3))
    prices = bars("X", list(np.round(10 + np.cumsum(rng.normal(0, 0.01, len(quantities) + 1)), 4)))
    orders = {bar: float(each) for bar, each in enumerate(quantities) if each}
    instrument = {"symbol": "X", "lot": 0.001}
    result = Engine(
        prices=prices, strategy=Script(orders), capital=1_000_000, instruments=instrument, calendar="24/7"
    ).run()

    assert len(orders) == result.fills.height
    assert [0.0] == result.state.positions["quantity"].tolist()
    paid = sum((Decimal(q) * Decimal(p) for q, p in result.fills.select("quantity", "price").iter_rows()), Decimal(0))
    assert float(Decimal(1_000_000) - paid) == pytest.approx(result.equity["cash"][-1], abs=1e-6)


# --- 9: prices at and below zero ----------------------------------------------------------------------------

OIL = [18.0, 18.0, 18.0, -37.0, -37.0, 10.0, 10.0, 10.0]
KINDS = [("equity", "value"), ("perpetual", "close"), ("future", "daily")]


def oil(quantities, asset_class, capital=1_000_000, **settings):
    """Run over a future that falls from 18 to -37 and comes back to 10."""
    strategy = Script(quantities)
    instrument = {"symbol": "CL", "asset_class": asset_class, "multiplier": 1000.0, "allow_negative_prices": True}
    result = Engine(
        feed={"use": "frame", "name": "prices", "frame": bars("CL", OIL), "allow_negative_prices": True},
        strategy=strategy,
        instruments=instrument,
        capital=capital,
        calendar="XNYS",
        **settings,
    ).run()
    return result, strategy


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(("asset_class", "settles"), KINDS)
def test_oil_below_zero_is_a_loss_like_any_other(asset_class, settles, side):
    """18, -37, 10: equity follows to the cent; margins, profits and percent figures are numbers."""
    result, strategy = oil({0: 10 * side}, asset_class)

    worth = [1_000_000 + side * 10_000 * (close - 18.0) for close in OIL]
    assert worth == pytest.approx(result.equity["equity"].to_list(), abs=1e-6)
    assert worth == pytest.approx(strategy.equity, abs=1e-6)
    figures = result.equity.select(pl.col(pl.Float64))
    assert all(figures[name].is_finite().all() for name in figures.columns)
    assert result.equity["initial_margin"].min() >= 0.0
    assert result.equity["maintenance_margin"].min() >= 0.0
    expected = side * 10_000 * (10.0 - 18.0)
    assert expected == pytest.approx(result.trades["pnl"].sum(), abs=1e-6)
    assert expected / 1e6 == pytest.approx(result.metrics["total_return"], abs=1e-12)
    assert all(np.isfinite(result.metrics[name]) for name in ("annual_return", "sharpe", "max_drawdown"))


def test_a_position_bought_below_zero_pays_its_buyer():
    """At -37 a buyer is paid; at 10 it is worth 47 more."""
    result, _ = oil({3: 10}, "equity")

    bought = result.fills.row(0, named=True)
    assert (10.0, -37.0) == (bought["quantity"], bought["price"])
    ledger = result.ledger.filter(kind="fill")["amount"].to_list()
    assert [370_000.0] == ledger
    assert 1_000_000 + 47.0 * 10_000 == pytest.approx(result.equity["equity"][-1])


def test_a_total_loss_is_liquidated_flagged_and_never_nan():
    """A fall of 55 on 25 contracts takes 1.375 of 1 million; what is left is negative, and said."""
    result, _ = oil({0: 25}, "future", account=[{"type": "margin", "initial_margin": 0.1, "maintenance_margin": 0.1}])

    equity = result.equity["equity"]
    assert -375_000.0 == pytest.approx(equity.min())
    assert equity.is_finite().all()
    closing = result.orders.filter(tag="liquidation")
    assert not closing.is_empty()
    assert [0.0] == result.state.positions["quantity"].tolist()
    assert any("negative equity" in flag or "equity" in flag for flag in result.flags)
    assert -1.375 <= result.metrics["total_return"] < -1.0
    assert result.metrics["annual_return"] is None or np.isnan(result.metrics["annual_return"])


def test_prices_below_zero_are_refused_aloud_unless_they_are_allowed():
    """The rows are counted; nothing is dropped in silence."""
    with pytest.raises(
        InputError, match=r"(?s)close is not above zero \(and 1 more row like it\).*allow_negative_prices"
    ):
        Engine(
            feed={"use": "frame", "name": "prices", "frame": bars("CL", OIL)},
            strategy=Script({}),
            calendar="XNYS",
            capital=1_000,
        ).run()
